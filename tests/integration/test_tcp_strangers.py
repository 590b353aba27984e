"""What a transport does with callers and peers that do not behave, over real sockets on both event loops."""

import asyncio
import datetime as dt
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly
from zizhu.chain.model.ids import LedgerId
from zizhu.chain.network.tcp.frames import HEARTBEAT
from zizhu.chain.network.tcp.link import LinkLimits
from zizhu.chain.network.wire import HelloGreeting
from zizhu.framework.testkit.loopback import (
    DEADLINE_S,
    LEDGER,
    PASSWORD,
    Node,
    Run,
    Tcp,
    close,
    free_port,
    together,
)


def test_a_stranger_is_refused_before_a_frame_is_parsed(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """A key that no genesis entry pins gets no link, on either side, and the reason is reported."""

    async def story() -> None:
        stranger, member = nodes[0], nodes[1]
        await member.start([nodes[2], member], tcp())
        await stranger.start([stranger, member], tcp())
        await stranger.seen.until(lambda: bool(stranger.seen.refusals))
        await member.seen.until(lambda: member.seen.refused_for("network.handshake"))
        assert not member.seen.frames
        assert not member.seen.changes
        assert not stranger.seen.changes
        await close([stranger, member])

    run(story())


def test_a_member_at_another_members_address_is_refused(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Dialling one member and meeting another, though a known one, is no link."""

    async def story() -> None:
        dialler, met, meant = nodes[0], nodes[1], nodes[2]
        await met.start([dialler, met, meant], tcp())
        meant.port = met.port
        await dialler.start([dialler, meant, replace(met, port=free_port())], tcp())
        await dialler.seen.until(lambda: dialler.seen.refused_for("network.unknown_member"))
        assert not dialler.link(meant).up
        await close([dialler, met])

    run(story())


def test_a_certificate_that_a_member_issued_is_a_strangers(
    nodes: list[Node], run: Run, tcp: Tcp, tmp_path: Path
) -> None:
    """A member's certificate may sign others in the eyes of TLS; the pin decides, so a key that a member vouches
    for is still nobody's."""
    issuer, member = nodes[0], nodes[1]
    issuer_key = load_pem_private_key(Path(issuer.credentials.key_path).read_bytes(), PASSWORD)
    assert isinstance(issuer_key, Ed25519PrivateKey)
    issuer_name = x509.load_pem_x509_certificate(issuer.certificate).subject
    key = Ed25519PrivateKey.generate()
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a stranger")]))
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2040, 1, 1, tzinfo=dt.UTC))
        .sign(issuer_key, None)
    )
    pem = leaf.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "leaf.pem").write_bytes(pem)

    async def story() -> None:
        await member.start(nodes[:2], tcp())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=member.certificate.decode())
        context.load_cert_chain(tmp_path / "leaf.pem")
        reader, writer = await asyncio.open_connection("127.0.0.1", member.port, ssl=context, server_hostname="")
        await member.seen.until(lambda: member.seen.refused_for("network.unknown_member"))
        async with asyncio.timeout(DEADLINE_S):
            assert await _drained(reader) == b""
        assert not member.seen.changes
        writer.close()
        await close([member])

    run(story())


def test_a_certificate_that_is_not_the_pinned_one_is_refused_at_start(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """A peer's file whose key is not the genesis' key names that member before any link is tried."""

    async def story() -> None:
        nodes[1].certificate = nodes[2].certificate
        with pytest.raises(AskedWrongly, match=r"network\.peer_certificate.*node1"):
            await nodes[0].start(nodes[:2], tcp())

    run(story())


def test_another_ledger_is_refused_by_name(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Members of different ledgers get no link, and both are told the other ledger."""

    async def story() -> None:
        pair = nodes[:2]
        await pair[1].start(pair, tcp(), ledger=LedgerId(b"M" * 32))
        await pair[0].start(pair, tcp())
        for node in pair:
            await node.seen.until(lambda node=node: node.seen.refused_for("network.other_ledger"))  # type: ignore[misc]
            assert not node.seen.changes
        await close(pair)

    run(story())


def test_plaintext_garbage_is_closed(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """A caller that speaks no TLS is closed and reported; links of members stand."""

    async def story() -> None:
        pair = nodes[:2]
        await together(pair, tcp())
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 4096, b"\x16\x03\x01\xff\xff" + b"\xff" * 4096):
            reader, writer = await asyncio.open_connection("127.0.0.1", pair[1].port)
            writer.write(garbage)
            async with asyncio.timeout(DEADLINE_S):
                await _drained(reader)
            writer.close()
        await pair[1].seen.until(lambda: pair[1].seen.refused_for("network.handshake"))
        assert pair[1].link(pair[0]).up
        await close(pair)

    run(story())


async def _drained(reader: asyncio.StreamReader) -> bytes:
    """Everything until the other side ends the connection, however it ends it."""
    try:
        return await reader.read()
    except OSError:
        return b""


def test_a_caller_that_stalls_the_handshake_is_closed(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Callers that begin no handshake are closed after the time for one, and reported."""

    async def story() -> None:
        await nodes[0].start([nodes[0]], tcp(connect_ms=200))
        reader, writer = await asyncio.open_connection("127.0.0.1", nodes[0].port)
        async with asyncio.timeout(DEADLINE_S):
            await _drained(reader)
        writer.close()
        await nodes[0].seen.until(lambda: nodes[0].seen.refused_for("network.handshake"))
        await close(nodes[:1])

    run(story())


def test_no_more_unproven_callers_than_the_limit_are_borne(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Of six callers from one host that stall, three wait and three are closed at once; closing ends all."""

    async def story() -> None:
        await nodes[0].start([nodes[0]], tcp(connect_ms=60_000, unproven_per_host_max=3))
        callers = [await asyncio.open_connection("127.0.0.1", nodes[0].port) for _ in range(6)]
        ends = [asyncio.ensure_future(_drained(reader)) for reader, _ in callers]
        async with asyncio.timeout(DEADLINE_S):
            while sum(end.done() for end in ends) < 3:
                await asyncio.wait([end for end in ends if not end.done()], return_when=asyncio.FIRST_COMPLETED)
            assert sum(end.done() for end in ends) == 3
            await close(nodes[:1])
            await asyncio.gather(*ends)
        for _, writer in callers:
            writer.close()

    run(story())


def _as_member(node: Node, trusted: bytes, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A hand-made client that holds a member's key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(cadata=trusted.decode())
    context.load_cert_chain(node.credentials.certificate_path, node.credentials.key_path, password=PASSWORD.decode())
    return context


def test_tls_12_is_refused(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """A member's own key does not help a client that offers TLS 1.2 at most."""

    async def story() -> None:
        member, client = nodes[1], nodes[0]
        await member.start(nodes[:2], tcp())
        context = _as_member(client, member.certificate, ssl.TLSVersion.TLSv1_2)
        with pytest.raises(OSError):  # noqa: PT011 - which of the ways a handshake may break is the loop's choice
            await asyncio.open_connection("127.0.0.1", member.port, ssl=context, server_hostname="")
        await member.seen.until(lambda: member.seen.refused_for("UNSUPPORTED_PROTOCOL"))
        assert not member.seen.changes
        await close([member])

    run(story())


def test_a_client_without_a_certificate_gets_nothing(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Without a certificate of its own a client receives no byte of the protocol."""

    async def story() -> None:
        member = nodes[1]
        await member.start(nodes[:2], tcp())
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
        await close([member])

    run(story())


@pytest.mark.parametrize("greets", [False, True], ids=["instead of a greeting", "after the greeting"])
def test_a_huge_length_closes_the_link_before_it_is_buffered(
    nodes: list[Node], run: Run, tcp: Tcp, greets: bool
) -> None:
    """A member that announces a frame longer than allowed is closed at once, though it sends no byte of it."""

    async def story() -> None:
        member, client = nodes[1], nodes[0]
        await member.start(nodes[:2], tcp())
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
        await close([member])

    run(story())


def test_a_peer_that_falls_silent_is_given_up(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """A half-open link (greeted, then nothing, not even heartbeats) is closed after the time for silence."""

    async def story() -> None:
        member, client = nodes[1], nodes[0]
        await member.start(nodes[:2], tcp(link=LinkLimits(heartbeat_ms=100, silence_ms=300)))
        context = _as_member(client, member.certificate, ssl.TLSVersion.TLSv1_3)
        _, writer = await asyncio.open_connection("127.0.0.1", member.port, ssl=context, server_hostname="")
        hello = HelloGreeting(ledger=LEDGER, member=client.member, product="by hand").frame()
        writer.write(len(hello).to_bytes(4, "big") + hello)
        await member.seen.until(lambda: member.seen.changes == [(client.member, True), (client.member, False)])
        assert member.seen.refused_for("network.silent")
        writer.transport.abort()
        await close([member])

    run(story())


def test_a_member_that_greets_no_one_is_closed(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """A proven member that sends no greeting is closed after the time for it; it never counts as a link."""

    async def story() -> None:
        member, client = nodes[1], nodes[0]
        await member.start(nodes[:2], tcp(link=LinkLimits(greeting_ms=200)))
        context = _as_member(client, member.certificate, ssl.TLSVersion.TLSv1_3)
        _, writer = await asyncio.open_connection("127.0.0.1", member.port, ssl=context, server_hostname="")
        await member.seen.until(lambda: member.seen.refused_for("network.silent"))
        assert not member.seen.changes
        writer.transport.abort()
        await close([member])

    run(story())


def test_idle_links_stay_up(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """A peer without anything to say is kept as long as its heartbeats come, well beyond the time for silence."""

    async def story() -> None:
        member, client = nodes[1], nodes[0]
        await member.start(nodes[:2], tcp(link=LinkLimits(heartbeat_ms=50, silence_ms=200)))
        context = _as_member(client, member.certificate, ssl.TLSVersion.TLSv1_3)
        reader, writer = await asyncio.open_connection("127.0.0.1", member.port, ssl=context, server_hostname="")
        hello = HelloGreeting(ledger=LEDGER, member=client.member, product="by hand").frame()
        writer.write(len(hello).to_bytes(4, "big") + hello)
        async with asyncio.timeout(DEADLINE_S):
            await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
            for _ in range(10):
                assert await reader.readexactly(4) == HEARTBEAT
                writer.write(HEARTBEAT)
        assert member.seen.changes == [(client.member, True)]
        writer.transport.abort()
        await close([member])

    run(story())


def test_a_wrong_passphrase_is_named(nodes: list[Node], run: Run, tcp: Tcp, tmp_path: Path) -> None:
    """A key file that the passphrase does not open is an error naming the file, not a hanging node."""

    async def story() -> None:
        credentials = nodes[0].credentials
        nodes[0].credentials = replace(credentials, key_password=b"another")
        with pytest.raises(AskedWrongly, match=r"network\.credentials.*tls\.key"):
            await nodes[0].start(nodes[:2], tcp())
        nodes[0].credentials = replace(credentials, key_path=str(tmp_path / "none"))
        with pytest.raises(AskedWrongly, match=r"network\.credentials.*none"):
            await nodes[0].start(nodes[:2], tcp())

    run(story())
