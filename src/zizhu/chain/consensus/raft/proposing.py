"""When the leader makes a block: the batch, window and idle rules of PBFT; the idle timer is the leader's own.

Decides when to build and what to do with what was built. Source: docs/protocol/raft.md, rule 10.
"""

from zizhu.chain.consensus.port import Build, Executed, Waiting
from zizhu.chain.consensus.raft.log import LogEntry
from zizhu.chain.consensus.raft.messages import Appended
from zizhu.chain.consensus.raft.state import State


def maybe_propose(s: State) -> None:
    """As leader: build the next block if the window, the batch rule or the idle rule says so."""
    if not s.leading or s.building:
        return
    last = s.tip()
    parameters = s.voters.record.parameters
    if last.height + 1 - s.head.height > parameters.window:
        return
    in_flight = last.height > s.head.height
    first = last.height == s.setting.epoch_start
    free = s.waiting.free
    if first or (s.due and not in_flight):
        s.building = True
        s.out.append(Build(last.block, empty=True))
    elif (free and (not in_flight or free >= parameters.batch_transactions)) or (
        free and s.waiting.oldest_ms >= parameters.batch_wait_ms
    ):
        s.building = True
        s.out.append(Build(last.block, empty=False))
    elif free:
        s.timer("batch", max(1, parameters.batch_wait_ms - s.waiting.oldest_ms))


def batch_due(s: State) -> None:
    """The oldest free transaction has waited long enough for company."""
    parameters = s.voters.record.parameters
    s.waiting = Waiting(s.waiting.free, max(s.waiting.oldest_ms, parameters.batch_wait_ms), s.waiting.unfinished)


def built(s: State, event: Executed | None) -> None:
    """The block asked for by `maybe_propose`: into the log, and to all. Dropped if this member no longer leads."""
    s.building = False
    if event is None:
        # Nothing of what waits fits on this parent: ask again only when the pool has changed, never in a circle.
        s.waiting = Waiting(0, 0, s.waiting.unfinished)
        return
    s.known[event.ready.block] = event
    # Only a leader's log is known to be executed up to its end.
    if not s.leading or event.ready.parent != s.tip().block:
        return
    index = s.log.append(LogEntry(s.term, event.ready.height, event.ready.block))
    s.persist(Appended(s.epoch, index, s.term, event.ready.height, event.ready.block))
    s.due = False
    arm_idle_timer(s)


def arm_idle_timer(s: State) -> None:
    """An idle chain gets a block: soon if its tip has no root, else once in a while."""
    parameters = s.voters.record.parameters
    s.timer("idle", parameters.idle_block_ms if s.tip().has_root else parameters.root_wait_ms)
