"""The block archive: what stands in the log is found, and only that."""

import pytest

from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.records import (
    BlockRecord,
    CommitRecord,
    decode_record,
    encode_block_record,
    encode_commit_record,
)
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.storage.memory.log import MemoryLog
from zizhu.chain.storage.memory.store import MemoryStore
from zizhu.framework.testkit.fakes.archive import counterfeit_certificate
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, Chain
from zizhu.framework.testkit.fakes.suite import suite

ALICE, BOB = ACCOUNTS[:2]


class Kept:
    """An archive in memory, and a chain that fills it."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.log = MemoryLog()
        self.index = MemoryStore("index")
        self.archive = BlockArchive(self.log, self.index, suite=suite)
        self.archive.recover()

    def append(self, data: bytes, *, indexed: bool = True) -> None:
        """A record, and its index."""
        (position,) = self.log.append([data])
        if indexed:
            self.index.write(self.archive.index_changes(position, data), durable=False)

    def write(self, executed: Executed, *, indexed: bool = True) -> None:
        """A block, tentative."""
        self.append(encode_block_record(executed.block_bytes), indexed=indexed)

    def adopt(self, executed: Executed, *, indexed: bool = True) -> None:
        """The commit of a block."""
        receipts = list(self.chain.ledger.commit(executed.hash).executed.receipts)
        record = encode_commit_record(counterfeit_certificate(executed), executed.outcome, receipts)
        self.append(record, indexed=indexed)

    def fill(self, heights: int, *, indexed: bool = True) -> list[Executed]:
        """Committed blocks of two transactions, each with a rival that is not adopted."""
        made = []
        for nonce in range(1, heights + 1):
            rival = self.chain.build(self.chain.call(BOB, 5000, "echo", nonce))
            executed = self.chain.build(
                self.chain.call(ALICE, nonce, "increment", b"k"), self.chain.call(BOB, nonce, "fail", "native.no")
            )
            self.write(rival, indexed=indexed)
            self.write(executed, indexed=indexed)
            self.adopt(executed, indexed=indexed)
            made.append(executed)
        return made

    def reopened(self, index: MemoryStore | None = None) -> BlockArchive:
        """The archive of a new process on the same log."""
        archive = BlockArchive(self.log, index or self.index, suite=suite)
        archive.recover()
        return archive


def check(archive: BlockArchive, made: list[Executed]) -> None:
    """Everything about `made` is found, and nothing above."""
    assert archive.head_height == len(made)
    for executed in made:
        height = executed.height
        commit = archive.commit(height)
        assert commit is not None and commit.outcome == executed.outcome
        assert archive.block(height) == executed.block and archive.block_bytes(height) == executed.block_bytes
        assert archive.block_hash(height) == executed.hash and archive.height_of(executed.hash) == height
        for number, (transaction, receipt) in enumerate(zip(executed.transactions, executed.receipts, strict=True)):
            assert archive.locate(transaction.id) == (height, number)
            assert archive.receipt(transaction.id) == receipt
    above = len(made) + 1
    assert archive.block(above) is None and archive.commit(above) is None and archive.block_bytes(above) is None


def test_what_was_committed_is_found_by_height_hash_and_transaction() -> None:
    """Also by an archive opened anew."""
    kept = Kept()
    made = kept.fill(4)
    check(kept.archive, made)
    check(kept.reopened(), made)


@pytest.mark.parametrize("indexed_heights", [0, 1, 3])
def test_an_index_that_is_behind_is_caught_up(indexed_heights: int) -> None:
    """What a crash took from the index, or all of it, is made again from the log."""
    kept = Kept()
    made = kept.fill(indexed_heights)
    behind = Kept()
    behind.chain, behind.log, behind.index, behind.archive = kept.chain, kept.log, kept.index, kept.archive
    for nonce in range(indexed_heights + 1, 5):
        executed = kept.chain.build(kept.chain.call(ALICE, nonce, "increment", b"k"))
        behind.write(executed, indexed=False)
        behind.adopt(executed, indexed=False)
        made.append(executed)
    check(behind.reopened(), made)
    check(behind.reopened(MemoryStore("fresh")), made)


def test_an_index_of_another_log_is_made_anew() -> None:
    """An index that is ahead of its log, or of another, is not believed."""
    kept, other = Kept(), Kept()
    other.fill(5)
    made = kept.fill(2)
    check(kept.reopened(other.index), made)
    assert kept.reopened(other.index).tentative_blocks(0) == []


def test_tentative_blocks_are_kept_until_their_height_is_decided() -> None:
    """Blocks written and not adopted are found in order of height; a commit clears its height, rivals too."""
    kept = Kept()
    one = kept.chain.build(kept.chain.call(ALICE, 1, "echo", 1))
    rival = kept.chain.build(kept.chain.call(BOB, 1, "echo", 1))
    two = kept.chain.build(kept.chain.call(ALICE, 2, "echo", 1), on=one.hash)
    for executed in (two, one, rival):
        kept.write(executed)
    kept.write(one)
    for archive in (kept.archive, kept.reopened()):
        assert archive.tentative_blocks(0) == [(each.hash, each.block) for each in (one, rival, two)]
        assert archive.tentative_bytes(two.hash) == two.block_bytes
        assert archive.height_of(one.hash) is None and archive.block(1) is None
    kept.adopt(one)
    for archive in (kept.archive, kept.reopened()):
        assert archive.tentative_blocks(0) == [(two.hash, two.block)]
        assert archive.tentative_bytes(rival.hash) is None


def test_many_changes_may_wait_for_one_batch() -> None:
    """The driver may write the index late, as long as it keeps the order."""
    kept = Kept()
    executed = kept.chain.build(kept.chain.call(ALICE, 1, "echo", 1))
    changes = []
    receipts = list(kept.chain.ledger.commit(executed.hash).executed.receipts)
    records = [
        encode_block_record(executed.block_bytes),
        encode_commit_record(counterfeit_certificate(executed), executed.outcome, receipts),
    ]
    for position, data in zip(kept.log.append(records), records, strict=True):
        changes += kept.archive.index_changes(position, data)
    kept.index.write(changes, durable=False)
    check(kept.archive, [executed])
    check(kept.reopened(), [executed])


def test_a_log_that_commits_out_of_order_is_our_own_fault() -> None:
    """A commit without its block, or of a height that is not next, stops the node."""
    kept = Kept()
    executed = kept.chain.build(kept.chain.call(ALICE, 1, "echo", 1))
    with pytest.raises(AssertionError):
        kept.adopt(executed)


def test_records_are_read_back_and_nothing_else_is_a_record() -> None:
    """Both records survive their bytes."""
    kept = Kept()
    (executed,) = kept.fill(1)
    block = decode_record(encode_block_record(executed.block_bytes))
    assert isinstance(block, BlockRecord) and block.block == executed.block_bytes
    certificate = counterfeit_certificate(executed)
    commit = decode_record(encode_commit_record(certificate, executed.outcome, list(executed.receipts)))
    assert isinstance(commit, CommitRecord) and commit.certificate == certificate
    for data in (b"", b"\x90", b"\x93\x03\x01\x01", encode_block_record(b"x") + b"\x00"):
        with pytest.raises(SpokeWrongly):
            decode_record(data)
