"""Votes that reached some members only: every cut of one phase among four members, and what comes of it."""

from collections.abc import Iterator
from typing import Protocol

import pytest

from zizhu.chain.consensus.pbft.messages import Proposal, Vote
from zizhu.chain.model.certificate import COMMIT, PREPARE
from zizhu.framework.testkit.council import Council, Letter

pytestmark = pytest.mark.simulation

WAYS = 12
"""From each of four members to each other one: as many letters of a phase."""
CUTS = 1 << WAYS
VIEWS_MAX = 2
"""So many views after the one that was cut."""


class Effort(Protocol):
    """The fixture of tests/conftest.py."""

    name: str
    first: int

    def rounds(self, what: str, *, quick: int, ci: int) -> Iterator[int]: ...


def is_of(phase: int, letter: Letter) -> bool:
    """Whether a letter is of this phase of the first view; a leader's proposal is its prepare."""
    message = letter.message
    if isinstance(message, Proposal):
        return phase == PREPARE and message.view == 0
    return isinstance(message, Vote) and (message.view, message.phase) == (0, phase)


def cut(council: Council, phase: int, which: int) -> None:
    """One round in which, of the letters of `phase`, only those whose bit is set in `which` arrive."""
    ways = [(a.id, b.id) for a in council.seats for b in council.seats if a is not b]

    def passes(letter: Letter) -> bool:
        return not is_of(phase, letter) or bool(which >> ways.index((letter.source, letter.target)) & 1)

    for seat in council.seats:
        seat.wait_for(1)
    council.deliver(passes)


def heal(council: Council, absent: int) -> None:
    """The network is whole again, for the member at position `absent` (4: nobody) one change of view later than for the
    others; what was lost stays lost. Members lose patience together, hear of each other and catch up."""
    late = council.seats[absent].id if absent < len(council.seats) else None
    for turn in range(VIEWS_MAX):
        council.pass_ms(1_000)
        for seat in council.seats:
            if "view" in seat.timers:
                seat.fire("view")
        council.deliver(lambda letter, first=not turn: not (first and late in (letter.source, letter.target)))  # type: ignore[misc]
        if turn or late is None:
            for _ in range(2):
                council.tell_statuses()
                council.deliver()
                for seat in council.seats:
                    council.catch_up(seat)
                council.deliver()


@pytest.mark.row("A-12")
@pytest.mark.counted("simulation")
@pytest.mark.parametrize("phase", [PREPARE, COMMIT], ids=["prepares", "commit votes"])
def test_votes_that_reached_some_members_only(phase: int, effort: Effort) -> None:
    """Given votes delivered to some members only, when the network heals, then commit within k views; safety for every
    cut of the delivery matrix, of one phase: all members commit one block at that height, whatever some of them had
    seen, and no two honest members commit different ones. `make long` goes through all cuts in order."""
    name = "prepares" if phase == PREPARE else "commit votes"
    for number in effort.rounds(f"cuts of {name}", quick=60, ci=400):
        which = (number - effort.first) // 5 % CUTS if effort.name == "long" else number * 2_654_435_761 % CUTS
        council = Council().start()
        cut(council, phase, which)
        seen = {seat.committed[1].block for seat in council.seats if seat.head.height >= 2}
        assert len(seen) <= 1, f"cut {which:012b}"
        heal(council, absent=number % 5)
        assert min(seat.head.height for seat in council.seats) >= 2, f"cut {which:012b}: not committed"
        assert len({seat.committed[1].block for seat in council.seats}) == 1, f"cut {which:012b}"
        assert seen <= {seat.committed[1].block for seat in council.seats}, f"cut {which:012b}"
        assert max(seat.view for seat in council.seats) <= VIEWS_MAX + 1, f"cut {which:012b}"
