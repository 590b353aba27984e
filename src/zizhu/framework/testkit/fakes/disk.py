"""A disk in memory that forgets what was not synced when it crashes.

Decides what a crash leaves: all that was synced, and of the rest of each log and store a prefix as long as the
caller's choice says. Refuses to choose: the simulator's seed does. Files, clocks and threads are not known here.

The logs and stores it hands out fulfil the ports of `zizhu.chain.storage`; those from before a crash are
closed by it.
"""

from collections.abc import Callable, Iterator, Sequence

from zizhu.chain.model.errors import OperatingFault
from zizhu.chain.storage import faults
from zizhu.chain.storage.bounds import check_batch, check_name
from zizhu.chain.storage.memory.log import MemoryLog
from zizhu.chain.storage.memory.store import MemoryStore
from zizhu.chain.storage.port import Change, Record

Choose = Callable[[int], int]
"""Gives a number from 0 to before its argument: `random.Random(seed).randrange`, or a list played back."""


class FakeDisk:
    """The disk of one node: logs and stores by name, which outlive crashes and reopening."""

    def __init__(self) -> None:
        self._logs: dict[str, FakeLog] = {}
        self._stores: dict[str, FakeStore] = {}
        self._is_full = False

    def log(self, name: str) -> "FakeLog":
        """Opens the log `name`, empty the first time; an earlier handle is closed by it.

        Raises AskedWrongly (`storage.name_bad`).
        """
        before = self._logs.get(check_name(name))
        log = FakeLog(name, self, before.surviving(keep=before.unsynced) if before else MemoryLog(name))
        if before:
            before.close()
        self._logs[name] = log
        return log

    def store(self, name: str) -> "FakeStore":
        """Opens the store `name`, empty the first time; an earlier handle is closed by it.

        Raises AskedWrongly (`storage.name_bad`).
        """
        before = self._stores.get(check_name(name))
        store = FakeStore(name, self, before.surviving(keep=before.unsynced) if before else MemoryStore(name))
        if before:
            before.close()
        self._stores[name] = store
        return store

    def crash(self, choose: Choose | None = None) -> None:
        """A power loss: every handle is closed; what was not synced is lost.

        Without `choose` all of it; with it, of the n unsynced records of each log, and batches of each store,
        the first `choose(n + 1)` survive. Asked in the order of names, logs first; not asked where n is 0.
        """
        for name in sorted(self._logs):
            log = self._logs[name]
            keep = choose(log.unsynced + 1) if choose and log.unsynced else 0
            self._logs[name] = FakeLog(name, self, log.surviving(keep=keep))
            log.close()
        for name in sorted(self._stores):
            store = self._stores[name]
            keep = choose(store.unsynced + 1) if choose and store.unsynced else 0
            self._stores[name] = FakeStore(name, self, store.surviving(keep=keep))
            store.close()

    def wipe(self) -> None:
        """The disk is lost with everything on it, and an empty one takes its place."""
        self.crash()
        self._logs.clear()
        self._stores.clear()

    def fill(self) -> None:
        """From now on every write and sync fails, until `make_room`."""
        self._is_full = True

    def make_room(self) -> None:
        """Writes succeed again; a log that failed stays unusable until it is opened again."""
        self._is_full = False

    @property
    def is_full(self) -> bool:
        """Whether writes fail."""
        return self._is_full


class FakeLog:
    """A log of a fake disk; positions as in `memory`."""

    def __init__(self, name: str, disk: FakeDisk, log: MemoryLog) -> None:
        self.name = name
        self._disk = disk
        self._log = log
        self._unsynced: list[int] = []
        self._unusable = False

    @property
    def unsynced(self) -> int:
        """How many records a crash may take."""
        return len(self._unsynced)

    @property
    def first_position(self) -> int:
        """Records before this position were forgotten, or never were."""
        return self._log.first_position

    @property
    def end_position(self) -> int:
        """Every record stands before this position."""
        return self._log.end_position

    def append(self, records: Sequence[bytes]) -> list[int]:
        """Raises AskedWrongly (`storage.record_bad`), OperatingFault (`storage.write_failed`)."""
        self._check_usable()
        if self._disk.is_full:
            self._unusable = True
            raise OperatingFault(faults.WRITE_FAILED, file=self.name, reason="the fake disk is full")
        positions = self._log.append(records)
        self._unsynced += positions
        return positions

    def sync(self) -> None:
        """What was appended outlives a crash. Raises OperatingFault (`storage.sync_failed`)."""
        self._check_usable()
        if self._disk.is_full:
            self._unusable = True
            raise OperatingFault(faults.SYNC_FAILED, file=self.name, reason="the fake disk is full")
        self._log.sync()
        self._unsynced.clear()

    def read(self, position: int) -> bytes:
        """Raises AskedWrongly (`storage.no_record`)."""
        self._check_usable()
        return self._log.read(position)

    def records(self, start: int = 0) -> Iterator[Record]:
        """Records from position `start` on, in order."""
        self._check_usable()
        return self._log.records(start)

    def forget_before(self, position: int) -> None:
        """Drops what was synced before `position`, at once and durably."""
        self._check_usable()
        self._log.forget_before(min([position, *self._unsynced[:1]]))

    def close(self) -> None:
        """Ends the use of this handle; what was not synced stays in danger of a crash."""
        self._log.close()

    def surviving(self, *, keep: int) -> MemoryLog:
        """A log of what is left when all but the first `keep` unsynced records are lost."""
        return self._log.copy_before(self._unsynced[keep] if keep < len(self._unsynced) else self._log.end_position)

    def _check_usable(self) -> None:
        if self._unusable:
            raise OperatingFault(faults.SYNC_FAILED, file=self.name, reason="an earlier operation failed")


class FakeStore:
    """A store of a fake disk: what is durable, and the batches that are not."""

    def __init__(self, name: str, disk: FakeDisk, store: MemoryStore) -> None:
        self.name = name
        self._disk = disk
        self._store = store
        self._durable = store.copy()
        self._batches: list[tuple[Change, ...]] = []

    @property
    def unsynced(self) -> int:
        """How many batches a crash may take."""
        return len(self._batches)

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or none."""
        return self._store.get(key)

    def scan(self, prefix: bytes, *, after: bytes | None = None, limit: int | None = None) -> list[tuple[bytes, bytes]]:
        """As the port says."""
        return self._store.scan(prefix, after=after, limit=limit)

    def write(self, batch: Sequence[Change], *, durable: bool) -> None:
        """As the port says. Raises OperatingFault (`storage.write_failed`) on a full disk."""
        check_batch(batch)
        if self._disk.is_full:
            raise OperatingFault(faults.WRITE_FAILED, file=self.name, reason="the fake disk is full")
        self._store.write(batch, durable=durable)
        self._batches.append(tuple(batch))
        if durable:
            for waiting in self._batches:
                self._durable.write(waiting, durable=True)
            self._batches.clear()

    def close(self) -> None:
        """Ends the use of this handle; what was not durable stays in danger of a crash."""
        self._store.close()

    def surviving(self, *, keep: int) -> MemoryStore:
        """A store of what is left when all but the first `keep` batches that are not durable are lost."""
        left = self._durable.copy()
        for batch in self._batches[:keep]:
            left.write(batch, durable=True)
        return left
