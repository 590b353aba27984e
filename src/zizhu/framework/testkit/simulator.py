"""A whole consortium on one thread, from one seed: the other driver of the node machine.

Decides what the world does to members that `member` drives: who hears what and when, who loses power, when the
faults end. Everything is drawn from one seeded generator, so a seed is a run.
"""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.effects import Report, Send
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.transaction import Submission
from zizhu.chain.network.wire import Wire
from zizhu.chain.node import events
from zizhu.chain.node.events import Answer, Event
from zizhu.chain.storage.port import Change
from zizhu.framework.testkit.byzantine import Actor, make_actor
from zizhu.framework.testkit.checkers import Checkers, CommitSeen
from zizhu.framework.testkit.consortium import GENESIS_TIME_MS, Consortium
from zizhu.framework.testkit.facts import BlockSeen, Violation
from zizhu.framework.testkit.faults import Faults, Plan
from zizhu.framework.testkit.heap import Heap
from zizhu.framework.testkit.links import Links
from zizhu.framework.testkit.member import Machine, SimulatedMember
from zizhu.framework.testkit.trace import Trace, message_line
from zizhu.framework.testkit.workload import Clients, Make

LIVENESS_US = 150_000_000
"""Simulated time after the last fault within which everything must be final."""
EVENTS_MAX = 60_000
"""A run that needs more does not end by itself."""


class Kind(Protocol):
    """Which node is simulated: how it boots, what it keeps, what its clients send."""

    consensus: str
    """The engine it agrees with."""

    def read_record(self, data: bytes) -> tuple[bytes, BlockSeen] | CommitSeen | None:
        """What a record of the block log says."""
        ...

    def maker(self, consortium: Consortium) -> Make: ...

    def consortium(self, plan: Plan) -> Consortium: ...

    def wire(self) -> Wire: ...

    def suites(self) -> Mapping[int, Suite]: ...

    def boot(self, member: SimulatedMember) -> Machine: ...

    def height(self, machine: Machine | None) -> int: ...

    def view(self, machine: Machine | None) -> int: ...

    def state_of(self, machine: Machine) -> str:
        """The protocol state in a word, for the report of faults × states."""
        ...

    def sender(self, item: Submission) -> int: ...

    def index_changes(self, machine: Machine, written: list[tuple[bytes, int]]) -> Sequence[Change]:
        """What durable records of the block log, each with its position, mean for the index."""
        ...

    def digest(self, machine: Machine) -> str:
        """What two honest members at the same height must have in common."""
        ...


class Simulation:
    """One run. `run` plays it and raises Violation if a promise is broken."""

    def __init__(self, kind: Kind, plan: Plan, *, keep_trace: bool = False) -> None:
        assert plan.consensus == kind.consensus, "a plan is drawn for an engine"
        self.kind = kind
        self.plan = plan
        self.generator = random.Random(plan.seed * 2 + 1)
        self.heap = Heap(self.generator)
        self.trace = Trace(keep=keep_trace)
        self.wall_start_ms = GENESIS_TIME_MS + 1_000
        self.consortium = kind.consortium(plan)
        self.suites = kind.suites()
        self.wire = kind.wire()
        self.links = Links(plan.size, self.heap, self.generator)
        self.checkers = Checkers(self, kind.read_record)
        ids = self.consortium.members
        self.members = [SimulatedMember(self, position, id_) for position, id_ in enumerate(ids)]
        self.position = {id_: position for position, id_ in enumerate(ids)}
        self.actors: dict[int, Actor] = {}
        self.clients = Clients(self, kind.maker(self.consortium))
        self.faults = Faults(self, plan)
        self.peer_faults: dict[str, int] = {}
        self.events = 0
        self.settled = False
        for position, name in plan.actors.items():
            self.checkers.byzantine[ids[position]] = True
            self.checkers.faulty[ids[position]] = True
            self.actors[position] = make_actor(name, self, self.members[position])
        for position in plan.spoilt:
            self.checkers.faulty[ids[position]] = True

    # -- the run -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Faults, then calm, then the end. Raises Violation."""
        for member in self.members:
            member.start()
        self.faults.begin()
        while not self.faults.over:
            self.one()
        self.faults.end()
        deadline = self.heap.now_us + LIVENESS_US
        self._settle(deadline)
        self._last_words()

    def one(self) -> None:
        """The next event of the heap."""
        act = self.heap.pop()
        if act is None:
            raise Violation("liveness", "nothing is left to happen")
        self.events += 1
        if self.events > EVENTS_MAX:
            raise Violation("liveness", f"{EVENTS_MAX} events without an end")
        act()

    def _settle(self, deadline: int) -> None:
        """Until every submission is final and all who can be are equal; a promise with a deadline."""
        while True:
            for _ in range(50):
                self.one()
            if self._is_settled():
                self.settled = True
                return
            if self.heap.now_us > deadline:
                heights = [self.kind.height(each.machine) if each.machine else -1 for each in self.members]
                states = [self.kind.state_of(each.machine) if each.machine else each.stopped for each in self.members]
                raise Violation(
                    "liveness",
                    f"{LIVENESS_US // 1_000_000} s after the last fault {self.clients.unfinished} submissions are not "
                    f"final; heights {heights}, states {states}",
                )

    def live(self) -> list[SimulatedMember]:
        """Honest members, which must all be up once the faults are over."""
        return [each for each in self.members if each.id not in self.checkers.byzantine]

    def _is_settled(self) -> bool:
        if self.clients.unfinished or any(each.machine is None for each in self.live()):
            return False
        heights = {self.kind.height(each.machine) for each in self.live()}
        return len(heights) == 1 and min(heights) >= self.plan.blocks_wanted

    def _last_words(self) -> None:
        machines = [each.machine for each in self.live() if each.machine is not None]
        digests = sorted({self.kind.digest(machine) for machine in machines})
        if len(digests) != 1:
            raise Violation("equal roots", f"members at equal height differ: {digests}")

    # -- what members ask of the world -------------------------------------------------------------------------

    def boot(self, member: SimulatedMember) -> Machine:
        """A machine on what the member's disk holds."""
        return self.kind.boot(member)

    def send(self, member: SimulatedMember, effect: Send) -> None:
        """A message leaves; an actor's goes through its hands first."""
        actor = self.actors.get(member.position)
        if actor is not None:
            actor.outgoing(member, effect)
            return
        frame = self.wire.encode(effect.message)
        message = self.wire.decode(frame)
        line = message_line(message)
        for peer in effect.peers:
            self.pass_on(member.position, self.position[peer], message, line)

    def pass_on(self, source: int, target: int, message: msgspec.Struct, line: str) -> None:
        """A decoded message on its way."""
        peer = self.consortium.members[source]
        event = events.Received(peer, message)
        label = f"node{source + 1} > node{target + 1} {line}"

        def arrive() -> None:
            receiver = self.members[target]
            if receiver.machine is None:
                return
            self.trace.add(f"{self.heap.now_us:>9} {label}")
            actor = self.actors.get(target)
            if actor is not None:
                actor.incoming(source, event)
            else:
                receiver.handle(event)

        self.links.send(source, target, arrive)

    def pass_bytes(self, source: int, target: int, frame: bytes) -> None:
        """Bytes of an actor: what the wire refuses never becomes a message, and is the link peer's offence."""
        try:
            message = self.wire.decode(frame)
        except SpokeWrongly:
            self.peer_faults["malformed"] = self.peer_faults.get("malformed", 0) + 1
            return
        self.pass_on(source, target, message, message_line(message))

    def seen(self, member: SimulatedMember, event: Event) -> None:
        """What a member hears, beside messages, for the trace."""
        if isinstance(event, events.TimerFired):
            self.trace.add(f"{self.heap.now_us:>9} {member.name} timer {event.name}")

    def note(self, member: SimulatedMember, text: str) -> None:
        """Something happens to a member."""
        self.trace.add(f"{self.heap.now_us:>9} {member.name} {text}")

    def reported(self, member: SimulatedMember, report: Report) -> None:
        """A fact: into the trace; offences of peers are counted."""
        if report.fact == "peer_fault":
            rule = str(report.values.get("rule"))
            self.peer_faults[rule] = self.peer_faults.get(rule, 0) + 1
        if report.fact != "votes_resent":
            values = " ".join(f"{key}={_plain(value)}" for key, value in sorted(report.values.items()))
            self.trace.add(f"{self.heap.now_us:>9} {member.name} * {report.fact} {values}")

    def answered(self, member: SimulatedMember, answer: Answer) -> None:
        """A client hears."""
        if member.id not in self.checkers.byzantine:
            self.clients.answered(answer)

    # -- what happens to members -------------------------------------------------------------------------------

    def cut_at(self, member: SimulatedMember, effects: int) -> int | None:
        """Where in the effects of a step the power fails; None where it does not."""
        if not member.cut_next or effects < 2:
            return None
        member.cut_next = False
        return self.generator.randrange(effects)

    def crash_member(self, member: SimulatedMember) -> None:
        """Power loss, and a restart some time later unless another fault decides otherwise."""
        self.faults.crash(member)

    def stop(self, member: SimulatedMember, reason: str) -> None:
        """A member halts itself."""
        member.stopped = reason
        self.note(member, f"halts: {reason}")
        self.faults.crash(member)

    def links_changed(self, member: SimulatedMember, *, up: bool) -> None:
        """Peers notice, some time later, that a member came or went."""
        life = member.life
        for peer in self.members:
            if peer is member:
                continue

            def tell(peer: SimulatedMember = peer) -> None:
                if member.life == life and (member.machine is not None) == up:
                    peer.handle(events.LinkChanged(member.id, up=up))

            self.heap.after(self.generator.randrange(100, 30_000), tell)


def _plain(value: object) -> str:
    """A report's value in a trace: long hexadecimal numbers shortened."""
    return re.sub(r"\b([0-9a-f]{6})[0-9a-f]{26,}\b", r"\1", str(value))
