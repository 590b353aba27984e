"""The state tree: one root for one key → value set, and nothing but true proofs from it."""

import hashlib
import itertools
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.ledger.tree import (
    BUCKET_KEYS_MAX,
    ENTRY_BYTES,
    SIBLINGS_BYTES,
    Hash,
    StateProof,
    StateTree,
    bucket_digest,
    inner_digest,
)
from zizhu.chain.ledger.tree_proof import state_proof_codec, verify_state_proof
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import SpokeWrongly


def sha256(domain: bytes, data: bytes) -> bytes:
    """The hash of a suite, without a suite."""
    return hashlib.sha256(bytes([len(domain)]) + domain + data).digest()


def colliding(domain: bytes, data: bytes) -> bytes:
    """A hash whose state keys share their first nine nibbles, so that small trees are deep."""
    digest = sha256(domain, data)
    return b"\x5a" * 4 + b"\x50" + digest[:27] if domain == b"state-key" else digest


def filled(count: int) -> StateTree:
    """A tree of `count` keys."""
    return StateTree.build(sha256, ((b"key %d" % number, b"value %d" % number) for number in range(count)))


def rule_of(root: bytes, key: bytes, data: bytes) -> str:
    """The code or check that refused the encoded proof; empty when it was accepted."""
    try:
        verify_state_proof(sha256, root, key, state_proof_codec.decode(data))
    except SpokeWrongly as error:
        return str(error.values.get("check", error.code.code))
    return ""


def reference_root(hash_: Hash, pairs: dict[bytes, bytes]) -> bytes:
    """The root by the words of the specification, written top-down and without any sharing."""

    def digest(entries: list[bytes], depth: int) -> bytes:
        if not entries:
            return bytes(32)
        if len(entries) <= 32:
            return hash_(b"state-bucket", b"".join(sorted(entries)))
        below = [[e for e in entries if e.hex()[depth] == "0123456789abcdef"[child]] for child in range(16)]
        joined = b"".join(digest(part, depth + 1) for part in below)
        return hash_(b"state-inner", joined)

    entries = [hash_(b"state-key", k) + hash_(b"state-value", v) for k, v in pairs.items()]
    top = digest(entries, 0)
    return hash_(b"state-root", len(pairs).to_bytes(8, "big") + top)


@pytest.mark.row("D-2")
def test_one_root_in_every_permutation() -> None:
    """Given write sets inserted in every permutation; Then same root."""
    writes = [{b"a": b"1"}, {b"b": b"2", b"c": b"3"}, {b"d%d" % i: b"4" for i in range(40)}, {b"a": b"5"}, {b"e": b"6"}]
    late = [3]  # the second write of "a" comes after the first, whatever stands between
    roots = []
    for order in itertools.permutations(range(5)):
        if order.index(0) > order.index(late[0]):
            continue
        tree = StateTree.empty(sha256)
        for number in order:
            tree = tree.update(dict(reversed(writes[number].items())))
        roots.append(tree.root)
    assert len(roots) == 60
    assert roots == roots[:1] * 60


spans = st.tuples(st.integers(0, 120), st.integers(1, 60), st.sampled_from([b"", b"one", b"two", None, None]))
histories = st.lists(st.lists(spans, min_size=1, max_size=3), min_size=1, max_size=6)
"""Batches of spans (first key, keys, value or deletion): long ones, so that subtrees split and merge all the time."""


@pytest.mark.row("D-2")
@pytest.mark.parametrize("hash_", [sha256, colliding], ids=["flat", "deep"])
@settings(max_examples=40, deadline=None)
@given(history=histories)
def test_history_leaves_no_trace(hash_: Hash, history: list[list[tuple[int, int, bytes | None]]]) -> None:
    """Any inserts, changes, deletes and restores end in the root that a rebuild of what is left has."""
    tree = StateTree.empty(hash_)
    model: dict[bytes, bytes] = {}
    for written in history:
        batch = {b"%d" % key: value for first, count, value in written for key in range(first, first + count)}
        tree = tree.update(batch)
        for key, value in batch.items():
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
        assert len(tree) == len(model)
        assert tree.root == reference_root(hash_, model)
    assert tree.root == StateTree.build(hash_, reversed(model.items())).root
    emptied = tree.update(dict.fromkeys(model))
    assert emptied.root == StateTree.empty(sha256).root


@pytest.mark.parametrize("count", [0, 1, 32, 33, 2000])
def test_the_root_is_the_specified_one(count: int) -> None:
    """At every size the root is the one that the words of docs/protocol/state-and-proofs.md give."""
    pairs = {b"key %d" % number: b"value %d" % number for number in range(count)}
    assert filled(count).root == reference_root(sha256, pairs)


def test_split_and_merge_are_local_and_exact() -> None:
    """33 keys split, 32 merge back, and the tree before is untouched by the one after."""
    tree = filled(BUCKET_KEYS_MAX)
    root = tree.root
    grown = tree.update({b"one more": b"x"})
    assert len(tree.prove(b"key 0").path) == 0
    assert len(grown.prove(b"key 0").path) == 1
    assert tree.root == root
    assert grown.update({b"one more": None}).root == root
    assert grown.update({b"key 7": None}).prove(b"key 0").path == []


def test_a_change_that_changes_nothing_keeps_the_tree() -> None:
    """Writing what is there and deleting what is not hash no node again."""
    tree = filled(500)
    assert tree.update({b"key 3": b"value 3", b"nowhere": None}) is tree
    assert tree.update({}) is tree


def test_a_key_given_twice_to_a_build_is_our_fault() -> None:
    """Building from pairs that name a key twice stops instead of choosing one."""
    with pytest.raises(AssertionError):
        StateTree.build(sha256, [(b"a", b"1"), (b"a", b"2")])


@pytest.mark.parametrize("count", [0, 1, 32, 33, 700])
def test_presence_and_absence_are_proven(count: int) -> None:
    """Every key proves the hash of its value, every other key its absence, at every size of tree."""
    tree = filled(count)
    for number in range(0, count, 37):
        key = b"key %d" % number
        expected = sha256(b"state-value", b"value %d" % number)
        assert tree.value_hash(key) == expected
        assert verify_state_proof(sha256, tree.root, key, tree.prove(key)) == expected
    for number in range(20):
        key = b"absent %d" % number
        assert tree.value_hash(key) is None
        assert verify_state_proof(sha256, tree.root, key, tree.prove(key)) is None


def test_an_empty_child_proves_absence() -> None:
    """Where no bucket stands, the proof shows an empty one and holds."""
    tree = StateTree.build(colliding, ((b"%d" % number, b"v") for number in range(40)))
    other = next(key for key in (b"x%d" % n for n in range(500)) if not tree.prove(key).entries)
    assert verify_state_proof(colliding, tree.root, other, tree.prove(other)) is None
    assert len(tree.prove(b"0").path) == 11


def test_every_byte_of_a_proof_is_bound() -> None:
    """Every single byte of an encoded proof changed, for a key present and one absent: refused."""
    tree = filled(700)
    for key in (b"key 5", b"absent"):
        data = encode(tree.prove(key))
        assert rule_of(tree.root, key, data) == ""
        for at in range(len(data)):
            for flip in (0x01, 0x80):
                changed = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
                assert rule_of(tree.root, key, changed) != "", f"byte {at}"
        for cut in (data[:-1], data + b"\x00", b""):
            assert rule_of(tree.root, key, cut) == "encoding.malformed"


def test_random_mutations_are_refused() -> None:
    """10,000 proofs with bytes changed, removed, doubled or moved: not one accepted."""
    tree = filled(700)
    data = encode(tree.prove(b"key 5"))
    draw = random.Random(20240)
    for _ in range(10_000):
        source, target = sorted((draw.randrange(len(data)), draw.randrange(len(data))))
        changed = draw.choice(
            (
                data[:source] + data[target:],
                data[:target] + data[source:],
                data[:source] + draw.randbytes(target - source) + data[target:],
                data[:source] + bytes([draw.randrange(256)]) + data[source + 1 :],
                data[:source] + data[target:] + data[source:target],
            )
        )
        if changed != data:
            assert rule_of(tree.root, b"key 5", changed) != ""


def test_reshaped_proofs_are_refused() -> None:
    """A leaf shown as inner node, an inner node as leaf, sides swapped, depth changed, a field gained: invalid."""
    tree = filled(700)
    key = b"key 5"
    key_hash = sha256(b"state-key", key)
    true = tree.prove(key)
    assert len(true.path) == 2
    first, second = true.path
    bucket = bucket_digest(sha256, true.entries)
    at = (key_hash[0] & 15) * 32
    children = second[:at] + bucket + second[at:]
    assert len(children) == 8 * ENTRY_BYTES, "an inner node could be read as a bucket, but for its domain"
    swapped = second[32:64] + second[:32] + second[64:]
    replace = msgspec.structs.replace
    forgeries: dict[str, tuple[StateProof, str]] = {
        "inner node as bucket": (replace(true, entries=children, path=[first]), "state-entries"),
        "bucket as inner node": (
            replace(true, entries=b"", path=[first, second, (true.entries * 2)[:SIBLINGS_BYTES]]),
            "state-root",
        ),
        "steps swapped": (replace(true, path=[second, first]), "state-root"),
        "siblings swapped": (replace(true, path=[first, swapped]), "state-root"),
        "step lost": (replace(true, path=[first]), "state-root"),
        "all steps lost": (replace(true, path=[]), "state-count"),
        "step gained": (replace(true, path=[first, second, bytes(SIBLINGS_BYTES)]), "state-place"),
        "too many steps": (replace(true, path=[bytes(SIBLINGS_BYTES)] * 65), "state-place"),
        "short step": (replace(true, path=[first, second[:-32]]), "state-root"),
        "long step": (replace(true, path=[first, second + bytes(32)]), "state-root"),
        "count changed": (replace(true, count=701), "state-root"),
        "count too small": (replace(true, count=BUCKET_KEYS_MAX), "state-count"),
        "entry lost": (replace(true, entries=true.entries[ENTRY_BYTES:]), "state-root"),
        "entry repeated": (replace(true, entries=true.entries[:ENTRY_BYTES] + true.entries), "state-entries"),
        "entries swapped": (replace(true, entries=true.entries[64:128] + true.entries[:64]), "state-entries"),
        "half an entry": (replace(true, entries=true.entries[:-1]), "state-entries"),
    }
    for name, (forgery, check) in forgeries.items():
        with pytest.raises(SpokeWrongly) as refusal:
            verify_state_proof(sha256, tree.root, key, forgery)
        assert (refusal.value.code.code, refusal.value.values["check"]) == ("proof.invalid", check), name


def test_an_inner_node_read_as_a_bucket_has_another_hash() -> None:
    """Leaf/inner domain separation: the same 512 bytes, as children and as eight entries, hash differently."""
    assert inner_digest(sha256, bytes(512)) != bucket_digest(sha256, bytes(512))


def test_a_proof_speaks_of_one_key_and_one_root() -> None:
    """The bucket of another key cannot prove a key absent, and a root of another state accepts nothing."""
    tree = filled(700)
    elsewhere = next(k for k in (b"key %d" % n for n in range(700)) if tree.prove(k).path != tree.prove(b"key 5").path)
    with pytest.raises(SpokeWrongly) as place:
        verify_state_proof(sha256, tree.root, b"key 5", tree.prove(elsewhere))
    assert place.value.values["check"] == "state-place"
    with pytest.raises(SpokeWrongly) as root:
        verify_state_proof(sha256, filled(699).root, b"key 5", tree.prove(b"key 5"))
    assert root.value.values["check"] == "state-root"
    assert "state-root" in root.value.cause("zh")
