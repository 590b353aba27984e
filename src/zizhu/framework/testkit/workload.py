"""Clients of a simulation: they submit, ask twice, ask elsewhere, and wait for finality.

Decides what is submitted when, and what a client does about silence. A client gives up nothing that it has
submitted: it goes from member to member until somebody shows it a final receipt.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zizhu.chain.model.ids import TransactionId
from zizhu.chain.node import events
from zizhu.chain.node.events import Answer, Expired, Final, Rejected, Submitted

if TYPE_CHECKING:
    from zizhu.framework.testkit.member import SimulatedMember
    from zizhu.framework.testkit.simulator import Simulation

PATIENCE_US = 1_500_000


@dataclass
class Wanted:
    """One submission and what became of it."""

    raw: bytes
    transaction: TransactionId
    final: int | None = None
    refusals: list[str] = field(default_factory=list)
    tries: int = 0


Make = Callable[[random.Random, int], tuple[bytes, TransactionId]]
"""The raw bytes and id of the next submission, from a generator and its number."""


class Clients:
    """All clients of a run."""

    def __init__(self, world: "Simulation", make: Make) -> None:
        self.world = world
        self.make = make
        self.wanted: list[Wanted] = []
        self._asking: dict[int, Wanted] = {}
        self._numbers = 0

    @property
    def unfinished(self) -> int:
        """How many submissions have no final receipt."""
        return sum(1 for each in self.wanted if each.final is None)

    def submit(self) -> None:
        """A new submission to one member, sometimes to two at once."""
        draw = self.world.generator
        raw, transaction = self.make(draw, len(self.wanted))
        wanted = Wanted(raw, transaction)
        self.wanted.append(wanted)
        members = self.world.members
        first = draw.randrange(len(members))
        self._ask(wanted, members[first])
        if draw.randrange(4) == 0:
            self._ask(wanted, members[(first + 1 + draw.randrange(len(members) - 1)) % len(members)])
        self.world.heap.after(PATIENCE_US, lambda: self._impatient(wanted))

    def _impatient(self, wanted: Wanted) -> None:
        if wanted.final is not None:
            return
        members = self.world.members
        self._ask(wanted, members[self.world.generator.randrange(len(members))])
        self.world.heap.after(PATIENCE_US, lambda: self._impatient(wanted))

    def _ask(self, wanted: Wanted, member: "SimulatedMember") -> None:
        """Hand it in and wait there; two clients of the driver, as one request is outstanding each."""
        if member.machine is None:
            return
        wanted.tries += 1
        for request in (events.Submit((wanted.raw,)), events.Await(wanted.transaction)):
            self._numbers += 1
            number = self._numbers
            self._asking[number] = wanted
            member.handle(events.Asked(number, request))

    def answered(self, answer: Answer) -> None:
        """A member answers."""
        wanted = self._asking.get(answer.client)
        if wanted is None:
            return
        match answer.reply:
            case Final():
                if answer.reply.receipt.transaction == wanted.transaction:
                    wanted.final = answer.reply.receipt.height
            case Submitted():
                for outcome in answer.reply.outcomes:
                    if isinstance(outcome, Rejected):
                        wanted.refusals.append(outcome.error.code.code)
            case Expired():
                pass
