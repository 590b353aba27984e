"""The state tree: the root of a state is a pure function of its key → value set, whatever the order of writes.

Decides the shape and the hashes of the tree; `tree_proof` decides what a proof from it is worth. Refuses to know
what keys and values mean, which hash is used (an argument), and the values themselves: only their hashes are
kept, so memory goes with the number of keys.

A trie, 16-way, over H = hash("state-key", key), one nibble a level from the top. A subtree is a bucket *iff* it
holds 1..32 keys, and an empty subtree is nothing at all; so a write splits and merges on its own path only,
and no history can be read from the shape.

    entry         H(key) ‖ hash("state-value", value)                        64 bytes
    bucket        hash("state-bucket", its entries in ascending order of H(key))
    inner node    hash("state-inner", its 16 children's digests; 32 zero bytes for an empty one)
    root          hash("state-root", number of keys, 8 bytes big-endian ‖ digest of the top)

Trees are immutable and share what did not change: a tree kept for an older height costs only the difference.
Source: docs/protocol/state-and-proofs.md.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Annotated

import msgspec

from zizhu.chain.model.encoding import Count
from zizhu.chain.model.ids import ZERO_HASH

Hash = Callable[[bytes, bytes], bytes]
"""32 bytes from (domain, data): `crypto.port.Suite.hash`."""

FANOUT = 16
BUCKET_KEYS_MAX = 32
"""A subtree with more keys is an inner node; one with fewer, or as many, never is."""
ENTRY_BYTES = 64
DEPTH_MAX = 64
"""Nibbles of a key hash."""

_HASH_BYTES = 32
SIBLINGS_BYTES = (FANOUT - 1) * _HASH_BYTES
"""One step of a proof's path."""

Entries = Annotated[bytes, msgspec.Meta(max_length=BUCKET_KEYS_MAX * ENTRY_BYTES)]
Siblings = Annotated[bytes, msgspec.Meta(min_length=SIBLINGS_BYTES, max_length=SIBLINGS_BYTES)]

_Change = bytes
"""An entry of 64 bytes to be written, or a key hash of 32 bytes to be deleted; key hashes sort them."""


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """1..32 entries of 64 bytes in ascending order, in one piece: that is what is hashed and what memory pays."""

    entries: bytes
    digest: bytes


class Inner(msgspec.Struct, frozen=True):
    """16 children; `count` keys below, always more than a bucket holds."""

    children: tuple["Node | None", ...]
    count: int
    digest: bytes


Node = Bucket | Inner


class StateProof(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the tree says of one key: its value's hash, or that it is absent; checked by `tree_proof`.

    `count` keys in the tree; the entries of the bucket where the key stands or would stand; the path to it from
    the top down. A step is the digests of the 15 other children of an inner node, in order.
    """

    count: Count
    entries: Entries
    path: Annotated[list[Siblings], msgspec.Meta(max_length=DEPTH_MAX)]


class StateTree:
    """An immutable tree; `root` (32 bytes) is its commitment. Made by `empty` or `build`, followed by `update`."""

    __slots__ = ("_hash", "_top", "root")

    def __init__(self, hash_: Hash, top: Node | None) -> None:
        """A tree over the nodes of another; callers outside this module use `empty` or `build`."""
        self._hash = hash_
        self._top = top
        self.root: bytes = root_digest(hash_, count=_size(top), top=digest_of(top))

    @classmethod
    def empty(cls, hash_: Hash) -> "StateTree":
        """The tree without keys."""
        return cls(hash_, None)

    @classmethod
    def build(cls, hash_: Hash, items: Iterable[tuple[bytes, bytes]]) -> "StateTree":
        """The tree of (key, value) pairs in any order; a key given twice is our own fault."""
        changes = [hash_(b"state-key", key) + hash_(b"state-value", value) for key, value in items]
        changes.sort()
        assert all(one[:_HASH_BYTES] != two[:_HASH_BYTES] for one, two in pairwise(changes)), "a key is given twice"
        return cls(hash_, _subtree(hash_, b"".join(changes), 0))

    def update(self, changes: Mapping[bytes, bytes | None]) -> "StateTree":
        """The tree after `changes` (None deletes, also what is not there); each touched node is hashed once."""
        hash_ = self._hash
        batch: list[_Change] = [
            hash_(b"state-key", key) if value is None else hash_(b"state-key", key) + hash_(b"state-value", value)
            for key, value in changes.items()
        ]
        if not batch:
            return self
        batch.sort()
        top = _apply(hash_, self._top, 0, batch)
        return self if top is self._top else StateTree(hash_, top)

    def value_hash(self, key: bytes) -> bytes | None:
        """hash("state-value", value of `key`), or None when the key is absent."""
        key_hash = self._hash(b"state-key", key)
        entries = self._path(key_hash)[1]
        at = position(entries, key_hash, 0)
        found = entries[at : at + ENTRY_BYTES]
        return found[_HASH_BYTES:] if found[:_HASH_BYTES] == key_hash else None

    def prove(self, key: bytes) -> StateProof:
        """The proof of what this tree says of `key`, present or absent."""
        key_hash = self._hash(b"state-key", key)
        inner, entries = self._path(key_hash)
        path: list[bytes] = []
        for depth, node in enumerate(inner):
            at = nibble(key_hash, depth)
            others = node.children[:at] + node.children[at + 1 :]
            path.append(b"".join([digest_of(child) for child in others]))
        return StateProof(len(self), entries, path)

    def __len__(self) -> int:
        """How many keys there are."""
        return _size(self._top)

    def _path(self, key_hash: bytes) -> tuple[list[Inner], bytes]:
        """The inner nodes from the top towards `key_hash`, and the entries of the bucket where it would stand."""
        inner: list[Inner] = []
        node = self._top
        while isinstance(node, Inner):
            inner.append(node)
            node = node.children[nibble(key_hash, len(inner) - 1)]
        return inner, b"" if node is None else node.entries


def nibble(key_hash: bytes, depth: int) -> int:
    """Which child of an inner node at `depth` (0 is the top) leads to `key_hash`."""
    byte = key_hash[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


def position(entries: bytes, key_hash: bytes, start: int) -> int:
    """Offset, from `start` on, of the first entry whose key hash is not below `key_hash`."""
    low, high = start // ENTRY_BYTES, len(entries) // ENTRY_BYTES
    while low < high:
        middle = (low + high) >> 1
        at = middle * ENTRY_BYTES
        if entries[at : at + _HASH_BYTES] < key_hash:
            low = middle + 1
        else:
            high = middle
    return low * ENTRY_BYTES


def bucket_digest(hash_: Hash, entries: bytes) -> bytes:
    """Digest of a bucket with these entries; of none, the 32 zero bytes that stand for nothing."""
    return hash_(b"state-bucket", entries) if entries else ZERO_HASH


def inner_digest(hash_: Hash, children: bytes) -> bytes:
    """Digest of an inner node from the 16 × 32 bytes of its children's digests."""
    assert len(children) == FANOUT * _HASH_BYTES
    return hash_(b"state-inner", children)


def root_digest(hash_: Hash, *, count: int, top: bytes) -> bytes:
    """The root: binds how many keys there are to the digest of the top node."""
    return hash_(b"state-root", count.to_bytes(8, "big") + top)


def digest_of(node: Node | None) -> bytes:
    """Digest of a subtree that may be empty."""
    return ZERO_HASH if node is None else node.digest


def _size(node: Node | None) -> int:
    if node is None:
        return 0
    return node.count if isinstance(node, Inner) else len(node.entries) // ENTRY_BYTES


def _entries(node: Node | None) -> bytes:
    """All entries of a small subtree, in order."""
    if node is None:
        return b""
    if isinstance(node, Bucket):
        return node.entries
    return b"".join([_entries(child) for child in node.children])


def _subtree(hash_: Hash, entries: bytes, depth: int) -> Node | None:
    """The one subtree of these ascending entries at `depth`."""
    count = len(entries) // ENTRY_BYTES
    if count == 0:
        return None
    if count <= BUCKET_KEYS_MAX:
        return Bucket(entries, bucket_digest(hash_, entries))
    cuts = _cuts(entries, depth)
    children = [_subtree(hash_, entries[source:target], depth + 1) for source, target in pairwise(cuts)]
    return _inner(hash_, children, count)


def _cuts(entries: bytes, depth: int) -> list[int]:
    """17 offsets: child i of a subtree at `depth` owns entries[cuts[i] : cuts[i + 1]]."""
    cuts = [0]
    for child in range(1, FANOUT):
        low, high = cuts[-1] // ENTRY_BYTES, len(entries) // ENTRY_BYTES
        while low < high:
            middle = (low + high) >> 1
            byte = entries[middle * ENTRY_BYTES + (depth >> 1)]
            if (byte & 15 if depth & 1 else byte >> 4) < child:
                low = middle + 1
            else:
                high = middle
        cuts.append(low * ENTRY_BYTES)
    cuts.append(len(entries))
    return cuts


def _inner(hash_: Hash, children: list[Node | None], count: int) -> Inner:
    joined = b"".join([ZERO_HASH if child is None else child.digest for child in children])
    return Inner(tuple(children), count, inner_digest(hash_, joined))


def _apply(hash_: Hash, node: Node | None, depth: int, batch: list[_Change]) -> Node | None:
    """The subtree at `depth` after an ascending batch that belongs below it; the same object if nothing changed."""
    if not isinstance(node, Inner):
        before = b"" if node is None else node.entries
        after = _merged(before, batch)
        if len(after) != len(before):
            return _subtree(hash_, after, depth)
        return node if after == before else Bucket(after, hash_(b"state-bucket", after))
    children = list(node.children)
    count = node.count
    changed = False
    for child, part in _parts(batch, depth):
        old = children[child]
        new = _apply(hash_, old, depth + 1, part)
        if new is not old:
            changed = True
            count += _size(new) - _size(old)
            children[child] = new
    if not changed:
        return node
    if count <= BUCKET_KEYS_MAX:
        return _subtree(hash_, b"".join([_entries(child) for child in children]), depth)
    return _inner(hash_, children, count)


def _parts(batch: list[_Change], depth: int) -> Iterable[tuple[int, list[_Change]]]:
    """The batch by child, ascending as it came."""
    parts: dict[int, list[_Change]] = {}
    byte = depth >> 1
    if depth & 1:
        for change in batch:
            parts.setdefault(change[byte] & 15, []).append(change)
    else:
        for change in batch:
            parts.setdefault(change[byte] >> 4, []).append(change)
    return parts.items()


def _merged(entries: bytes, batch: list[_Change]) -> bytes:
    """Ascending entries after an ascending batch, in one pass."""
    pieces: list[bytes] = []
    done = 0
    for change in batch:
        key_hash = change[:_HASH_BYTES]
        at = entries.find(key_hash, done)  # most writes are to keys that are there, and find is a third of a search
        if at < 0 or at % ENTRY_BYTES:
            at = position(entries, key_hash, done)
            there = entries[at : at + _HASH_BYTES] == key_hash
        else:
            there = True
        pieces.append(entries[done:at])
        if len(change) == ENTRY_BYTES:
            pieces.append(change)
        done = at + ENTRY_BYTES if there else at
    pieces.append(entries[done:])
    return b"".join(pieces)
