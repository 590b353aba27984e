"""Merkle trees: different lists have different roots, and only the whole right path proves a leaf."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.merkle import Tree, merkle_path, merkle_root, path_steps, verify_path

suite_hash = international.hash


def _ids(count: int) -> list[bytes]:
    return [hashlib.sha256(index.to_bytes(8, "big")).digest() for index in range(count)]


def _node(domain: bytes, data: bytes) -> bytes:
    return hashlib.sha256(bytes([len(domain)]) + domain + data).digest()


def _expected_root(leaves: list[bytes]) -> bytes:
    """The specification, recursively: the tree over 2^height places, where places beyond the list are empty."""

    def top(height: int, start: int) -> bytes:
        if height == 0:
            return _node(b"leaf", leaves[start]) if start < len(leaves) else _node(b"empty", b"")
        half = 1 << (height - 1)
        return _node(b"inner", top(height - 1, start) + top(height - 1, start + half))

    height = max(len(leaves) - 1, 0).bit_length()
    return _node(b"root", len(leaves).to_bytes(8, "big") + top(height, 0))


def test_the_root_is_that_of_the_specification() -> None:
    """For 0 to 33 leaves, and both suites' hashes, root and paths are those of the definition."""
    for count in range(34):
        leaves = _ids(count)
        assert merkle_root(suite_hash, leaves) == _expected_root(leaves)
        assert len(merkle_root(guomi.hash, leaves)) == 32


def test_every_leaf_is_proved_by_a_path_of_exactly_log2_steps() -> None:
    """For 1 to 33 leaves each leaf's path verifies, has ⌈log₂ count⌉ steps, and proves no other place or leaf."""
    for count in range(1, 34):
        leaves = _ids(count)
        tree = Tree(suite_hash, leaves)
        for index, leaf in enumerate(leaves):
            path = tree.path(index)
            assert path == merkle_path(suite_hash, leaves, index)
            assert len(path) == path_steps(count)
            assert 1 << len(path) >= count > (1 << len(path)) // 2
            assert verify_path(suite_hash, leaf=leaf, index=index, count=count, path=path, root=tree.root)
            for other in range(count):
                same = other == index
                assert verify_path(suite_hash, leaf=leaf, index=other, count=count, path=path, root=tree.root) is same
                assert (
                    verify_path(suite_hash, leaf=leaves[other], index=index, count=count, path=path, root=tree.root)
                    is same
                )


@pytest.mark.row("D-7")
@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=12),
    others=st.lists(st.binary(min_size=32, max_size=32), max_size=12),
    place=st.integers(min_value=0, max_value=11),
)
def test_moved_merged_split_or_reordered_lists_have_other_roots(
    items: list[bytes], others: list[bytes], place: int
) -> None:
    """Moving boundaries, merging, splitting or reordering a list of byte strings changes its hash."""
    at = place % len(items)
    empty = suite_hash(b"empty", b"")
    merged = suite_hash(b"inner", suite_hash(b"leaf", items[0]) + suite_hash(b"leaf", items[-1]))
    changed = [
        others,
        items[::-1],
        items[1:] + items[:1],
        items[:at] + items[at + 1 :],
        [*items[:at], items[at], items[at], *items[at + 1 :]],
        [*items, items[-1]],
        items + items,
        [*items, empty],
        [*items, bytes(32)],
        [merged, *items[2:]],
        [*items[:at], items[at][1:] + items[at][:1], *items[at + 1 :]],
    ]
    root = merkle_root(suite_hash, items)
    for other in changed:
        assert (merkle_root(suite_hash, other) == root) is (other == items)


@pytest.mark.row("D-7")
@settings(max_examples=100, deadline=None)
@given(domain=st.text("abc", min_size=1, max_size=8), data=st.binary(max_size=8), moved=st.integers(1, 8))
def test_a_byte_moved_between_domain_and_data_changes_the_hash(domain: str, data: bytes, moved: int) -> None:
    """Everything is hashed with domains and lengths: the length of the domain stands in front of it."""
    name = domain.encode()
    for suite in (guomi, international):
        here = suite.hash(name, data)
        if moved < len(name):
            assert suite.hash(name[:-moved], name[-moved:] + data) != here
        assert suite.hash(name + b"x", data) != here
        assert suite.digest(name + data) != here


def test_every_mutated_path_is_refused() -> None:
    """Any changed bit of leaf, step or root, a step more, less, doubled or swapped, another count: False."""
    leaves = _ids(11)
    tree = Tree(suite_hash, leaves)
    leaf, path, root = leaves[6], tree.path(6), tree.root

    def good(*, leaf: bytes = leaf, index: int = 6, count: int = 11, path: list[bytes] = path) -> bool:
        return verify_path(suite_hash, leaf=leaf, index=index, count=count, path=path, root=root)

    assert good()
    for bit in range(256):
        flip = (1 << bit).to_bytes(32, "big")
        assert not good(leaf=_xor(leaf, flip))
        assert not verify_path(suite_hash, leaf=leaf, index=6, count=11, path=path, root=_xor(root, flip))
        for step in range(len(path)):
            assert not good(path=[_xor(node, flip) if i == step else node for i, node in enumerate(path)])
    for step in range(len(path)):
        assert not good(path=path[:step] + path[step + 1 :])
        assert not good(path=[*path[:step], path[step], *path[step:]])
        assert not good(path=[*path[:step], path[step][:-1], *path[step + 1 :]])
        assert not good(path=[*path[:step], path[step] + b"\x00", *path[step + 1 :]])
        swapped = [*path]
        swapped[step - 1], swapped[step] = swapped[step], swapped[step - 1]
        assert not good(path=swapped)
    assert not good(path=[])
    assert not good(path=path + path)
    for count in (*range(11), *range(12, 40), -1, 1 << 64, 1 << 70):
        assert not good(count=count)
    for index in (-1, -5, 11, 11 + 6, 16 + 6, 1 << 64):
        assert not good(index=index)


def test_a_path_of_wrong_length_is_refused_before_anything_is_hashed() -> None:
    """A path of a million steps, or a count that does not fit it, costs no hash."""

    def unwanted(domain: bytes, data: bytes) -> bytes:
        raise AssertionError(f"hashed {len(data)} bytes in {domain!r}")

    leaf, root = bytes(32), bytes(32)
    for count, steps in ((1, 1), (2, 0), (11, 3), (11, 5), (11, 1_000_000), (1 << 65, 65)):
        assert not verify_path(unwanted, leaf=leaf, index=0, count=count, path=[bytes(32)] * steps, root=root)


def test_an_inner_node_proves_nothing_as_a_leaf() -> None:
    """An inner node, an empty place or a leaf's hash handed in as leaf of a shorter path is refused."""
    leaves = _ids(4)
    tree = Tree(suite_hash, leaves)
    inner = suite_hash(b"inner", suite_hash(b"leaf", leaves[0]) + suite_hash(b"leaf", leaves[1]))
    above = tree.path(0)[1:]
    for count in (2, 3, 4):
        assert not verify_path(suite_hash, leaf=inner, index=0, count=count, path=above, root=tree.root)
    three = Tree(suite_hash, leaves[:3])
    empty = suite_hash(b"empty", b"")
    path = [suite_hash(b"leaf", leaves[2]), three.path(2)[1]]
    for leaf in (empty, b"", bytes(32)):
        assert not verify_path(suite_hash, leaf=leaf, index=3, count=4, path=path, root=three.root)
        assert not verify_path(suite_hash, leaf=leaf, index=3, count=3, path=path, root=three.root)


def test_leaves_that_are_no_ids_stop_the_tree() -> None:
    """A leaf of another length than 32 is our own fault and asserted, as is a place beyond the list."""
    for leaf in (b"", bytes(31), bytes(33), bytes(64)):
        with pytest.raises(AssertionError):
            merkle_root(suite_hash, [leaf])
        assert not verify_path(suite_hash, leaf=leaf, index=0, count=1, path=[], root=bytes(32))
    for index in (-1, 3):
        with pytest.raises(AssertionError):
            merkle_path(suite_hash, _ids(3), index)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
