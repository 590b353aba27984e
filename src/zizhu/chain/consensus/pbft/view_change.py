"""Changing the view: VIEW-CHANGE, NEW-VIEW, the tip, and what the next view starts from.

Decides which certificate is carried and what may be proposed first. Source: docs/protocol/pbft.md; the rules
that look simpler (highest ancestor prepared again one by one, commits without the view) fork.
"""

import itertools

from zizhu.chain.consensus.certificate import Electorate, verify_certificate
from zizhu.chain.consensus.pbft import timing, votes
from zizhu.chain.consensus.pbft.messages import (
    Changed,
    Entered,
    NewView,
    NewViewStatement,
    ViewChange,
    ViewChangeStatement,
)
from zizhu.chain.consensus.pbft.state import VIEW_AHEAD_MAX, Pending, State, certificate_order
from zizhu.chain.consensus.port import Behind
from zizhu.chain.model.certificate import COMMIT, Certificate
from zizhu.chain.model.effects import Report, Send, SetTimer
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.ids import ZERO_HASH, BlockHash, MemberId

UNSIGNED = bytes(64)


def start(s: State, view: int, reason: str) -> None:
    """Give up all votes below `view` and ask for it, with this member's greatest certificate."""
    assert s.voting and view > s.view
    s.out.append(Report("view_change", {"from": s.view, "to": view, "reason": reason}))
    s.view, s.active, s.opening = view, False, False
    s.pending.clear()
    s.slots.clear()
    s.tip, s.tip_asked, s.building, s.due = None, False, False, False
    s.newest_own_view = max(s.newest_own_view, view)
    certificate = own_greatest(s)
    s.persist(Changed(s.voters.record.number, view, certificate))
    ask_signature(s, view, certificate)
    s.view_timer = False
    s.out.append(SetTimer("view", None))
    s.out.append(SetTimer("resend", timing.timeout_ms(s) // 2))


def own_greatest(s: State) -> Certificate | None:
    """This member's certificate of this epoch with the greatest (view, height), prepared or commit."""
    head = s.head_certificate if s.head.height > s.setting.epoch_start else None
    return max(s.best, head, key=certificate_order)


def ask_signature(s: State, view: int, certificate: Certificate | None) -> None:
    """Ask for the signature under this member's VIEW-CHANGE to `view`, which carries `certificate`."""
    unsigned = ViewChange(s.voters.record.number, view, certificate, s.me, UNSIGNED)
    message = change_message(s.voters, unsigned)
    s.sign(encode(("view-change", view)), message, Pending(view, "view-change", 0, unsigned))


def change_message(voters: Electorate, change: ViewChange) -> bytes:
    """32 bytes that a VIEW-CHANGE signs."""
    carried = ZERO_HASH if change.certificate is None else voters.suite.hash(b"carried", encode(change.certificate))
    statement = ViewChangeStatement(voters.ledger, change.epoch, change.view, carried)
    return voters.suite.hash(b"view-change", encode(statement))


def new_view_message(voters: Electorate, *, epoch: int, view: int, changes: list[ViewChange]) -> bytes:
    """32 bytes that a NEW-VIEW signs."""
    digest = voters.suite.hash(b"changes", encode(changes))
    return voters.suite.hash(b"new-view", encode(NewViewStatement(voters.ledger, epoch, view, digest)))


def change_signed(s: State, pending: Pending, signature: bytes) -> None:
    """This member's VIEW-CHANGE may leave."""
    unsigned = pending.message
    assert isinstance(unsigned, ViewChange)
    change = ViewChange(unsigned.epoch, unsigned.view, unsigned.certificate, s.me, signature)
    s.changes[s.me] = change
    s.out.append(Send(s.others, change))
    changes_counted(s)


def resend(s: State) -> None:
    """While the next view is not open, repeat the VIEW-CHANGE."""
    if s.active or not s.voting:
        return
    own = s.changes.get(s.me)
    if own is not None and own.view == s.view:
        s.out.append(Send(s.others, own))
    s.out.append(SetTimer("resend", timing.timeout_ms(s) // 2))


def receive(s: State, peer: MemberId, change: ViewChange) -> None:
    """Keep a member's VIEW-CHANGE of greatest view; join, open or wait as the counts say."""
    if change.member != peer:
        s.fault(peer, "view_change_member", member=change.member.hex())
        return
    if change.view > s.view + VIEW_AHEAD_MAX:
        s.fault(peer, "view_out_of_window", view=change.view)
        return
    if s.active and change.view <= s.view and s.new_view is not None:
        s.out.append(Send((peer,), s.new_view))
    held = s.changes.get(peer)
    if held is not None and held.view >= change.view:
        return
    rule = fault_of(s.voters, change)
    if rule:
        s.fault(peer, rule, view=change.view)
        return
    s.changes[peer] = change
    s.newest_change[peer] = change
    carried = change.certificate
    if carried is not None and carried.phase == COMMIT and carried.height > s.head.height:
        if not votes.adopt(s, carried):
            s.out.append(Behind(peer, carried.height))
    changes_counted(s)


def fault_of(voters: Electorate, change: ViewChange) -> str:
    """The rule that a VIEW-CHANGE breaks, or ""."""
    if change.epoch != voters.record.number:
        return "view_change_epoch"
    key = voters.keys.get(MemberId(change.member))
    if key is None:
        return "view_change_member"
    carried = change.certificate
    if carried is not None:
        if carried.view >= change.view:
            return "view_change_certificate"
        try:
            verify_certificate(carried, voters, phase=carried.phase)
        except SpokeWrongly:
            return "view_change_certificate"
    if not voters.suite.members.verify(key, change_message(voters, change), change.signature):
        return "view_change_signature"
    return ""


def changes_counted(s: State) -> None:
    """Apply the three counts: f+1 above our view join, q for our view open it, q at or above it start the timer."""
    if not s.voting:
        return
    above = sorted(change.view for member, change in s.changes.items() if member != s.me and change.view > s.view)
    if len(above) >= s.honest:
        start(s, above[0], "joined")
        return
    if s.active:
        return
    matching = sorted(member for member, change in s.changes.items() if change.view == s.view)
    if s.leading and not s.opening and s.me in matching and len(matching) >= s.voters.needed:
        _open(s, matching)
    reaching = sum(1 for change in s.changes.values() if change.view >= s.view)
    if reaching >= s.voters.needed and not s.view_timer:
        s.view_timer = True
        s.out.append(SetTimer("view", timing.timeout_ms(s)))


def _open(s: State, matching: list[MemberId]) -> None:
    """As the leader of a view with a quorum of VIEW-CHANGEs: write the NEW-VIEW down, then sign it."""
    others = [member for member in matching if member != s.me]
    chosen = sorted([s.me, *others[: s.voters.needed - 1]])
    changes = [s.changes[member] for member in chosen]
    s.persist(Entered(s.voters.record.number, s.view, changes, UNSIGNED))
    sign_new_view(s, changes)


def sign_new_view(s: State, changes: list[ViewChange]) -> None:
    """Ask for the signature of this leader's NEW-VIEW, which stands in the vote log: the same one after a restart."""
    s.opening = True
    epoch = s.voters.record.number
    message = new_view_message(s.voters, epoch=epoch, view=s.view, changes=changes)
    pending = Pending(s.view, "new-view", 0, NewView(epoch, s.view, changes, UNSIGNED))
    s.sign(encode(("new-view", s.view)), message, pending)


def new_view_signed(s: State, pending: Pending, signature: bytes) -> None:
    """The NEW-VIEW may leave; its leader enters the view first."""
    unsigned = pending.message
    assert isinstance(unsigned, NewView)
    opened = NewView(unsigned.epoch, unsigned.view, unsigned.changes, signature)
    s.out.append(Send(s.others, opened))
    enter(s, opened)


def receive_new_view(s: State, peer: MemberId, opened: NewView) -> None:
    """Check a NEW-VIEW whole, whoever passed it on, and enter its view."""
    if opened.view < s.view or (opened.view == s.view and s.active):
        return
    rule = _new_view_fault(s, opened)
    if rule:
        s.fault(peer, rule, view=opened.view)
        return
    if not s.voting:
        return
    s.persist(Entered(opened.epoch, opened.view, opened.changes, opened.signature))
    enter(s, opened)


def _new_view_fault(s: State, opened: NewView) -> str:
    if opened.epoch != s.voters.record.number:
        return "new_view_epoch"
    members = [change.member for change in opened.changes]
    if any(earlier >= later for earlier, later in itertools.pairwise(members)):
        return "new_view_members"
    if len(members) < s.voters.needed or any(change.view != opened.view for change in opened.changes):
        return "new_view_quorum"
    leader = s.leader(opened.view)
    message = new_view_message(s.voters, epoch=opened.epoch, view=opened.view, changes=opened.changes)
    if not s.voters.suite.members.verify(s.voters.keys[leader], message, opened.signature):
        return "new_view_signature"
    known = list(s.changes.values())
    for change in opened.changes:
        if change not in known and (rule := fault_of(s.voters, change)):
            return rule
    return ""


def tip_of(changes: list[ViewChange]) -> Certificate | None:
    """The certificate of greatest (view, height) among those that the VIEW-CHANGEs carry."""
    return max((change.certificate for change in changes), key=certificate_order)


def enter(s: State, opened: NewView) -> None:
    """The view is open: drop all else in flight and start from its tip."""
    s.view, s.active, s.opening, s.new_view = opened.view, True, False, opened
    s.newest_own_view = max(s.newest_own_view, opened.view)
    s.slots.clear()
    s.pending.clear()
    s.requests.clear()
    s.tip, s.tip_asked, s.building, s.due = None, False, False, False
    s.view_blocks, s.view_load_ms = 0, 0
    for key in [key for key in s.voted if key[0] < s.view]:
        del s.voted[key]
    tip = tip_of(opened.changes)
    s.out.append(Report("view_entered", {"view": s.view, "tip": 0 if tip is None else tip.height}))
    _start_from(s, tip)
    s.out.append(SetTimer("resend", None))
    timing.restart_view_timer(s)
    timing.arm_idle_timer(s)


def _start_from(s: State, tip: Certificate | None) -> None:
    """Set the view's starting block or its tip, and drop what is not on the way to it."""
    if tip is None:
        s.start, s.start_height = s.head.block, s.head.height
        s.drop_all_but(None)
    elif tip.phase == COMMIT:
        s.start, s.start_height = BlockHash(tip.block), tip.height
        s.drop_all_but(s.start)
        if tip.height > s.head.height and not votes.adopt(s, tip):
            signers = [MemberId(each.member) for each in tip.signatures if each.member != s.me]
            s.out.extend(Behind(signer, tip.height) for signer in signers)
    else:
        s.tip = tip
        s.start, s.start_height = BlockHash(tip.block), tip.height
        s.drop_all_but(s.start)
