"""Keys in order: an index over a dict that is kept in order lazily, and ranges in which nothing lives.

Decides what finding, adding and passing over keys costs. Refuses to know values and what keys mean.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping

_CHUNK = 512
"""Keys in a chunk of the index; a full one of twice as many is split."""
_TOUCHED_MAX = 4096
"""Keys of the committed state that may be out of order before they are put in order."""


class SortedKeys:
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


class Index:
    """The keys of a dict in order, brought up to date only when somebody scans."""

    __slots__ = ("_content", "_keys", "_touched")

    def __init__(self, content: Mapping[bytes, object]) -> None:
        self._content = content
        self._keys = SortedKeys()
        self._touched: dict[bytes, None] | None = None
        """Keys that may have come or gone; None as long as nobody has scanned (then all may have)."""

    def touch(self, key: bytes) -> None:
        """`key` may have come or gone."""
        if self._touched is not None:
            self._touched[key] = None

    def prepare(self) -> None:
        """Brings everything into order now, so that no scan has to."""
        self._keys.load(sorted(self._content))
        self._touched = {}

    def settle(self) -> None:
        """Brings what was touched into order once it is much, so that no scan has much to do."""
        if self._touched is not None and len(self._touched) > _TOUCHED_MAX:
            self._bring_into_order()

    def starting(self, start: bytes, prefix: bytes) -> Iterator[bytes]:
        """As `SortedKeys.starting`."""
        self._bring_into_order()
        return self._keys.starting(start, prefix)

    def _bring_into_order(self) -> None:
        touched = self._touched
        if touched is None or len(touched) > max(len(self._content) // 8, 64):
            self.prepare()
        elif touched:
            for key in touched:
                if key in self._content:
                    self._keys.add(key)
                else:
                    self._keys.remove(key)
            self._touched = {}


class Holes:
    """Ranges of keys in which nothing lives: half open, disjoint, ascending. Empty is false."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._ends: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self._starts)

    def copy(self) -> "Holes":
        """The same holes, for a child that will split them its own way."""
        other = Holes()
        other._starts, other._ends = self._starts[:], self._ends[:]
        return other

    def end_of(self, key: bytes) -> bytes | None:
        """Where the hole that `key` lies in ends, or None when it lies in none."""
        at = bisect_right(self._starts, key) - 1
        return self._ends[at] if at >= 0 and key < self._ends[at] else None

    def fill(self, start: bytes, end: bytes) -> None:
        """Nothing lives from `start` to before `end`; holes that touch become one."""
        low = bisect_left(self._ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start, end = min(start, self._starts[low]), max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]

    def split(self, key: bytes) -> None:
        """`key` may live from now on."""
        at = bisect_right(self._starts, key) - 1
        if at < 0 or key >= self._ends[at]:
            return
        start, end = self._starts[at], self._ends[at]
        pieces = [(low, high) for low, high in ((start, key), (key + b"\x00", end)) if low < high]
        self._starts[at : at + 1] = [low for low, _ in pieces]
        self._ends[at : at + 1] = [high for _, high in pieces]
