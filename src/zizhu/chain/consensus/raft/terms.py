"""Terms: being a follower in one, and the time that a leader is left alone.

Decides what a newer term or a leader that is heard changes. Refuses to know why: election, replication and following
say so. Source: Ongaro (2014), sections 3.3 and 4.2.3; docs/protocol/raft.md, rule 1.
"""

from zizhu.chain.consensus.raft.messages import Turned
from zizhu.chain.consensus.raft.state import Role, State
from zizhu.chain.model.ids import MemberId

TIMER = "election"
LEADER_TIMERS = ("heartbeat", "idle", "batch")


def least_timeout_ms(s: State) -> int:
    """The shortest election time-out: so long a leader that was heard is left alone."""
    return s.voters.record.parameters.view_timeout_ms


def arm(s: State) -> None:
    """Draw a time-out between one and two least ones, and wait for it."""
    least = least_timeout_ms(s)
    s.timeout_ms = least + s.dice.below(least)
    s.heard_ms = s.now.monotonic_ms
    s.timer(TIMER, s.timeout_ms)


def heard(s: State) -> None:
    """The leader is there. The timer is not set anew for each word: it looks at the time when it fires."""
    s.heard_ms = s.now.monotonic_ms


def has_a_leader(s: State) -> bool:
    """Whether this member leads, or has heard from its leader within the least time-out."""
    if s.leading:
        return True
    return s.leader is not None and s.now.monotonic_ms - s.heard_ms < least_timeout_ms(s)


def follow(s: State, term: int, leader: MemberId | None, *, write: bool = True) -> None:
    """Be a follower of `term`. In a newer one the vote is its leader's, or given to nobody yet, so that a member that
    has forgotten its vote gives no second one. `write` False: the caller writes it down."""
    assert term >= s.term
    if term > s.term:
        s.term, s.voted = term, leader
        s.verified = s.log.base_index
        s.incoming.clear()
        if write:
            s.persist(Turned(s.epoch, term, leader))
    if s.leading:
        for name in LEADER_TIMERS:
            s.timer(name, None)
        s.progress.clear()
        s.collected.clear()
    was = s.leader
    s.role, s.leader, s.building = Role.FOLLOWER, leader, False
    s.ballots.clear()
    arm(s)
    if leader is not None and leader != was:
        s.report("following", term=term, leader=leader.hex())
