"""Blocks that were prepared and whose bodies are withheld from some: not for ever, and never replaced."""

from collections.abc import Callable

import pytest

from zizhu.chain.consensus.pbft.messages import Proposal, Vote
from zizhu.chain.model.certificate import COMMIT
from zizhu.chain.network.messages import CertifiedBlocks, Gossip, Items, Status, WholeBlock
from zizhu.framework.testkit.council import Letter
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat

BODIES = (WholeBlock, Items, CertifiedBlocks, Gossip)


def _prepared(*, committed_by: int | None) -> tuple[NodeCouncil, NodeSeat]:
    """Height 2 is prepared by members 0, 1 and 2; member 3 has heard nothing of it. Its commit votes reach
    `committed_by` alone."""
    council = NodeCouncil().start()
    deaf = council.seats[3]
    target = None if committed_by is None else council.seats[committed_by].id

    def passes(letter: Letter) -> bool:
        if letter.target == deaf.id:
            return False
        is_commit = isinstance(letter.message, Vote) and letter.message.phase == COMMIT
        return (not is_commit or letter.target == target) and not isinstance(letter.message, Status)

    council.seats[0].submit(council.call(0, 1))
    for seat in council.seats:
        if "gossip" in seat.timers:
            seat.fire("gossip")
    council.deliver(passes)
    assert [seat.height for seat in council.seats] == [2 if at == committed_by else 1 for at in range(4)]
    assert deaf.machine.pool.waiting == 0
    return council, deaf


def _change_view(council: NodeCouncil, passes: Callable[[Letter], bool]) -> None:
    for _ in range(6):
        council.pass_ms(700)
        for seat in council.seats:
            for timer in ("assembly", "engine:view", "engine:resend", "status", "sync"):
                if not seat.down and timer in seat.timers:
                    seat.fire(timer)
        council.deliver(passes)


@pytest.mark.row("P-2")
@pytest.mark.parametrize("committed_by", [None, 0, 1, 2])
@pytest.mark.parametrize("leader_is_down", [True, False])
def test_a_prepared_block_is_fetched_from_another_and_never_replaced(
    committed_by: int | None, *, leader_is_down: bool
) -> None:
    """A prepared block whose bodies are withheld does not stop the others for ever, and is never replaced once it may
    have been committed: the leader that made it hands nothing out any more, a member that prepared it does, and the
    next view commits the same block."""
    council, deaf = _prepared(committed_by=committed_by)
    leader, running = council.seats[0], council.seats[1:]
    (block,) = {letter.message.block for letter in running[0].sent if _votes_above(letter, 1)}
    leader.down = leader_is_down

    def passes(letter: Letter) -> bool:
        return letter.source != leader.id or not isinstance(letter.message, BODIES)

    deaf.submit(council.call(1, 1))
    if "gossip" in deaf.timers:
        deaf.fire("gossip")
    _change_view(council, passes)
    assert {seat.height for seat in running} == {3}
    assert {seat.machine.archive.block_hash(2) for seat in running} == {block}
    assert not [fault for seat in running for fault in seat.faults()]
    assert deaf.machine.pool.waiting == 0


@pytest.mark.row("P-2")
def test_a_body_that_nobody_gives_is_left_behind() -> None:
    """A prepared block whose bodies are withheld does not stop the others for ever: what only the leader holds is
    prepared by nobody, and the next view goes on without it."""
    council = NodeCouncil().start()
    leader, others = council.seats[0], council.seats[1:]
    leader.submit(council.call(0, 1))
    others[0].submit(council.call(1, 1))
    council.deliver(lambda letter: letter.source != leader.id or isinstance(letter.message, Proposal | Vote))
    assert [seat.height for seat in council.seats] == [1, 1, 1, 1]
    assert not [letter for seat in others for letter in seat.sent if _votes_above(letter, 1)]
    leader.down = True
    others[0].fire("gossip")
    council.deliver()
    _change_view(council, lambda letter: True)
    assert {seat.height for seat in others} == {2}
    assert others[0].machine.pool.waiting == 0


def _votes_above(letter: Letter, height: int) -> bool:
    return isinstance(letter.message, Vote) and letter.message.height > height
