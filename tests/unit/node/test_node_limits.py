"""What a node keeps and queues is bounded: at each maximum it takes, above it says so or lets go."""

import pytest

from zizhu.chain.consensus.port import Execute
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.pool import Pool
from zizhu.chain.ledger.transactions import ParsedSubmission
from zizhu.chain.model.effects import Report
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import BlockHash, Instant, TransactionId
from zizhu.chain.network.messages import SYNC_BYTES_MAX, CertifiedBlocks, FetchCertified
from zizhu.chain.node.assembly import JOBS_MAX, Assembler
from zizhu.chain.node.boot import RECENT_CERTIFICATES, VOTES_KEPT
from zizhu.chain.node.clients import UNVERIFIED_MAX, VERIFIED_MAX, Admission
from zizhu.chain.node.events import Verify
from zizhu.chain.storage.memory.log import MemoryLog
from zizhu.chain.storage.memory.store import MemoryStore
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, MEMBER_IDS, Chain
from zizhu.framework.testkit.fakes.suite import suite
from zizhu.framework.testkit.node_council import NodeCouncil

PEER = MEMBER_IDS[1]


class Desk:
    """Admission with a ledger, a pool and an empty archive."""

    def __init__(self, **bounds: int) -> None:
        self.chain = Chain()
        self.pool = Pool(self.chain.ledger.nonce_state)
        archive = BlockArchive(MemoryLog(), MemoryStore("index"), suite=suite)
        self.admission = Admission(self.chain.ledger, self.pool, archive, **bounds)

    def asked(self) -> list[Verify]:
        """The batches to verify since the last look."""
        out, self.admission.out = self.admission.out, []
        return [each for each in out if isinstance(each, Verify)]

    def gossip(self, *numbers: int) -> list[Verify]:
        """A peer passes on a submission of each of these accounts."""
        calls = [self.chain.call(ACCOUNTS[number], 1, "echo", 1) for number in numbers]
        self.admission.gossiped(PEER, list(calls), 0)
        return self.asked()


def test_submissions_of_peers_under_way_are_bounded() -> None:
    """At the maximum of those that are being verified, more are dropped without blame, and taken when there is room."""
    assert Desk().admission.unverified_max == UNVERIFIED_MAX
    desk = Desk(unverified_max=3)
    (first,) = desk.gossip(0, 1)
    (second,) = desk.gossip(2, 3)
    assert [len(first.checks), len(second.checks)] == [2, 1]
    assert desk.gossip(4) == []
    assert desk.admission.out == []
    desk.admission.verified(first.batch, (False, True), 0)
    (third,) = desk.gossip(4, 5, 6)
    assert len(third.checks) == 2


def test_witnesses_remembered_as_good_are_bounded() -> None:
    """At the maximum none is forgotten; above it the oldest is, and is verified again when it comes again."""
    assert Desk().admission.verified_max == VERIFIED_MAX
    desk = Desk(verified_max=3)
    for number in range(4):
        (batch,) = desk.gossip(number)
        desk.admission.verified(batch.batch, (True,), 0)
    ids = [one.id for taken in desk.pool.take(10) for one in taken.transactions]
    assert len(ids) == 4
    desk.pool.remove(ids, 0)
    assert desk.gossip(1, 2, 3) == []
    assert desk.pool.waiting == 3
    (again,) = desk.gossip(0)
    assert len(again.checks) == 1


def test_blocks_wanted_whole_are_bounded() -> None:
    """JOBS_MAX blocks are asked for; one more is not, which is reported; what is not kept makes room."""
    chain = Chain()

    def held(_: TransactionId) -> ParsedSubmission | None:
        return None

    assembler = Assembler(chain.ledger, held, lambda block, parsed: True)
    wanted = [BlockHash(number.to_bytes(32, "big")) for number in range(1, JOBS_MAX + 2)]
    for block in wanted:
        assembler.want(Instant(0, 0), Execute(block, None, (), (PEER,), fresh=False))
    full = [each for each in assembler.out if isinstance(each, Report)]
    assert full == [Report("assembly_full", {"jobs": JOBS_MAX})]
    assembler.keep_only((wanted[0],))
    assembler.out = []
    assembler.want(Instant(0, 0), Execute(wanted[-1], None, (), (PEER,), fresh=False))
    assert assembler.out
    assert not any(isinstance(each, Report) for each in assembler.out)


def _stretch(council: NodeCouncil, start: int) -> CertifiedBlocks:
    seat = council.seats[1]
    before = len(seat.sent)
    seat.hears(council.seats[2], FetchCertified(start, 64))
    (answer,) = (each.message for each in seat.sent[before:] if isinstance(each.message, CertifiedBlocks))
    return answer


def test_an_answer_to_a_member_that_is_behind_is_bounded_by_bytes() -> None:
    """Blocks up to SYNC_BYTES_MAX are sent at once; the rest is asked for next; one long block is sent all the same."""
    council = NodeCouncil().start()
    long = 900_000
    for number in range(1, 7):
        council.seats[0].submit(council.call(number, 1, "put", b"key", bytes(long), steps_max=200_000))
        council.gossip()
    top = council.seats[1].height
    assert top == 7
    first = _stretch(council, 1)
    sizes = [len(encode(each.block)) for each in first.blocks]
    assert sum(sizes) <= SYNC_BYTES_MAX < sum(sizes) + long
    second = _stretch(council, 1 + len(first.blocks))
    heights = [each.block.header.height for each in (*first.blocks, *second.blocks)]
    assert heights == list(range(1, top + 1))


def test_a_block_longer_than_an_answer_is_sent_alone() -> None:
    """Whoever lacks a block of more than SYNC_BYTES_MAX gets it, so that nobody is stuck below it."""
    council = NodeCouncil().start()
    longs = [council.call(number, 1, "put", b"key", bytes(900_000), steps_max=200_000) for number in range(5)]
    council.seats[0].submit(*longs)
    council.gossip()
    archive = council.seats[1].machine.archive
    assert archive.head_height == 2
    assert len(encode(archive.block(2))) > SYNC_BYTES_MAX
    assert [each.block.header.height for each in _stretch(council, 1).blocks] == [1]
    assert [each.block.header.height for each in _stretch(council, 2).blocks] == [2]


@pytest.mark.parametrize("height", [RECENT_CERTIFICATES - 1, RECENT_CERTIFICATES, RECENT_CERTIFICATES + 5])
def test_a_member_comes_back_around_the_span_it_reads(height: int) -> None:
    """A start reads the last RECENT_CERTIFICATES certificates; with fewer blocks, as many and more it goes on."""
    council = NodeCouncil(size=1).start()
    seat = council.seats[0]
    number = 0
    while seat.height < height:
        number += 1
        seat.submit(council.call(0, number))
    assert seat.height == height
    seat.restart()
    assert seat.height == height
    seat.submit(council.call(0, number + 1))
    assert seat.height == height + 1


def test_a_vote_log_is_shortened_at_its_maximum_and_not_before() -> None:
    """With VOTES_KEPT records a start lets go of what does not matter any more, and the member votes on."""
    council = NodeCouncil().start()
    council.seats[0].submit(council.call(0, 1))
    council.gossip()
    seat = council.seats[1]
    last = list(seat.logs["votes"].records())[-1].data

    def count() -> int:
        return len(list(seat.logs["votes"].records()))

    def grow(wanted: int) -> None:
        seat.logs["votes"].append([last] * (wanted - count()))
        seat.logs["votes"].sync()

    grow(VOTES_KEPT - 1)
    seat.boot()
    assert count() == VOTES_KEPT - 1
    grow(VOTES_KEPT)
    seat.restart()
    assert count() < 100
    council.deliver()
    assert seat.machine.status().voting
    council.seats[3].crash()
    council.seats[0].submit(council.call(0, 2))
    council.gossip()
    assert [each.height for each in council.seats[:3]] == [3, 3, 3]
