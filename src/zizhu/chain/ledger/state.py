"""State as ordered keys and values: what is committed, and overlays of blocks that are not.

Decides how reads see through overlays, how a failed transaction is undone, and the order of a scan. Refuses to
know what keys mean, the disk, hashes and roots.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from heapq import merge
from typing import Protocol

_CHUNK = 512
"""Keys in a chunk of the index; a full one of twice as many is split."""


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


class _SortedKeys:
    """An ordered set of byte strings in chunks: adding and removing cost a bisection and a short move."""

    __slots__ = ("_chunks", "_firsts")

    def __init__(self) -> None:
        self._chunks: list[list[bytes]] = []
        self._firsts: list[bytes] = []

    def load(self, keys: list[bytes]) -> None:
        """Becomes these keys, which are ascending and distinct."""
        self._chunks = [keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK)]
        self._firsts = [chunk[0] for chunk in self._chunks]

    def add(self, key: bytes) -> None:
        """Adds `key` unless it is there."""
        if not self._chunks:
            self.load([key])
            return
        at = max(bisect_right(self._firsts, key) - 1, 0)
        chunk = self._chunks[at]
        place = bisect_left(chunk, key)
        if place < len(chunk) and chunk[place] == key:
            return
        chunk.insert(place, key)
        self._firsts[at] = chunk[0]
        if len(chunk) > 2 * _CHUNK:
            self._chunks[at : at + 1] = [chunk[:_CHUNK], chunk[_CHUNK:]]
            self._firsts[at : at + 1] = [chunk[0], chunk[_CHUNK]]

    def remove(self, key: bytes) -> None:
        """Removes `key` if it is there."""
        at = bisect_right(self._firsts, key) - 1
        if at < 0:
            return
        chunk = self._chunks[at]
        place = bisect_left(chunk, key)
        if place == len(chunk) or chunk[place] != key:
            return
        del chunk[place]
        if chunk:
            self._firsts[at] = chunk[0]
        else:
            del self._chunks[at], self._firsts[at]

    def starting(self, start: bytes, prefix: bytes) -> Iterator[bytes]:
        """The keys ≥ `start` that begin with `prefix` (which `start` begins with), ascending."""
        at = max(bisect_right(self._firsts, start) - 1, 0)
        while at < len(self._chunks):
            chunk = self._chunks[at]
            for place in range(bisect_left(chunk, start), len(chunk)):
                if not chunk[place].startswith(prefix):
                    return
                yield chunk[place]
            at += 1


class _Index:
    """The keys of a dict in order, brought up to date only when somebody scans."""

    __slots__ = ("_content", "_keys", "_touched")

    def __init__(self, content: Mapping[bytes, object]) -> None:
        self._content = content
        self._keys = _SortedKeys()
        self._touched: dict[bytes, None] | None = None
        """Keys that may have come or gone; None as long as nobody has scanned (then all may)."""

    def touch(self, key: bytes) -> None:
        """`key` may have come or gone."""
        if self._touched is not None:
            self._touched[key] = None

    def starting(self, start: bytes, prefix: bytes) -> Iterator[bytes]:
        """As `_SortedKeys.starting`."""
        if self._touched is None or len(self._touched) > max(len(self._content) // 8, 64):
            self._keys.load(sorted(self._content))
            self._touched = {}
        elif self._touched:
            for key in self._touched:
                if key in self._content:
                    self._keys.add(key)
                else:
                    self._keys.remove(key)
            self._touched = {}
        return self._keys.starting(start, prefix)


def _start(prefix: bytes, after: bytes | None) -> bytes:
    """The least key that a scan may return."""
    return prefix if after is None or after < prefix else after + b"\x00"


class State:
    """The committed state, in memory."""

    __slots__ = ("_index", "_values")

    def __init__(self, values: dict[bytes, bytes] | None = None) -> None:
        self._values: dict[bytes, bytes] = {} if values is None else values
        self._index = _Index(self._values)

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
        for key in self._index.starting(_start(prefix, after), prefix):
            found.append((key, self._values[key]))
            if len(found) == limit:
                break
        return found

    def keys_from(self, start: bytes, prefix: bytes) -> Iterator[bytes]:
        """The keys ≥ `start` with `prefix`, ascending."""
        return self._index.starting(start, prefix)

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Takes over the write set of a block; None deletes."""
        for key, value in changes.items():
            if value is None:
                if self._values.pop(key, None) is not None:
                    self._index.touch(key)
            else:
                if key not in self._values:
                    self._index.touch(key)
                self._values[key] = value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries, in no particular order: for building the tree, whose root knows no order."""
        return iter(self._values.items())


class Overlay:
    """What a block wrote, over the state of its parent. After `freeze` it is immutable."""

    __slots__ = ("_frozen", "_index", "_journal", "_parent", "_writes")

    def __init__(self, parent: "State | Overlay") -> None:
        self._parent = parent
        self._writes: dict[bytes, bytes | None] = {}
        self._index = _Index(self._writes)
        self._journal: list[tuple[bytes, bytes | None | _Missing]] | None = None
        self._frozen = False

    def get(self, key: bytes) -> bytes | None:
        """The value of `key` as this layer and those below see it, or None."""
        layer: State | Overlay = self
        while type(layer) is Overlay:
            value = layer._writes.get(key, _MISSING)
            if value is not _MISSING:
                return value  # type: ignore[return-value]
            layer = layer._parent
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
            self._journal.append((key, self._writes.get(key, _MISSING)))
        self._writes[key] = value
        self._index.touch(key)

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
                del self._writes[key]
            else:
                self._writes[key] = before
            self._index.touch(key)
        self._journal = None

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` entries whose key begins with `prefix`, ascending, behind key `after`."""
        found: list[tuple[bytes, bytes]] = []
        if limit <= 0:
            return found
        start = _start(prefix, after)
        layers: list[Iterator[bytes]] = []
        layer: State | Overlay = self
        while isinstance(layer, Overlay):
            if layer._writes:
                layers.append(layer._index.starting(start, prefix))
            layer = layer._parent
        layers.append(layer.keys_from(start, prefix))
        last: bytes | None = None
        for key in merge(*layers):
            if key == last:
                continue
            last = key
            value = self.get(key)
            if value is not None:
                found.append((key, value))
                if len(found) == limit:
                    break
        return found

    def freeze(self) -> None:
        """The block is executed: nothing is written any more."""
        assert self._journal is None
        self._frozen = True

    def rebase(self, parent: State) -> None:
        """The parent's writes have been applied to `parent`, the committed state; reads go there now."""
        self._parent = parent

    def changes(self) -> dict[bytes, bytes | None]:
        """The own write set; None is a deletion. Not to be altered."""
        return self._writes
