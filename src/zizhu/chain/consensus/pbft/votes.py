"""Casting votes and counting them: prepare, prepared certificate, commit, commit certificate.

Decides when this member votes and when a quorum is there. The order of a vote is Persist, Sign, Send; a vote
record is never contradicted, not even across a restart.
"""

from zizhu.chain.consensus.certificate import statement_of, verify_certificate
from zizhu.chain.consensus.pbft import timing
from zizhu.chain.consensus.pbft.messages import Prepared, Vote, Voted
from zizhu.chain.consensus.pbft.state import KEPT_BELOW_HEAD, Pair, Pending, Slot, State, certificate_order
from zizhu.chain.consensus.port import Commit, Execute, Ready
from zizhu.chain.crypto.hashing import vote_message
from zizhu.chain.crypto.port import Signed as SignedMessage
from zizhu.chain.model import certificate as model
from zizhu.chain.model.certificate import COMMIT, PREPARE, Certificate, SignedBy, VoteStatement
from zizhu.chain.model.effects import Report, Send
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import BlockHash, MemberId, OutcomeHash

UNSIGNED = bytes(64)


def statement(s: State, vote: Vote) -> VoteStatement:
    """What `vote` signs."""
    return VoteStatement(s.voters.ledger, vote.epoch, vote.view, vote.phase, vote.height, vote.block, vote.outcome)


def statement_message(s: State, vote: Vote) -> bytes:
    """The 32 bytes under the signature of `vote`."""
    return vote_message(s.voters.suite, statement(s, vote))


def may_cast(s: State, phase: int, height: int, pair: Pair) -> bool:
    """Whether a vote for `pair` contradicts none this member has cast in this view."""
    return s.voting and s.active and s.voted.get((s.view, phase, height), pair) == pair


def cast(s: State, phase: int, height: int, pair: Pair, *, kind: str = "vote", before: Prepared | None = None) -> None:
    """Write the vote down (behind the certificate it rests on), then ask for its signature."""
    assert may_cast(s, phase, height, pair), f"double vote at {(s.view, phase, height)}"
    s.voted[(s.view, phase, height)] = pair
    s.newest_own = max(s.newest_own, (s.view, height, phase))
    epoch = s.voters.record.number
    record = Voted(epoch, s.view, phase, height, pair[0], pair[1])
    s.persist(*((before, record) if before is not None else (record,)))
    unsigned = Vote(epoch, s.view, phase, height, pair[0], pair[1], UNSIGNED)
    purpose = encode((kind, s.view, phase, height))
    s.sign(purpose, vote_message(s.voters.suite, statement(s, unsigned)), Pending(s.view, kind, height, unsigned))


def vote_signed(s: State, pending: Pending, signature: bytes) -> Vote:
    """The signed vote, counted as this member's own."""
    unsigned = pending.message
    assert isinstance(unsigned, Vote)
    vote = Vote(
        unsigned.epoch,
        unsigned.view,
        unsigned.phase,
        unsigned.height,
        unsigned.block,
        unsigned.outcome,
        signature,
    )
    slot = s.slot(vote.height)
    slot.of(vote.phase)[s.me] = vote
    slot.verified[(vote.phase, s.me)] = True
    return vote


def send_vote(s: State, vote: Vote) -> None:
    """To all others."""
    s.out.append(Send(s.others, vote))


def heard(s: State, peer: MemberId, vote: Vote) -> None:
    """Keep a peer's newest vote, also one that is of no use here any more: it has cast it, and may have forgotten that
    when it asks after a restart. Unverified: a link speaks for its member alone, which checks what it is shown."""
    held = s.newest.get(peer)
    if held is None or (vote.view, vote.height, vote.phase) > (held.view, held.height, held.phase):
        s.newest[peer] = vote


def receive_vote(s: State, peer: MemberId, vote: Vote) -> None:
    """Keep the first vote of a member for (view, phase, height); a second, other one is an offence."""
    if not s.in_reach(vote.height):
        return
    slot = s.slot(vote.height)
    votes = slot.of(vote.phase)
    earlier = votes.get(peer)
    if earlier is not None:
        if (earlier.block, earlier.outcome) != (vote.block, vote.outcome):
            s.fault(peer, "equivocation", height=vote.height, view=vote.view, phase=vote.phase)
        return
    votes[peer] = vote


def prepare_ready(s: State, height: int) -> None:
    """Cast a prepare for the proposal of `height` if it is executed, agrees with the leader's outcome and
    contradicts no vote of ours."""
    slot = s.slots.get(height)
    if slot is None or slot.proposal is None or slot.block is None or slot.prepare_cast or slot.refused:
        return
    executed = s.known.get(slot.block)
    if executed is None:
        return
    ready = executed.ready
    if ready.outcome != slot.proposal.outcome:
        slot.refused = True
        s.fault(s.leader(s.view), "outcome_differs", height=height)
        timing.request_view_change(s, "outcome_differs")
        return
    pair = (ready.block, ready.outcome)
    if not may_cast(s, PREPARE, height, pair):
        return
    slot.prepare_cast = True
    cast(s, PREPARE, height, pair)


def advance(s: State) -> None:
    """Turn votes into certificates and certificates into votes and commits, as far as it goes."""
    progressed = True
    while progressed:
        progressed = False
        for height in sorted(s.slots):
            slot = s.slots.get(height)
            if slot is not None:
                progressed = _prepared(s, height, slot) or progressed
                progressed = _certified(s, height, slot) or progressed


def _prepared(s: State, height: int, slot: Slot) -> bool:
    """Form the prepared certificate; commit-vote when the prefix allows it."""
    if slot.prepared is None:
        slot.prepared = _certificate(s, height, slot, PREPARE)
    if slot.prepared is None or slot.commit_cast or not slot.prepare_cast:
        return False
    certificate = slot.prepared
    executed = s.known.get(BlockHash(certificate.block))
    if executed is None or executed.ready.outcome != certificate.outcome or s.me not in slot.prepares:
        return False
    is_tip = s.tip is not None and height == s.tip.height
    below = s.slots.get(height - 1)
    if not (is_tip or height <= s.head.height + 1 or (below is not None and below.commit_cast)):
        return False
    if not s.voting or not s.active:
        return False
    return _commit_vote(s, certificate, executed.ready, is_tip=is_tip)


def _commit_vote(s: State, certificate: Certificate, ready: Ready, *, is_tip: bool) -> bool:
    """Vote to commit a prepared block; for the tip of a view, its uncommitted ancestors too, lowest first."""
    chain = [ready]
    if is_tip:
        while chain[-1].height > s.head.height + 1:
            below = s.known.get(chain[-1].parent)
            if below is None:
                _ask_ancestor(s, certificate, chain[-1])
                return False
            chain.append(below.ready)
    chain.reverse()
    if not all(may_cast(s, COMMIT, each.height, (each.block, each.outcome)) for each in chain):
        return False
    if certificate_order(certificate) > certificate_order(s.best):
        s.best = certificate
    before: Prepared | None = Prepared(certificate)
    for each in chain:
        slot = s.slot(each.height)
        if not slot.commit_cast:
            slot.commit_cast = True
            cast(s, COMMIT, each.height, (each.block, each.outcome), before=before)
            before = None
    return True


def _ask_ancestor(s: State, tip: Certificate, child: Ready) -> None:
    """An ancestor of the tip that the node executed long ago, and that this engine has forgotten or never heard of."""
    slot = s.slot(child.height - 1)
    if not slot.asked:
        slot.asked = True
        signers = tuple(MemberId(each.member) for each in tip.signatures if each.member != s.me)
        s.out.append(Execute(child.parent, None, (), signers, fresh=False))


def _certified(s: State, height: int, slot: Slot) -> bool:
    """Form the commit certificate; commit it when it is the child of the head and executed here."""
    if slot.committed is None:
        slot.committed = _certificate(s, height, slot, COMMIT)
    if slot.committed is None or height != s.head.height + 1:
        return False
    return adopt(s, slot.committed)


def adopt(s: State, certificate: Certificate) -> bool:
    """Commit the child of the head that `certificate` certifies, or ask for its body."""
    if certificate.height != s.head.height + 1:
        return False
    block = BlockHash(certificate.block)
    executed = s.known.get(block)
    if executed is None:
        slot = s.slot(certificate.height)
        slot.committed = certificate
        if not slot.certified_asked:
            slot.certified_asked = True
            ask_certified(s, certificate)
        return False
    assert executed.ready.outcome == certificate.outcome, (
        f"height {certificate.height}: own execution gives {executed.ready.outcome.hex()}, "
        f"certified is {certificate.outcome.hex()}"
    )
    assert executed.ready.parent == s.head.block, "a certified block is not a child of the head"
    s.out.append(Commit(certificate))
    new_head(s, executed.ready, certificate)
    return True


def ask_certified(s: State, certificate: Certificate) -> None:
    """A certified block is wanted whatever this node's clock says of it: from any of its signers."""
    signers = tuple(MemberId(each.member) for each in certificate.signatures if each.member != s.me)
    s.out.append(Execute(BlockHash(certificate.block), None, (), signers, fresh=False))


def new_head(s: State, ready: Ready, certificate: Certificate) -> None:
    """The head moved to `ready`: forget what is below, restart the clock, pass the lead on when it is due."""
    previous = s.head
    s.head, s.head_certificate = ready, certificate
    s.by_height[ready.height] = ready.block
    old = ready.height - KEPT_BELOW_HEAD
    if (gone := s.by_height.pop(old, None)) is not None:
        s.known.pop(gone, None)
    for block in [
        b for b, e in s.known.items() if e.ready.height <= ready.height and s.by_height.get(e.ready.height) != b
    ]:
        del s.known[block]
    for height in [h for h in s.slots if h <= ready.height]:
        if s.tip is None or height != s.tip.height:
            del s.slots[height]
    for key in [k for k in s.voted if k[2] < old]:
        del s.voted[key]
    timing.committed(s, previous, ready)


def _certificate(s: State, height: int, slot: Slot, phase: int) -> Certificate | None:
    """A certificate of `phase` if a quorum of good signatures for one pair is there."""
    votes = slot.of(phase)
    needed = s.voters.needed
    if len(votes) < needed:
        return None
    groups: dict[Pair, list[MemberId]] = {}
    for member in sorted(votes):
        vote = votes[member]
        groups.setdefault((BlockHash(vote.block), OutcomeHash(vote.outcome)), []).append(member)
    for pair in sorted(groups):
        members = groups[pair]
        if len(members) < needed:
            continue
        good = _verified(s, slot, phase, members)
        if len(good) >= needed:
            signatures = [SignedBy(member, votes[member].signature) for member in good[:needed]]
            epoch = s.voters.record.number
            made = Certificate(model.VERSION, phase, epoch, s.view, height, pair[0], pair[1], signatures)
            verify_certificate(made, s.voters, phase=phase, known=signatures)
            _look_at_strays(s, slot, phase, members)
            remember(s, made)
            return made
    return None


def _look_at_strays(s: State, slot: Slot, phase: int, members: list[MemberId]) -> None:
    """Votes for another pair than the certified one: an equivocating leader may have led their senders there, unless
    they are not even theirs."""
    for member in sorted(slot.of(phase)):
        if member not in members:
            _verified(s, slot, phase, [member])


def _verified(s: State, slot: Slot, phase: int, members: list[MemberId]) -> list[MemberId]:
    """Those of `members` whose signature is good; a bad vote is thrown out and its sender named."""
    votes = slot.of(phase)
    unknown = [member for member in members if (phase, member) not in slot.verified]
    if unknown:
        message = vote_message(s.voters.suite, statement(s, votes[unknown[0]]))
        batch = [SignedMessage(s.voters.keys[member], message, votes[member].signature) for member in unknown]
        for member, good in zip(unknown, s.voters.suite.members.verify_many(batch), strict=True):
            if good:
                slot.verified[(phase, member)] = True
            else:
                del votes[member]
                s.fault(member, "vote_signature", phase=phase)
    return [member for member in members if (phase, member) in slot.verified]


def remember(s: State, certificate: Certificate) -> None:
    """Keep each signer's newest vote, for a member that asks after a restart."""
    for signed in certificate.signatures:
        remember_vote(s, certificate, signed)


def remember_vote(s: State, certificate: Certificate, signed: SignedBy) -> None:
    """Keep one signer's vote if it is its newest."""
    said = statement_of(certificate, s.voters.ledger)
    vote = Vote(said.epoch, said.view, said.phase, said.height, said.block, said.outcome, signed.signature)
    heard(s, MemberId(signed.member), vote)


def resend(s: State, peer: MemberId, above: int) -> None:
    """Send this member's own votes above height `above` again to a peer that does not move."""
    before = len(s.out)
    for height in sorted(s.slots):
        slot = s.slots[height]
        if height <= above:
            continue
        if slot.proposal is not None and s.leading and s.me in slot.prepares:
            s.out.append(Send((peer,), slot.proposal))
        for phase in (PREPARE, COMMIT):
            vote = slot.of(phase).get(s.me)
            if vote is not None and not (phase == PREPARE and s.leading):
                s.out.append(Send((peer,), vote))
    if len(s.out) > before:
        s.out.append(Report("votes_resent", {"peer": peer.hex(), "above": above}))
