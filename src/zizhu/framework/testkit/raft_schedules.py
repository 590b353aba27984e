"""The schedules of docs/protocol/raft.md that are marked †, played literally.

Decides who hears what, and when: figure 8 of Ongaro and Ousterhout, "In Search of an Understandable Consensus
Algorithm" (2014), with the signatures that are ours.
"""

from collections.abc import Callable

import msgspec

from zizhu.chain.consensus.raft.messages import Append, AppendReply, Ballot, BallotReply
from zizhu.chain.network.messages import FetchBlock, Gossip, WholeBlock
from zizhu.framework.testkit.kinds import SmallKind
from zizhu.framework.testkit.stage import Stage, Waiting, Which

ROUNDS = 40
LONG_MS = 1_100
"""Longer than any election time-out."""
QUIET_MS = 300
"""Shorter than any election time-out, and long enough for heartbeats and statuses."""
ELECTIONS = 6


def between(*kinds: type[msgspec.Struct], sources: tuple[int, ...], targets: tuple[int, ...]) -> Which:
    """Messages of some kinds from some to some."""
    return lambda each: isinstance(each.message, kinds) and each.source in sources and each.target in targets


def leading(stage: Stage, position: int) -> bool:
    """Whether a member leads its term."""
    machine = stage.members[position].machine
    return machine is not None and stage.kind.state_of(machine) == "leading"


def elect(stage: Stage, position: int, *, voters: tuple[int, ...]) -> None:
    """Time passes without a leader, until `position` is elected by `voters`; nobody else's ballot arrives."""
    for _ in range(ELECTIONS):
        stage.drop()
        stage.skip(LONG_MS)
        for _ in range(4):
            stage.deliver(between(Ballot, sources=(position,), targets=voters))
            stage.deliver(between(BallotReply, sources=voters, targets=(position,)))
        if leading(stage, position):
            return
    raise AssertionError(f"node{position + 1} is not elected")


def bodies(stage: Stage) -> None:
    """Whoever asks for a block gets it."""
    stage.deliver(lambda each: isinstance(each.message, FetchBlock | WholeBlock), rounds=6)


def clipped(each: Waiting) -> Waiting:
    """An append as it would be if the leader had sent its log entry by entry, and this were the one up to index 2."""
    said = each.message
    assert isinstance(said, Append)
    if said.previous_index >= 2:
        said = msgspec.structs.replace(said, previous_index=2, previous_term=1, entries=[])
    else:
        said = msgspec.structs.replace(said, entries=said.entries[:1])
    return Waiting(each.source, each.target, said)


def figure_eight(stage: Stage | None = None) -> Stage:
    """P-5. (a) s1, leader of term 1, brings entry 2 to s2 alone. (b) s1 crashes; s5 is elected by s3 and s4, and has
    another entry 2. (c) s5 crashes; s1 is elected again and brings its old entry 2 to s3, so that a majority holds it.
    (d) s1 crashes; s5 is elected by the rest and overwrites entry 2. Nobody may have signed the block of s1's entry."""
    stage = stage or Stage(5, kind=SmallKind("raft"))
    s1, s2, s3, s4, s5 = range(5)
    stage.deliver(rounds=ROUNDS)
    assert stage.heights() == [1] * 5
    stage.submit(s1, stage.some_submission(1))
    stage.deliver(between(Gossip, sources=(s1,), targets=(s2,)))
    stage.deliver(between(Append, sources=(s1,), targets=(s2,)))
    stage.drop()
    stage.crash(s1)
    elect(stage, s5, voters=(s3, s4))
    stage.submit(s5, stage.some_submission(2))
    stage.drop()
    stage.crash(s5)
    stage.restart(s1)
    stage.wake()
    elect(stage, s1, voters=(s2, s3))
    for _ in range(ROUNDS):
        appends = [each for each in stage.waiting if between(Append, sources=(s1,), targets=(s2, s3))(each)]
        stage.drop(between(Append, sources=(s1,), targets=(s2, s3, s4, s5)))
        for each in appends:
            stage.hand_over(clipped(each))
        bodies(stage)
        stage.deliver(between(AppendReply, sources=(s2, s3), targets=(s1,)))
    stage.drop()
    stage.crash(s1)
    stage.restart(s5)
    stage.wake()
    elect(stage, s5, voters=(s2, s3, s4))
    stage.deliver(rounds=ROUNDS)
    stage.restart(s1)
    stage.wake()
    for _ in range(8):
        stage.skip(QUIET_MS)
        stage.deliver(rounds=ROUNDS)
    return stage


SCHEDULES: dict[str, Callable[[Stage | None], Stage]] = {"P-5": figure_eight}
