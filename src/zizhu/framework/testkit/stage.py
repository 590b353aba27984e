"""A stage for schedules: the same members as in the simulator, and a director who decides what happens next.

Decides nothing by itself: messages wait until they are delivered or dropped by name, timers fire when told to,
disks sync at once, signatures come at once. Every promise of the checkers holds here as well.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from zizhu.chain.consensus.pbft.messages import MemoryAnswer, MemoryQuery, Vote
from zizhu.chain.consensus.raft.messages import RaftMemoryAnswer, RaftMemoryQuery
from zizhu.chain.crypto.hashing import vote_message
from zizhu.chain.model.certificate import VoteStatement
from zizhu.chain.model.effects import Send
from zizhu.chain.model.ids import MemberId
from zizhu.chain.node import events
from zizhu.framework.testkit.faults import Plan
from zizhu.framework.testkit.kinds import SmallKind
from zizhu.framework.testkit.member import Machine, SimulatedMember, Speed
from zizhu.framework.testkit.simulator import Kind, Simulation
from zizhu.framework.testkit.trace import message_line

MEMORY = (MemoryQuery, MemoryAnswer, RaftMemoryQuery, RaftMemoryAnswer)
INSTANT = Speed(sync_us_min=0, sync_us_spread=1, sign_us_spread=1, verify_us_spread=1)


@dataclass(frozen=True)
class Waiting:
    """A message on its way from one position to another."""

    source: int
    target: int
    message: msgspec.Struct

    @property
    def line(self) -> str:
        """How it reads."""
        return f"node{self.source + 1} > node{self.target + 1} {message_line(self.message)}"


Pair = tuple[bytes, bytes]
"""Block hash and outcome hash."""
Which = Callable[[Waiting], bool]


def everything(_: Waiting) -> bool:
    """Any message."""
    return True


class Stage(Simulation):
    """`size` members; those at positions `actors` run too, but the director also speaks with their keys, and no
    promise is expected of them."""

    def __init__(self, size: int = 4, *, actors: tuple[int, ...] = (), kind: Kind | None = None) -> None:
        kind = kind or SmallKind()
        plan = Plan(seed=0, size=size, classes=(), actors={}, consensus=kind.consensus)
        self.waiting: list[Waiting] = []
        self.said: list[str] = []
        super().__init__(kind, plan, keep_trace=True)
        self.played = actors
        for position in actors:
            self.checkers.byzantine[self.consortium.members[position]] = True
            self.checkers.faulty[self.consortium.members[position]] = True
        for member in self.members:
            member.speed = INSTANT
            member.start()
        self.quiet()
        self.wake()

    # -- time --------------------------------------------------------------------------------------------------

    def quiet(self) -> None:
        """Let disks and signers finish; no timer fires."""
        while (next_us := self.heap.next_us()) is not None and next_us <= self.heap.now_us + 1_000:
            self.one()

    def fire(self, position: int, name: str) -> None:
        """Let a timer of a member fire now."""
        self.members[position].handle(events.TimerFired(name))
        self.quiet()

    def skip(self, milliseconds: int) -> None:
        """Let time pass, timers included."""
        until = self.heap.now_us + milliseconds * 1000
        while (next_us := self.heap.next_us()) is not None and next_us <= until:
            self.one()
        self.heap.now_us = until

    # -- messages ----------------------------------------------------------------------------------------------

    def send(self, member: SimulatedMember, effect: Send) -> None:
        """Instead of the network: it waits."""
        for peer in effect.peers:
            self.waiting.append(Waiting(member.position, self.position[peer], effect.message))

    def deliver(self, which: Which = everything, *, rounds: int = 1) -> int:
        """Deliver what waits now and is named, in order; `rounds` times, as deliveries cause new messages."""
        delivered = 0
        for _ in range(rounds):
            chosen = [each for each in self.waiting if which(each)]
            if not chosen:
                break
            self.waiting = [each for each in self.waiting if not which(each)]
            for each in chosen:
                delivered += 1
                self.hand_over(each)
        return delivered

    def hand_over(self, each: Waiting) -> None:
        """One message arrives."""
        target = self.members[each.target]
        if target.machine is None:
            return
        self.said.append(each.line)
        frame = self.wire.encode(each.message)
        target.handle(events.Received(self.consortium.members[each.source], self.wire.decode(frame)))
        self.quiet()

    def drop(self, which: Which = everything) -> int:
        """Lose what waits now and is named."""
        kept = [each for each in self.waiting if not which(each)]
        lost = len(self.waiting) - len(kept)
        self.waiting = kept
        return lost

    def say(self, source: int, target: int, message: msgspec.Struct) -> None:
        """A message of a member that the director plays, delivered at once."""
        self.hand_over(Waiting(source, target, message))

    # -- members -----------------------------------------------------------------------------------------------

    def id(self, position: int) -> MemberId:
        """Of the member at `position`."""
        return self.consortium.members[position]

    def view(self, position: int) -> int:
        """The view a member is in or asks for."""
        return self.kind.view(self.members[position].machine)

    def move(self, position: int, view: int) -> None:
        """Let a member give up views until it asks for `view`."""
        for turn in range(2 * (view - self.view(position))):
            before = self.view(position)
            if before >= view:
                return
            self.fire(position, "engine.view")
            if self.view(position) == before:  # nothing is unfinished here, so nobody minds this leader
                self.submit(position, self.some_submission(1_000 + 10 * position + turn))
        assert self.view(position) >= view, f"node{position + 1} does not give up view {self.view(position)}"

    def _machine(self, position: int) -> Machine:
        machine = self.members[position].machine
        assert machine is not None
        return machine

    def some_submission(self, number: int) -> bytes:
        """A client's submission."""
        return self.clients.make(random.Random(number), number)[0]

    def heights(self) -> list[int]:
        """Committed heights of the members that run; -1 of others."""
        return [self.kind.height(each.machine) if each.machine else -1 for each in self.members]

    def wake(self) -> None:
        """Members ask one another what they remember, and are answered: everybody may vote."""
        self.deliver(lambda each: isinstance(each.message, MEMORY), rounds=4)

    def vote(self, position: int, *, view: int, phase: int, pair: Pair, height: int) -> Vote:
        """A vote of a member that the director plays."""
        voters = self.consortium.voters
        statement = VoteStatement(voters.ledger, 0, view, phase, height, pair[0], pair[1])
        signature = self.consortium.sign(self.id(position), vote_message(voters.suite, statement))
        return Vote(0, view, phase, height, pair[0], pair[1], signature)

    def submit(self, position: int, raw: bytes) -> None:
        """A client hands in a transaction to one member."""
        self.members[position].handle(events.Asked(1, events.Submit((raw,))))
        self.quiet()

    def crash(self, position: int) -> None:
        """Power loss."""
        self.members[position].crash(tear=False)
        self.waiting = [each for each in self.waiting if each.target != position]

    def restart(self, position: int) -> None:
        """Boot again from the disk."""
        self.members[position].start()
        self.quiet()
