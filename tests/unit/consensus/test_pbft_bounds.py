"""What a member keeps does not grow with the chain."""

import msgspec
import pytest

from zizhu.chain.consensus.pbft.state import KEPT_BELOW_HEAD, VIEW_AHEAD_MAX, State
from zizhu.chain.consensus.port import Received
from zizhu.chain.model.certificate import PREPARE
from zizhu.framework.testkit.council import Council


def _sizes(state: State) -> dict[str, int]:
    """How many things a member keeps, by where it keeps them."""
    return {
        "known": len(state.known),
        "by_height": len(state.by_height),
        "voted": len(state.voted),
        "slots": len(state.slots),
        "pending": len(state.pending),
        "early": sum(map(len, state.early.values())),
    }


def test_committed_blocks_remembered_are_bounded() -> None:
    """A member remembers KEPT_BELOW_HEAD committed blocks, all of the last ones and none older, and of everything
    else as much after a long chain as after a short one."""
    council = Council().start()
    while council.seats[0].head.height < KEPT_BELOW_HEAD:
        council.commit_one()
    states = [seat.engine._state for seat in council.seats]
    assert all(sorted(state.by_height)[-KEPT_BELOW_HEAD:] == list(range(1, KEPT_BELOW_HEAD + 1)) for state in states)
    for _ in range(5):
        council.commit_one()
    sizes = [_sizes(state) for state in states]
    for _ in range(3 * KEPT_BELOW_HEAD):
        council.commit_one()
    assert [_sizes(state) for state in states] == sizes
    top = council.seats[0].head.height
    for state in states:
        assert sorted(state.by_height) == list(range(top - KEPT_BELOW_HEAD + 1, top + 1))


@pytest.mark.parametrize(("ahead", "fault"), [(VIEW_AHEAD_MAX, []), (VIEW_AHEAD_MAX + 1, ["view_out_of_window"])])
def test_how_far_ahead_a_member_listens(ahead: int, fault: list[str]) -> None:
    """At VIEW_AHEAD_MAX above its own view a vote is kept for later; one view further it is an offence."""
    council = Council().start()
    target, peer = council.seats[1], council.seats[2]
    made = council.block(target.head.block, proposer=council.leader.id, count=1)
    vote = msgspec.structs.replace(council.vote(peer.id, made, phase=PREPARE), view=target.view + ahead)
    before = _sizes(target.engine._state)["early"]
    council.mail.clear()
    target.tell(Received(peer.id, vote))
    assert [rule for _, rule in target.faults()] == fault
    assert _sizes(target.engine._state)["early"] - before == (0 if fault else 1)
