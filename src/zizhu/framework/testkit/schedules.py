"""The schedules of docs/protocol that are marked †, and small ones of docs/protocol/failures, played literally.

Decides who hears what, and when. Each function plays one schedule on a stage of its own and returns it; the
checkers watch every step, and a seeded bug makes them speak.
"""

import copy
from collections.abc import Callable

import msgspec

from zizhu.chain.consensus.pbft.messages import NewView, Proposal, ViewChange, Vote
from zizhu.chain.consensus.pbft.view_change import change_message
from zizhu.chain.crypto.hashing import block_hash
from zizhu.chain.model.certificate import COMMIT, PREPARE
from zizhu.chain.network.messages import FetchBlock, Gossip, WholeBlock
from zizhu.framework.testkit.stage import Pair, Stage, Waiting, Which

ROUNDS = 12


def proposals(view: int, *targets: int) -> Which:
    """Proposals of a view to some members."""
    return lambda each: isinstance(each.message, Proposal) and each.message.view == view and each.target in targets


def votes(phase: int, view: int, *, sources: tuple[int, ...], targets: tuple[int, ...]) -> Which:
    """Votes of a phase and view from some to some."""
    return lambda each: (
        isinstance(each.message, Vote)
        and (each.message.phase, each.message.view) == (phase, view)
        and each.source in sources
        and each.target in targets
    )


def changes(view: int, *, sources: tuple[int, ...], targets: tuple[int, ...]) -> Which:
    """VIEW-CHANGEs for a view."""
    return lambda each: (
        isinstance(each.message, ViewChange)
        and each.message.view == view
        and each.source in sources
        and each.target in targets
    )


def new_views(view: int, *targets: int) -> Which:
    """NEW-VIEWs of a view."""
    return lambda each: isinstance(each.message, NewView) and each.message.view == view and each.target in targets


def fetches(each: Waiting) -> bool:
    """Questions for whole blocks and their answers."""
    return isinstance(each.message, FetchBlock | WholeBlock)


def proposed(stage: Stage, view: int) -> tuple[int, Pair]:
    """Height and pair of the first proposal of a view that waits."""
    for each in stage.waiting:
        if isinstance(each.message, Proposal) and each.message.view == view:
            message = each.message
            return message.header.height, (block_hash(stage.consortium.suite, message.header), message.outcome)
    raise AssertionError(f"nothing is proposed in view {view}")


def vote_for(stage: Stage, position: int, proposal: Proposal, phase: int) -> Vote:
    """A vote of a played member for a proposal."""
    pair = (block_hash(stage.consortium.suite, proposal.header), proposal.outcome)
    return stage.vote(position, view=proposal.view, phase=phase, pair=pair, height=proposal.header.height)


def other_proposal(stage: Stage, position: int, proposal: Proposal) -> Proposal:
    """Another good block for the same height and view, signed by a played leader."""
    header = msgspec.structs.replace(proposal.header, time_ms=proposal.header.time_ms + 1)
    unsigned = msgspec.structs.replace(proposal, header=header)
    return msgspec.structs.replace(unsigned, signature=vote_for(stage, position, unsigned, PREPARE).signature)


class Liar:
    """A played member that asks for views."""

    def __init__(self, stage: Stage, position: int) -> None:
        self.stage = stage
        self.position = position

    def change(self, view: int) -> ViewChange:
        """A VIEW-CHANGE with a good signature and no certificate."""
        member = self.stage.id(self.position)
        unsigned = ViewChange(0, view, None, member, bytes(64))
        message = change_message(self.stage.consortium.voters, unsigned)
        return msgspec.structs.replace(unsigned, signature=self.stage.consortium.sign(member, message))


def change_view(stage: Stage, view: int, *, quorum: tuple[int, ...], leader: int) -> None:
    """`quorum` (the leader among them) move to `view`, and nobody else's VIEW-CHANGE reaches the leader."""
    for position in quorum:
        if stage.view(position) < view:
            stage.move(position, view)
    stage.deliver(changes(view, sources=quorum, targets=(leader,)))
    stage.drop(lambda each: isinstance(each.message, ViewChange))


def four_views(stage: Stage | None = None) -> Stage:
    """P-1, n = 4, X = node1. View 0: P is prepared at A only, who votes to commit. View 1: Q at B only. View 2: P
    again, at C only. View 3: A, B, C commit Q. Then the old commit votes for P arrive, X's with them."""
    stage = stage or Stage(4, actors=(0,))
    x, b, c, a = 0, 1, 2, 3
    height, p = proposed(stage, 0)
    stage.deliver(proposals(0, a, b))
    stage.deliver(votes(PREPARE, 0, sources=(b,), targets=(a,)))
    old = [each for each in stage.waiting if votes(COMMIT, 0, sources=(a,), targets=(b,))(each)]
    assert len(old) == 1, "A is prepared alone and votes to commit P"
    stage.drop()
    stage.skip(20)

    change_view(stage, 1, quorum=(x, b, c), leader=b)
    stage.deliver(new_views(1, x, c))
    _, q = proposed(stage, 1)
    assert q != p
    stage.deliver(proposals(1, x, c))
    stage.deliver(votes(PREPARE, 1, sources=(x, c), targets=(b,)))
    assert any(votes(COMMIT, 1, sources=(b,), targets=(c,))(each) for each in stage.waiting), "B is prepared alone"
    stage.drop()

    change_view(stage, 2, quorum=(x, c, a), leader=c)
    stage.deliver(fetches, rounds=2)
    stage.deliver(new_views(2, x, a))
    assert proposed(stage, 2) == (height, p), "P is the tip of view 2"
    stage.deliver(proposals(2, x, a))
    stage.deliver(votes(PREPARE, 2, sources=(x, a), targets=(c,)))
    old += [each for each in stage.waiting if votes(COMMIT, 2, sources=(c,), targets=(b,))(each)]
    assert len(old) == 2, "C is prepared alone and votes to commit P"
    stage.drop()

    change_view(stage, 3, quorum=(x, b, a), leader=a)
    stage.deliver(fetches, rounds=2)
    stage.deliver(new_views(3, x, b, c))
    stage.deliver(fetches, rounds=2)
    assert proposed(stage, 3) == (height, q), "Q is the tip of view 3"
    for each in old:
        stage.hand_over(each)
    for view in (0, 2, 3):
        stage.say(x, b, stage.vote(x, view=view, phase=COMMIT, pair=p, height=height))
    stage.deliver(fetches, rounds=2)
    stage.deliver(rounds=ROUNDS)
    return stage


def prefix_again(stage: Stage | None = None) -> Stage:
    """P-3, n = 4, X = node1. View 0: heights 1 and 2 are prepared by all, and committed at A alone. View 1 starts
    from the tip, height 2; everybody prepares it and nobody gets further. View 2 must still carry height 2."""
    stage = stage or Stage(4, actors=(0,))
    x, b, c, a = 0, 1, 2, 3
    stage.submit(x, stage.some_submission(1))
    stage.deliver(lambda each: isinstance(each.message, Gossip))
    stage.fire(x, "engine.batch")
    everyone = (x, b, c, a)
    stage.deliver(proposals(0, *everyone), rounds=2)
    stage.deliver(votes(PREPARE, 0, sources=everyone, targets=everyone), rounds=2)
    stage.deliver(votes(COMMIT, 0, sources=everyone, targets=(a,)), rounds=2)
    assert stage.heights()[a] == 2, stage.heights()
    stage.drop()

    change_view(stage, 1, quorum=(x, b, c), leader=b)
    stage.deliver(new_views(1, x, c))
    stage.deliver(proposals(1, x, c))
    stage.deliver(votes(PREPARE, 1, sources=(x, b, c), targets=(c,)))
    stage.drop()

    change_view(stage, 2, quorum=(x, b, c), leader=c)
    stage.deliver(new_views(2, x, b, a))
    stage.deliver(rounds=ROUNDS)
    stage.fire(c, "engine.batch")
    stage.deliver(rounds=ROUNDS)
    return stage


def withheld(stage: Stage | None = None) -> Stage:
    """P-2, n = 4: the leader proposes a block with a body that only it holds, and answers no question. The others
    change the view and go on without it."""
    stage = stage or Stage(4, actors=(0,))
    stage.deliver(rounds=4)
    height = min(stage.heights())
    stage.submit(0, stage.some_submission(1))
    stage.drop(lambda each: each.source == 0 and not isinstance(each.message, Proposal))
    stage.deliver(proposals(0, 1, 2, 3))
    stage.drop(fetches)
    assert not any(isinstance(each.message, Vote) and each.message.height > height for each in stage.waiting)
    for position in (1, 2, 3):
        stage.move(position, 1)
    stage.drop(lambda each: 0 in (each.source, each.target))
    for position in (1, 2, 3):
        stage.submit(position, stage.some_submission(1 + position))
    stage.deliver(lambda each: 0 not in (each.source, each.target), rounds=ROUNDS)
    return stage


def power_loss(stage: Stage | None = None) -> Stage:
    """P-7, n = 4: after q commit votes have left, power fails at all members at once, and node4's disk is lost with
    it. What was answered to a client is there afterwards, and nobody votes twice."""
    stage = stage or Stage(4, actors=(3,))
    stage.deliver(rounds=4)
    stage.submit(0, stage.some_submission(1))
    everyone = (0, 1, 2, 3)
    stage.deliver(proposals(0, *everyone), rounds=2)
    stage.deliver(votes(PREPARE, 0, sources=everyone, targets=everyone), rounds=2)
    stage.deliver(votes(COMMIT, 0, sources=everyone, targets=(0,)), rounds=2)
    reached = max(stage.heights())
    stage.drop()
    for position in everyone:
        stage.crash(position)
    stage.members[3].disk.wipe()
    stage.checkers.wiped(stage.members[3])
    for position in everyone:
        stage.restart(position)
    stage.wake()
    for _ in range(4):
        stage.deliver(rounds=ROUNDS)
        stage.skip(700)
    assert min(stage.heights()[:3]) >= reached
    return stage


def commit_again(stage: Stage | None = None) -> Stage:
    """A-14, n = 4: a member crashes after its commit vote left and before the block is committed there. After the
    restart it sends the same commit vote and no other one in that view."""
    stage = stage or Stage(4)
    everyone = (0, 1, 2, 3)
    stage.deliver(proposals(0, *everyone))
    stage.deliver(votes(PREPARE, 0, sources=everyone, targets=everyone))
    sent = [each.message for each in stage.waiting if votes(COMMIT, 0, sources=(1,), targets=(2,))(each)]
    assert len(sent) == 1
    stage.crash(1)
    stage.drop()
    stage.restart(1)
    stage.wake()
    for _ in range(3):
        stage.deliver(rounds=ROUNDS)
        stage.skip(400)
    return stage


def restored_backup(stage: Stage | None = None) -> Stage:
    """P-12 and A-15, n = 4: a member's disk is put back to what it was before its last votes. It asks the others,
    is shown a newer vote of its own, and never votes again; the others go on."""
    stage = stage or Stage(4)
    backup = copy.deepcopy(stage.members[1].disk)
    backup.crash()
    stage.checkers.faulty[stage.id(1)] = True
    stage.deliver(rounds=4)
    stage.crash(1)
    stage.members[1].disk = backup
    stage.checkers.wiped(stage.members[1])
    stage.restart(1)
    stage.wake()
    stage.drop(lambda each: isinstance(each.message, Vote))
    stage.submit(0, stage.some_submission(1))
    stage.deliver(rounds=ROUNDS)
    return stage


def double_proposal(stage: Stage | None = None) -> Stage:
    """A-15, n = 4, X = node1: a member prepares a proposal, crashes, and restarts; X then proposes another block
    for the same height and view to it."""
    stage = stage or Stage(4, actors=(0,))
    x, b = 0, 1
    first = next(each.message for each in stage.waiting if proposals(0, b)(each))
    assert isinstance(first, Proposal)
    stage.deliver(proposals(0, b))
    stage.drop()
    stage.crash(b)
    stage.restart(b)
    stage.wake()
    stage.say(x, b, other_proposal(stage, x, first))
    return stage


def overtaken(stage: Stage | None = None) -> Stage:
    """n = 4, X = node1: view 0 prepares heights 1 and 2 at A only; view 1 knows nothing of it and commits another
    block at height 1. The tip of view 2 is that block, although A's certificate is of a greater height."""
    stage = stage or Stage(4, actors=(0,))
    x, b, c, a = 0, 1, 2, 3
    stage.submit(x, stage.some_submission(1))
    stage.deliver(lambda each: isinstance(each.message, Gossip))
    stage.fire(x, "engine.batch")
    stage.deliver(proposals(0, b, a), rounds=2)
    stage.deliver(votes(PREPARE, 0, sources=(b,), targets=(a,)), rounds=2)
    stage.drop()
    stage.skip(20)
    change_view(stage, 1, quorum=(x, b, c), leader=b)
    three = (x, b, c)
    stage.deliver(new_views(1, x, c))
    stage.deliver(proposals(1, x, c))
    stage.deliver(votes(PREPARE, 1, sources=three, targets=three), rounds=2)
    stage.deliver(votes(COMMIT, 1, sources=three, targets=(b,)), rounds=2)
    assert stage.heights()[b] >= 1
    stage.drop()
    change_view(stage, 2, quorum=(x, c, a), leader=c)
    stage.deliver(rounds=ROUNDS)
    return stage


SCHEDULES: dict[str, Callable[[Stage | None], Stage]] = {
    "P-1": four_views,
    "P-2": withheld,
    "P-3": prefix_again,
    "P-7": power_loss,
    "A-14": commit_again,
    "P-12": restored_backup,
    "A-15": double_proposal,
    "tip": overtaken,
}
