"""A log in memory: everything is gone when the process ends.

Decides nothing but to keep the contract of positions that the log in files has. Refuses to be durable.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from zizhu.chain.model.errors import AskedWrongly
from zizhu.chain.storage import faults
from zizhu.chain.storage.bounds import check_record
from zizhu.chain.storage.port import Record

HEAD_BYTES = 24
"""Positions grow by the length of the data and this, as they do in a segment file."""


class MemoryLog:
    """Records in a list, their positions in another."""

    def __init__(self, name: str = "log") -> None:
        self.name = name
        self._positions: list[int] = []
        self._records: list[bytes] = []
        self._first = 0
        self._end = 0
        self._closed = False

    @property
    def first_position(self) -> int:
        """Records before this position were forgotten, or never were."""
        return self._first

    @property
    def end_position(self) -> int:
        """Every record stands before this position."""
        return self._end

    def append(self, records: Sequence[bytes]) -> list[int]:
        """Raises AskedWrongly (`storage.record_bad`) with nothing appended."""
        self._check_open()
        for data in records:
            check_record(data)
        positions = []
        for data in records:
            positions.append(self._end)
            self._records.append(bytes(data))
            self._end += HEAD_BYTES + len(data)
        self._positions += positions
        return positions

    def sync(self) -> None:
        """Does nothing: there is no disk."""
        self._check_open()

    def read(self, position: int) -> bytes:
        """Raises AskedWrongly (`storage.no_record`)."""
        self._check_open()
        index = bisect_left(self._positions, position)
        if index == len(self._positions) or self._positions[index] != position:
            raise AskedWrongly(faults.NO_RECORD, position=position, log=self.name, first=self._first, end=self._end)
        return self._records[index]

    def records(self, start: int = 0) -> Iterator[Record]:
        """Records from position `start` on, in order, to the end at the time the iterator gets there."""
        self._check_open()
        return self._iterate(start)

    def forget_before(self, position: int) -> None:
        """Drops the records before `position`, all but the last."""
        self._check_open()
        index = min(bisect_left(self._positions, position), max(0, len(self._positions) - 1))
        if index:
            del self._positions[:index], self._records[:index]
            self._first = self._positions[0]

    def copy_before(self, position: int) -> "MemoryLog":
        """A log of its own with the records before `position`; what is appended to it stands where they end."""
        other = MemoryLog(self.name)
        count = bisect_left(self._positions, position)
        other._positions, other._records = self._positions[:count], self._records[:count]
        other._first = self._first
        other._end = self._end if count == len(self._positions) else self._positions[count]
        return other

    def close(self) -> None:
        """Ends the use of it; a second call does nothing."""
        self._closed = True

    def _iterate(self, position: int) -> Iterator[Record]:
        while (index := bisect_left(self._positions, position)) < len(self._positions):
            self._check_open()
            record = Record(self._positions[index], self._records[index])
            yield record
            position = record.position + 1

    def _check_open(self) -> None:
        if self._closed:
            raise AskedWrongly(faults.CLOSED, name=self.name)
