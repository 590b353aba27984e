"""What a member remembers of its own votes: restored from the vote log, checked against its peers.

Decides whether this key may vote. A member whose vote log is missing, restored from a backup, or older than a
vote that a peer shows, has lost its memory: its key never votes again. Source: docs/protocol/pbft.md.
"""

from typing import assert_never

from zizhu.chain.consensus.pbft import timing, view_change, votes
from zizhu.chain.consensus.pbft.messages import (
    Changed,
    Entered,
    Lost,
    MemoryAnswer,
    MemoryQuery,
    NewView,
    Opened,
    Prepared,
    Voted,
    VoteRecord,
    vote_record_codec,
)
from zizhu.chain.consensus.pbft.state import KEPT_BELOW_HEAD, State, certificate_order
from zizhu.chain.model.certificate import PREPARE
from zizhu.chain.model.effects import Report, Send, SetTimer
from zizhu.chain.model.ids import BlockHash, MemberId, OutcomeHash

QUERY_EVERY_MS = 200


def restore(s: State) -> None:
    """Replay the vote log into the state; nothing is sent."""
    epoch = s.voters.record.number
    entered: Entered | None = None
    changed: Changed | None = None
    for data in s.setting.votes:
        record: VoteRecord = vote_record_codec.decode(data)
        match record:
            case Opened():
                s.opened = True
            case Voted() if record.epoch == epoch:
                s.voted[(record.view, record.phase, record.height)] = (
                    BlockHash(record.block),
                    OutcomeHash(record.outcome),
                )
                s.newest_own = max(s.newest_own, (record.view, record.height, record.phase))
            case Prepared() if record.certificate.epoch == epoch:
                s.best = max(s.best, record.certificate, key=certificate_order)
            case Changed() if record.epoch == epoch:
                changed = record
            case Entered() if record.epoch == epoch:
                entered = record
            case Lost():
                s.lost = record.reason
            case _:
                pass
    if s.setting.disk_was_used and not s.opened:
        s.lost = "vote_log_missing"
    _restore_view(s, entered, changed)
    for certificate in s.setting.recent:
        for signed in certificate.signatures:
            votes.remember_vote(s, certificate, signed)


def _restore_view(s: State, entered: Entered | None, changed: Changed | None) -> None:
    """Back into the last view entered, or into the change of view that was under way."""
    s.start, s.start_height = s.head.block, s.head.height
    if entered is not None:
        s.view = entered.view
        s.new_view = NewView(entered.epoch, entered.view, entered.changes, entered.signature)
        tip = view_change.tip_of(entered.changes)
        if tip is not None and tip.height > s.head.height:
            s.start, s.start_height = BlockHash(tip.block), tip.height
            s.tip = tip if tip.phase == PREPARE else None
    if changed is not None and (entered is None or changed.view > entered.view):
        s.view, s.active, s.tip = changed.view, False, None
    elif entered is not None and entered.signature == view_change.UNSIGNED:
        s.active = False
    s.newest_own_view = s.view
    s.voted = {key: pair for key, pair in s.voted.items() if key[0] >= s.view}


def remembered(s: State) -> tuple[bytes, ...]:
    """What of the vote log still matters: where this member stands, its greatest certificate, and its votes of this
    view that are not far below the head. Without the newest vote of all, a peer that shows it would look newer."""
    kept: dict[str, bytes] = {}
    votes_kept: list[bytes] = []
    newest = (-1, -1, -1)
    for data in s.setting.votes:
        record = vote_record_codec.decode(data)
        match record:
            case Voted():
                position = (record.view, record.height, record.phase)
                if record.view >= s.view and record.height > s.head.height - KEPT_BELOW_HEAD:
                    votes_kept.append(data)
                if position > newest:
                    newest, kept["newest"] = position, data
            case Prepared():
                if record.certificate == s.best:
                    kept["prepared"] = data
            case Opened():
                kept.setdefault("opened", data)
            case Changed() | Entered() | Lost():
                kept[type(record).__name__] = data
            case _:
                assert_never(record)
    return tuple(dict.fromkeys((*kept.values(), *votes_kept)))


def begin(s: State) -> None:
    """First step of a running member: open the vote log, ask the peers what they remember of us."""
    if not s.opened:
        s.opened = True
        # The loss first: a torn log that is open and does not say that it was missing would look whole next time.
        s.persist(*((Lost(s.lost),) if s.lost else ()), Opened(s.voters.ledger))
    if s.lost:
        s.recalling = False
        s.out.append(Report("memory_lost", {"reason": s.lost}))
        return
    if not s.others:
        recalled(s)
        return
    own = s.newest.get(s.me)
    if own is not None and (own.view, own.height, own.phase) > s.newest_own:
        # The certificates of its own blocks: the vote log is older than they are.
        lose(s, "newer_vote_shown")
        return
    ask(s)


def ask(s: State) -> None:
    """Ask those that have not answered, again and again until enough have."""
    if not s.recalling or s.lost:
        return
    silent = tuple(member for member in s.others if member not in s.recalled)
    s.out.append(Send(silent, MemoryQuery(s.voters.record.number)))
    s.out.append(SetTimer("recall", QUERY_EVERY_MS))


def answer(s: State, peer: MemberId) -> None:
    """Show a peer the newest vote and view change of its own that this member has seen."""
    change = s.newest_change.get(peer)
    s.out.append(Send((peer,), MemoryAnswer(s.voters.record.number, s.newest.get(peer), change)))


def receive(s: State, peer: MemberId, said: MemoryAnswer) -> None:
    """Compare what a peer shows with the vote log. Only what our own key signed in this epoch is an answer."""
    if not s.recalling or s.lost:
        return
    vote, change = said.vote, said.change
    if vote is not None and not _is_ours(s, vote.epoch, votes.statement_message(s, vote), vote.signature):
        s.fault(peer, "memory_vote")
        return
    if change is not None and (
        change.member != s.me
        or not _is_ours(s, change.epoch, view_change.change_message(s.voters, change), change.signature)
    ):
        s.fault(peer, "memory_change")
        return
    if vote is not None:
        recorded = s.voted.get((vote.view, vote.phase, vote.height), (vote.block, vote.outcome))
        newer = (vote.view, vote.height, vote.phase) > s.newest_own
        if newer or recorded != (vote.block, vote.outcome):
            lose(s, "newer_vote_shown")
            return
    if change is not None and change.view > s.newest_own_view:
        lose(s, "newer_view_change_shown")
        return
    s.recalled[peer] = True
    if len(s.recalled) >= s.voters.needed - 1:
        recalled(s)


def _is_ours(s: State, epoch: int, message: bytes, signature: bytes) -> bool:
    """Whether this member's own key signed `message` in this epoch. Views are counted anew in each."""
    return epoch == s.voters.record.number and s.voters.suite.members.verify(s.voters.keys[s.me], message, signature)


def lose(s: State, reason: str) -> None:
    """This key never votes again; written down, so that no later start forgets it."""
    s.lost, s.recalling = reason, False
    s.persist(Lost(reason))
    s.out.append(Report("memory_lost", {"reason": reason}))


def recalled(s: State) -> None:
    """Enough peers have answered: vote, starting with what was cast before the restart."""
    s.recalling = False
    s.out.append(SetTimer("recall", None))
    s.out.append(Report("memory_confirmed", {"view": s.view}))
    if s.active:
        timing.restart_view_timer(s)
        timing.arm_idle_timer(s)
        if s.leading and _proposed_long_ago(s):
            s.leave_for(s.view + 1, "restart")
    else:
        _change_again(s)
    # Those heard meanwhile are repeated by their senders, and a repetition is no news.
    view_change.changes_counted(s)


def _proposed_long_ago(s: State) -> bool:
    """Whether a block that this leader proposed before its restart is too old to be taken for fresh.

    Those that never saw it would refuse it for its time, and it may propose no other there. As the tip of the next
    view it is proposed again without a look at the clock.
    """
    stale_ms = s.now.wall_ms - s.voters.record.parameters.clock_tolerance_ms // 2
    for (view, phase, height), (block, _) in sorted(s.voted.items()):
        held = s.known.get(block)
        if view == s.view and phase == PREPARE and height > s.head.height and held is not None:
            if held.ready.time_ms < stale_ms and (s.tip is None or s.tip.block != block):
                return True
    return False


def _change_again(s: State) -> None:
    """The restart fell into a change of view: sign the same NEW-VIEW or VIEW-CHANGE again, or a higher one."""
    written = s.new_view
    if written is not None and written.view == s.view and written.signature == view_change.UNSIGNED:
        view_change.sign_new_view(s, written.changes)
        return
    last = next(
        (
            record
            for record in reversed([vote_record_codec.decode(data) for data in s.setting.votes])
            if isinstance(record, Changed) and record.view == s.view
        ),
        None,
    )
    if last is None:
        view_change.start(s, s.view + 1, "restart")
    else:
        view_change.ask_signature(s, last.view, last.certificate)
        s.out.append(SetTimer("resend", timing.timeout_ms(s) // 2))
