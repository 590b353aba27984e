"""What must always be true, checked after every event of a simulation.

Decides when a run is wrong. Looks only at what leaves honest members and at what they write down, never at their
memory, and trusts none of the product's own checks: certificates are counted by hand (`facts`).

What every engine owes is judged here: valid certificates, agreement, total order, exactly once, durable answers. What
one engine's votes and records owe is judged by its own watch: `pbft_watch`, `raft_watch`. `faulty` members may do
anything: those an actor plays, and those whose disk is lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from zizhu.chain.model.certificate import COMMIT, Certificate
from zizhu.chain.model.effects import Persist, Send, Sign
from zizhu.chain.node.events import Answer, Final, Published
from zizhu.framework.testkit.facts import BlockSeen, Facts, Notes
from zizhu.framework.testkit.pbft_watch import PbftWatch
from zizhu.framework.testkit.raft_watch import RaftWatch

if TYPE_CHECKING:
    from zizhu.framework.testkit.member import SimulatedMember
    from zizhu.framework.testkit.simulator import Simulation


@dataclass(frozen=True)
class CommitSeen:
    """A commit record."""

    certificate: Certificate


ReadRecord = Callable[[bytes], "tuple[bytes, BlockSeen] | CommitSeen | None"]
"""What a record of the block log says: (block hash, block), a commit, or nothing of interest."""


class Watch(Protocol):
    """What the checkers tell of votes; a watch raises Violation when its engine breaks a promise. Members that are
    faulty are told of as well, because others hear them."""

    def booted(self, member: "SimulatedMember") -> None:
        """It starts from its disk; every record of its vote log is told again as durable."""
        ...

    def wiped(self, member: "SimulatedMember") -> None:
        """Its disk is gone, or put back to an earlier state."""
        ...

    def durable(self, member: "SimulatedMember", data: bytes) -> None:
        """This record of the vote log survives from now on."""
        ...

    def signing(self, member: "SimulatedMember", effect: Sign) -> None:
        """A signature is asked for, nothing undurable being in front of it."""
        ...

    def sent(self, member: "SimulatedMember", effect: Send) -> None:
        """A message leaves, nothing undurable being in front of it."""
        ...

    def committed(self, member: "SimulatedMember", certificate: Certificate) -> None:
        """A member that is not Byzantine commits on the strength of this certificate, which is valid."""
        ...


def watch_of(facts: Facts) -> Watch:
    """The watch of the engine that is played."""
    match facts.world.kind.consensus:
        case "raft":
            return RaftWatch(facts)
        case _:
            return PbftWatch(facts)


class Checkers(Facts):
    """All promises of one run."""

    def __init__(self, world: "Simulation", read_record: ReadRecord) -> None:
        super().__init__(world)
        self.read_record = read_record
        self.watch = watch_of(self)
        self.places: dict[bytes, int] = {}
        self.final: dict[bytes, int] = {}
        self.counts: dict[str, int] = {}

    # -- a member's life ---------------------------------------------------------------------------------------

    def booted(self, member: "SimulatedMember") -> None:
        """It runs from what its disk holds: every durable commit must be there."""
        notes = self.notes[member.id]
        self.watch.booted(member)
        for name, log in member.logs.items():
            for record in log.records():
                self._is_durable(member, name, record.data)
        notes.height = self.world.kind.height(member.machine)
        if member.id not in self.faulty:
            durable = max(notes.commits, default=0)
            self.demand(notes.height >= durable, "nothing committed is lost", member,
                        f"boots at height {notes.height}, its durable commits reach {durable}")  # fmt: skip

    def crashed(self, member: "SimulatedMember") -> None:
        """Its memory is gone; what was durable stays known."""

    def wiped(self, member: "SimulatedMember") -> None:
        """Its disk is gone."""
        self.notes[member.id] = Notes()
        self.watch.wiped(member)

    def stepped(self, member: "SimulatedMember") -> None:
        """After every step."""

    # -- what is written ---------------------------------------------------------------------------------------

    def issued(self, member: "SimulatedMember", effect: Persist) -> None:
        """A Persist was asked for: commits are judged here, whether or not they become durable."""
        for record in effect.records:
            if record.log != "blocks":
                continue
            seen = self.read_record(record.data)
            if isinstance(seen, tuple):
                self.learn(*seen)
            elif isinstance(seen, CommitSeen) and member.id not in self.byzantine:
                self._committed(member, seen.certificate)

    def durable(self, member: "SimulatedMember", effect: Persist) -> None:
        """These records survive from now on."""
        for record in effect.records:
            self._is_durable(member, record.log, record.data)

    def _is_durable(self, member: "SimulatedMember", log: str, data: bytes) -> None:
        if log == "votes":
            self.watch.durable(member, data)
            return
        notes = self.notes[member.id]
        seen = self.read_record(data)
        if isinstance(seen, tuple):
            notes.blocks[seen[0]] = True
        elif isinstance(seen, CommitSeen):
            notes.commits[seen.certificate.height] = seen.certificate

    def _committed(self, member: "SimulatedMember", certificate: Certificate) -> None:
        height, pair = certificate.height, (certificate.block, certificate.outcome)
        notes = self.notes[member.id]
        self.demand(height == notes.height + 1, "each height applied once, in order", member,
                    f"commits height {height} on {notes.height}")  # fmt: skip
        notes.height = height
        reason = self.why_invalid(certificate, COMMIT)
        self.demand(not reason, "every certificate is valid", member, f"height {height}: {reason}")
        decided = self.chain.setdefault(height, pair)
        self.demand(decided == pair, "agreement", member,
                    f"height {height}: {pair[0].hex()[:6]}/{pair[1].hex()[:6]}, "
                    f"others {decided[0].hex()[:6]}/{decided[1].hex()[:6]}")  # fmt: skip
        self.watch.committed(member, certificate)
        seen = self.blocks.get(certificate.block)
        self.demand(seen is not None and seen.ids is not None, "what is committed is held", member,
                    f"height {height} has no block record in front of its certificate")  # fmt: skip
        assert seen is not None
        assert seen.ids is not None
        parent = self.chain[height - 1][0] if height > 1 else bytes(self.world.consortium.ledger)
        self.demand(seen.height == height and seen.parent == parent, "total order", member,
                    f"height {height} does not continue the chain")  # fmt: skip
        for each in seen.ids:
            place = self.places.setdefault(each, height)
            self.demand(place == height, "exactly once", member,
                        f"transaction {each.hex()[:6]} stands in {place} and {height}")  # fmt: skip
        self._count("commits")

    # -- what leaves -------------------------------------------------------------------------------------------

    def signing(self, member: "SimulatedMember", effect: Sign) -> None:
        """A signature is asked for, nothing undurable being in front of it."""
        self.watch.signing(member, effect)

    def sent(self, member: "SimulatedMember", effect: Send) -> None:
        """A message leaves a member."""
        self.watch.sent(member, effect)

    # -- clients -----------------------------------------------------------------------------------------------

    def published(self, member: "SimulatedMember", effect: Published) -> None:
        """Readers may see it: its certificate must be durable here."""
        if member.id not in self.faulty:
            self.demand(effect.height in self.notes[member.id].commits, "an answer is durable", member,
                        f"publishes height {effect.height} before its certificate is durable")  # fmt: skip

    def answered(self, member: "SimulatedMember", effect: Answer) -> None:
        """A client is told that its transaction is final: q disks hold the block, this one its certificate."""
        if member.id in self.faulty or not isinstance(effect.reply, Final):
            return
        receipt = effect.reply.receipt
        height = receipt.height
        self.demand(self.places.get(receipt.transaction) == height, "an answer is true", member,
                    f"transaction {receipt.transaction.hex()[:6]} is not in height {height}")  # fmt: skip
        self.demand(height in self.notes[member.id].commits, "an answer is durable", member,
                    f"answers for height {height} before its certificate is durable")  # fmt: skip
        block = self.chain[height][0]
        holders = sum(1 for each, notes in self.notes.items() if block in notes.blocks and each not in self.faulty)
        self.demand(holders + len(self.faulty) >= self.quorum, "an answer is durable", member,
                    f"height {height} is on {holders} honest disks")  # fmt: skip
        self.final[receipt.transaction] = height
        self._count("answers")

    # -- reporting ---------------------------------------------------------------------------------------------

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
