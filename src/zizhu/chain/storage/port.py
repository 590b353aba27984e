"""The ports of storage: a key-value store and an append-only log.

Decides what durable and atomic mean. Refuses to know who stores what. A key-value store enters by the entry
point group `zizhu.storage`; its factory is `open_store(folder: pathlib.Path, name: str) -> KeyValueStore`, which
keeps its files in `folder / name` alone and refuses a folder that a newer version or another store wrote.
Stores and logs are used by one thread at a time. What an opened one shows is durable: whatever a process that was
killed left unsynced is either gone or synced when opening returns. `framework.testkit.conformance.storage` tests
these promises; docs/protocol/storage.md explains them. Bounds of keys, values and records: `bounds`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class Put(NamedTuple):
    """Write `value` at `key`."""

    key: bytes
    value: bytes


class Delete(NamedTuple):
    """Remove `key`; a key that is not there is no error."""

    key: bytes


Change = Put | Delete


class KeyValueStore(Protocol):
    """Ordered by the bytes of its keys.

    A batch is atomic: after a crash all of it is there or nothing. Batches become durable in the order of
    their writes: if a later one survived, so did every earlier one. With `durable` the call returns only
    once this batch and all earlier ones would survive a power loss.
    """

    name: str

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or none. Raises OperatingFault (`storage.damaged`, `storage.read_failed`)."""
        ...

    def scan(self, prefix: bytes, *, after: bytes | None = None, limit: int | None = None) -> list[tuple[bytes, bytes]]:
        """Entries whose key begins with `prefix`, ascending, behind key `after`, at most `limit`.

        `after` need not be there, nor begin with `prefix`. Raises AskedWrongly (`storage.limit_bad`);
        OperatingFault (`storage.damaged`, `storage.read_failed`).
        """
        ...

    def write(self, batch: Sequence[Change], *, durable: bool) -> None:
        """Applies the changes in their order, all or none; a later change of the same key wins.

        An empty durable batch is a barrier for the earlier ones. Raises AskedWrongly (`storage.key_bad`,
        `storage.value_bad`) and OperatingFault (`storage.write_failed`), nothing of the batch applied.
        """
        ...

    def close(self) -> None:
        """Gives the files back; a second call does nothing. Any other call then raises AskedWrongly
        (`storage.closed`)."""
        ...


class Record(NamedTuple):
    """A record of a log and the position at which it stands (ascending; opaque otherwise)."""

    position: int
    data: bytes


class Log(Protocol):
    """Append-only records, each with a checksum.

    A torn tail (a crash in the middle of an append) is cut back to the last whole record when the log is
    opened; damage before the tail is an OperatingFault (`storage.damaged`) that names file and offset,
    raised by whoever reads there, and is never served.
    """

    def append(self, records: Sequence[bytes]) -> list[int]:
        """Writes the records (to the operating system, not yet to the disk) and returns their positions.

        Raises AskedWrongly (`storage.record_bad`) with nothing written; OperatingFault
        (`storage.write_failed`), after which the log is unusable.
        """
        ...

    def sync(self) -> None:
        """Returns once every appended record would survive a power loss. Raises OperatingFault
        (`storage.sync_failed`); after that the log is unusable."""
        ...

    def read(self, position: int) -> bytes:
        """The record that stands at `position`.

        Raises AskedWrongly (`storage.no_record`); OperatingFault (`storage.damaged`, `storage.read_failed`).
        """
        ...

    def records(self, start: int = 0) -> Iterator[Record]:
        """Records from position `start` on (which need be none's), in order, appended ones included.

        Raises OperatingFault (`storage.damaged`, `storage.read_failed`) at the place where it is.
        """
        ...

    def forget_before(self, position: int) -> None:
        """May drop whole segments that hold only records before `position`."""
        ...

    def close(self) -> None:
        """Gives the files back; a second call does nothing. Any other call then raises AskedWrongly
        (`storage.closed`)."""
        ...
