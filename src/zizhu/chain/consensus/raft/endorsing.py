"""Endorsing what has committed: signatures, certificates, and the head that moves with them.

Decides when a member signs a block: only after its commit index has passed the entry and it has executed the block,
and one block a height, for ever. A majority of these signatures is the certificate. Source: docs/protocol/raft.md,
rules 7 to 9.
"""

from collections.abc import Sequence

from zizhu.chain.consensus.certificate import statement_of, verify_certificate
from zizhu.chain.consensus.port import Behind, Commit, Ready, Signed
from zizhu.chain.consensus.raft import proposing, terms
from zizhu.chain.consensus.raft.messages import Endorsed, Endorsement
from zizhu.chain.consensus.raft.state import KEPT_BELOW_HEAD, LOG_KEPT, LOG_SLACK, Pair, Role, State
from zizhu.chain.crypto.hashing import vote_message
from zizhu.chain.crypto.port import Signed as SignedMessage
from zizhu.chain.model import certificate as model
from zizhu.chain.model.certificate import COMMIT, Certificate, SignedBy, VoteStatement
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.ids import BlockHash, MemberId, OutcomeHash

VIEW = 0
"""Certificates of a Raft epoch are all of one view: terms do not enter them."""
REACH = 256
"""Endorsements and certificates of blocks further above the head are of no use here."""
CERTIFICATES_KEPT = 64


def message_of(s: State, height: int, pair: Pair) -> bytes:
    """The 32 bytes that an endorsement signs."""
    statement = VoteStatement(s.voters.ledger, s.epoch, VIEW, COMMIT, height, pair[0], pair[1])
    return vote_message(s.voters.suite, statement)


def endorse_committed(s: State) -> None:
    """Sign every committed block above the head that is not signed yet; written down first, all at once."""
    wanted: list[tuple[int, Pair]] = []
    for _, height, block in s.blocks_above(_index_of_head(s)):
        if height <= s.head.height or height in s.signatures or height in s.pending:
            continue
        executed = s.known.get(block)
        assert executed is not None, "every block of the log above the head is executed"
        pair = (block, executed.ready.outcome)
        if s.endorsed.get(height, pair) != pair:
            s.report("endorsed_another", height=height)
            break
        wanted.append((height, pair))
    fresh = [(height, pair) for height, pair in wanted if height not in s.endorsed]
    if fresh:
        s.persist(*(Endorsed(s.epoch, height, pair[0], pair[1]) for height, pair in fresh))
    for height, pair in wanted:
        s.endorsed[height] = s.pending[height] = pair
        s.endorsed_up_to = max(s.endorsed_up_to, height)
        s.sign(encode(("endorse", height)), message_of(s, height, pair))


def _index_of_head(s: State) -> int:
    """An index at or below the head's, close to it."""
    index = s.commit_index
    while (entry := s.log.at(index)) is not None and entry.height > s.head.height:
        index -= 1
    return index


def signed(s: State, event: Signed) -> None:
    """An endorsement is signed: count it here, or send it to the leader."""
    for height, pair in list(s.pending.items()):
        if event.purpose == encode(("endorse", height)):
            del s.pending[height]
            if height > s.head.height:
                endorsement = Endorsement(height, pair[0], pair[1], event.signature)
                s.signatures[height] = endorsement
                if s.leading:
                    s.collected.setdefault(height, {})[s.me] = endorsement
                else:
                    s.owes_reply = True


def collect(s: State, peer: MemberId, endorsements: Sequence[Endorsement]) -> None:
    """A follower's signatures; the leader puts them together."""
    for each in endorsements:
        if each.height > s.head.height + REACH:
            s.fault(peer, "endorsement_out_of_window", height=each.height)
            return
        _remember(s, peer, each)
        if each.height > s.head.height:
            earlier = s.collected.setdefault(each.height, {}).setdefault(peer, each)
            if (earlier.block, earlier.outcome) != (each.block, each.outcome):
                s.fault(peer, "equivocation", height=each.height)


def certify(s: State) -> None:
    """As long as the block above the head has a majority of good signatures: certify it."""
    while s.leading and (pair := s.endorsed.get(s.head.height + 1)) is not None:
        height = s.head.height + 1
        good = _good_signatures(s, height, pair)
        if len(good) < s.needed:
            return
        made = Certificate(model.VERSION, COMMIT, s.epoch, VIEW, height, pair[0], pair[1], good)
        verify_certificate(made, s.voters, known=good)
        s.certificates[height] = made
        executed = s.known.get(pair[0])
        assert executed is not None and executed.ready.parent == s.head.block, "what is endorsed continues the head"
        s.out.append(Commit(made))
        new_head(s, executed.ready, made)


def _good_signatures(s: State, height: int, pair: Pair) -> list[SignedBy]:
    """The signatures for `pair` that hold, ascending by member. Looked at once there may be enough of them; a bad one
    is thrown out, and its sender named."""
    votes = s.collected.get(height, {})
    fitting = [member for member in sorted(votes) if (votes[member].block, votes[member].outcome) == pair]
    if len(fitting) < s.needed:
        return []
    message = message_of(s, height, pair)
    batch = [SignedMessage(s.voters.keys[member], message, votes[member].signature) for member in fitting]
    good: list[SignedBy] = []
    for member, holds in zip(fitting, s.voters.suite.members.verify_many(batch), strict=True):
        if holds:
            good.append(SignedBy(member, votes[member].signature))
        else:
            del votes[member]
            s.fault(member, "endorsement_signature", height=height)
    return good


def take_certificates(s: State, peer: MemberId, certificates: Sequence[Certificate]) -> None:
    """Certificates that the leader put together: checked, kept until their blocks are here, then committed."""
    for certificate in certificates:
        height = certificate.height
        if height <= s.head.height or height in s.certificates or height > s.head.height + REACH:
            continue
        try:
            verify_certificate(certificate, s.voters)
        except SpokeWrongly:
            s.fault(peer, "certificate", height=height)
            return
        s.certificates[height] = certificate
    commit_certified(s)
    missing = max(s.certificates, default=0)
    if missing > s.head.height:
        s.out.append(Behind(peer, missing))


def commit_certified(s: State) -> None:
    """Commit certified blocks that are executed here, in order."""
    while (certificate := s.certificates.get(s.head.height + 1)) is not None:
        executed = s.known.get(BlockHash(certificate.block))
        if executed is None or executed.ready.parent != s.head.block:
            return
        assert executed.ready.outcome == certificate.outcome, (
            f"height {certificate.height}: own execution gives {executed.ready.outcome.hex()}, "
            f"certified is {certificate.outcome.hex()}"
        )
        s.out.append(Commit(certificate))
        new_head(s, executed.ready, certificate)


def new_head(s: State, ready: Ready, certificate: Certificate) -> None:
    """The head moved to `ready`: forget what is below it and its rivals."""
    s.head = ready
    remember(s, certificate)
    s.by_height[ready.height] = ready.block
    gone = s.by_height.pop(ready.height - KEPT_BELOW_HEAD, None)
    if gone is not None:
        s.known.pop(gone, None)
    for block in [
        b for b, e in s.known.items() if e.ready.height <= ready.height and s.by_height.get(e.ready.height) != b
    ]:
        del s.known[block]
    for by_height in (s.endorsed, s.signatures, s.collected):
        for height in [h for h in by_height if h <= ready.height]:
            del by_height[height]
    for height in [h for h in s.certificates if h <= ready.height - CERTIFICATES_KEPT]:
        del s.certificates[height]
    index = s.log.index_of(ready.height, ready.block)
    if index is not None:
        s.commit_index = max(s.commit_index, index)
        if index - s.log.base_index > LOG_KEPT + LOG_SLACK:
            s.log.forget_up_to(index - LOG_KEPT)
    if s.role is not Role.FOLLOWER and not s.holds_head():
        # A leader holds everything that is committed: there is a newer one. What this one built would continue nothing.
        s.report("overtaken", term=s.term, height=ready.height)
        terms.follow(s, s.term, None)
    s.due = False
    if s.leading:
        proposing.arm_idle_timer(s)


def remember(s: State, certificate: Certificate) -> None:
    """Keep each signer's newest endorsement, for a member that asks after a restart."""
    said = statement_of(certificate, s.voters.ledger)
    for each in certificate.signatures:
        endorsement = Endorsement(said.height, said.block, said.outcome, each.signature)
        _remember(s, MemberId(each.member), endorsement)


def _remember(s: State, member: MemberId, endorsement: Endorsement) -> None:
    held = s.newest.get(member)
    if held is None or endorsement.height > held.height:
        s.newest[member] = endorsement


def pair_of(endorsement: Endorsement) -> Pair:
    """What an endorsement is for."""
    return BlockHash(endorsement.block), OutcomeHash(endorsement.outcome)
