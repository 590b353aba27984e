"""What a PBFT member knows, and the few questions every part of the protocol asks of it.

Decides nothing by itself: the rules stand in proposals, votes, view_change, memory and timing.
"""

from collections import deque
from dataclasses import dataclass, field

import msgspec

from zizhu.chain.consensus.certificate import Electorate
from zizhu.chain.consensus.pbft.messages import NewView, Proposal, ViewChange, Vote, VoteRecord
from zizhu.chain.consensus.port import Drop, Effect, Executed, Ready, Setting, Waiting
from zizhu.chain.consensus.quorum import one_honest
from zizhu.chain.model.certificate import COMMIT, PREPARE, Certificate
from zizhu.chain.model.effects import Persist, Record, Report, Sign
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import BlockHash, Instant, MemberId, OutcomeHash

EARLY_MESSAGES_MAX = 256
"""Messages of a view not entered yet that are kept, per member."""
VIEW_AHEAD_MAX = 1 << 16
"""How far above its own view a member listens; only a NEW-VIEW, which proves itself, may be further."""
KEPT_BELOW_HEAD = 16
"""Committed blocks remembered for a view change that starts on them."""

Pair = tuple[BlockHash, OutcomeHash]


@dataclass(slots=True)
class Slot:
    """One height in the current view. `prepares` and `commits` hold the first vote of each member, `verified`
    those whose signature was checked, as (phase, member)."""

    proposal: Proposal | None = None
    block: BlockHash | None = None
    arrived_ms: int = 0
    asked: bool = False
    refused: bool = False
    certified_asked: bool = False
    certified_refused: bool = False
    prepares: dict[MemberId, Vote] = field(default_factory=dict)
    commits: dict[MemberId, Vote] = field(default_factory=dict)
    verified: dict[tuple[int, MemberId], bool] = field(default_factory=dict)
    prepare_cast: bool = False
    commit_cast: bool = False
    prepared: Certificate | None = None
    committed: Certificate | None = None

    def of(self, phase: int) -> dict[MemberId, Vote]:
        """The votes of one phase."""
        return self.commits if phase == COMMIT else self.prepares


@dataclass(frozen=True, slots=True)
class Pending:
    """A signature asked for: what will be sent with it, unless the view has gone on."""

    view: int
    kind: str
    height: int
    message: msgspec.Struct


@dataclass
class State:
    """All of a member's mutable state. `out` collects the effects of the step in hand; `leave` is a view
    change that a part of it asks for; `requests` are (view, monotonic ms) of members that want to leave it."""

    setting: Setting
    voters: Electorate
    me: MemberId
    others: tuple[MemberId, ...]
    head: Ready
    head_certificate: Certificate | None
    now: Instant = Instant(0, 0)
    view: int = 0
    active: bool = True
    start: BlockHash = BlockHash(b"")
    start_height: int = 0
    tip: Certificate | None = None
    tip_asked: bool = False
    best: Certificate | None = None
    new_view: NewView | None = None
    known: dict[BlockHash, Executed] = field(default_factory=dict)
    by_height: dict[int, BlockHash] = field(default_factory=dict)
    slots: dict[int, Slot] = field(default_factory=dict)
    voted: dict[tuple[int, int, int], Pair] = field(default_factory=dict)
    pending: dict[bytes, Pending] = field(default_factory=dict)
    early: dict[MemberId, deque[msgspec.Struct]] = field(default_factory=dict)
    changes: dict[MemberId, ViewChange] = field(default_factory=dict)
    opening: bool = False
    requests: dict[MemberId, tuple[int, int]] = field(default_factory=dict)
    newest: dict[MemberId, Vote] = field(default_factory=dict)
    newest_change: dict[MemberId, ViewChange] = field(default_factory=dict)
    last_height: dict[MemberId, int] = field(default_factory=dict)
    waiting: Waiting = Waiting(0, 0, 0)
    building: bool = False
    due: bool = False
    failures: int = 0
    view_blocks: int = 0
    view_load_ms: int = 0
    view_timer: bool = False
    recalling: bool = True
    recalled: dict[MemberId, bool] = field(default_factory=dict)
    lost: str = ""
    newest_own: tuple[int, int, int] = (0, 0, 0)
    newest_own_view: int = 0
    opened: bool = False
    leave: tuple[int, str] | None = None
    out: list[Effect] = field(default_factory=list)

    # -- questions ---------------------------------------------------------------------------------------------

    @property
    def voting(self) -> bool:
        """Whether this member may sign anything."""
        return not self.recalling and not self.lost

    def leader(self, view: int) -> MemberId:
        """The member at position (height of the epoch's starting block + view) mod n."""
        members = self.voters.members
        return members[(self.setting.epoch_start + view) % len(members)]

    @property
    def leading(self) -> bool:
        """Whether this member leads the current view."""
        return self.leader(self.view) == self.me

    @property
    def honest(self) -> int:
        """f + 1."""
        return one_honest(len(self.voters.members))

    def slot(self, height: int) -> Slot:
        """The slot of `height` in the current view, made when first asked for."""
        found = self.slots.get(height)
        if found is None:
            found = self.slots[height] = Slot()
        return found

    def in_reach(self, height: int) -> bool:
        """Whether messages about `height` are of use now: a bounded span above the head, or the tip's own height."""
        window = self.voters.record.parameters.window
        reaches = self.head.height < height <= self.head.height + 2 * window + 8
        return reaches or (self.tip is not None and height == self.tip.height)

    def last_proposed(self) -> Ready:
        """The highest block of the current view's chain: what the leader builds on."""
        height, ready = self.head.height, self.head
        if self.tip is not None and self.tip.block in self.known and self.tip.height >= height:
            ready = self.known[BlockHash(self.tip.block)].ready
            height = ready.height
        while (slot := self.slots.get(height + 1)) is not None and slot.proposal is not None:
            assert slot.block is not None
            executed = self.known.get(slot.block)
            if executed is None or executed.ready.parent != ready.block:
                break
            height, ready = height + 1, executed.ready
        return ready

    # -- acts --------------------------------------------------------------------------------------------------

    def learn(self, executed: Executed) -> None:
        """Remember an executed block."""
        self.known[executed.ready.block] = executed

    def persist(self, *records: VoteRecord) -> None:
        """A barrier with these records of the vote log."""
        self.out.append(Persist(tuple(Record("votes", encode(record)) for record in records)))

    def sign(self, purpose: bytes, message: bytes, pending: Pending) -> None:
        """Ask for a signature; `pending` is what happens when it comes."""
        self.pending[purpose] = pending
        self.out.append(Sign(purpose, message))

    def fault(self, peer: MemberId, rule: str, **values: object) -> None:
        """Report a peer's offence."""
        self.out.append(Report("peer_fault", {"peer": peer.hex(), "rule": rule, **values}))

    def keep_early(self, peer: MemberId, message: msgspec.Struct) -> None:
        """Keep a message of a view that is not entered yet; the oldest goes when there are too many. Proposals are
        long: only a leader's own are kept, and no more than it may have in flight, the tip included."""
        queue = self.early.get(peer)
        if queue is None:
            queue = self.early[peer] = deque(maxlen=EARLY_MESSAGES_MAX)
        if isinstance(message, Proposal):
            if self.leader(message.view) != peer:
                self.fault(peer, "proposal_not_leader", view=message.view)
                return
            held = [each for each in queue if isinstance(each, Proposal)]
            if len(held) > self.voters.record.parameters.window:
                queue.remove(held[0])
        queue.append(message)

    def leave_for(self, view: int, reason: str) -> None:
        """Ask for a change to `view`; the engine carries it out at the end of the step."""
        if self.leave is None or view > self.leave[0]:
            self.leave = (view, reason)

    def drop_all_but(self, keep: BlockHash | None) -> None:
        """Forget executed blocks above the head that are not `keep` or its ancestors. A leader that comes back into its
        own view has prepared blocks above `keep` in it: those are kept, to be proposed again."""
        own = [
            pair[0]
            for (view, phase, _), pair in sorted(self.voted.items())
            if view == self.view and phase == PREPARE and pair[0] in self.known
        ]
        keep = own[-1] if own else keep
        kept: dict[BlockHash, Executed] = {}
        walk = keep
        while walk is not None and walk in self.known:
            kept[walk] = self.known[walk]
            walk = self.known[walk].ready.parent
        for block in list(self.known):
            ready = self.known[block].ready
            if ready.height > self.head.height and block not in kept:
                del self.known[block]
        self.out.append(Drop(() if keep is None else (keep,)))


def certificate_order(certificate: Certificate | None) -> tuple[int, int, int]:
    """Certificates of one epoch are ordered by (view, height); of two for one pair, the commit is the greater."""
    if certificate is None:
        return (-1, -1, -1)
    return (certificate.view, certificate.height, certificate.phase)
