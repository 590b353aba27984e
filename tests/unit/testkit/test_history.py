"""The checker of chains finds each kind of wrong: it does not pass because it does not look."""

from pathlib import Path

import msgspec
import pytest

from zizhu.chain.model.ids import TransactionId
from zizhu.framework.sdk.client import Finality
from zizhu.framework.testkit.history import (
    Acknowledged,
    AcknowledgedLog,
    History,
    Line,
    Outcome,
    Seen,
    longest_silence_ms,
    notes_of,
    read_acknowledged,
)


class Shown:
    """A member that shows these blocks, two transactions a page."""

    def __init__(self, name: str, blocks: list[Seen]) -> None:
        self.name = name
        self.blocks = {block.height: block for block in blocks}

    def get(self, path: str, *, timeout_s: float = 1.0) -> dict[str, object] | None:
        place, _, question = path.rpartition("/")[2].partition("?")
        block = self.blocks.get(int(place))
        if block is None:
            return None
        offset = int(question.split("offset=")[1].split("&")[0])
        page = msgspec.structs.replace(block, transactions=block.transactions[offset : offset + 2])
        built: dict[str, object] = msgspec.to_builtins(page)
        return built


def chain(*contents: list[str]) -> list[Seen]:
    """Blocks with these transactions, from height 1 on."""
    return [
        Seen(
            height=height,
            hash=f"h{height}",
            parent=f"h{height - 1}",
            time_ms=1_000 * height,
            count=len(ids),
            outcome=Outcome(f"o{height}"),
            transactions=[Line(id_, "") for id_ in ids],
        )
        for height, ids in enumerate(contents, 1)
    ]


def told(id_: str, height: int, code: str = "") -> Acknowledged:
    """What a client was told."""
    return Acknowledged(id_, height, code, "n", 1)


def test_a_good_chain_passes() -> None:
    """Equal on all members, each transaction once, each where its client was told; also page by page."""
    blocks = chain(["a", "b", "c"], [], ["d"])
    history = History()
    history.extend([Shown("one", blocks), Shown("two", blocks)], 3)
    assert history.check([told("a", 1), told("c", 1), told("d", 3), told("later", 4)]) == 3
    assert history.gap_ms(1) == 1_000


@pytest.mark.parametrize("lie", [told("x", 2), told("a", 2), told("a", 1, "app.refused")])
def test_what_was_acknowledged_and_is_not_so(lie: Acknowledged) -> None:
    """Lost, at another height, and with another outcome."""
    history = History()
    history.extend([Shown("one", chain(["a"], ["b"]))], 2)
    with pytest.raises(AssertionError, match="acknowledged"):
        history.check([lie])


def test_a_transaction_that_is_there_twice() -> None:
    """In two blocks, or twice in one."""
    for blocks in (chain(["a"], ["b", "a"]), chain(["a", "b", "a"])):
        with pytest.raises(AssertionError, match="transaction a is in block"):
            History().extend([Shown("one", blocks)], len(blocks))


def test_members_that_differ() -> None:
    """Another hash, outcome or content at one member, a missing block, and a block on another parent."""
    good = chain(["a"], ["b"])
    for change in ({"hash": "x"}, {"outcome": Outcome("x")}, {"transactions": [Line("x", "")]}):
        other = [good[0], msgspec.structs.replace(good[1], **change)]
        with pytest.raises(AssertionError, match="two and one differ at 2"):
            History().extend([Shown("one", good), Shown("two", other)], 2)
    with pytest.raises(AssertionError, match="two does not show block 2"):
        History().extend([Shown("one", good), Shown("two", good[:1])], 2)
    cut = [good[0], msgspec.structs.replace(good[1], parent="x")]
    with pytest.raises(AssertionError, match="does not stand on"):
        History().extend([Shown("one", cut)], 2)


def test_what_a_client_writes_is_read_again(tmp_path: Path) -> None:
    """Successes count as notes, failures do not; a line that is being written is left out."""
    path = tmp_path / "log"
    with AcknowledgedLog(path) as log:
        log.write([Finality(TransactionId(bytes(32)), 7, 1, "", 1)], name="n", at_ms=5)
        log.write([Finality(TransactionId(b"b" * 32), 8, 1, "app.no", None)], name="n", at_ms=9)
        assert log.count == 2
    with path.open("ab") as stream:
        stream.write(b'{"id": "half')
    found = read_acknowledged([path, tmp_path / "not there yet"])
    assert [(each.height, each.code, each.at_ms) for each in found] == [(7, "", 5), (8, "app.no", 9)]
    assert notes_of(found) == {"n": 1}
    assert longest_silence_ms(found, from_ms=0, to_ms=20) == 11
