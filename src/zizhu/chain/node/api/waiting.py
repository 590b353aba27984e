"""Waiting on behalf of a client: until something is durable, and no longer than the client is there.

Decides how reads keep to what is certified and durable, and that a client that went away costs nothing. Refuses to
know endpoints.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import Request

from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode
from zizhu.chain.node.api.bodies import GONE
from zizhu.chain.node.backend import Backend

WAIT_MS_MAX = 30_000
"""Longest that a request may wait."""
DURABLE_MS = 5_000
"""How long a read waits for the block it was made at to become durable."""
REMEMBERED_MAX = 100_000
"""Accepted transactions that are remembered as waiting."""

NOT_DURABLE = ErrorCode(
    "node.not_durable",
    "height {height} is not durable on this member yet",
    "ask again after {retry_after_ms} ms, or ask another member",
    "高度 {height} 在本成员上尚未落盘",
    "请在 {retry_after_ms} 毫秒后重试,或询问其他成员",
)

T = TypeVar("T")


async def until_gone(request: Request, work: Coroutine[object, object, T]) -> T:
    """What `work` gives; it is cancelled when the client closes the connection (AskedWrongly, `http.client_gone`)."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_leaves(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise AskedWrongly(GONE)
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _leaves(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def until_visible(backend: Backend, height: int) -> None:
    """Returns when `height` is certified and durable here. Raises Busy (`node.not_durable`) when that takes long."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + DURABLE_MS / 1000
    while backend.visible_height < height:
        left_ms = int((ends - loop.time()) * 1000)
        if left_ms <= 0:
            raise Busy(NOT_DURABLE, retry_after_ms=1_000, height=height)
        await backend.published(backend.visible_height, timeout_ms=left_ms)


class Accepted:
    """Remembers which transactions this member accepted; the oldest are forgotten above REMEMBERED_MAX."""

    def __init__(self) -> None:
        self._ids: OrderedDict[bytes, None] = OrderedDict()

    def add(self, id_: bytes) -> None:
        """`id_` waits here."""
        self._ids[id_] = None
        if len(self._ids) > REMEMBERED_MAX:
            self._ids.popitem(last=False)

    def settle(self, id_: bytes) -> None:
        """`id_` waits no more."""
        self._ids.pop(id_, None)

    def has(self, id_: bytes) -> bool:
        """Whether `id_` was accepted here."""
        return id_ in self._ids
