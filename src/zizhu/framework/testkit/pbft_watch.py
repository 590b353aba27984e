"""What must always be true of PBFT's votes, prepared certificates and view changes.

Decides it from what leaves honest members and from the vote log records that are durable there. A certificate is
*possible* when the honest votes that left for it, with a signature of every faulty member, reach the quorum;
agreement is demanded of all that is possible, not only of what somebody happened to put together.
"""

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
from zizhu.chain.model.certificate import PREPARE, Certificate
from zizhu.chain.model.effects import Send, Sign
from zizhu.chain.model.ids import MemberId
from zizhu.framework.testkit.facts import BlockSeen, Facts, Pair
from zizhu.framework.testkit.possible import Place, Possible

if TYPE_CHECKING:
    from zizhu.framework.testkit.member import SimulatedMember


@dataclass
class PbftNotes:
    """What is known of one member's votes: those that left (`cast`), and what its vote log holds."""

    cast: dict[Place, Pair] = field(default_factory=dict)
    changed_to: int = 0
    votes: dict[Place, Pair] = field(default_factory=dict)
    prepared: list[Certificate] = field(default_factory=list)
    changes: dict[int, Certificate | None] = field(default_factory=dict)
    entered: dict[int, bool] = field(default_factory=dict)


class PbftWatch(Possible):
    """The promises of PBFT. See `checkers.Watch`."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.notes = {member: PbftNotes() for member in facts.voters.members}
        self.tallies: dict[tuple[Place, Pair], dict[MemberId, bool]] = {}

    def booted(self, member: "SimulatedMember") -> None:
        """Its vote log is read again, and says nothing that it did not say before."""

    def wiped(self, member: "SimulatedMember") -> None:
        """Its disk is gone."""
        self.notes[member.id] = PbftNotes(cast=self.notes[member.id].cast)

    def durable(self, member: "SimulatedMember", data: bytes) -> None:
        """This vote log record survives from now on."""
        notes = self.notes[member.id]
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

    def signing(self, member: "SimulatedMember", effect: Sign) -> None:
        """A signature is asked for: it is judged when the vote leaves."""

    def committed(self, member: "SimulatedMember", certificate: Certificate) -> None:
        """A member commits on the strength of this certificate, which is valid."""
        self.possibly_committed(certificate.view, certificate.height, (certificate.block, certificate.outcome))

    def sent(self, member: "SimulatedMember", effect: Send) -> None:
        """A message leaves. A proposal shows its block whoever sends it; votes are judged of honest members."""
        message = effect.message
        if isinstance(message, Proposal):
            self.facts.learn(
                block_hash(self.facts.voters.suite, message.header),
                BlockSeen(message.header.height, message.header.parent, None),
            )
        if member.id in self.facts.faulty:
            return
        match message:
            case Vote():
                place = (message.view, message.phase, message.height)
                self._voted(member, place, (message.block, message.outcome))
            case Proposal():
                block = block_hash(self.facts.voters.suite, message.header)
                place = (message.view, PREPARE, message.header.height)
                self._voted(member, place, (block, message.outcome))
            case ViewChange():
                self._changed(member, message)
            case NewView() if self._leader(message.view) == member.id:
                self.demand(message.view in self.notes[member.id].entered, "nothing undurable leaves", member,
                            f"NEW-VIEW({message.view}) without its record")  # fmt: skip
            case _:
                pass

    def _leader(self, view: int) -> MemberId:
        return self.facts.voters.members[view % self.facts.voters.size]

    def _voted(self, member: "SimulatedMember", place: Place, pair: Pair) -> None:
        view, phase, height = place
        notes = self.notes[member.id]
        cast = notes.cast.setdefault(place, pair)
        self.demand(cast == pair, "no double vote", member,
                    f"view {view} phase {phase} height {height}: "
                    f"{cast[0].hex()[:6]}, then {pair[0].hex()[:6]}")  # fmt: skip
        self.demand(view >= notes.changed_to, "VIEW-CHANGE ends votes below it", member,
                    f"votes in view {view} after VIEW-CHANGE({notes.changed_to})")  # fmt: skip
        self.demand(notes.votes.get(place) == pair, "nothing undurable leaves", member,
                    f"vote {place} without its record")  # fmt: skip
        if phase == PREPARE:
            self.demand(pair[0] in self.facts.notes[member.id].blocks, "nothing undurable leaves", member,
                        f"prepare of height {height} without the block's bodies")  # fmt: skip
        else:
            rests = any(
                each.view == view and self.facts.descends(each.block, pair[0], height)
                for each in reversed(notes.prepared)
            )
            self.demand(rests, "nothing undurable leaves", member,
                        f"commit vote {place} without a prepared certificate")  # fmt: skip
        tally = self.tallies.setdefault((place, pair), {})
        tally[member.id] = True
        if len(tally) + len(self.facts.faulty) >= self.facts.quorum:
            if phase == PREPARE:
                self.possibly_prepared(view, height, pair)
            else:
                self.possibly_committed(view, height, pair)

    def _changed(self, member: "SimulatedMember", change: ViewChange) -> None:
        notes = self.notes[member.id]
        if change.member != member.id:
            return
        recorded = change.view in notes.changes and notes.changes[change.view] == change.certificate
        self.demand(recorded, "nothing undurable leaves", member, f"VIEW-CHANGE({change.view}) without its record")
        notes.changed_to = max(notes.changed_to, change.view)
