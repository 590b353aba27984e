"""Malformed input at every port but HTTP (test_api_malformed): an error with a code, never a crash, never a hang.

Frames from a member's own link, at the machine and at a real process behind TLS; bytes from strangers before and
after the handshake; every file that the product reads. Commands stand in test_malformed_commands. The cases are made from the
schemas and from good samples, by fresh numbers.
"""

import asyncio
import contextlib
import random
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from zizhu.chain.consensus.certificate import Strength
from zizhu.chain.consensus.pbft.messages import MESSAGES as PBFT_MESSAGES
from zizhu.chain.consensus.pbft.messages import MemoryQuery, Proposal, ViewRequest, Vote
from zizhu.chain.crosschain.proofs import build_ledger_proof, verify_ledger_proof
from zizhu.chain.crypto.hashing import ledger_id
from zizhu.chain.crypto.keystore import read_key, read_label
from zizhu.chain.ledger.genesis import parse_genesis, verify_signed_genesis
from zizhu.chain.ledger.proofs import receipt_entry
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.errors import SpokeWrongly, ZizhuError
from zizhu.chain.model.ids import LedgerId
from zizhu.chain.network.messages import MESSAGES as NETWORK_MESSAGES
from zizhu.chain.network.messages import (
    FetchBlock,
    FetchCertified,
    FetchItems,
    Gossip,
    Items,
    Status,
    WholeBlock,
)
from zizhu.chain.network.port import Setting
from zizhu.chain.network.tcp.transport import build
from zizhu.chain.network.wire import HelloGreeting, Wire
from zizhu.chain.node.assembly import ASK_AGAIN_MS
from zizhu.chain.node.config import load_config
from zizhu.chain.node.identity import MemberFolder, links_wanted, open_member
from zizhu.chain.node.run import load_suites
from zizhu.chain.storage.files.log import open_log
from zizhu.cloud.nodes.network import network_path, node_folder, read_network, read_passphrase_file
from zizhu.framework.testkit.fakes.suite import suite
from zizhu.framework.testkit.loopback import Seen
from zizhu.framework.testkit.malform import changed_somewhere
from zizhu.framework.testkit.malformed import malformed
from zizhu.framework.testkit.node_council import NodeCouncil
from zizhu.framework.testkit.processes.consortium import Consortium, register_consortium
from zizhu.framework.testkit.processes.load import Load

WIRE = Wire((*NETWORK_MESSAGES, *PBFT_MESSAGES))
QUEUED_MAX = 100_000
OURS = Parameters(rotation_load_ms=1 << 40, rotation_blocks=1 << 40)
"""Nobody passes the lead on, so that any change of view is the work of the mad member."""


class Effort(Protocol):
    """The fixture of conftest.py."""

    def rounds(self, what: str, *, quick: int, ci: int) -> Iterator[int]: ...


OWN = (
    Proposal,
    Vote,
    ViewRequest,
    MemoryQuery,
    Gossip,
    Items,
    FetchItems,
    FetchBlock,
    WholeBlock,
    Status,
    FetchCertified,
)
"""What a member may say in its own name without the signatures of honest ones, who never told this story."""


def _story(*, ours: bool) -> list[msgspec.Struct]:
    """What members really say to each other in a story with blocks, a view change and a restart: of our own ledger
    what the last member says itself, or of another ledger everything."""
    council = NodeCouncil(parameters=OURS if ours else Parameters(window=5)).start()
    council.seats[3].submit(council.call(0, 1), council.bundle(1, range(1, 6)))
    council.gossip()
    for seat in council.seats[1:]:
        seat.submit(council.call(2, 1))
    council.mail.clear()
    for seat in council.seats[1:]:
        seat.fire("engine:view")
        seat.fire("status")
    council.gossip()
    council.seats[2].restart()
    council.deliver()
    said = [letter.message for seat in council.seats for letter in seat.sent]
    if ours:
        said = [letter.message for letter in council.seats[3].sent if isinstance(letter.message, OWN)]
        said.append(council.seats[0].machine._own_status())
    return said


def _bent(data: bytes, draw: random.Random) -> bytes:
    """Good bytes with a few of them changed, cut, doubled or inserted."""
    bent = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        at = draw.randrange(len(bent) + 1)
        match draw.randrange(5):
            case 0 if at < len(bent):
                bent[at] ^= 1 << draw.randrange(8)
            case 1:
                del bent[at:]
            case 2:
                bent[at:at] = draw.randbytes(draw.choice((1, 2, 9)))
            case 3:
                bent[at : at + 4] = draw.choice(
                    (b"\xff\xff\xff\xff", b"\xdd\xff\xff\xff", bytes(4), b"\xc1\xc1\xc1\xc1")
                )
            case _:
                bent += bent[at : at + 64]
    return bytes(bent)


class Frames:
    """A source of frames that no honest member sends: refused by the decoder, or well formed and wrong."""

    def __init__(self) -> None:
        self.good = list(dict.fromkeys(encode(each) for ours in (True, False) for each in _story(ours=ours)))
        self.refused = [data for kind in WIRE.messages for _, data in malformed(kind) if len(data) < 100_000]

    def make(self, number: int) -> tuple[bytes, bool]:
        """(frame, whether the decoder must refuse it)."""
        draw = random.Random(number)
        choice = draw.randrange(4)
        if choice == 0:
            return draw.choice(self.refused), True
        good = draw.choice(self.good)
        if choice == 1:
            return encode(changed_somewhere(WIRE.decode(good), draw)), False
        return (_bent(good, draw), False) if choice == 2 else (good, False)


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Made once."""
    return Frames()


def _fetch(council: NodeCouncil) -> None:
    """What gossip did not bring is asked for."""
    for _ in range(3):
        council.pass_ms(ASK_AGAIN_MS)
        for seat in council.seats[:3]:
            if "assembly" in seat.timers:
                seat.fire("assembly")
        council.mail = [letter for letter in council.mail if letter.target != council.seats[3].id]
        council.deliver()


@pytest.mark.counted("malformed")
def test_frames_of_a_member_gone_mad_at_a_machine(frames: Frames, effort: Effort) -> None:
    """Whatever one member says, its peer decodes or refuses it, steps without an exception, and goes on agreeing with
    the two others; the mad member alone moves nobody to another view."""
    council = NodeCouncil(parameters=OURS).start()
    target, mad = council.seats[1], council.seats[3]
    mad.down = True
    nonces = dict.fromkeys(range(4, 12), 0)
    for number in effort.rounds("malformed frames at a machine", quick=300, ci=6_000):
        frame, must_refuse = frames.make(number)
        try:
            message = WIRE.decode(frame)
        except SpokeWrongly:
            message = None
        assert message is None or not must_refuse, frame.hex()[:200]
        if message is not None:
            target.hears(mad, message)
            assert not target.down
        if number % 50 == 0:
            council.mail = [letter for letter in council.mail if letter.target != mad.id]
            council.deliver()
            account = 4 + number // 50 % 8
            nonces[account] += 1
            height = target.height
            council.seats[0].submit(council.call(account, nonces[account]))
            council.gossip()
            _fetch(council)
            assert [seat.height > height for seat in council.seats[:3]] == [True] * 3
    assert {seat.machine.status().view for seat in council.seats[:3]} == {0}
    assert {who for who, _ in target.faults()} <= {mad.id.hex()}


# -- a real member behind TLS --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Three running members of four; the fourth is ours to play."""
    directory = tmp_path_factory.mktemp("malformed") / "net"
    with register_consortium(directory, suite="international") as made:
        for name in ("node1", "node2", "node3"):
            made[name].start()
        made.ready(but=("node4",))
        yield made


def _healthy(consortium: Consortium, folder: Path) -> None:
    """Three processes live, take and agree on transactions, and have nothing to confess."""
    for name in ("node1", "node2", "node3"):
        member = consortium[name]
        assert member.running
        log = member.log.read_text(encoding="utf-8", errors="replace")
        assert "Traceback" not in log and '"halted"' not in log, log[-3_000:]
    with Load(consortium, folder, clients=1, threads=1, bundle=1) as load:
        load.goes_on(3)


@pytest.mark.counted("malformed")
def test_frames_of_a_member_gone_mad_at_a_process(
    consortium: Consortium, frames: Frames, tmp_path: Path, effort: Effort
) -> None:
    """Over its own authenticated links the fourth member says anything to the others: they name it and go on."""
    directory = consortium.directory
    folder = MemberFolder(node_folder(directory, "node4"))
    genesis = parse_genesis(folder.genesis.read_bytes()).genesis
    real = load_suites()[genesis.record.suite]
    keys = open_member(folder, suite=real, passphrase=read_passphrase_file(directory))
    config = load_config(folder.config)
    greeting = HelloGreeting(ledger=ledger_id(real, genesis), member=keys.member, product="mad")
    peers = links_wanted(folder, config, suite=real, members=genesis.record.members)

    async def story() -> None:
        seen = Seen()
        transport = build(
            Setting(keys.member, config.listen.host, config.listen.port, peers, keys.credentials, greeting, seed=1)
        )
        await transport.start(seen)
        try:
            await seen.until(lambda: sum(status.up for status in transport.links()) == 3)
            for number in effort.rounds("malformed frames at a process", quick=200, ci=2_500):
                frame = frames.make(number)[0] or b"\x00"
                transport.send(peers[number % 3].member, frame, urgent=number % 2 == 0)
                while any(status.queued_bytes > QUEUED_MAX for status in transport.links()):
                    await asyncio.sleep(0)
            while any(status.queued_bytes for status in transport.links()):
                await asyncio.sleep(0)
            assert sum(status.up for status in transport.links()) == 3
        finally:
            await transport.close()

    asyncio.run(story())
    _healthy(consortium, tmp_path)
    assert '"peer_fault"' in consortium["node1"].log.read_text(encoding="utf-8")


@pytest.mark.counted("malformed")
def test_bytes_of_strangers_before_and_after_the_handshake(
    consortium: Consortium, tmp_path: Path, effort: Effort
) -> None:
    """Noise, half a handshake, plain HTTP, a TLS client without a certificate: the connection ends, the member goes
    on."""
    port = consortium["node1"].place.p2p_port
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
    outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        plain.wrap_bio(incoming, outgoing).do_handshake()
    hello = outgoing.read()
    for number in effort.rounds("malformed connections", quick=20, ci=300):
        draw = random.Random(number)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as link:
            match draw.randrange(5):
                case 0:
                    link.sendall(draw.randbytes(draw.choice((1, 5, 300, 20_000))))
                case 1:
                    link.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                case 2:
                    link.sendall(hello[: draw.randrange(1, len(hello))])
                case 3:
                    link.sendall(_bent(hello, draw))
                case _:
                    with plain.wrap_socket(link) as wrapped:
                        wrapped.sendall(draw.randbytes(400))
                        wrapped.settimeout(5)
                        wrapped.recv(1)
    _healthy(consortium, tmp_path)


# -- files ---------------------------------------------------------------------------------------------------------


def _reads_key(path: Path) -> None:
    read_label(path)
    read_key(path, passphrase=b"not it")


def _reads_network(path: Path) -> None:
    read_network(path.parent)


def _reads_genesis(path: Path) -> None:
    signed = parse_genesis(path.read_bytes())
    known = load_suites().get(signed.genesis.record.suite)
    if known is not None:
        verify_signed_genesis(known, signed)


def _readers(directory: Path) -> dict[Path, Callable[[Path], object]]:
    """Every file of a network's folder that the product reads, with what reads it."""
    member = node_folder(directory, "node4")
    found: dict[Path, Callable[[Path], object]] = {
        network_path(directory): _reads_network,
        member / "node.toml": load_config,
        member / "genesis.zizhu": _reads_genesis,
    }
    for key in sorted((member / "keys").glob("*.key")):
        if b"PRIVATE KEY" not in key.read_bytes():
            found[key] = _reads_key
    return {path: read for path, read in found.items() if path.exists()}


@pytest.mark.counted("malformed")
def test_files_that_were_bent(consortium: Consortium, tmp_path: Path, effort: Effort) -> None:
    """Genesis, configuration, network file, keys: whatever is changed in them, they are read or refused with a code."""
    readers = _readers(consortium.directory)
    assert len(readers) >= 4
    samples = [(path, path.read_bytes(), read) for path, read in sorted(readers.items())]
    for number in effort.rounds("malformed files", quick=150, ci=1_500):
        draw = random.Random(number)
        path, good, read = draw.choice(samples)
        bent = tmp_path / path.name
        bent.write_bytes(_bent(good, draw) if draw.randrange(20) else draw.randbytes(draw.randrange(200)))
        with contextlib.suppress(ZizhuError):
            read(bent)


@pytest.mark.counted("malformed")
def test_logs_that_were_bent(tmp_path: Path, effort: Effort) -> None:
    """Block log and vote log: a torn tail is cut, a damaged middle refused with file and offset; no record that is
    served differs from one that was written."""
    council = NodeCouncil().start()
    for nonce in range(1, 4):
        council.seats[0].submit(council.call(0, nonce))
        council.gossip()
    written = {name: [each.data for each in council.seats[0].logs[name].records()] for name in ("blocks", "votes")}
    good: dict[str, dict[str, bytes]] = {}
    for name, records in written.items():
        log = open_log(tmp_path / "good" / name)
        log.append(records)
        log.sync()
        log.close()
        good[name] = {path.name: path.read_bytes() for path in sorted((tmp_path / "good" / name).iterdir())}
    for number in effort.rounds("malformed logs", quick=60, ci=600):
        draw = random.Random(number)
        name = draw.choice(("blocks", "votes"))
        folder = tmp_path / str(number) / name
        folder.mkdir(parents=True)
        bent = draw.choice(sorted(good[name]))
        for file, data in good[name].items():
            (folder / file).write_bytes(_bent(data, draw) if file == bent else data)
        with contextlib.suppress(ZizhuError):
            _served_as_written(folder, written[name])
        shutil.rmtree(folder.parent)


def _served_as_written(folder: Path, written: list[bytes]) -> None:
    log = open_log(folder)
    try:
        served = [record.data for record in log.records()]
        assert served == written[: len(served)]
    finally:
        log.close()


def _a_proof() -> tuple[LedgerId, bytes]:
    """The ledger to trust, and a proof of a receipt in it."""
    council = NodeCouncil().start()
    seat = council.seats[0]
    seat.submit(council.call(0, 1))
    council.gossip()
    block, commit = seat.machine.archive.block(2), seat.machine.archive.commit(2)
    assert block is not None and commit is not None
    entry = receipt_entry(council.consortium.suite, list(commit.receipts), 0)
    return council.consortium.ledger, build_ledger_proof(
        council.consortium.genesis,
        header=block.header,
        outcome=commit.outcome,
        certificate=commit.certificate,
        entry=entry,
    )


@pytest.mark.counted("malformed")
def test_proofs_that_were_bent(effort: Effort) -> None:
    """A proof file changed in any place is refused with a code, or proves what the good one proves."""
    trust, data = _a_proof()
    suites = {suite.name: suite}
    proven = verify_ledger_proof(data, trust=trust, suites=suites, strength=Strength.BYZANTINE)
    for number in effort.rounds("malformed proofs", quick=100, ci=1_000):
        bent = _bent(data, random.Random(number))
        try:
            again = verify_ledger_proof(bent, trust=trust, suites=suites, strength=Strength.BYZANTINE)
        except ZizhuError:
            continue
        assert bent == data or again == proven
