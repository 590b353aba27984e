"""The fake disk loses exactly what a real one may lose, and the same each time."""

import random
from functools import partial

import pytest

from zizhu.chain.model.errors import OperatingFault
from zizhu.chain.storage.port import Put
from zizhu.framework.testkit.conformance.storage import refused_with
from zizhu.framework.testkit.fakes.disk import FakeDisk


def contents(disk: FakeDisk, name: str) -> list[bytes]:
    """The data of all records of a log, opened anew."""
    return [record.data for record in disk.log(name).records()]


def test_a_crash_takes_what_was_not_synced() -> None:
    """Synced records and durable batches are there at the same positions; the rest is gone."""
    disk = FakeDisk()
    log, store = disk.log("votes"), disk.store("state")
    positions = log.append([b"one", b"two"])
    log.sync()
    log.append([b"three"])
    store.write([Put(b"a", b"1")], durable=False)
    store.write([Put(b"b", b"2")], durable=True)
    store.write([Put(b"a", b"3")], durable=False)
    disk.crash()
    survivors = [tuple(record) for record in disk.log("votes").records()]
    assert survivors == list(zip(positions, (b"one", b"two"), strict=True))
    assert disk.store("state").scan(b"") == [(b"a", b"1"), (b"b", b"2")]


@pytest.mark.parametrize("keep", range(4))
def test_a_torn_crash_keeps_the_chosen_prefix(keep: int) -> None:
    """Of three unsynced records and batches the first `keep` survive, and then are durable."""
    disk = FakeDisk()
    log, store = disk.log("votes"), disk.store("state")
    log.append([b"synced"])
    log.sync()
    records = [b"one", b"two", b"three"]
    end = log.end_position
    positions = log.append(records)
    for record in records:
        store.write([Put(record, b""), Put(b"last", record)], durable=False)
    asked: list[int] = []

    def choose(count: int) -> int:
        asked.append(count)
        return keep

    disk.crash(choose)
    assert asked == [4, 4]
    disk.crash()
    assert contents(disk, "votes") == [b"synced", *records[:keep]]
    assert disk.log("votes").append([b"next"]) == [[*positions, log.end_position][keep] if keep else end]
    assert disk.store("state").get(b"last") == (records[keep - 1] if keep else None)


def test_crashes_of_one_seed_are_equal() -> None:
    """The same history and the same seed leave the same disk."""

    def left(seed: int) -> list[object]:
        disk = FakeDisk()
        chooser = random.Random(seed)
        for name in ("b", "a", "c"):
            disk.log(name).append([bytes([n]) for n in range(1, 50)])
        disk.crash(chooser.randrange)
        return [contents(disk, name) for name in ("a", "b", "c")]

    assert left(7) == left(7)
    assert any(left(seed) != left(7) for seed in range(5))


def test_handles_of_before_are_closed() -> None:
    """What held a log or store before a crash, a wipe or another opening cannot use it any more."""
    disk = FakeDisk()
    for end in (disk.crash, disk.wipe, lambda: (disk.log("votes"), disk.store("state"))):
        log, store = disk.log("votes"), disk.store("state")
        end()
        refused_with("storage.closed", partial(log.append, [b"x"]))
        refused_with("storage.closed", log.sync)
        refused_with("storage.closed", partial(store.get, b"a"))


def test_what_an_opened_one_shows_is_durable() -> None:
    """A killed process loses nothing it wrote, and what the next one finds on opening no crash takes any more."""
    disk = FakeDisk()
    disk.log("votes").append([b"x"])
    disk.store("state").write([Put(b"a", b"1")], durable=False)
    disk.log("votes")
    disk.store("state")
    disk.crash()
    assert contents(disk, "votes") == [b"x"]
    assert disk.store("state").get(b"a") == b"1"


def test_a_wiped_disk_is_empty() -> None:
    """Everything is lost, synced or not, and the disk can be used again."""
    disk = FakeDisk()
    log = disk.log("votes")
    log.append([b"x"])
    log.sync()
    disk.store("state").write([Put(b"a", b"1")], durable=True)
    disk.wipe()
    assert contents(disk, "votes") == []
    assert disk.store("state").scan(b"") == []


def test_a_full_disk() -> None:
    """Writes fail by name, a log that failed stays unusable, and room made serves whoever opens again."""
    disk = FakeDisk()
    log, store = disk.log("votes"), disk.store("state")
    log.append([b"x"])
    disk.fill()
    with pytest.raises(OperatingFault) as caught:
        store.write([Put(b"a", b"1")], durable=True)
    assert caught.value.code.code == "storage.write_failed"
    with pytest.raises(OperatingFault) as caught:
        log.sync()
    assert caught.value.code.code == "storage.sync_failed"
    disk.make_room()
    with pytest.raises(OperatingFault):
        log.append([b"y"])
    disk.crash()
    assert contents(disk, "votes") == []
    store = disk.store("state")
    store.write([Put(b"a", b"1")], durable=True)
    assert store.scan(b"") == [(b"a", b"1")]


@pytest.mark.row("B-2")
def test_replay_after_a_crash_between_any_two_writes() -> None:
    """Crash between state write and index write (every pair of adjacent writes): "replay is idempotent", the state,
    the index and the marker end equal whatever the crash left."""
    blocks = [b"%d" % height for height in range(1, 7)]

    def replay(disk: FakeDisk, *, writes_max: int) -> bool:
        """Applies the log from the store's marker on, and stops before write number `writes_max`."""
        log, store = disk.log("blocks"), disk.store("state")
        at = int(store.get(b"marker") or b"0")
        for record in list(log.records())[at:]:
            if (writes_max := writes_max - 1) < 0:
                return False
            total = int(store.get(b"total") or b"0") + int(record.data)
            index = Put(b"index/" + record.data, b"%d" % total)
            store.write([Put(b"total", b"%d" % total), index, Put(b"marker", record.data)], durable=False)
        return True

    ends = []
    for writes in range(len(blocks) + 1):
        for keep in range(writes + 1):
            disk = FakeDisk()
            log = disk.log("blocks")
            log.append(blocks)
            log.sync()
            replay(disk, writes_max=writes)
            disk.crash(lambda count, keep=keep: min(keep, count - 1))  # type: ignore[misc]
            assert replay(disk, writes_max=len(blocks))
            ends.append(disk.store("state").scan(b""))
    assert all(end == ends[0] for end in ends)
    assert dict(ends[0])[b"total"] == b"21"
