"""The ports of storage: a key-value store and an append-only log.

Decides what durable and atomic mean. Refuses to know who stores what. A key-value store enters by the entry
point group `zizhu.storage`; its factory is `open_store(folder: pathlib.Path, name: str) -> KeyValueStore`.
Stores are used by one thread at a time.
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

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, prefix: bytes, *, after: bytes | None = None, limit: int | None = None) -> list[tuple[bytes, bytes]]:
        """Entries whose key begins with `prefix`, ascending, behind key `after`, at most `limit`."""
        ...

    def write(self, batch: Sequence[Change], *, durable: bool) -> None:
        """Raises OperatingFault (`storage.write_failed`) with nothing of the batch applied."""
        ...

    def close(self) -> None: ...


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
        """Writes the records (to the operating system, not yet to the disk) and returns their positions."""
        ...

    def sync(self) -> None:
        """Returns once every appended record would survive a power loss. Raises OperatingFault
        (`storage.sync_failed`); after that the log is unusable."""
        ...

    def read(self, position: int) -> bytes: ...

    def records(self, start: int = 0) -> Iterator[Record]:
        """Records from position `start` on, in order."""
        ...

    def forget_before(self, position: int) -> None:
        """May drop whole segments that hold only records before `position`."""
        ...

    def close(self) -> None: ...
