"""Starting again: the same ledger, whatever was lost that may be lost."""

from collections.abc import Callable

import pytest

from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.keys import MARKER
from zizhu.chain.ledger.records import encode_block_record, encode_commit_record
from zizhu.chain.ledger.recovery import STATE_PREFIX, state_batch
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.storage.port import Change, Delete, Put
from zizhu.framework.testkit.fakes.archive import Between, StoredLedger, counterfeit_certificate, open_ledger
from zizhu.framework.testkit.fakes.disk import Choose, FakeDisk
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, Chain, genesis

ALICE, BOB = ACCOUNTS[:2]
GENESIS = genesis(parameters=Parameters(root_every=3))


Spoil = Callable[[StoredLedger], list[Change]]


class Crash(Exception):
    """The power is gone."""


def build(stored: StoredLedger) -> Executed:
    """The next block: it depends on the height alone, so every history of it is the same."""
    chain = Chain(stored.ledger)
    height = stored.ledger.head.height + 1
    return chain.build(
        chain.call(ALICE, height, "increment", b"k"),
        chain.call(ALICE, 2000 + height, "put", b"%d" % (height % 4), b"%d" % height),
        chain.call(BOB, height, "fail", "native.no"),
        chain.call(BOB, 2000 + height, "delete", b"%d" % ((height + 2) % 4)),
    )


def write(stored: StoredLedger, executed: Executed, between: Between) -> None:
    """A block from before its prepare to behind its commit."""
    stored.write_block(executed, between)
    stored.commit(executed, between)


def grow(stored: StoredLedger, height: int) -> None:
    """Commits blocks up to `height`."""
    while stored.ledger.head.height < height:
        executed = build(stored)
        stored.write_block(executed)
        stored.commit(executed)


def reference(height: int) -> StoredLedger:
    """A ledger that never crashed."""
    stored = open_ledger(FakeDisk(), GENESIS)
    grow(stored, height)
    return stored


def same(one: StoredLedger, two: StoredLedger) -> None:
    """Head, state and the state's tree are equal, and go on equally."""
    assert one.ledger.head == two.ledger.head
    assert dict(one.ledger.state_items()) == dict(two.ledger.state_items())
    for stored in (one, two):
        grow(stored, stored.ledger.head.height + 4)
    assert one.ledger.head == two.ledger.head
    assert one.ledger.state_tree().root == two.ledger.state_tree().root


@pytest.mark.parametrize("height", [0, 1, 2, 3, 4, 7, 9])
def test_replay_gives_what_live_execution_gave(height: int) -> None:
    """A ledger opened again is the one that was closed; from the last root height on, blocks are replayed."""
    disk = FakeDisk()
    grow(open_ledger(disk, GENESIS), height)
    again = open_ledger(disk, GENESIS)
    assert again.recovered.replayed == height % 3 and again.recovered.rebuilt == ""
    same(again, reference(height))


@pytest.mark.row("G-4")
def test_nonces_are_remembered_after_a_restart() -> None:
    """G-4: given a signed tx, when replayed after restart: executed exactly once overall."""
    disk = FakeDisk()
    grow(open_ledger(disk, GENESIS), 5)
    again = open_ledger(disk, GENESIS)
    chain = Chain(again.ledger)
    old = [chain.call(ALICE, height, "increment", b"k") for height in range(1, 6)]
    assert chain.build(*old).transactions == ()
    disk.store("state").write([Delete(MARKER)], durable=True)
    rebuilt = open_ledger(disk, GENESIS)
    assert rebuilt.recovered.rebuilt and Chain(rebuilt.ledger).build(*old).transactions == ()


SURVIVORS: dict[str, Choose | None] = {
    "nothing": None,
    "everything": lambda count: count - 1,
    "half": lambda count: count // 2,
}
PLACES = [
    *[f"block {what}" for what in ("appended", "synced", "indexed")],
    *[f"commit {what}" for what in ("appended", "synced", "indexed")],
    "state written",
]


@pytest.mark.row("B-2")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("survives", ["nothing", "everything", "half"])
@pytest.mark.parametrize("height", [2, 3, 4])
def test_a_crash_between_any_two_writes_loses_nothing(place: str, survives: str, height: int) -> None:
    """B-2: given a crash between state write and index write (every pair of adjacent writes): replay is
    idempotent, state roots equal."""
    disk = FakeDisk()
    stored = open_ledger(disk, GENESIS)
    grow(stored, height - 1)

    def crash(done: str) -> None:
        if done == place:
            raise Crash

    executed = build(stored)
    with pytest.raises(Crash):
        write(stored, executed, crash)
    disk.crash(SURVIVORS[survives])
    again = open_ledger(disk, GENESIS)
    if place in ("commit synced", "commit indexed", "state written"):
        assert again.ledger.head.height == height, "what was durable is there"
    assert again.ledger.head.height in (height - 1, height)
    if place in ("block synced", "block indexed"):
        assert [hash_ for hash_, _ in again.recovered.tentative] == [executed.hash]
    same(again, reference(again.ledger.head.height))
    disk.crash()
    same(open_ledger(disk, GENESIS), reference(again.ledger.head.height))


def test_tentative_blocks_can_be_executed_again_after_a_restart() -> None:
    """What was prepared before the crash is held, and finishes."""
    disk = FakeDisk()
    stored = open_ledger(disk, GENESIS)
    grow(stored, 2)
    executed = build(stored)
    stored.write_block(executed)
    disk.crash()
    again = open_ledger(disk, GENESIS)
    ((hash_, block),) = again.recovered.tentative
    copy = again.ledger.execute(block, hash_)
    assert isinstance(copy, Executed) and copy.outcome_hash == executed.outcome_hash
    again.commit(copy)
    same(again, reference(3))


def marked(stored: StoredLedger, height: int, running: bytes = bytes(32)) -> list[Change]:
    """The marker of a height, and nothing else."""
    return state_batch(stored.ledger.ledger_id, {}, height=height, running=running)


def first_key(stored: StoredLedger) -> bytes:
    """A key of the stored state."""
    return stored.store.scan(STATE_PREFIX, limit=1)[0][0]


SPOILS: list[tuple[str, Spoil, str]] = [
    ("missing", lambda stored: [Delete(MARKER)], "no marker"),
    ("junk", lambda stored: [Put(MARKER, b"junk")], "unreadable"),
    ("foreign", lambda stored: state_batch(bytes(32), {}, height=3, running=bytes(32)), "another ledger"),
    ("wrong", lambda stored: marked(stored, 3), "not that of height"),
    ("no root", lambda stored: marked(stored, 5, stored.ledger.head.outcome.running), "not that of height"),
    ("ahead", lambda stored: marked(stored, 99), "ends at"),
    ("added", lambda stored: [Put(STATE_PREFIX + b"d", b"added")], "root"),
    ("removed", lambda stored: [Delete(first_key(stored))], "root"),
    ("altered", lambda stored: [Put(first_key(stored), b"altered")], "root"),
]


@pytest.mark.parametrize(("spoil", "word"), [case[1:] for case in SPOILS], ids=[case[0] for case in SPOILS])
def test_a_state_that_cannot_be_believed_is_made_anew(spoil: Spoil, word: str) -> None:
    """Missing, ahead, wrong or altered: the chain is replayed, and the reason is reported."""
    disk = FakeDisk()
    stored = open_ledger(disk, GENESIS)
    grow(stored, 5)
    stored.store.write(spoil(stored), durable=True)
    again = open_ledger(disk, GENESIS)
    assert word in again.recovered.rebuilt and again.recovered.replayed == 5
    same(again, reference(5))
    assert open_ledger(disk, GENESIS).recovered.rebuilt == ""


def test_a_lost_index_and_a_lost_state_are_made_from_the_log() -> None:
    """Only the log is precious."""
    disk = FakeDisk()
    stored = open_ledger(disk, GENESIS)
    grow(stored, 5)
    for name in ("index", "state"):
        store = disk.store(name)
        store.write([Delete(key) for key, _ in store.scan(b"")], durable=True)
    same(open_ledger(disk, GENESIS), reference(5))


def test_an_outcome_that_differs_from_the_certified_one_stops_the_node() -> None:
    """A node whose own execution differs never goes on; the assertion names the height."""
    disk = FakeDisk()
    stored = open_ledger(disk, GENESIS)
    executed = build(stored)
    certificate = counterfeit_certificate(executed)
    lie = type(certificate)(
        certificate.version,
        certificate.phase,
        certificate.epoch,
        certificate.view,
        certificate.height,
        certificate.block,
        bytes(32),
        certificate.signatures,
    )
    log = stored.log
    log.append([
        encode_block_record(executed.block_bytes),
        encode_commit_record(lie, executed.outcome, list(executed.receipts)),
    ])  # fmt: skip
    log.sync()
    with pytest.raises(AssertionError, match="height 1"):
        open_ledger(disk, GENESIS)
