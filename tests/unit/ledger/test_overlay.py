"""State, overlays and their undo, against a plain dict."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.ledger.state import Overlay, State

KEYS = st.binary(max_size=3)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=2)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("scan"), st.binary(max_size=2), st.none() | KEYS, st.integers(0, 5)),
        st.tuples(st.just("begin")),
        st.tuples(st.just("keep")),
        st.tuples(st.just("undo")),
        st.tuples(st.just("child")),
        st.tuples(st.just("commit")),
    ),
    max_size=60,
)


def model_scan(model: dict[bytes, bytes], prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
    """A scan of a dict."""
    found = [(key, model[key]) for key in sorted(model) if key.startswith(prefix) and (after is None or key > after)]
    return found[:limit]


class Play:
    """Operations on a stack of overlays and on a dict."""

    def __init__(self, start: dict[bytes, bytes]) -> None:
        self.state = State(dict(start))
        self.layers = [Overlay(self.state)]
        self.model = dict(start)
        self.saved: dict[bytes, bytes] | None = None

    def step(self, name: str, *given: object) -> None:
        """One operation on both."""
        top = self.layers[-1]
        match name, given:
            case "put", (bytes() as key, bytes() as value):
                top.put(key, value)
                self.model[key] = value
            case "delete", (bytes() as key,):
                top.delete(key)
                self.model.pop(key, None)
            case "scan", (bytes() as prefix, after, int() as limit):
                assert after is None or isinstance(after, bytes)
                assert top.scan(prefix, after, limit) == model_scan(self.model, prefix, after, limit)
            case _:
                self.turn(name)

    def turn(self, name: str) -> None:
        """Transactions and blocks begin and end."""
        top = self.layers[-1]
        if name == "begin" and self.saved is None:
            top.begin()
            self.saved = dict(self.model)
        elif name == "keep" and self.saved is not None:
            top.keep()
            self.saved = None
        elif name == "undo" and self.saved is not None:
            top.undo()
            self.model, self.saved = self.saved, None
        elif name == "child" and self.saved is None:
            top.freeze()
            self.layers.append(Overlay(top))
        elif name == "commit" and len(self.layers) > 1:
            self.state.apply(self.layers.pop(0).changes())
            self.layers[0].rebase(self.state)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, st.binary(max_size=2), max_size=8), OPERATIONS)
def test_overlays_read_scan_and_undo_like_a_dict(
    start: dict[bytes, bytes], operations: list[tuple[object, ...]]
) -> None:
    """Any sequence of writes, scans, undone transactions, stacked blocks and commits reads as one dict would."""
    play = Play(start)
    for name, *given_ in operations:
        play.step(str(name), *given_)
        top = play.layers[-1]
        assert top.scan(b"", None, 1000) == sorted(play.model.items())
        assert all(top.get(key) == value for key, value in play.model.items())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=1500, unique=True), st.lists(st.integers(0, 3000), max_size=400))
def test_the_order_holds_for_many_keys(added: list[int], removed: list[int]) -> None:
    """Chunks of the index split and vanish without a key being lost, doubled or out of order."""
    state = State()
    state.scan(b"", None, 1)
    model: dict[bytes, bytes] = {}
    for turn, batch in enumerate((added[::2], added[1::2])):
        changes: dict[bytes, bytes | None] = {number.to_bytes(2, "big"): b"v" for number in batch}
        if turn:
            changes.update({number.to_bytes(2, "big"): None for number in removed})
        state.apply(changes)
        for key, value in changes.items():
            model.pop(key, None)
            if value is not None:
                model[key] = value
        assert state.scan(b"", None, 10_000) == sorted(model.items())


class CountingOverlay(Overlay):
    """Counts how many keys a scan looks at."""

    looked_at = 0

    def get(self, key: bytes) -> bytes | None:
        """Counts."""
        self.looked_at += 1
        return super().get(key)


def test_deleted_keys_are_walked_over_once() -> None:
    """Ten thousand deleted keys do not make each of a hundred scans look at ten thousand keys, writes in between
    or not: what a scan costs goes with what it returns."""
    keys = [number.to_bytes(4, "big") for number in range(10_000)]
    overlay = CountingOverlay(State(dict.fromkeys(keys, b"v")))
    for key in keys[:-1]:
        overlay.delete(key)
    for turn in range(100):
        assert overlay.scan(b"", None, 5)[-1][0] == keys[-1]
        overlay.begin()
        overlay.put(keys[turn * 7 + 5], b"again")
        assert overlay.scan(b"", None, 1) == [(keys[turn * 7 + 5], b"again")]
        overlay.undo()
    assert overlay.looked_at < 10_000 + 100 * 20


def test_pages_of_a_scan_join_without_gap_or_overlap() -> None:
    """Reading on behind the last key of a page gives the whole."""
    state = State({bytes([1, number]): b"v" for number in range(256)} | {b"\x02": b"other"})
    found: list[tuple[bytes, bytes]] = []
    while page := state.scan(b"\x01", found[-1][0] if found else None, 7):
        found += page
    assert found == [(bytes([1, number]), b"v") for number in range(256)]


def test_an_executed_overlay_cannot_be_written() -> None:
    """Once a block is executed, its write set is what was voted on."""
    overlay = Overlay(State())
    overlay.put(b"k", b"v")
    overlay.freeze()
    with pytest.raises(AssertionError):
        overlay.put(b"k", b"w")
    assert overlay.changes() == {b"k": b"v"}
