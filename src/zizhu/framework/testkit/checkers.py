"""What must always be true, checked after every event of a simulation.

Decides when a run is wrong. Looks only at what leaves honest members and at what they write down, never at their
memory, and trusts none of the product's own checks: certificates are counted here by hand.

`faulty` members may do anything: those an actor plays, and those whose disk is lost. A certificate is *possible*
when the honest votes that left for it, with a signature of every Byzantine member, reach the quorum; agreement
is demanded of all that is possible, not only of what somebody happened to put together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zizhu.chain.consensus.pbft.messages import (
    Changed,
    Entered,
    NewView,
    Prepared,
    Proposal,
    ViewChange,
    Vote,
    Voted,
    vote_record_codec,
)
from zizhu.chain.crypto.hashing import block_hash
from zizhu.chain.model.certificate import COMMIT, PREPARE, Certificate
from zizhu.chain.model.effects import Persist, Send, Sign
from zizhu.chain.model.ids import MemberId
from zizhu.chain.node.events import Answer, Final, Published
from zizhu.framework.testkit.possible import BlockSeen, Pair, Place, Possible

if TYPE_CHECKING:
    from zizhu.framework.testkit.member import SimulatedMember
    from zizhu.framework.testkit.simulator import Simulation


@dataclass(frozen=True)
class CommitSeen:
    """A commit record."""

    certificate: Certificate


ReadRecord = Callable[[bytes], "tuple[bytes, BlockSeen] | CommitSeen | None"]
"""What a record of the block log says: (block hash, block), a commit, or nothing of interest."""


@dataclass
class Notes:
    """What is known of one member."""

    height: int = 0
    cast: dict[Place, Pair] = field(default_factory=dict)
    changed_to: int = 0
    votes: dict[Place, Pair] = field(default_factory=dict)
    prepared: list[Certificate] = field(default_factory=list)
    changes: dict[int, Certificate | None] = field(default_factory=dict)
    entered: dict[int, bool] = field(default_factory=dict)
    blocks: dict[bytes, bool] = field(default_factory=dict)
    commits: dict[int, Certificate] = field(default_factory=dict)


class Checkers(Possible):
    """All promises of one run."""

    def __init__(self, world: "Simulation", read_record: ReadRecord) -> None:
        super().__init__(world)
        self.read_record = read_record
        self.byzantine: dict[MemberId, bool] = {}
        self.faulty: dict[MemberId, bool] = {}
        self.notes = {member: Notes() for member in world.consortium.members}
        self.chain: dict[int, Pair] = {}
        self.places: dict[bytes, int] = {}
        self.tallies: dict[tuple[Place, Pair], dict[MemberId, bool]] = {}
        self.final: dict[bytes, int] = {}
        self.counts: dict[str, int] = {}

    # -- a member's life ---------------------------------------------------------------------------------------

    def booted(self, member: "SimulatedMember") -> None:
        """It runs from what its disk holds: every durable commit must be there."""
        notes = self.notes[member.id]
        for name, log in member.logs.items():
            for record in log.records():
                self._is_durable(notes, name, record.data)
        notes.height = self.world.kind.height(member.machine)
        if member.id not in self.faulty:
            durable = max(notes.commits, default=0)
            self._demand(notes.height >= durable, "nothing committed is lost", member,
                         f"boots at height {notes.height}, its durable commits reach {durable}")  # fmt: skip

    def crashed(self, member: "SimulatedMember") -> None:
        """Its memory is gone; what was durable stays known."""

    def wiped(self, member: "SimulatedMember") -> None:
        """Its disk is gone."""
        kept = self.notes[member.id]
        self.notes[member.id] = Notes(cast=kept.cast, changed_to=0)

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
                self._learn(*seen)
            elif isinstance(seen, CommitSeen) and member.id not in self.byzantine:
                self._committed(member, seen.certificate)

    def durable(self, member: "SimulatedMember", effect: Persist) -> None:
        """These records survive from now on."""
        for record in effect.records:
            self._is_durable(self.notes[member.id], record.log, record.data)

    def _is_durable(self, notes: Notes, log: str, data: bytes) -> None:
        if log == "blocks":
            seen = self.read_record(data)
            if isinstance(seen, tuple):
                notes.blocks[seen[0]] = True
            elif isinstance(seen, CommitSeen):
                notes.commits[seen.certificate.height] = seen.certificate
            return
        kept = vote_record_codec.decode(data)
        match kept:
            case Voted():
                notes.votes[(kept.view, kept.phase, kept.height)] = (kept.block, kept.outcome)
            case Prepared():
                notes.prepared.append(kept.certificate)
                del notes.prepared[:-64]
            case Changed():
                notes.changes[kept.view] = kept.certificate
            case Entered():
                notes.entered[kept.view] = True
            case _:
                pass

    def _committed(self, member: "SimulatedMember", certificate: Certificate) -> None:
        height, pair = certificate.height, (certificate.block, certificate.outcome)
        notes = self.notes[member.id]
        self._demand(height == notes.height + 1, "each height applied once, in order", member,
                     f"commits height {height} on {notes.height}")  # fmt: skip
        notes.height = height
        reason = self.why_invalid(certificate, COMMIT)
        self._demand(not reason, "every certificate is valid", member, f"height {height}: {reason}")
        decided = self.chain.setdefault(height, pair)
        self._demand(decided == pair, "agreement", member,
                     f"height {height}: {pair[0].hex()[:6]}/{pair[1].hex()[:6]}, "
                     f"others {decided[0].hex()[:6]}/{decided[1].hex()[:6]}")  # fmt: skip
        self._possibly_committed(certificate.view, height, pair)
        seen = self.blocks.get(certificate.block)
        self._demand(seen is not None and seen.ids is not None, "what is committed is held", member,
                     f"height {height} has no block record in front of its certificate")  # fmt: skip
        assert seen is not None
        assert seen.ids is not None
        parent = self.chain[height - 1][0] if height > 1 else bytes(self.world.consortium.ledger)
        self._demand(seen.height == height and seen.parent == parent, "total order", member,
                     f"height {height} does not continue the chain")  # fmt: skip
        for each in seen.ids:
            place = self.places.setdefault(each, height)
            self._demand(place == height, "exactly once", member,
                         f"transaction {each.hex()[:6]} stands in {place} and {height}")  # fmt: skip
        self._count("commits")

    # -- what leaves -------------------------------------------------------------------------------------------

    def signing(self, member: "SimulatedMember", effect: Sign) -> None:
        """A signature is asked for, nothing undurable being in front of it."""

    def sent(self, member: "SimulatedMember", effect: Send) -> None:
        """A message leaves a member."""
        message = effect.message
        if isinstance(message, Proposal):
            self._learn(
                block_hash(self.voters.suite, message.header),
                BlockSeen(message.header.height, message.header.parent, None),
            )
        if member.id in self.faulty:
            return
        match message:
            case Vote():
                place = (message.view, message.phase, message.height)
                self._voted(member, place, (message.block, message.outcome))
            case Proposal():
                block = block_hash(self.voters.suite, message.header)
                place = (message.view, PREPARE, message.header.height)
                self._voted(member, place, (block, message.outcome))
            case ViewChange():
                self._changed(member, message)
            case NewView() if self._leader(message.view) == member.id:
                self._demand(message.view in self.notes[member.id].entered, "nothing undurable leaves", member,
                             f"NEW-VIEW({message.view}) without its record")  # fmt: skip
            case _:
                pass

    def _leader(self, view: int) -> MemberId:
        return self.voters.members[view % self.voters.size]

    def _voted(self, member: "SimulatedMember", place: Place, pair: Pair) -> None:
        view, phase, height = place
        notes = self.notes[member.id]
        cast = notes.cast.setdefault(place, pair)
        self._demand(cast == pair, "no double vote", member,
                     f"view {view} phase {phase} height {height}: "
                     f"{cast[0].hex()[:6]}, then {pair[0].hex()[:6]}")  # fmt: skip
        self._demand(view >= notes.changed_to, "VIEW-CHANGE ends votes below it", member,
                     f"votes in view {view} after VIEW-CHANGE({notes.changed_to})")  # fmt: skip
        self._demand(notes.votes.get(place) == pair, "nothing undurable leaves", member,
                     f"vote {place} without its record")  # fmt: skip
        if phase == PREPARE:
            self._demand(pair[0] in notes.blocks, "nothing undurable leaves", member,
                         f"prepare of height {height} without the block's bodies")  # fmt: skip
        else:
            rests = any(
                each.view == view and self.descends(each.block, pair[0], height) for each in reversed(notes.prepared)
            )
            self._demand(rests, "nothing undurable leaves", member,
                         f"commit vote {place} without a prepared certificate")  # fmt: skip
        tally = self.tallies.setdefault((place, pair), {})
        tally[member.id] = True
        if len(tally) + len(self.faulty) >= self.quorum:
            if phase == PREPARE:
                self._possibly_prepared(view, height, pair)
            else:
                self._possibly_committed(view, height, pair)

    def _changed(self, member: "SimulatedMember", change: ViewChange) -> None:
        notes = self.notes[member.id]
        if change.member != member.id:
            return
        recorded = change.view in notes.changes and notes.changes[change.view] == change.certificate
        self._demand(recorded, "nothing undurable leaves", member, f"VIEW-CHANGE({change.view}) without its record")
        notes.changed_to = max(notes.changed_to, change.view)

    # -- clients -----------------------------------------------------------------------------------------------

    def published(self, member: "SimulatedMember", effect: Published) -> None:
        """Readers may see it: its certificate must be durable here."""
        if member.id not in self.faulty:
            self._demand(effect.height in self.notes[member.id].commits, "an answer is durable", member,
                         f"publishes height {effect.height} before its certificate is durable")  # fmt: skip

    def answered(self, member: "SimulatedMember", effect: Answer) -> None:
        """A client is told that its transaction is final: q disks hold the block, this one its certificate."""
        if member.id in self.faulty or not isinstance(effect.reply, Final):
            return
        receipt = effect.reply.receipt
        height = receipt.height
        self._demand(self.places.get(receipt.transaction) == height, "an answer is true", member,
                     f"transaction {receipt.transaction.hex()[:6]} is not in height {height}")  # fmt: skip
        self._demand(height in self.notes[member.id].commits, "an answer is durable", member,
                     f"answers for height {height} before its certificate is durable")  # fmt: skip
        block = self.chain[height][0]
        holders = sum(1 for each, notes in self.notes.items() if block in notes.blocks and each not in self.faulty)
        self._demand(holders + len(self.faulty) >= self.quorum, "an answer is durable", member,
                     f"height {height} is on {holders} honest disks")  # fmt: skip
        self.final[receipt.transaction] = height
        self._count("answers")

    # -- reporting ---------------------------------------------------------------------------------------------

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
