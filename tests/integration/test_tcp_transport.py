"""Links between members over real sockets on the loopback interface, on both event loops."""

import asyncio
import datetime
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import uvloop

from zizhu.chain.crypto.certificates import TlsKeyKind, make_tls_identity
from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly, OperatingFault, ZizhuError
from zizhu.chain.model.ids import LedgerId, MemberId
from zizhu.chain.network.port import Credentials, LinkStatus, Peer, Setting
from zizhu.chain.network.tcp.link import LinkLimits
from zizhu.chain.network.tcp.transport import TcpLimits, TcpTransport
from zizhu.chain.network.wire import HelloGreeting

DEADLINE_S = 4.0
LEDGER = LedgerId(b"L" * 32)
VALID_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
PASSWORD = b"a passphrase for tests"
QUICK = TcpLimits(backoff_first_ms=5, backoff_last_ms=50)

Run = Callable[[Coroutine[object, object, None]], None]


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

    def link_changed(self, peer: MemberId, up: bool) -> None:  # noqa: FBT001 - the port's signature
        self.changes.append((peer, up))
        self.stirred.set()

    def link_refused(self, peer: MemberId | None, error: ZizhuError) -> None:
        self.refusals.append((peer, str(error)))
        self.stirred.set()

    def refused_for(self, text: str) -> bool:
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
    transport: TcpTransport | None = None

    @property
    def running(self) -> TcpTransport:
        assert self.transport is not None
        return self.transport

    def peer(self) -> Peer:
        return Peer(self.member, self.name, "127.0.0.1", self.port, self.pin, self.certificate)

    async def start(
        self, others: "list[Node]", *, ledger: LedgerId = LEDGER, limits_: TcpLimits = QUICK
    ) -> None:
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
        self.transport = TcpTransport(setting, limits_)
        await self.transport.start(self.seen)

    def link(self, other: "Node") -> LinkStatus:
        return next(status for status in self.running.links() if status.peer == other.member)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Play a story on one of the event loops that a node may use; it must end within the deadline."""

    def play(story: Coroutine[object, object, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else None
        failures: list[str] = []

        async def watched() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(str(context)))
            async with asyncio.timeout(3 * DEADLINE_S):
                await story

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(watched())
        assert failures == []

    return play


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Credentials, bytes, bytes]]:
    """Five members' credentials, certificate and pin; of both kinds of key."""
    made = []
    for number in range(5):
        folder = tmp_path_factory.mktemp(f"member{number}")
        kind = TlsKeyKind.P256 if number % 2 else TlsKeyKind.ED25519
        identity = make_tls_identity(f"node{number}", passphrase=PASSWORD, valid_from=VALID_FROM, kind=kind)
        key, certificate = folder / "tls.key", folder / "tls.crt"
        key.write_bytes(identity.key_pem)
        certificate.write_bytes(identity.certificate_pem)
        made.append((Credentials(str(certificate), str(key), PASSWORD), identity.certificate_pem, identity.pin))
    return made


@pytest.fixture
def nodes(identities: list[tuple[Credentials, bytes, bytes]]) -> list[Node]:
    """Five members in the order of their ids (so each dials those after it), with ports of their own."""
    made = []
    for number, (credentials, certificate, pin) in enumerate(identities):
        member = MemberId(bytes([number]) * 32)
        made.append(Node(member, f"node{number}", credentials, certificate, pin, Seen(), port=_free_port()))
    return made


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _together(nodes: list[Node], limits_: TcpLimits = QUICK) -> None:
    """Start all and wait until each has a link with every other."""
    for node in nodes:
        await node.start(nodes, limits_=limits_)
    for node in nodes:
        await node.seen.until(lambda node=node: all(status.up for status in node.running.links()))  # type: ignore[misc]


async def _close(nodes: list[Node]) -> None:
    for node in nodes:
        if node.transport is not None:
            await node.transport.close()


def test_four_members_hear_each_other_over_one_link_a_pair(nodes: list[Node], run: Run) -> None:
    """Every frame arrives once, whole and in order, from the member that sent it; one connect a pair."""

    async def story() -> None:
        four = nodes[:4]
        await _together(four)
        for sender in four:
            for receiver in four:
                if sender is not receiver:
                    for number in range(20):
                        sender.running.send(receiver.member, b"%d" % number, urgent=True)
        for receiver in four:
            await receiver.seen.until(lambda receiver=receiver: len(receiver.seen.frames) == 60)  # type: ignore[misc]
            for sender in four:
                heard = [frame for peer, frame in receiver.seen.frames if peer == sender.member]
                assert heard == ([] if sender is receiver else [b"%d" % number for number in range(20)])
        assert all(status.connects == 1 and status.product == "zizhu 0.1.0" for status in four[0].running.links())
        await _close(four)

    run(story())


def test_the_longest_frame_crosses_whole(nodes: list[Node], run: Run) -> None:
    """A frame of MESSAGE_BYTES_MAX bytes arrives byte for byte in either lane; counters know its size."""

    async def story() -> None:
        pair = nodes[:2]
        await _together(pair)
        frame = bytes(range(256)) * (limits.MESSAGE_BYTES_MAX // 256)
        for urgent in (True, False):
            pair[0].running.send(pair[1].member, frame, urgent=urgent)
        await pair[1].seen.until(lambda: len(pair[1].seen.frames) == 2)
        assert all(heard == frame for _, heard in pair[1].seen.frames)
        assert pair[1].link(pair[0]).bytes_in > 2 * len(frame)
        await _close(pair)

    run(story())


def test_an_urgent_frame_overtakes_bulk(nodes: list[Node], run: Run) -> None:
    """Urgent frames sent behind 32 MiB of bulk arrive before its end, in the middle of a long frame too."""

    async def story() -> None:
        pair = nodes[:2]
        await _together(pair)
        pair[0].running.send(pair[1].member, bytes(32 * 1024 * 1024), urgent=False)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        pair[0].running.send(pair[1].member, b"vote", urgent=True)
        await pair[1].seen.until(lambda: len(pair[1].seen.frames) == 2)
        assert [frame[:4] for _, frame in pair[1].seen.frames] == [b"vote", bytes(4)]
        await _close(pair)

    run(story())


def test_a_member_that_dies_is_reconnected(nodes: list[Node], run: Run) -> None:
    """Either side may die and come back: both hear the link fall and rise, and frames flow again."""

    async def story() -> None:
        pair = nodes[:2]
        await _together(pair)
        for dead, alive in ((pair[0], pair[1]), (pair[1], pair[0])):
            before = len(alive.seen.changes)
            await dead.running.close()
            await alive.seen.until(lambda: len(alive.seen.changes) == before + 1)  # noqa: B023
            alive.running.send(dead.member, b"into the void", urgent=True)
            assert alive.link(dead).frames_dropped >= 1
            dead.seen = Seen()
            await dead.start(pair)
            await alive.seen.until(lambda: len(alive.seen.changes) == before + 2)  # noqa: B023
            await dead.seen.until(lambda: dead.link(alive).up)  # noqa: B023
            alive.running.send(dead.member, b"hello again", urgent=True)
            await dead.seen.until(lambda: dead.seen.frames == [(alive.member, b"hello again")])  # noqa: B023
        assert [up for _, up in pair[1].seen.changes[:1]] == [True]
        await _close(pair)

    run(story())


def test_a_stranger_is_refused_before_a_frame_is_parsed(nodes: list[Node], run: Run) -> None:
    """A key that no genesis entry pins gets no link, on either side, and the reason is reported."""

    async def story() -> None:
        stranger, member = nodes[0], nodes[1]
        await member.start([nodes[2], member])
        await stranger.start([stranger, member])
        await stranger.seen.until(lambda: bool(stranger.seen.refusals))
        await member.seen.until(lambda: member.seen.refused_for("network.handshake"))
        assert not member.seen.frames
        assert not member.seen.changes
        assert not stranger.seen.changes
        await _close([stranger, member])

    run(story())


def test_a_member_at_another_members_address_is_refused(nodes: list[Node], run: Run) -> None:
    """Dialling one member and meeting another, though a known one, is no link."""

    async def story() -> None:
        dialler, met, meant = nodes[0], nodes[1], nodes[2]
        await met.start([dialler, met, meant])
        meant.port = met.port
        await dialler.start([dialler, meant, replace(met, port=_free_port())])
        await dialler.seen.until(lambda: dialler.seen.refused_for("network.unknown_member"))
        assert not dialler.link(meant).up
        await _close([dialler, met])

    run(story())


def test_a_certificate_that_is_not_the_pinned_one_is_refused_at_start(nodes: list[Node], run: Run) -> None:
    """A peer's file whose key is not the genesis' key names that member before any link is tried."""

    async def story() -> None:
        nodes[1].certificate = nodes[2].certificate
        with pytest.raises(AskedWrongly, match=r"network\.peer_certificate.*node1"):
            await nodes[0].start(nodes[:2])

    run(story())


def test_another_ledger_is_refused_by_name(nodes: list[Node], run: Run) -> None:
    """Members of different ledgers get no link, and both are told the other ledger."""

    async def story() -> None:
        pair = nodes[:2]
        await pair[1].start(pair, ledger=LedgerId(b"M" * 32))
        await pair[0].start(pair)
        for node in pair:
            await node.seen.until(lambda node=node: node.seen.refused_for("network.other_ledger"))  # type: ignore[misc]
            assert not node.seen.changes
        await _close(pair)

    run(story())


def test_a_taken_port_is_named(nodes: list[Node], run: Run) -> None:
    """Starting on a taken port raises an error that names host and port."""

    async def story() -> None:
        await nodes[0].start([nodes[0]])
        nodes[1].port = nodes[0].port
        with pytest.raises(OperatingFault, match=rf"network\.listen.*{nodes[0].port}"):
            await nodes[1].start([nodes[1]])
        await _close(nodes[:1])

    run(story())


def test_plaintext_garbage_is_closed(nodes: list[Node], run: Run) -> None:
    """A caller that speaks no TLS is closed and reported; links of members stand."""

    async def story() -> None:
        pair = nodes[:2]
        await _together(pair)
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 4096, b"\x16\x03\x01\xff\xff" + b"\xff" * 4096):
            reader, writer = await asyncio.open_connection("127.0.0.1", pair[1].port)
            writer.write(garbage)
            async with asyncio.timeout(DEADLINE_S):
                await _drained(reader)
            writer.close()
        await pair[1].seen.until(lambda: pair[1].seen.refused_for("network.handshake"))
        assert pair[1].link(pair[0]).up
        await _close(pair)

    run(story())


async def _drained(reader: asyncio.StreamReader) -> bytes:
    """Everything until the other side ends the connection, however it ends it."""
    try:
        return await reader.read()
    except OSError:
        return b""


def test_a_caller_that_stalls_the_handshake_is_closed(nodes: list[Node], run: Run) -> None:
    """Half-open callers are closed after the time for a handshake, and no more than the limit are borne."""

    async def story() -> None:
        bounded = replace(QUICK, connect_ms=300, unproven_per_host_max=3)
        await nodes[0].start([nodes[0]], limits_=bounded)
        callers = [await asyncio.open_connection("127.0.0.1", nodes[0].port) for _ in range(6)]
        assert len(nodes[0].running._tasks) <= 1 + 3
        async with asyncio.timeout(DEADLINE_S):
            for reader, writer in callers:
                await _drained(reader)
                writer.close()
        await nodes[0].seen.until(lambda: nodes[0].seen.refused_for("network.handshake"))
        await _close(nodes[:1])

    run(story())


def _as_member(node: Node, trusted: bytes, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A hand-made client that holds a member's key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(cadata=trusted.decode())
    context.load_cert_chain(node.credentials.certificate_path, node.credentials.key_path, password=PASSWORD.decode())
    return context


def test_tls_12_is_refused(nodes: list[Node], run: Run) -> None:
    """A member's own key does not help a client that offers TLS 1.2 at most."""

    async def story() -> None:
        member, client = nodes[1], nodes[0]
        await member.start(nodes[:2])
        context = _as_member(client, member.certificate, ssl.TLSVersion.TLSv1_2)
        with pytest.raises(OSError):  # noqa: PT011 - which of the ways a handshake may break is the loop's choice
            await asyncio.open_connection("127.0.0.1", member.port, ssl=context, server_hostname="")
        await member.seen.until(lambda: member.seen.refused_for("UNSUPPORTED_PROTOCOL"))
        assert not member.seen.changes
        await _close([member])

    run(story())


def test_a_client_without_a_certificate_gets_nothing(nodes: list[Node], run: Run) -> None:
    """Without a certificate of its own a client receives no byte of the protocol."""

    async def story() -> None:
        member = nodes[1]
        await member.start(nodes[:2])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=member.certificate.decode())
        try:
            reader, _ = await asyncio.open_connection("127.0.0.1", member.port, ssl=context, server_hostname="")
            async with asyncio.timeout(DEADLINE_S):
                assert await _drained(reader) == b""
        except OSError:
            pass
        await member.seen.until(lambda: member.seen.refused_for("network.handshake"))
        assert not member.seen.changes
        await _close([member])

    run(story())


@pytest.mark.parametrize("greets", [False, True], ids=["instead of a greeting", "after the greeting"])
def test_a_huge_length_closes_the_link_before_it_is_buffered(nodes: list[Node], run: Run, greets: bool) -> None:  # noqa: FBT001
    """A member that announces a frame longer than allowed is closed at once, though it sends no byte of it."""

    async def story() -> None:
        member, client = nodes[1], nodes[0]
        await member.start(nodes[:2])
        context = _as_member(client, member.certificate, ssl.TLSVersion.TLSv1_3)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", member.port, ssl=context, server_hostname="", limit=2**20
        )
        hello = HelloGreeting(ledger=LEDGER, member=client.member, product="by hand").frame()
        if greets:
            writer.write(len(hello).to_bytes(4, "big") + hello)
            await member.seen.until(lambda: member.seen.changes == [(client.member, True)])
        announced = limits.MESSAGE_BYTES_MAX + 1 if greets else 1025
        writer.write(announced.to_bytes(4, "big"))
        await member.seen.until(lambda: member.seen.refused_for(f"network.frame_length: a frame of {announced}"))
        assert member.seen.refusals[-1][0] == client.member
        async with asyncio.timeout(DEADLINE_S):
            await _drained(reader)
        writer.close()
        await _close([member])

    run(story())


def test_a_peer_that_falls_silent_is_given_up(nodes: list[Node], run: Run) -> None:
    """A half-open link (greeted, then nothing, not even heartbeats) is closed after the time for silence."""

    async def story() -> None:
        member, client = nodes[1], nodes[0]
        quick = replace(QUICK, link=LinkLimits(heartbeat_ms=100, silence_ms=300))
        await member.start(nodes[:2], limits_=quick)
        context = _as_member(client, member.certificate, ssl.TLSVersion.TLSv1_3)
        _, writer = await asyncio.open_connection("127.0.0.1", member.port, ssl=context, server_hostname="")
        hello = HelloGreeting(ledger=LEDGER, member=client.member, product="by hand").frame()
        writer.write(len(hello).to_bytes(4, "big") + hello)
        await member.seen.until(lambda: member.seen.changes == [(client.member, True), (client.member, False)])
        assert member.seen.refused_for("network.silent")
        writer.transport.abort()
        await _close([member])

    run(story())


def test_a_member_that_greets_no_one_is_closed(nodes: list[Node], run: Run) -> None:
    """A proven member that sends no greeting is closed after the time for it; it never counts as a link."""

    async def story() -> None:
        member, client = nodes[1], nodes[0]
        await member.start(nodes[:2], limits_=replace(QUICK, link=LinkLimits(greeting_ms=200)))
        context = _as_member(client, member.certificate, ssl.TLSVersion.TLSv1_3)
        _, writer = await asyncio.open_connection("127.0.0.1", member.port, ssl=context, server_hostname="")
        await member.seen.until(lambda: member.seen.refused_for("network.silent"))
        assert not member.seen.changes
        writer.transport.abort()
        await _close([member])

    run(story())


def test_idle_links_stay_up(nodes: list[Node], run: Run) -> None:
    """Heartbeats keep a link without traffic alive well beyond the time for silence."""

    async def story() -> None:
        pair = nodes[:2]
        quick = replace(QUICK, link=LinkLimits(heartbeat_ms=40, silence_ms=150))
        await _together(pair, quick)
        heard_before = pair[0].link(pair[1]).bytes_in
        async with asyncio.timeout(DEADLINE_S):
            while pair[0].link(pair[1]).bytes_in < heard_before + 10 * 4:
                await asyncio.sleep(0.01)  # heartbeats are not told to listeners: the counter is asked instead
        assert pair[0].link(pair[1]).connects == 1
        await _close(pair)

    run(story())


@pytest.mark.row("F-4")
def test_a_slow_reader_costs_a_bounded_amount(nodes: list[Node], run: Run) -> None:
    """Whatever a peer does not take stays under the cap: the oldest bulk frames are dropped and counted, the
    newest arrive once it reads again, and urgent frames still get through the same link."""

    async def story() -> None:
        pair = nodes[:2]
        cap = 1024 * 1024
        await _together(pair, replace(QUICK, link=LinkLimits(bulk_bytes_max=cap, urgent_bytes_max=cap)))
        sender, receiver = pair[0].running, pair[1].running
        receiver.pause(pair[0].member)
        frame = bytes(32 * 1024)
        for number in range(1200):
            sender.send(pair[1].member, number.to_bytes(4, "big") + frame, urgent=False)
            if number % 16 == 0:
                await asyncio.sleep(0)
            assert sender.links()[0].queued_bytes <= cap
        assert sender.links()[0].frames_dropped > 0
        sender.send(pair[1].member, b"vote", urgent=True)
        assert pair[1].seen.frames == []
        receiver.resume(pair[0].member)
        await pair[1].seen.until(lambda: (pair[0].member, (1199).to_bytes(4, "big") + frame) in pair[1].seen.frames)
        heard = [heard for _, heard in pair[1].seen.frames]
        numbers = [int.from_bytes(heard[:4], "big") for heard in heard if heard != b"vote"]
        assert numbers == sorted(numbers)
        assert len(numbers) + sender.links()[0].frames_dropped == 1200
        assert heard.index(b"vote") < len(heard) - 1
        assert sender.links()[0].connects == 1
        await _close(pair)

    run(story())


def test_urgent_overflow_resets_the_link(nodes: list[Node], run: Run) -> None:
    """A peer that does not take urgent frames loses the link, which says so and is built again."""

    async def story() -> None:
        pair = nodes[:2]
        cap = 1024 * 1024
        await _together(pair, replace(QUICK, link=LinkLimits(urgent_bytes_max=cap)))
        pair[1].running.pause(pair[0].member)
        for _ in range(40):
            pair[0].running.send(pair[1].member, bytes(64 * 1024), urgent=True)
        await pair[0].seen.until(lambda: pair[0].seen.refused_for("network.slow"))
        pair[1].running.resume(pair[0].member)
        await pair[0].seen.until(lambda: pair[0].link(pair[1]).connects == 2)
        await _close(pair)

    run(story())


@pytest.mark.row("F-4")
def test_a_flood_is_read_no_faster_than_the_budget(nodes: list[Node], run: Run) -> None:
    """A peer that floods is slowed by its token bucket, not cut off; nothing it sent is lost."""

    async def story() -> None:
        pair = nodes[:2]
        await _together(pair, replace(QUICK, link=LinkLimits(frames_per_s=2_000)))
        began = asyncio.get_running_loop().time()
        for _ in range(3_000):
            pair[0].running.send(pair[1].member, b"ping", urgent=True)
        await pair[1].seen.until(lambda: len(pair[1].seen.frames) == 3_000)
        pair[0].running.send(pair[1].member, b"last", urgent=True)
        await pair[1].seen.until(lambda: len(pair[1].seen.frames) == 3_001)
        assert asyncio.get_running_loop().time() - began > 0.4
        await _close(pair)

    run(story())


def test_nothing_is_told_after_close(nodes: list[Node], run: Run) -> None:
    """Once `close` has returned the listener hears nothing more and the port is free."""

    async def story() -> None:
        pair = nodes[:2]
        await _together(pair)
        await pair[0].running.close()
        before = len(pair[0].seen.changes)
        await pair[1].seen.until(lambda: pair[1].seen.changes[-1] == (pair[0].member, False))
        assert len(pair[0].seen.changes) == before
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", pair[0].port))
        await _close(pair[1:])

    run(story())


def test_a_wrong_passphrase_is_named(nodes: list[Node], run: Run, tmp_path: Path) -> None:
    """A key file that the passphrase does not open is an error naming the file, not a hanging node."""

    async def story() -> None:
        credentials = nodes[0].credentials
        nodes[0].credentials = replace(credentials, key_password=b"another")
        with pytest.raises(AskedWrongly, match=r"network\.credentials.*tls\.key"):
            await nodes[0].start(nodes[:2])
        nodes[0].credentials = replace(credentials, key_path=str(tmp_path / "none"))
        with pytest.raises(AskedWrongly, match=r"network\.credentials.*none"):
            await nodes[0].start(nodes[:2])

    run(story())
