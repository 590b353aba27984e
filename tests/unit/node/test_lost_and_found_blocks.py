"""A block that a view left behind and a later view needs: its body is still to be had."""

from zizhu.chain.consensus.pbft.messages import NewView, Proposal, ViewChange, Vote
from zizhu.chain.model.certificate import COMMIT, PREPARE
from zizhu.framework.testkit.council import Letter
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat


def _prepared_at_member_0_alone() -> NodeCouncil:
    """Everybody prepares block 2 in view 0; only its leader hears the prepares, and its commit vote is lost."""
    council = NodeCouncil().start()
    first = council.seats[0]
    first.submit(council.call(0, 1))

    def passes(letter: Letter) -> bool:
        message = letter.message
        return not isinstance(message, Vote) or (message.phase == PREPARE and letter.target == first.id)

    council.deliver(passes)
    for seat in council.seats[1:]:
        council.pass_ms(30)
        if "assembly" in seat.timers:
            seat.fire("assembly")
        council.deliver(passes)
    votes = [letter.message for letter in first.sent if isinstance(letter.message, Vote)]
    assert any(vote.phase == COMMIT and vote.height == 2 for vote in votes)
    assert [seat.height for seat in council.seats] == [1] * 4
    return council


def _leave(council: NodeCouncil, *seats: NodeSeat) -> None:
    """The view brings these members nothing."""
    for seat in seats:
        seat.fire("engine:view")


def test_a_prepared_block_that_a_view_dropped_is_found_again_by_a_later_one() -> None:
    """View 1 opens without the one certificate of block 2, so everybody drops it; its leader goes down. View 2 has
    to carry the certificate: the block must be had from those that prepared it, or no view ever ends well."""
    council = _prepared_at_member_0_alone()
    first, down, leader, last = council.seats
    _leave(council, down, leader, last)
    council.deliver(lambda letter: isinstance(letter.message, ViewChange | NewView) and letter.source != first.id)
    assert [seat.machine.status().view for seat in council.seats] == [1] * 4
    down.down = True
    council.mail.clear()
    rest = (first, leader, last)
    for seat in rest:
        if "engine:view" not in seat.timers:
            seat.submit(council.call(1, 1))
    council.mail.clear()
    _leave(council, *rest)
    for _ in range(6):
        council.deliver()
        council.pass_ms(200)
        for seat in rest:
            if "assembly" in seat.timers:
                seat.fire("assembly")
    assert [(seat.machine.status().view, seat.height >= 2) for seat in rest] == [(2, True)] * 3
    assert any(isinstance(letter.message, Proposal) and letter.message.view == 2 for letter in leader.sent)


def test_what_stood_above_the_tip_is_proposed_again_without_a_wait() -> None:
    """Blocks 2 and 3 are in flight when the view ends, and only 2 is carried on: the transactions of 3 wait again,
    and the next leader proposes them as soon as the tip is committed, not after another lost view."""
    council = NodeCouncil().start()
    calls = [council.call(0, 1), council.call(1, 1)]
    for number, call in enumerate(calls):
        for seat in council.seats:
            seat.submit(call)
        council.pass_ms(30)
        if number:
            council.seats[0].fire("engine:batch")
    council.deliver(
        lambda letter: (
            not isinstance(letter.message, Vote) or (letter.message.phase == PREPARE and letter.message.height == 2)
        )
    )
    assert {each for seat in council.seats for each in seat.machine.blocks.written.values()} == {2, 3}
    _leave(council, *council.seats)
    council.deliver()
    assert [seat.machine.status().view for seat in council.seats] == [1] * 4
    council.pass_ms(30)
    for seat in council.seats:
        if "engine:batch" in seat.timers:
            seat.fire("engine:batch")
    council.deliver()
    assert [seat.height for seat in council.seats] == [3] * 4
    assert [seat.machine.pool.waiting for seat in council.seats] == [0] * 4
