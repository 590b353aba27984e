"""Proposing and accepting blocks: execute, then vote.

Decides when the leader builds, what a follower accepts, and in which order proposals are executed: a member
prepares h+1 only on the block it prepared at h in this view, on the view's starting block, or on a block whose
commit certificate it holds; and nothing before the view's tip.
"""

from zizhu.chain.consensus.pbft import timing, votes
from zizhu.chain.consensus.pbft.messages import Proposal, Vote
from zizhu.chain.consensus.pbft.state import Pending, Slot, State
from zizhu.chain.consensus.port import Behind, Build, Execute, Executed, Ready, Waiting
from zizhu.chain.crypto.hashing import block_hash, vote_message
from zizhu.chain.model.certificate import PREPARE
from zizhu.chain.model.effects import Send, SetTimer
from zizhu.chain.model.ids import BlockHash, MemberId


def receive(s: State, peer: MemberId, proposal: Proposal) -> None:
    """A proposal of the current view, from its leader only."""
    header = proposal.header
    if peer != s.leader(s.view):
        s.fault(peer, "proposal_not_leader", view=proposal.view)
        return
    if header.epoch != proposal.epoch and header.height != (s.tip.height if s.tip else 0):
        s.fault(peer, "proposal_epoch", height=header.height)
        return
    if not s.in_reach(header.height):
        if header.height > s.head.height:
            s.out.append(Behind(peer, header.height - 1))
        return
    slot = s.slot(header.height)
    block = block_hash(s.voters.suite, header)
    if slot.proposal is not None:
        if slot.block != block or slot.proposal.outcome != proposal.outcome:
            s.fault(peer, "equivocation", height=header.height, view=s.view, phase=PREPARE)
            timing.request_view_change(s, "equivocation")
        return
    is_fresh = s.tip is None or header.height > s.tip.height
    if is_fresh and header.proposer != peer:
        s.fault(peer, "proposal_proposer", height=header.height)
        return
    vote = Vote(proposal.epoch, s.view, PREPARE, header.height, block, proposal.outcome, proposal.signature)
    message = vote_message(s.voters.suite, votes.statement(s, vote))
    if not s.voters.suite.members.verify(s.voters.keys[peer], message, proposal.signature):
        s.fault(peer, "proposal_signature", height=header.height)
        return
    slot.proposal, slot.block, slot.arrived_ms = proposal, block, s.now.wall_ms
    slot.prepares[peer] = vote
    slot.verified[(PREPARE, peer)] = True
    s.newest[peer] = vote
    timing.arm_view_timer(s)


def consider(s: State, height: int) -> None:
    """Execute the proposal of `height` if it may be prepared now; prepare it if it is executed already."""
    slot = s.slots.get(height)
    if slot is None or slot.proposal is None or slot.block is None or slot.refused or not s.active:
        return
    if not _parent_allows(s, height, slot):
        return
    if slot.block in s.known:
        votes.prepare_ready(s, height)
    elif not slot.asked:
        slot.asked = True
        is_tip = s.tip is not None and height == s.tip.height
        sources = [s.leader(s.view)]
        if is_tip and s.tip is not None:
            sources += [MemberId(each.member) for each in s.tip.signatures if each.member != sources[0]]
        others = tuple(member for member in sources if member != s.me)
        header = slot.proposal.header
        entries = tuple(slot.proposal.entries)
        s.out.append(Execute(slot.block, header, entries, others, fresh=not is_tip, arrived_ms=slot.arrived_ms))


def _parent_allows(s: State, height: int, slot: Slot) -> bool:
    """The prefix rule. A proposal that breaks it for good is refused, which asks for a view change."""
    assert slot.proposal is not None
    if s.tip is not None:
        if height == s.tip.height:
            if slot.block == s.tip.block and slot.proposal.outcome == s.tip.outcome:
                return True
            return _refuse(s, slot, "tip_differs")
        if height < s.tip.height:
            return _refuse(s, slot, "below_tip")
        tip_slot = s.slots.get(s.tip.height)
        if s.head.height < s.tip.height and (tip_slot is None or not tip_slot.prepare_cast):
            return False
    elif height <= s.start_height:
        # The view starts on a certified block that this member may not have yet: a rival there would be a fork.
        return _refuse(s, slot, "below_start")
    parent = BlockHash(slot.proposal.header.parent)
    below = s.slots.get(height - 1)
    if below is not None and below.prepare_cast:
        return below.block == parent or _refuse(s, slot, "parent_differs")
    if parent == s.start and height == s.start_height + 1:
        return parent == s.head.block or parent in s.known
    if height <= s.head.height + 1:
        held = s.head.block if height == s.head.height + 1 else s.by_height.get(height - 1)
        return held == parent or _refuse(s, slot, "parent_differs")
    return False


def _refuse(s: State, slot: Slot, rule: str) -> bool:
    slot.refused = True
    s.fault(s.leader(s.view), rule, view=s.view)
    timing.request_view_change(s, rule)
    return False


def refused(s: State, block: BlockHash, code: str) -> None:
    """The block breaks a rule: nobody honest prepares it; ask for another leader."""
    for height in sorted(s.slots):
        slot = s.slots[height]
        if slot.committed is not None and slot.committed.block == block:
            # Once, it may have been this clock's fault while the block was fresh; twice, this node is broken.
            assert not slot.certified_refused, f"a certified block is refused here: {code} at height {height}"
            slot.certified_refused = True
            votes.ask_certified(s, slot.committed)
        elif slot.block == block and not slot.refused:
            slot.refused = True
            s.fault(s.leader(s.view), "block_refused", height=height, code=code)
            timing.request_view_change(s, "block_refused")


def maybe_propose(s: State) -> None:
    """As leader: build the next block if the window, the batch rule or the idle rule says so."""
    if not (s.active and s.voting and s.leading) or s.building:
        return
    if s.tip is not None and (s.tip.height not in s.slots or s.slots[s.tip.height].proposal is None):
        # A leader that comes back into its view may hold the tip committed, and forgotten: nobody waits for it.
        if s.tip.height > s.head.height or s.tip.block in s.known:
            propose_tip(s)
            return
    if s.tip is None and s.head.height < s.start_height:
        return
    parameters = s.voters.record.parameters
    last = s.last_proposed()
    if last.height + 1 - s.head.height > parameters.window:
        return
    recorded = s.voted.get((s.view, PREPARE, last.height + 1))
    if recorded is not None:
        again = s.known.get(recorded[0])
        if again is not None and again.ready.parent == last.block:
            propose(s, again)
        return
    in_flight = last.height > s.head.height
    first = last.height == s.setting.epoch_start
    free = s.waiting.free
    if first or (s.due and not in_flight):
        _build(s, last, empty=True)
    elif (free and (not in_flight or free >= parameters.batch_transactions)) or (
        free and s.waiting.oldest_ms >= parameters.batch_wait_ms
    ):
        _build(s, last, empty=False)
    elif free:
        s.out.append(SetTimer("batch", max(1, parameters.batch_wait_ms - s.waiting.oldest_ms)))


def batch_due(s: State) -> None:
    """The oldest free transaction has waited long enough for company."""
    parameters = s.voters.record.parameters
    s.waiting = Waiting(s.waiting.free, max(s.waiting.oldest_ms, parameters.batch_wait_ms), s.waiting.unfinished)


def _build(s: State, last: Ready, *, empty: bool) -> None:
    slot = s.slots.get(last.height + 1)
    if slot is not None and slot.proposal is not None:
        return
    s.building = True
    s.out.append(Build(last.block, empty))


def built(s: State, event: Executed | None) -> None:
    """The block asked for by `maybe_propose`; dropped if this member no longer leads on its parent."""
    s.building = False
    if event is None:
        # Nothing of what waits fits on this parent: ask again only when the pool has changed, never in a circle.
        s.waiting = Waiting(0, 0, s.waiting.unfinished)
        return
    s.learn(event)
    if not (s.active and s.voting and s.leading) or event.ready.parent != s.last_proposed().block:
        return
    propose(s, event)


def propose(s: State, event: Executed) -> None:
    """Propose an executed block in the current view; the signature is this leader's prepare."""
    ready = event.ready
    pair = (ready.block, ready.outcome)
    if not votes.may_cast(s, PREPARE, ready.height, pair):
        return
    slot = s.slot(ready.height)
    if slot.prepare_cast:
        return
    slot.proposal = Proposal(
        s.voters.record.number, s.view, event.header, list(event.entries), ready.outcome, votes.UNSIGNED
    )
    slot.block = ready.block
    slot.prepare_cast = True
    s.due = False
    votes.cast(s, PREPARE, ready.height, pair, kind="proposal")
    timing.arm_view_timer(s)
    timing.arm_idle_timer(s)


def propose_tip(s: State) -> None:
    """As leader of a view with a tip: propose it again, unchanged; fetch it first if it is not here."""
    assert s.tip is not None
    block = BlockHash(s.tip.block)
    event = s.known.get(block)
    if event is not None:
        assert event.ready.outcome == s.tip.outcome, "own execution of a prepared block differs from its certificate"
        propose(s, event)
    elif not s.tip_asked:
        s.tip_asked = True
        sources = tuple(MemberId(each.member) for each in s.tip.signatures if each.member != s.me)
        s.out.append(Execute(block, None, (), sources, fresh=False))


def proposal_signed(s: State, pending: Pending, signature: bytes) -> None:
    """The leader's prepare is signed: send the proposal that carries it, unless the height was synced meanwhile."""
    if (slot := s.slots.get(pending.height)) is None or slot.proposal is None:
        return
    votes.vote_signed(s, pending, signature)
    unsigned = slot.proposal
    slot.proposal = Proposal(
        unsigned.epoch, unsigned.view, unsigned.header, unsigned.entries, unsigned.outcome, signature
    )
    s.out.append(Send(s.others, slot.proposal))
