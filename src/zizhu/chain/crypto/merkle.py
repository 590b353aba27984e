"""Binary Merkle trees over 32-byte ids, with leaves, inner nodes and roots in domains of their own.

Decides the shape: leaf = H("leaf", id), inner = H("inner", left ‖ right), a level of odd length is padded on the
right with that level's empty node (empty₀ = H("empty", ""), empty₊₁ = H("inner", empty ‖ empty)), and
root = H("root", count as 8 bytes big-endian ‖ top). So a path has exactly ⌈log₂ count⌉ steps, and the count is
under the root: no list can pass for a shorter, longer, merged or split one (CVE-2012-2459, CVE-2023-46132).
Refuses to know what the ids stand for, and which hash it is. Pure.
"""

from collections.abc import Callable, Sequence

Hash = Callable[[bytes, bytes], bytes]
"""`Suite.hash`: (domain, data) → 32 bytes."""

LEAF_DOMAIN = b"leaf"
INNER_DOMAIN = b"inner"
EMPTY_DOMAIN = b"empty"
ROOT_DOMAIN = b"root"
NODE_BYTES = 32
COUNT_MAX = (1 << 64) - 1


def path_steps(count: int) -> int:
    """Steps of every path in a tree of `count` ≥ 1 leaves: ⌈log₂ count⌉."""
    return (count - 1).bit_length()


class Tree:
    """A whole tree, for whoever needs several paths of it. Leaves are 32-byte ids (asserted)."""

    __slots__ = ("_levels", "count", "root")

    def __init__(self, suite_hash: Hash, leaves: Sequence[bytes]) -> None:
        assert all(len(leaf) == NODE_BYTES for leaf in leaves), "leaves are ids of 32 bytes"
        self.count = len(leaves)
        empty = suite_hash(EMPTY_DOMAIN, b"")
        level = [suite_hash(LEAF_DOMAIN, leaf) for leaf in leaves] or [empty]
        self._levels: list[list[bytes]] = []
        while len(level) > 1:
            if len(level) & 1:
                level.append(empty)
            self._levels.append(level)
            level = [suite_hash(INNER_DOMAIN, level[i] + level[i + 1]) for i in range(0, len(level), 2)]
            empty = suite_hash(INNER_DOMAIN, empty + empty)
        self.root = _root(suite_hash, count=self.count, top=level[0])
        """32 bytes."""

    def path(self, index: int) -> list[bytes]:
        """The siblings of leaf `index` (0 ≤ index < count, asserted), from the leaf's level up."""
        assert 0 <= index < self.count, f"no leaf {index} in a tree of {self.count}"
        return [level[(index >> height) ^ 1] for height, level in enumerate(self._levels)]


def merkle_root(suite_hash: Hash, leaves: Sequence[bytes]) -> bytes:
    """The 32-byte root over `leaves`, ids of 32 bytes (asserted), in their order; defined for none, too."""
    return Tree(suite_hash, leaves).root


def merkle_path(suite_hash: Hash, leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings of leaf `index` (0 ≤ index < len(leaves), asserted), from the leaf's level up."""
    return Tree(suite_hash, leaves).path(index)


def verify_path(suite_hash: Hash, *, leaf: bytes, index: int, count: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the tree of `count` leaves with this `root` has `leaf` at `index`; never raises.

    `path` must have exactly ⌈log₂ count⌉ steps of 32 bytes.
    """
    if not 0 <= index < count <= COUNT_MAX or len(path) != path_steps(count):
        return False
    if len(leaf) != NODE_BYTES or any(len(step) != NODE_BYTES for step in path):
        return False
    node = suite_hash(LEAF_DOMAIN, leaf)
    for height, step in enumerate(path):
        pair = step + node if (index >> height) & 1 else node + step
        node = suite_hash(INNER_DOMAIN, pair)
    return _root(suite_hash, count=count, top=node) == root


def _root(suite_hash: Hash, *, count: int, top: bytes) -> bytes:
    return suite_hash(ROOT_DOMAIN, count.to_bytes(8, "big") + top)
