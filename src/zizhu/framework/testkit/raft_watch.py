"""What must always be true of Raft's votes, acknowledgements and signatures.

Decides it from what leaves honest members and from the vote log records that are durable there; `raft_log` says what
those logs are and which entries are committed. Members whose disk is lost are told of, for others count their words,
and not judged.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zizhu.chain.consensus.raft.messages import (
    Append,
    Appended,
    AppendReply,
    Ballot,
    BallotReply,
    Endorsed,
    Install,
    Installed,
    Turned,
    record_codec,
)
from zizhu.chain.crypto.hashing import vote_message
from zizhu.chain.model.certificate import COMMIT, Certificate, VoteStatement
from zizhu.chain.model.effects import Send, Sign
from zizhu.chain.model.ids import MemberId
from zizhu.framework.testkit.facts import Facts, Pair
from zizhu.framework.testkit.raft_log import DurableLog, Tree

if TYPE_CHECKING:
    from zizhu.framework.testkit.member import SimulatedMember


@dataclass
class RaftDisk:
    """What a member's vote log says: the term it is in and its vote there, its log, what it may sign by message."""

    term: int = 0
    voted: bytes | None = None
    log: DurableLog = field(default_factory=DurableLog)
    endorsed: dict[int, Pair] = field(default_factory=dict)
    signable: dict[bytes, tuple[int, Pair]] = field(default_factory=dict)


@dataclass
class RaftSaid:
    """What left a member, over all its restarts: its vote of each term, what it signed at each height."""

    voted: dict[int, bytes] = field(default_factory=dict)
    signed: dict[int, Pair] = field(default_factory=dict)


class RaftWatch:
    """The promises of Raft. See `checkers.Watch`."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.demand = facts.demand
        self.disks = {member: RaftDisk() for member in facts.voters.members}
        self.said = {member: RaftSaid() for member in facts.voters.members}
        self.tree = Tree(facts.quorum)
        self.leaders: dict[int, MemberId] = {}
        self.signed: dict[int, Pair] = {}

    # -- the disk ----------------------------------------------------------------------------------------------

    def booted(self, member: "SimulatedMember") -> None:
        """Its vote log is read again from the start."""
        self.disks[member.id] = RaftDisk()

    def wiped(self, member: "SimulatedMember") -> None:
        """Its disk is gone; what it said was said."""
        self.disks[member.id] = RaftDisk()

    def durable(self, member: "SimulatedMember", data: bytes) -> None:
        """This vote log record survives from now on."""
        disk = self.disks[member.id]
        kept = record_codec.decode(data)
        match kept:
            case Turned():
                disk.term, disk.voted = kept.term, kept.voted
            case Appended():
                if member.id not in self.facts.faulty:
                    other = self.tree.grow(disk.log, kept)
                    self.demand(not other, "log matching", member, other)
                disk.log.append(kept)
            case Installed():
                disk.log.install(kept)
            case Endorsed():
                pair = (kept.block, kept.outcome)
                disk.endorsed[kept.height] = pair
                disk.signable[self._message(kept.epoch, kept.height, pair)] = (kept.height, pair)
            case _:
                pass

    def _message(self, epoch: int, height: int, pair: Pair) -> bytes:
        statement = VoteStatement(self.facts.voters.ledger, epoch, 0, COMMIT, height, pair[0], pair[1])
        return vote_message(self.facts.voters.suite, statement)

    # -- what leaves -------------------------------------------------------------------------------------------

    def signing(self, member: "SimulatedMember", effect: Sign) -> None:
        """A signature is made: of a block that stands in a durable record, and is committed."""
        if member.id in self.facts.faulty:
            return
        disk = self.disks[member.id]
        recorded = disk.signable.get(effect.message)
        self.demand(recorded is not None, "nothing undurable leaves", member, "signs what no record says it signs")
        assert recorded is not None
        self._endorses(member, *recorded)

    def sent(self, member: "SimulatedMember", effect: Send) -> None:
        """A message leaves a member, honest or not; only honest ones are judged."""
        message = effect.message
        honest = member.id not in self.facts.faulty
        match message:
            case Ballot() if honest and not message.pre:
                self._votes(member, message.term, member.id)
            case BallotReply() if honest and message.granted and not message.pre:
                for peer in effect.peers:
                    self._votes(member, message.term, peer)
            case Append() if honest:
                self._leads(member, message.term)
                self._appends(member, message)
            case Install() if honest:
                self._leads(member, message.term)
            case AppendReply():
                if honest:
                    self._replies(member, message)
                if message.agreed:
                    two = self.tree.acknowledge(member.id, message.term, message.match)
                    self.demand(not two, "agreement", member, two)
            case _:
                pass

    def committed(self, member: "SimulatedMember", certificate: Certificate) -> None:
        """A member commits on the strength of this certificate: what honest members sign is that block."""
        height, pair = certificate.height, (certificate.block, certificate.outcome)
        self.demand(certificate.view == 0, "every certificate is valid", member,
                    f"height {height}: of view {certificate.view}, Raft has none")  # fmt: skip
        self._signed_alike(member, height, pair)

    # -- elections ---------------------------------------------------------------------------------------------

    def _votes(self, member: "SimulatedMember", term: int, candidate: MemberId) -> None:
        cast = self.said[member.id].voted.setdefault(term, candidate)
        self.demand(cast == candidate, "no double vote", member,
                    f"term {term}: for {cast.hex()[:6]}, then for {candidate.hex()[:6]}")  # fmt: skip
        disk = self.disks[member.id]
        self.demand((disk.term, disk.voted) == (term, candidate), "nothing undurable leaves", member,
                    f"vote of term {term} for {candidate.hex()[:6]} without its record")  # fmt: skip

    def _leads(self, member: "SimulatedMember", term: int) -> None:
        leader = self.leaders.setdefault(term, member.id)
        self.demand(leader == member.id, "one leader a term", member,
                    f"leads term {term}, as {leader.hex()[:6]} does")  # fmt: skip
        self._in_term(member, term)

    def _in_term(self, member: "SimulatedMember", term: int) -> None:
        durable = self.disks[member.id].term
        self.demand(durable >= term, "nothing undurable leaves", member,
                    f"speaks in term {term}, its record is of term {durable}")  # fmt: skip
        self.demand(durable <= term, "a term ends those below it", member,
                    f"leads or acknowledges in term {term} after turning to term {durable}")  # fmt: skip

    # -- the log -----------------------------------------------------------------------------------------------

    def _appends(self, member: "SimulatedMember", message: Append) -> None:
        log = self.disks[member.id].log
        for place, entry in enumerate(message.entries, start=message.previous_index + 1):
            if place <= log.base:
                continue
            own = log.at(place)
            holds = own is not None and (own.term, own.block) == (entry.term, entry.block)
            self.demand(holds, "nothing undurable leaves", member, f"append of entry {place} without its record")
        self._holds_blocks(member, message.previous_index + len(message.entries))

    def _holds_blocks(self, member: "SimulatedMember", up_to: int) -> None:
        lacking = self.disks[member.id].log.first_not_held(up_to, self.facts.notes[member.id].blocks)
        self.demand(lacking is None, "nothing undurable leaves", member,
                    f"log up to {up_to} without the block of entry {lacking and lacking.index}")  # fmt: skip

    def _replies(self, member: "SimulatedMember", message: AppendReply) -> None:
        for each in message.endorsements:
            pair = (each.block, each.outcome)
            recorded = self.disks[member.id].endorsed.get(each.height) == pair
            self.demand(recorded, "nothing undurable leaves", member,
                        f"endorsement of height {each.height} without its record")  # fmt: skip
            self._endorses(member, each.height, pair)
        if not message.agreed:
            return
        self._in_term(member, message.term)
        log, match = self.disks[member.id].log, message.match
        self.demand(log.last >= match, "nothing undurable leaves", member,
                    f"acknowledges up to {match}, its log reaches {log.last}")  # fmt: skip
        self._holds_blocks(member, match)
        certified = max(self.facts.notes[member.id].commits, default=0)
        self.demand(certified >= log.base_height, "nothing undurable leaves", member,
                    f"acknowledges a log that begins at height {log.base_height}, "
                    f"certificates reach {certified}")  # fmt: skip
        own = log.term_at(match)
        newest = self.tree.newest.get(message.term)
        theirs = None if newest is None else self.tree.term_under(newest, message.term, at=match)
        self.demand(own is None or theirs is None or own == theirs, "log matching", member,
                    f"acknowledges up to {match} in term {message.term}: entry of term {own} here, "
                    f"of term {theirs} at the leader")  # fmt: skip

    # -- signatures --------------------------------------------------------------------------------------------

    def _endorses(self, member: "SimulatedMember", height: int, pair: Pair) -> None:
        signed = self.said[member.id].signed
        cast = signed.get(height)
        self.demand(cast in {None, pair}, "no double vote", member,
                    f"height {height}: {cast and cast[0].hex()[:6]}, then {pair[0].hex()[:6]}")  # fmt: skip
        if cast is not None:
            return
        signed[height] = pair
        self._signed_alike(member, height, pair)
        decided = self.facts.chain.get(height, pair)
        self.demand(decided == pair, "agreement", member,
                    f"height {height}: signs {pair[0].hex()[:6]}, committed is {decided[0].hex()[:6]}")  # fmt: skip
        self.demand(pair[0] in self.facts.notes[member.id].blocks, "nothing undurable leaves", member,
                    f"signature of height {height} without the block's bodies")  # fmt: skip
        entry = self.disks[member.id].log.entry_of(pair[0])
        is_committed = entry is not None and self.tree.committed.get(entry.index) == entry.term
        self.demand(is_committed or height in self.facts.chain, "signed only when committed", member,
                    f"signs height {height}, which no majority acknowledged in one leader's term")  # fmt: skip

    def _signed_alike(self, member: "SimulatedMember", height: int, pair: Pair) -> None:
        first = self.signed.setdefault(height, pair)
        self.demand(first == pair, "agreement", member,
                    f"height {height}: {pair[0].hex()[:6]}/{pair[1].hex()[:6]}, "
                    f"others signed {first[0].hex()[:6]}/{first[1].hex()[:6]}")  # fmt: skip
