"""A log whose disk fails or whose machine loses power: what was acknowledged is there, what failed is final."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from zizhu.chain.model.errors import AskedWrongly, OperatingFault
from zizhu.chain.storage.atomic_file import sync_folder
from zizhu.chain.storage.files.door import Door
from zizhu.chain.storage.files.log import FilesLog, open_log

SEGMENT_BYTES = 256
QUICK = Door(sync=lambda handle: None, sync_folder=lambda folder: None)


class PowerLoss(BaseException):
    """The machine is off. Not an Exception: nothing may catch it and go on."""


@dataclass
class Machine:
    """Stands at a log's door, ends the process at its `fatal`th operation and knows what is then on the disk.

    A write that is fatal is done by half before. What is "on the disk": for each file its bytes at its last
    sync, and the names at the last sync of the folder.
    """

    folder: Path
    fatal: int
    operations: int = 0
    durable: dict[str, bytes] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def door(self) -> Door:
        """The door that leads through this machine."""
        return Door(self.write, self.overwrite, self.truncate, self.sync, self.sync_folder, self.remove)

    def write(self, handle: int, data: bytes | memoryview) -> int:
        self.step(lambda: os.write(handle, data[: len(data) // 2]))
        return os.write(handle, data)

    def overwrite(self, handle: int, data: bytes, offset: int) -> int:
        self.step(lambda: os.pwrite(handle, data[: len(data) // 2], offset))
        return os.pwrite(handle, data, offset)

    def truncate(self, handle: int, length: int) -> None:
        self.step()
        os.ftruncate(handle, length)

    def sync(self, handle: int) -> None:
        self.step()
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        self.durable[path.name] = path.read_bytes()

    def sync_folder(self, folder: Path) -> None:
        self.step()
        self.names = sorted(path.name for path in folder.iterdir())

    def remove(self, path: Path) -> None:
        self.step()
        path.unlink()

    def step(self, half: Callable[[], object] = lambda: None) -> None:
        if self.operations == self.fatal:
            half()
            raise PowerLoss
        self.operations += 1

    def lose_power(self, tail: Callable[[bytes], bytes], *, with_old_mark: bool) -> None:
        """Leaves on the disk what was synced, and of the rest of each segment what `tail` makes of it.

        The watermark, which nobody syncs, stays as it is or goes back.
        """
        if with_old_mark:
            (self.folder / "watermark").write_bytes(self.durable["watermark"])
        for path in sorted(self.folder.glob("*.segment")):
            durable = self.durable.get(path.name)
            if path.name not in self.names:
                path.unlink()
            elif durable is not None:
                path.write_bytes(durable + tail(path.read_bytes()[len(durable) :]))
        for name in self.names:  # a removal that was not synced has not happened
            if not (self.folder / name).exists() and name in self.durable:
                (self.folder / name).write_bytes(self.durable[name])


TAILS: dict[str, Callable[[bytes], bytes] | None] = {
    "killed": None,
    "lost": lambda rest: b"",
    "torn": lambda rest: rest[: len(rest) * 2 // 3],
    "zeros": lambda rest: bytes(len(rest)),
    "later page only": lambda rest: bytes(len(rest) // 2) + rest[len(rest) // 2 :],
}


def work(log: FilesLog, acknowledged: list[bytes], sent: list[bytes]) -> None:
    """Batches of two records, each acknowledged after its sync; in between, old ones are forgotten."""
    for number in range(12):
        batch = [bytes([97 + number]) * 40, bytes([65 + number]) * 25]
        sent += batch
        positions = log.append(batch)
        log.sync()
        acknowledged += batch
        if number == 7:
            log.forget_before(positions[0])


@pytest.mark.row("B-1")
@pytest.mark.parametrize("tail", sorted(TAILS))
def test_crash_at_any_boundary(tmp_path: Path, tail: str) -> None:
    """Crash at any I/O boundary: every acknowledged write "is present after restart", in order, with nothing else."""
    open_log(tmp_path / "empty", segment_bytes_max=SEGMENT_BYTES).close()
    fatal, finished = 0, False
    while not finished:
        folder = tmp_path / str(fatal)
        shutil.copytree(tmp_path / "empty", folder)
        machine = Machine(folder, fatal)
        machine.durable = {path.name: path.read_bytes() for path in folder.iterdir()}
        machine.names = sorted(machine.durable)
        acknowledged: list[bytes] = []
        sent: list[bytes] = []
        try:
            log = open_log(folder, segment_bytes_max=SEGMENT_BYTES, door=machine.door())
            work(log, acknowledged, sent)
            finished = True
        except PowerLoss:
            pass
        if (lose := TAILS[tail]) is not None:
            machine.lose_power(lose, with_old_mark=fatal % 2 == 0)
        log = open_log(folder, segment_bytes_max=SEGMENT_BYTES, door=QUICK)
        found = [record.data for record in log.records()]
        begin = sent.index(found[0]) if found else 0
        assert found == sent[begin : begin + len(found)]
        assert begin + len(found) >= len(acknowledged)
        assert begin == 0 or (len(acknowledged) >= 16 and begin <= 14), "only what was to be forgotten is missing"
        position = log.append([b"goes on"])[0]
        assert log.read(position) == b"goes on"
        log.close()
        fatal += 1
    assert fatal > 50, "every operation of the work was reached"


@pytest.mark.parametrize("again", range(9))
def test_crash_during_recovery(tmp_path: Path, again: int) -> None:
    """A second crash, at any operation of the opening that repairs the first, loses nothing acknowledged either."""
    for fatal in range(0, 40, 3):
        folder = tmp_path / str(fatal)
        open_log(folder, segment_bytes_max=SEGMENT_BYTES).close()
        acknowledged: list[bytes] = []
        sent: list[bytes] = []
        with suppress(PowerLoss):
            log = open_log(folder, segment_bytes_max=SEGMENT_BYTES, door=Machine(folder, fatal).door())
            work(log, acknowledged, sent)
        assert len(acknowledged) < 24, "the first crash came"
        with suppress(PowerLoss):
            open_log(folder, segment_bytes_max=SEGMENT_BYTES, door=Machine(folder, again).door()).close()
        log = open_log(folder, segment_bytes_max=SEGMENT_BYTES, door=QUICK)
        found = [record.data for record in log.records()]
        log.close()
        assert found == sent[: len(found)]
        assert found[: len(acknowledged)] == acknowledged


def failing_once(operation: Callable[..., object], *, at: int) -> Callable[..., object]:
    """`operation`, whose `at`th call fails as a broken disk does; all later ones succeed."""
    calls = iter(range(10**6))

    def fail(*arguments: object) -> object:
        if next(calls) == at:
            raise OSError(5, "Input/output error")
        return operation(*arguments)

    return fail


def check_unusable(log: FilesLog) -> None:
    """After a failure every call is refused, though the disk works again."""
    for call in (lambda: log.append([b"x"]), log.sync, lambda: log.read(32), lambda: list(log.records())):
        with pytest.raises(OperatingFault) as caught:
            call()
        assert caught.value.code.code == "storage.sync_failed"
    log.close()
    with pytest.raises(AskedWrongly):
        log.sync()


def test_a_failed_sync_is_final(tmp_path: Path) -> None:
    """One failed fdatasync: storage.sync_failed with the file, and the log is unusable; opened again, it serves."""
    open_log(tmp_path).close()
    log = open_log(tmp_path, door=Door(sync=failing_once(os.fdatasync, at=2)))  # type: ignore[arg-type]
    log.append([b"durable"])
    log.sync()
    log.append([b"perhaps"])
    with pytest.raises(OperatingFault) as caught:
        log.sync()
    assert caught.value.code.code == "storage.sync_failed"
    assert str(caught.value.values["file"]).endswith(".segment")
    check_unusable(log)
    log = open_log(tmp_path)
    assert [record.data for record in log.records()] == [b"durable", b"perhaps"]
    log.close()


def test_a_full_disk_is_final(tmp_path: Path) -> None:
    """A failed write: storage.write_failed, the log is unusable, and half a record is cut when it is opened again."""
    calls: list[int] = []

    def write(handle: int, data: bytes | memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 3:
            return os.write(handle, data[:10])
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        return os.write(handle, data)

    log = open_log(tmp_path, door=Door(write=write))
    log.append([b"whole"])
    log.sync()
    with pytest.raises(OperatingFault) as caught:
        log.append([b"written by half"])
    assert caught.value.code.code == "storage.write_failed"
    assert caught.value.values["reason"] == "No space left on device"
    check_unusable(log)
    log = open_log(tmp_path)
    assert [record.data for record in log.records()] == [b"whole"]
    assert log.recovery.cut_bytes == 10
    log.close()


def test_short_writes_are_completed(tmp_path: Path) -> None:
    """A write that the operating system takes in parts is carried to its end."""
    log = open_log(tmp_path)
    log.close()
    log = open_log(tmp_path, door=Door(write=lambda handle, data: os.write(handle, data[:7])))
    positions = log.append([b"a record that is longer than seven bytes"] * 3)
    assert len([log.read(position) for position in positions]) == 3
    log.close()


def append_and_sync(log: FilesLog, done: list[bytes]) -> None:
    """Records that need a segment each; `done` are those whose sync returned."""
    for letter in b"abcdefgh":
        log.append([bytes([letter]) * 150])
        log.sync()
        done.append(bytes([letter]) * 150)


def test_every_failure_at_a_new_segment_is_final(tmp_path: Path) -> None:
    """If a new segment cannot be made or synced, the log is unusable, and opening it again serves what was synced."""
    makes: tuple[Callable[[int], Door], ...] = (
        lambda at: Door(sync=failing_once(os.fdatasync, at=at)),  # type: ignore[arg-type]
        lambda at: Door(sync_folder=failing_once(sync_folder, at=at)),  # type: ignore[arg-type]
        lambda at: Door(write=failing_once(os.write, at=at)),  # type: ignore[arg-type]
    )
    for number, make in enumerate(makes):
        for at in range(1, 3):
            folder = tmp_path / f"{number}-{at}"
            open_log(folder, segment_bytes_max=SEGMENT_BYTES).close()
            log = open_log(folder, segment_bytes_max=SEGMENT_BYTES, door=make(at))
            done: list[bytes] = []
            with pytest.raises(OperatingFault):
                append_and_sync(log, done)
            check_unusable(log)
            log = open_log(folder, segment_bytes_max=SEGMENT_BYTES)
            assert [record.data for record in log.records()][: len(done)] == done
            log.close()


def test_nothing_is_synced_twice(tmp_path: Path) -> None:
    """A sync with nothing new costs nothing."""
    syncs: list[int] = []
    log = open_log(tmp_path, door=Door(sync=syncs.append))
    log.append([b"x"])
    log.sync()
    before = len(syncs)
    log.sync()
    log.close()
    assert len(syncs) == before
