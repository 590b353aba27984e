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
"""f + 1 views, of which one has an honest leader; the first one is the one that was cut."""


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


def heal(council: Council) -> None:
    """The network is whole again; what was lost stays lost. Members hear of each other, and lose patience together."""
    for _ in range(VIEWS_MAX + 1):
        council.tell_statuses()
        council.tell_statuses()
        council.deliver()
        for seat in council.seats:
            council.catch_up(seat)
        council.deliver()
        if min(seat.head.height for seat in council.seats) >= 2:
            return
        council.pass_ms(1_000)
        for seat in council.seats:
            if "view" in seat.timers:
                seat.fire("view")
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
        which = (number - effort.first) % CUTS if effort.name == "long" else number * 2_654_435_761 % CUTS
        council = Council().start()
        cut(council, phase, which)
        seen = {seat.committed[1].block for seat in council.seats if seat.head.height >= 2}
        assert len(seen) <= 1, f"cut {which:012b}"
        heal(council)
        assert min(seat.head.height for seat in council.seats) >= 2, f"cut {which:012b}: not committed"
        assert len({seat.committed[1].block for seat in council.seats}) == 1, f"cut {which:012b}"
        assert seen <= {seat.committed[1].block for seat in council.seats}, f"cut {which:012b}"
        assert max(seat.view for seat in council.seats) <= VIEWS_MAX, f"cut {which:012b}"
