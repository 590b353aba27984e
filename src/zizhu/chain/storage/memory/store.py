"""The store `memory`: everything is gone when the process ends.

Decides how keys are kept in order in memory. Refuses to be durable: `durable` is accepted and means nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from zizhu.chain.model.errors import AskedWrongly
from zizhu.chain.storage import faults
from zizhu.chain.storage.bounds import check_batch, check_limit, check_name, scan_start
from zizhu.chain.storage.port import Change, Delete, Put

_INSERTED_SINGLY_MAX = 16
"""New keys up to which a sorted insert (a move of half the list) is cheaper than sorting anew."""


class MemoryStore:
    """A dict for the values and a list of the keys, which is brought into order when somebody scans."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._added: dict[bytes, None] = {}
        self._removed = 0
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or none."""
        self._check_open()
        return self._values.get(key)

    def scan(self, prefix: bytes, *, after: bytes | None = None, limit: int | None = None) -> list[tuple[bytes, bytes]]:
        """As the port says; the first scan after many new keys sorts."""
        self._check_open()
        check_limit(limit)
        self._bring_into_order()
        found: list[tuple[bytes, bytes]] = []
        for index in range(bisect_left(self._keys, scan_start(prefix, after)), len(self._keys)):
            key = self._keys[index]
            if len(found) == limit or not key.startswith(prefix):
                break
            found.append((key, self._values[key]))
        return found

    def write(self, batch: Sequence[Change], *, durable: bool) -> None:
        """As the port says, but for durability, of which there is none."""
        self._check_open()
        check_batch(batch)
        for change in batch:
            match change:
                case Put(key, value):
                    if key not in self._values:
                        self._added[key] = None
                    self._values[key] = value
                case Delete(key):
                    if self._values.pop(key, None) is not None:
                        self._removed += 1
                case _:
                    assert_never(change)

    def copy(self) -> "MemoryStore":
        """A store of its own with the same entries."""
        other = MemoryStore(self.name)
        other._values = dict(self._values)
        other._added = dict.fromkeys(self._values)
        return other

    def close(self) -> None:
        """Forgets everything; a second call does nothing."""
        self._closed = True
        self._values.clear()

    def _bring_into_order(self) -> None:
        # A key may be both removed and added again since: then it still stands in the list.
        if self._removed or len(self._added) > _INSERTED_SINGLY_MAX:
            self._keys = sorted(self._values)
        else:
            for key in self._added:
                insort(self._keys, key)
        self._added.clear()
        self._removed = 0

    def _check_open(self) -> None:
        if self._closed:
            raise AskedWrongly(faults.CLOSED, name=self.name)


def open_store(folder: Path, name: str) -> MemoryStore:
    """An empty store; `folder` is left alone. Raises AskedWrongly (`storage.name_bad`)."""
    return MemoryStore(check_name(name))
