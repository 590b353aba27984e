"""Members on the loopback interface: keys, ports, listeners and the two event loops, for tests of transports.

Decides how a test builds a handful of members and waits for what they see. Refuses to know a transport: its
factory is an argument.
"""

import asyncio
import datetime as dt
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from zizhu.chain.crypto.certificates import TlsKeyKind, make_tls_identity
from zizhu.chain.model.errors import ZizhuError
from zizhu.chain.model.ids import LedgerId, MemberId
from zizhu.chain.network.port import Credentials, LinkStatus, Peer, Setting, Transport
from zizhu.chain.network.wire import HelloGreeting

DEADLINE_S = 5.0
LEDGER = LedgerId(b"L" * 32)
PASSWORD = b"a passphrase for tests"
LOOPS = ("asyncio", "uvloop")

Build = Callable[[Setting], Transport]
Tcp = Callable[..., Build]
"""The factory of a transport over real sockets; bounds that differ from a test's usual ones are given by name."""
Run = Callable[[Coroutine[object, object, None]], None]
"""Plays a story on one of the event loops that a node may use."""


@dataclass
class Seen:
    """A listener that remembers, and wakes whoever waits for something to come true."""

    frames: list[tuple[MemberId, bytes]] = field(default_factory=list)
    changes: list[tuple[MemberId, bool]] = field(default_factory=list)
    refusals: list[tuple[MemberId | None, str]] = field(default_factory=list)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def frame_received(self, peer: MemberId, frame: bytes) -> None:
        self.frames.append((peer, frame))
        self.stirred.set()

    def link_changed(self, peer: MemberId, *, up: bool) -> None:
        self.changes.append((peer, up))
        self.stirred.set()

    def link_refused(self, peer: MemberId | None, error: ZizhuError) -> None:
        self.refusals.append((peer, str(error)))
        self.stirred.set()

    def refused_for(self, text: str) -> bool:
        """Whether a refusal so far says `text`."""
        return any(text in reason for _, reason in self.refusals)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds()`, re-tried after each call of the transport."""
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self.stirred.clear()
                await self.stirred.wait()


@dataclass
class Node:
    """One member: what it is made of, its transport once built, and what it saw."""

    member: MemberId
    name: str
    credentials: Credentials
    certificate: bytes
    pin: bytes
    seen: Seen
    port: int = 0
    transport: Transport | None = None

    @property
    def running(self) -> Transport:
        """The transport, once started."""
        assert self.transport is not None
        return self.transport

    def peer(self) -> Peer:
        """This member as others know it."""
        return Peer(self.member, self.name, "127.0.0.1", self.port, self.pin, self.certificate)

    async def start(self, others: "list[Node]", build: Build, *, ledger: LedgerId = LEDGER) -> None:
        """Build this member's transport, with links to `others`, and start it."""
        greeting = HelloGreeting(ledger=ledger, member=self.member, product="zizhu 0.1.0")
        setting = Setting(
            me=self.member,
            host="127.0.0.1",
            port=self.port,
            peers=tuple(other.peer() for other in others if other is not self),
            credentials=self.credentials,
            greeting=greeting,
            seed=7,
        )
        self.transport = build(setting)
        await self.transport.start(self.seen)

    def link(self, other: "Node") -> LinkStatus:
        """The status of the link with `other`."""
        return next(status for status in self.running.links() if status.peer == other.member)


@dataclass(frozen=True)
class Identity:
    """A member's files and pin, made once for many tests."""

    credentials: Credentials
    certificate: bytes
    pin: bytes


def make_identities(folder: Path, count: int) -> list[Identity]:
    """Keys and certificates of `count` members under `folder`, of both kinds by turns."""
    made = []
    for number in range(count):
        place = folder / f"member{number}"
        place.mkdir()
        identity = make_tls_identity(
            f"node{number}",
            passphrase=PASSWORD,
            valid_from=dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
            kind=TlsKeyKind.P256 if number % 2 else TlsKeyKind.ED25519,
        )
        key, certificate = place / "tls.key", place / "tls.crt"
        key.write_bytes(identity.key_pem)
        certificate.write_bytes(identity.certificate_pem)
        credentials = Credentials(str(certificate), str(key), PASSWORD)
        made.append(Identity(credentials, identity.certificate_pem, identity.pin))
    return made


def make_nodes(identities: Sequence[Identity]) -> list[Node]:
    """Members in the order of their ids (each dials those after it), with ports of their own; none started."""
    made = []
    for number, identity in enumerate(identities):
        member = MemberId(bytes([number]) * 32)
        node = Node(member, f"node{number}", identity.credentials, identity.certificate, identity.pin, Seen())
        node.port = free_port()
        made.append(node)
    return made


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def together(nodes: Sequence[Node], build: Build) -> None:
    """Start all and wait until each has a link with every other."""
    for node in nodes:
        await node.start(list(nodes), build)
    for node in nodes:
        await node.seen.until(lambda node=node: all(status.up for status in node.running.links()))  # type: ignore[misc]


async def close(nodes: Sequence[Node]) -> None:
    """Close those that were started."""
    for node in nodes:
        if node.transport is not None:
            await node.transport.close()


def play(story: Coroutine[object, object, None], loop: str) -> None:
    """Play a story on the event loop of that name; it must end in time, and no callback of it may have raised."""
    failures: list[str] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(str(context)))
        async with asyncio.timeout(3 * DEADLINE_S):
            await story

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else None) as runner:
        runner.run(watched())
    assert failures == [], failures
