"""Timers and the reasons to leave a leader: dead, slow, deaf, or simply long enough in the lead.

Decides when the view timer runs and how long, when an idle chain wants a block, and when leadership passes on.
Durations are of the monotonic clock; rotation is counted on block times, so all members agree on it.
"""

from zizhu.chain.consensus.pbft.messages import ViewRequest
from zizhu.chain.consensus.pbft.state import State
from zizhu.chain.consensus.port import Ready
from zizhu.chain.model.effects import Report, Send, SetTimer
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.ids import MemberId

FALL_BACK_BLOCKS = 8
"""Blocks of one view after which the time-out falls back. The first block of a view is often its tip, which was
executed long ago: members short of processor time that hurried again because of it changed views for ever."""
LOAD_GAP_MS_MAX = 1_000
"""A pause longer than this between two blocks counts as this much load."""
NETWORK_DELAY_MS = 250
"""A slow way from one member to another; the cap of the time-outs leaves room for eight."""
REQUEST_KEEPS_MS = 4_000
"""How long a request to leave a leader stands. Members notice the same leader at different moments, with blocks
committed in between; a complaint of long ago does not add to one of today."""


def cap_ms(parameters: Parameters) -> int:
    """The longest time-out. Below this a full window of blocks at their worst could be cut off for ever: the worst
    execution is a quarter of the first time-out."""
    least = -(-parameters.window * parameters.view_timeout_ms // 4) + 8 * NETWORK_DELAY_MS
    return max(parameters.view_timeout_cap_ms, parameters.view_timeout_ms, least)


def timeout_ms(s: State) -> int:
    """First time-out, doubled for each view in a row that brought no commit, capped."""
    parameters = s.voters.record.parameters
    return min(parameters.view_timeout_ms << min(s.failures, 16), cap_ms(parameters))


def unfinished(s: State) -> bool:
    """Whether something waits for this view: a transaction, a proposal, a tip, a due block, the first block, or a
    block that this member prepared before a restart."""
    first = s.head.height == s.setting.epoch_start
    proposed = any(h > s.head.height and each.proposal is not None for h, each in s.slots.items())
    prepared = any(view == s.view and height > s.head.height for view, _, height in s.voted)
    return bool(s.waiting.unfinished or s.due or proposed or first or prepared) or (
        s.tip is not None and s.tip.height > s.head.height
    )


def arm_view_timer(s: State) -> None:
    """Start the view timer if something is unfinished and it does not run; stop it if nothing is."""
    if not s.active or not s.voting:
        return
    if not unfinished(s):
        if s.view_timer:
            s.view_timer = False
            s.out.append(SetTimer("view", None))
    elif not s.view_timer:
        s.view_timer = True
        s.out.append(SetTimer("view", timeout_ms(s)))


def restart_view_timer(s: State) -> None:
    """Start the view timer afresh. While the view is being changed the timer is that change's, and goes on: those who
    have asked for the view repeat themselves, and a repetition would not start it again."""
    if not s.active:
        return
    s.view_timer = False
    if s.voting and unfinished(s):
        arm_view_timer(s)
    else:
        s.out.append(SetTimer("view", None))


def view_timer_fired(s: State) -> None:
    """The view brought nothing in time: go on to the next one."""
    s.view_timer = False
    if not s.voting:
        return
    if not s.active or unfinished(s):
        s.failures += 1
        s.leave_for(s.view + 1, "timeout")


def arm_idle_timer(s: State) -> None:
    """An idle chain wants a block: soon if its tip has no root, else once in a while."""
    parameters = s.voters.record.parameters
    last = s.last_proposed() if s.leading else s.head
    wait = parameters.idle_block_ms if last.has_root else parameters.root_wait_ms
    s.out.append(SetTimer("idle", wait))


def committed(s: State, previous: Ready, ready: Ready) -> None:
    """A block was committed: restart the timers, fall back to the first time-out, pass the lead on when due."""
    if s.view_blocks + 1 >= FALL_BACK_BLOCKS:
        s.failures = 0
    s.due = False
    arm_idle_timer(s)
    restart_view_timer(s)
    if not s.active:
        return
    s.view_blocks += 1
    if ready.count:
        s.view_load_ms += min(ready.time_ms - previous.time_ms, LOAD_GAP_MS_MAX)
    parameters = s.voters.record.parameters
    if s.voting and len(s.voters.members) > 1:
        if s.view_blocks >= parameters.rotation_blocks or s.view_load_ms >= parameters.rotation_load_ms:
            s.leave_for(s.view + 1, "rotation")


def request_view_change(s: State, reason: str) -> None:
    """Tell the others that this leader is bad, and go on voting; f+1 such requests are joined."""
    if not s.active or not s.voting or _stands(s, s.me):
        return
    s.requests[s.me] = (s.view, s.now.monotonic_ms)
    s.out.append(Report("view_change_wanted", {"view": s.view, "reason": reason}))
    s.out.append(Send(s.others, ViewRequest(s.voters.record.number, s.view, reason)))
    requests_counted(s)


def requests_counted(s: State) -> None:
    """Leave the view once f+1 members find its leader bad."""
    if s.active and s.voting and sum(_stands(s, member) for member in s.requests) >= s.honest:
        s.leave_for(s.view + 1, "requested")


def _stands(s: State, member: MemberId) -> bool:
    """Whether a member asked to leave this very view, not long ago."""
    view, asked_ms = s.requests.get(member, (-1, 0))
    return view == s.view and s.now.monotonic_ms - asked_ms < REQUEST_KEEPS_MS
