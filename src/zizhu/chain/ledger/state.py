"""State as ordered keys and values: what is committed, and overlays of blocks that are not.

Decides how reads see through overlays, how a failed transaction is undone, and the order of a scan. Refuses to
know what keys mean, the disk, hashes and roots.
"""

from collections.abc import Iterator, Mapping
from heapq import merge
from typing import Protocol

from zizhu.chain.ledger.order import Holes, Index


class _Missing:
    """The type of the mark for "this layer says nothing"."""

    __slots__ = ()


_MISSING = _Missing()


class StateReader(Protocol):
    """What can be read of a state, committed or not."""

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        ...

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` entries whose key begins with `prefix`, ascending, behind key `after`."""
        ...


def _start(prefix: bytes, after: bytes | None) -> bytes:
    """The least key that a scan may return."""
    return prefix if after is None or after < prefix else after + b"\x00"


class State:
    """The committed state, in memory."""

    __slots__ = ("_values", "index")

    def __init__(self, values: dict[bytes, bytes] | None = None) -> None:
        self._values: dict[bytes, bytes] = {} if values is None else values
        self.index = Index(self._values)
        self.index.prepare()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        return self._values.get(key)

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` entries whose key begins with `prefix`, ascending, behind key `after`."""
        found: list[tuple[bytes, bytes]] = []
        if limit <= 0:
            return found
        for key in self.index.starting(_start(prefix, after), prefix):
            found.append((key, self._values[key]))
            if len(found) == limit:
                break
        return found

    def keys_from(self, start: bytes, prefix: bytes) -> Iterator[bytes]:
        """The keys ≥ `start` with `prefix`, ascending."""
        return self.index.starting(start, prefix)

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Takes over the write set of a block; None deletes."""
        for key, value in changes.items():
            if value is None:
                if self._values.pop(key, None) is not None:
                    self.index.touch(key)
            else:
                if key not in self._values:
                    self.index.touch(key)
                self._values[key] = value
        self.index.settle()

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries, in no particular order: for building the tree, whose root knows no order."""
        return iter(self._values.items())


class Overlay:
    """What a block wrote, over the state of its parent. After `freeze` it is immutable."""

    __slots__ = ("_frozen", "_journal", "holes", "index", "parent", "writes")

    def __init__(self, parent: "State | Overlay") -> None:
        self.parent = parent
        self.writes: dict[bytes, bytes | None] = {}
        self.index = Index(self.writes)
        self._journal: list[tuple[bytes, bytes | _Missing | None]] | None = None
        self._frozen = False
        self.holes: Holes = parent.holes.copy() if isinstance(parent, Overlay) else Holes()

    def get(self, key: bytes) -> bytes | None:
        """The value of `key` as this layer and those below see it, or None."""
        layer: State | Overlay = self
        while isinstance(layer, Overlay):
            value = layer.writes.get(key, _MISSING)
            if value is not _MISSING:
                return value  # type: ignore[return-value]
            layer = layer.parent
        return layer.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Writes `value` at `key`."""
        self._write(key, value)

    def delete(self, key: bytes) -> None:
        """Removes `key`; one that is not there is no error."""
        self._write(key, None)

    def _write(self, key: bytes, value: bytes | None) -> None:
        assert not self._frozen, "an executed overlay is immutable"
        if self._journal is not None:
            self._journal.append((key, self.writes.get(key, _MISSING)))
        self.writes[key] = value
        self.index.touch(key)
        if value is not None and self.holes:
            self.holes.split(key)

    def begin(self) -> None:
        """From here on writes can be undone, until `keep` or `undo`."""
        assert self._journal is None, "transactions are not nested"
        self._journal = []

    def keep(self) -> None:
        """The writes since `begin` stand."""
        assert self._journal is not None
        self._journal = None

    def undo(self) -> None:
        """The writes since `begin` never were."""
        assert self._journal is not None
        for key, before in reversed(self._journal):
            if isinstance(before, _Missing):
                del self.writes[key]
            else:
                self.writes[key] = before
            self.index.touch(key)
            if before is not None and self.holes:
                self.holes.split(key)
        self._journal = None

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` entries whose key begins with `prefix`, ascending, behind key `after`."""
        found: list[tuple[bytes, bytes]] = []
        position: bytes | None = _start(prefix, after)
        dead: bytes | None = None
        while position is not None and len(found) < limit:
            dead, position = self._scan_on(found, dead, position, prefix=prefix, limit=limit)
        return found

    def _scan_on(
        self, found: list[tuple[bytes, bytes]], dead: bytes | None, position: bytes, *, prefix: bytes, limit: int
    ) -> tuple[bytes | None, bytes | None]:
        """Scans from `position` to the next hole; answers where the deleted keys in front of it begin (`dead`),
        and where to go on, or None at the end. What is found to be deleted becomes a hole, so that nobody makes
        others walk over the same deleted keys again and again."""
        holes, last, behind = self.holes, None, b""
        end: bytes | None = None
        for key in merge(*self._iterators(position, prefix)):
            if key == last:
                continue
            last = key
            end = holes.end_of(key) if holes else None
            if end is not None:
                dead = key if dead is None else dead
                behind = end
                break
            value = self.get(key)
            if value is None:
                dead = key if dead is None else dead
                behind = key + b"\x00"
                continue
            if dead is not None:
                holes.fill(dead, behind or position)
                dead, behind = None, b""
            found.append((key, value))
            if len(found) == limit:
                break
        if dead is not None and behind:
            holes.fill(dead, behind)
        return dead, end

    def _iterators(self, start: bytes, prefix: bytes) -> list[Iterator[bytes]]:
        """The keys of each layer, from `start` on."""
        iterators: list[Iterator[bytes]] = []
        layer: State | Overlay = self
        while isinstance(layer, Overlay):
            if layer.writes:
                iterators.append(layer.index.starting(start, prefix))
            layer = layer.parent
        iterators.append(layer.keys_from(start, prefix))
        return iterators

    def freeze(self) -> None:
        """The block is executed: nothing is written any more."""
        assert self._journal is None
        self._frozen = True

    def rebase(self, parent: State) -> None:
        """The parent's writes have been applied to `parent`, the committed state; reads go there now."""
        self.parent = parent

    def changes(self) -> dict[bytes, bytes | None]:
        """The own write set; None is a deletion. Not to be altered."""
        return self.writes
