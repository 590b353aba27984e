"""A fake node behind a real HTTP port, in a thread of its own, for as long as a `with` lasts.

Decides that everything but consensus, network and disk is real: uvicorn, the guard, the endpoints, the plug-ins.
Refuses to serve anybody but this machine.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.node.api.application import build_app
from zizhu.chain.node.api.guard import BODY_MS
from zizhu.chain.node.api.server import HEAD_S, build_server, listen
from zizhu.chain.node.api.site import AccountKey, Issuer, RoutesFactory, Site
from zizhu.framework.testkit.fakes.accounts import TestAccount
from zizhu.framework.testkit.fakes.node import FakeNode
from zizhu.framework.testkit.fakes.suite import suite

HOST = "127.0.0.1"
ISSUER_NAME = "issuer"
ISSUER = TestAccount(suite, 1_000)
WAIT_S = 20.0
"""How long a test waits for what it asked the node's thread to do."""

NO_ACCOUNT = ErrorCode(
    "fake.account",
    "this node has no account {name!r}",
    f"use {ISSUER_NAME!r}",
    "本节点没有账户 {name!r}",
    f"请使用 {ISSUER_NAME!r}",
)

T = TypeVar("T")


def open_account(name: str) -> AccountKey:
    """The key of the issuer's account."""
    if name != ISSUER_NAME:
        raise AskedWrongly(NO_ACCOUNT, name=name)
    return AccountKey(suite, ISSUER.secret)


def site_of(node: FakeNode, folder: Path, port: int) -> Site:
    """The site of a fake node, with an issuer account."""
    return Site(node, folder, port, Issuer(ISSUER_NAME, ISSUER.id), open_account)


@dataclass
class ServedNode:
    """A running port. `faults` are what nobody caught in its loop."""

    node: FakeNode
    port: int
    loop: asyncio.AbstractEventLoop
    faults: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"http://{HOST}:{self.port}"

    def do(self, act: Callable[[], T]) -> T:
        """Does something to the node in its own thread."""

        async def inside() -> T:
            return act()

        return self.wait(inside())

    def wait(self, work: Coroutine[object, object, T]) -> T:
        """Runs a coroutine in the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT_S)


@dataclass(frozen=True)
class Haste:
    """How long heads (seconds) and bodies (milliseconds) of requests may take."""

    head_s: float = HEAD_S
    body_ms: int = BODY_MS


USUAL = Haste()


@contextmanager
def served(
    folder: Path,
    *,
    node: FakeNode | None = None,
    plugins: Mapping[str, RoutesFactory] | None = None,
    haste: Haste = USUAL,
) -> Iterator[ServedNode]:
    """A fake node (a new one by default) with these plug-ins at any free port."""
    opened = listen(HOST, 0)
    real_port = int(opened.getsockname()[1])
    fake = node or FakeNode()
    fake.http_port = real_port
    app = build_app(site_of(fake, folder, real_port), plugins=dict(plugins or {}), body_ms=haste.body_ms)
    server = build_server(app, head_s=haste.head_s)
    loop = asyncio.new_event_loop()
    running = ServedNode(fake, real_port, loop)
    loop.set_exception_handler(lambda _, context: running.faults.append(str(context.get("message"))))
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve(sockets=[opened])), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(setattr, server, "should_exit", True)
        thread.join(WAIT_S)
        opened.close()
        loop.close()
