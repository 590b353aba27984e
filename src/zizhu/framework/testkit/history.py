"""What clients were told, and whether the chain agrees: nothing acknowledged is lost, everything is there once.

Decides how a client writes down what was acknowledged (durably, before it counts it), how a member's chain is read
by its API, and what must be true of the two. Refuses to know how a member was disturbed.
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

import msgspec

from zizhu.framework.sdk.client import Finality

PAGE = 100
"""Transactions of a block in one reply."""


class Acknowledged(msgspec.Struct, frozen=True):
    """A transaction that a client was told is final. `at_ms` is the machine's monotonic clock; `code` "" means it
    succeeded; `name` is under which name of the register it took a note ("" when it took none)."""

    id: str
    height: int
    code: str
    name: str
    at_ms: int


class AcknowledgedLog:
    """The file of one client. What `write` took is durable when it returns."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.count = 0

    def write(self, finals: Iterable[Finality], *, name: str, at_ms: int) -> None:
        """Writes down what was acknowledged, then counts it. Raises OSError."""
        lines = []
        for final in finals:
            noted = name if final.code == "" else ""
            lines.append(Acknowledged(final.transaction.hex(), final.height, final.code, noted, at_ms))
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        assert os.write(self._handle, data) == len(data), "a line was written in part"
        os.fsync(self._handle)
        self.count += len(lines)

    def __enter__(self) -> "AcknowledgedLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)


def read_acknowledged(paths: Iterable[Path]) -> list[Acknowledged]:
    """What all clients were told so far, in the order of time. A line that is being written is left out."""
    found: list[Acknowledged] = []
    for path in paths:
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        found += [msgspec.json.decode(line, type=Acknowledged) for line in whole.splitlines()]
    return sorted(found, key=lambda each: (each.at_ms, each.id))


class Line(msgspec.Struct, frozen=True):
    """A transaction in a block, as the API tells it."""

    id: str
    code: str


class Outcome(msgspec.Struct, frozen=True):
    """An outcome, as the API tells it."""

    hash: str


class Seen(msgspec.Struct, frozen=True):
    """A block, as the API tells it; of a long block a page."""

    height: int
    hash: str
    parent: str
    time_ms: int
    count: int
    outcome: Outcome
    transactions: list[Line]


class Reader(Protocol):
    """A member whose chain can be read."""

    name: str

    def get(self, path: str, *, timeout_s: float = ...) -> dict[str, object] | None:
        """The JSON at `path`, or None."""
        ...


def read_block(member: Reader, height: int) -> Seen:
    """A whole block, page by page."""
    pages: list[Seen] = []
    while not pages or sum(len(page.transactions) for page in pages) < pages[0].count:
        offset = sum(len(page.transactions) for page in pages)
        found = member.get(f"/api/v1/blocks/{height}?offset={offset}&limit={PAGE}", timeout_s=20.0)
        assert found is not None, f"{member.name} does not show block {height}"
        pages.append(msgspec.convert(found, Seen))
    return msgspec.structs.replace(pages[0], transactions=[line for page in pages for line in page.transactions])


@dataclass
class History:
    """The chain as far as it was checked: what `check` saw on every member, and where each transaction stands.

    A checker that finds nothing proves little: `tests/unit/testkit/test_history.py` shows that it finds each kind of
    wrong.
    """

    height: int = 0
    places: dict[str, tuple[int, str]] = field(default_factory=dict)
    times_ms: dict[int, int] = field(default_factory=dict)
    _parent: str = ""

    def extend(self, members: Sequence[Reader], height: int) -> None:
        """Reads on up to `height` on every member: one chain, and every transaction in it once.

        Raises AssertionError naming the member, the height and the transaction.
        """
        for number in range(self.height + 1, height + 1):
            first = read_block(members[0], number)
            for member in members[1:]:
                other = read_block(member, number)
                assert other == first, f"{member.name} and {members[0].name} differ at {number}: {other} {first}"
            assert not self._parent or first.parent == self._parent, f"block {number} does not stand on {number - 1}"
            assert len(first.transactions) == first.count, f"block {number} shows too few transactions"
            for line in first.transactions:
                before = self.places.get(line.id)
                assert before is None, f"transaction {line.id} is in block {before} and in block {number}"
                self.places[line.id] = (number, line.code)
            self.times_ms[number] = first.time_ms
            self._parent = first.hash
            self.height = number

    def check(self, acknowledged: Iterable[Acknowledged]) -> int:
        """Everything acknowledged at a height that was read is where its client was told. Returns how many.

        Raises AssertionError naming the transaction.
        """
        checked = 0
        for each in acknowledged:
            if each.height > self.height:
                continue
            found = self.places.get(each.id)
            assert found is not None, f"acknowledged and lost: {each}"
            assert found == (each.height, each.code), f"acknowledged {each}, in the chain {found}"
            checked += 1
        return checked

    def gap_ms(self, since: int, to: int | None = None) -> int:
        """The longest time between two blocks one after the other, from height `since` to `to`, or to the last."""
        heights = sorted(height for height in self.times_ms if since <= height <= (self.height if to is None else to))
        return max((self.times_ms[b] - self.times_ms[a] for a, b in itertools.pairwise(heights)), default=0)


def notes_of(acknowledged: Iterable[Acknowledged]) -> Counter[str]:
    """How many notes were acknowledged under each name."""
    return Counter(each.name for each in acknowledged if each.name)


def longest_silence_ms(acknowledged: Sequence[Acknowledged], *, from_ms: int, to_ms: int) -> int:
    """The longest time in which no client was told anything, between two moments of the monotonic clock."""
    times = [from_ms, *(each.at_ms for each in acknowledged if from_ms <= each.at_ms <= to_ms), to_ms]
    return max(b - a for a, b in itertools.pairwise(times))


def as_json(values: dict[str, object]) -> str:
    """A line of a report."""
    return json.dumps(values, ensure_ascii=False)
