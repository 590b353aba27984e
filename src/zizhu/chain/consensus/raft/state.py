"""What a Raft member knows at one moment: shared by election, replication, endorsement and memory.

Decides what is remembered, for how long, and how much of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from zizhu.chain.consensus.certificate import Electorate
from zizhu.chain.consensus.port import Drop, Effect, Executed, Ready, Setting, Waiting
from zizhu.chain.consensus.quorum import majority
from zizhu.chain.consensus.raft.dice import Dice
from zizhu.chain.consensus.raft.log import RaftLog
from zizhu.chain.consensus.raft.messages import Endorsement, Entry, RaftRecord
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.effects import Persist, Record, Report, Send, SetTimer, Sign
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import BlockHash, Instant, MemberId, OutcomeHash

TERM_AHEAD_MAX = 65_536
"""A term further ahead than this is no honest member's: pre-votes keep terms close together."""
KEPT_BELOW_HEAD = 16
"""So many committed blocks are remembered with their entries, to be sent whole to a member that lags a little."""
LOG_KEPT = 512
"""Entries of certified blocks that the log keeps; a member that lags further catches up by certified blocks."""
LOG_SLACK = 128
"""The log is shortened when it is this much longer, so that it is not done for each block."""

Pair = tuple[BlockHash, OutcomeHash]


class Role(Enum):
    """What a member is in its term."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(slots=True)
class Progress:
    """What a leader knows of one follower. `probing`: it is not known where the logs meet, so one append at a time is
    sent (`asked`: it is under way); otherwise appends are sent ahead of their answers."""

    next: int
    match: int = 0
    probing: bool = True
    asked: bool = False
    told_commit: int = 0
    told_height: int = 0
    heard_ms: int = 0


@dataclass
class State:
    """The mutable state of one member of a Raft epoch."""

    setting: Setting
    voters: Electorate
    me: MemberId
    others: tuple[MemberId, ...]
    head: Ready
    dice: Dice
    now: Instant = Instant(0, 0)
    log: RaftLog = field(default_factory=RaftLog)
    term: int = 0
    voted: MemberId | None = None
    role: Role = Role.FOLLOWER
    leader: MemberId | None = None
    commit_index: int = 0
    known: dict[BlockHash, Executed] = field(default_factory=dict)
    by_height: dict[int, BlockHash] = field(default_factory=dict)
    heard_ms: int = 0
    """When this member last heard from the leader of its term, gave a vote, or started an election."""
    timeout_ms: int = 0
    """The time-out drawn for the election timer that runs."""
    taking: int = 0
    """The term whose leader left this member the lead, until it has executed all that it was sent; 0 for none."""
    ballots: dict[MemberId, bool] = field(default_factory=dict)
    pre: bool = False
    """Whether the ballots under way are pre-votes."""
    progress: dict[MemberId, Progress] = field(default_factory=dict)
    incoming: list[tuple[int, Entry]] = field(default_factory=list)
    """Entries of the leader that are not executed yet, with their indexes, which continue the log."""
    verified: int = 0
    """Up to here the log, with `incoming`, is known to agree with the leader of this term."""
    leader_commit: int = 0
    refused_term: int = 0
    """The leader of this term sent a block that breaks a rule: it is not followed any more."""
    owes_reply: bool = False
    """Something that the leader waits for has become durable here, or was signed."""
    endorsed: dict[int, Pair] = field(default_factory=dict)
    signatures: dict[int, Endorsement] = field(default_factory=dict)
    """This member's endorsements above its head, by height."""
    collected: dict[int, dict[MemberId, Endorsement]] = field(default_factory=dict)
    certificates: dict[int, Certificate] = field(default_factory=dict)
    """Certificates above the head that wait for their blocks, and the newest ones below it."""
    pending: dict[int, Pair] = field(default_factory=dict)
    newest: dict[MemberId, Endorsement] = field(default_factory=dict)
    shown: dict[MemberId, tuple[int, int]] = field(default_factory=dict)
    """(term, index): the newest term in which a member voted, led or followed, and how far its log was durable then."""
    endorsed_up_to: int = 0
    """The greatest height that this member's vote log says it has endorsed."""
    waiting: Waiting = Waiting(0, 0, 0)
    building: bool = False
    due: bool = False
    recalling: bool = True
    recalled: dict[MemberId, tuple[int, int]] = field(default_factory=dict)
    """Who has answered, and the (term, index) with which the log ends there."""
    told_term: int = 0
    """The newest term of those who have answered."""
    asked: int = 0
    overtaken_up_to: int = 0
    """How far the log went on the disk, if it was cut because certified blocks had overtaken its end."""
    bar: tuple[int, int] = (0, 0)
    """A member that starts with an empty log may have forgotten a longer one: it takes part only in the election of
    who is as up to date as the log that covers it (`memory._told`), as if that were its own."""
    lost: str = ""
    opened: bool = False
    out: list[Effect] = field(default_factory=list)

    # -- questions ---------------------------------------------------------------------------------------------

    @property
    def voting(self) -> bool:
        """Whether this member may vote, acknowledge and sign."""
        return not self.recalling and not self.lost

    @property
    def leading(self) -> bool:
        """Whether this member leads its term."""
        return self.role is Role.LEADER

    @property
    def epoch(self) -> int:
        """The epoch's number."""
        return self.voters.record.number

    @property
    def needed(self) -> int:
        """Raft's own majority."""
        return majority(len(self.voters.members))

    def first_leader(self) -> MemberId:
        """Who leads term 1 without an election: the member at position (height of the starting block) mod n."""
        return self.voters.members[self.setting.epoch_start % len(self.voters.members)]

    def last_index(self) -> int:
        """The end of the log with what is still to be executed."""
        return self.incoming[-1][0] if self.incoming else self.log.last_index

    def term_at(self, index: int) -> int | None:
        """The term of `index` in the log or in what continues it."""
        if index > self.log.last_index and self.incoming:
            place = index - self.incoming[0][0]
            return self.incoming[place][1].term if 0 <= place < len(self.incoming) else None
        return self.log.term_at(index)

    def holds_head(self) -> bool:
        """Whether the certified head stands in the log or below its beginning. If not, the log is too short for it, or
        holds what was overtaken: its own entries from there on are never committed."""
        log, head = self.log, self.head
        return log.base_height >= head.height or log.index_of(head.height, head.block) is not None

    def tip(self) -> Ready:
        """The newest block of the log, on which a leader builds."""
        if self.log.last_height <= self.head.height:
            return self.head
        block = self.log.block_below(self.log.last_index)
        assert block is not None and block in self.known, "every block of the log above the head is executed"
        return self.known[block].ready

    def blocks_above(self, index: int) -> Iterator[tuple[int, int, BlockHash]]:
        """(index, height, block) of the committed entries behind `index`, ascending."""
        for at in range(max(index, self.log.base_index) + 1, self.commit_index + 1):
            entry = self.log.at(at)
            if entry is not None and entry.block is not None:
                yield at, entry.height, entry.block

    def show(self, peer: MemberId, index: int) -> None:
        """A peer has shown that it is in this member's term, and that its log is durable up to `index`."""
        self.shown[peer] = max(self.shown.get(peer, (0, 0)), (self.term, index))

    # -- acts --------------------------------------------------------------------------------------------------

    def persist(self, *records: RaftRecord) -> None:
        """A barrier with these records of the vote log."""
        self.out.append(Persist(tuple(Record("votes", encode(record)) for record in records)))

    def send(self, peers: tuple[MemberId, ...], message: msgspec.Struct) -> None:
        """To these members."""
        if peers:
            self.out.append(Send(peers, message))

    def sign(self, purpose: bytes, message: bytes) -> None:
        """Ask for a signature."""
        self.out.append(Sign(purpose, message))

    def timer(self, name: str, after_ms: int | None) -> None:
        """Set or stop a timer."""
        self.out.append(SetTimer(name, after_ms))

    def report(self, fact: str, **values: object) -> None:
        """A fact."""
        self.out.append(Report(fact, values))

    def fault(self, peer: MemberId, rule: str, **values: object) -> None:
        """Report a peer's offence."""
        self.out.append(Report("peer_fault", {"peer": peer.hex(), "rule": rule, **values}))

    def drop_rivals(self) -> None:
        """Forget executed blocks, and those under way, that are neither in the log nor about to continue it."""
        wanted = [BlockHash(entry.block) for _, entry in reversed(self.incoming) if entry.block is not None]
        own = self.log.block_below(self.log.last_index)
        if own is not None and self.log.last_height > self.head.height:
            wanted.append(own)
        kept: dict[BlockHash, bool] = {}
        for start in wanted:
            walk: BlockHash | None = start
            while walk is not None and walk not in kept and walk in self.known:
                kept[walk] = True
                walk = self.known[walk].ready.parent
        for block in [b for b, each in self.known.items() if each.ready.height > self.head.height and b not in kept]:
            del self.known[block]
        self.out.append(Drop(tuple(wanted)))
