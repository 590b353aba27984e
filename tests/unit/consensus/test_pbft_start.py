"""A view that starts on a certified block is closed at and below that block, also for who has not got it yet."""

from zizhu.chain.consensus import port
from zizhu.chain.consensus.pbft.messages import NewView, ViewChange, Vote
from zizhu.chain.model.certificate import COMMIT
from zizhu.chain.model.ids import BlockHash
from zizhu.framework.testkit.council import Council, Letter, Seat

BLOCK_2_AND_3 = 2


def _one_member_commits_two_blocks() -> Council:
    """Blocks 2 and 3 are prepared by members 0, 1, 2; only member 0 hears the commit votes. Member 3 hears nothing."""
    council = Council().start()
    first, cut_off = council.seats[0], council.seats[3].id
    for _ in range(BLOCK_2_AND_3):
        first.wait_for(500)
    council.deliver(
        lambda letter: (
            cut_off not in (letter.source, letter.target)
            and not (isinstance(letter.message, Vote) and letter.message.phase == COMMIT and letter.target != first.id)
        )
    )
    assert [seat.head.height for seat in council.seats] == [3, 1, 1, 1]
    return council


def _view_1_opens(council: Council) -> None:
    """Member 1 leads it and has the certificate of block 3 from member 0, whom 2 and 3 cannot hear."""
    first, leader = council.seats[0].id, council.seats[1].id
    for seat in council.seats:
        seat.wait_for(1)
        seat.fire("view")
    changes = [each for each in council.mail if isinstance(each.message, ViewChange) and each.target == leader]
    council.mail.clear()
    for letter in sorted(changes, key=lambda each: each.source != first):
        council.hand(letter)
    council.deliver(lambda letter: isinstance(letter.message, NewView) and letter.target != first)
    assert [(seat.view, seat.active) for seat in council.seats[1:]] == [(1, True)] * 3
    council.mail.clear()


def _prepared(seat: Seat, block: bytes) -> bool:
    return any(isinstance(each, Vote) and each.block == block for each in seat.sent)


def test_nothing_is_prepared_below_the_certified_block_that_a_view_starts_on() -> None:
    """Member 0 has committed blocks 2 and 3; a lying leader of view 1 cannot have another block 2 prepared by the
    members that do not have them yet. If it could, two certificates of height 2 would stand."""
    council = _one_member_commits_two_blocks()
    _view_1_opens(council)
    liar, victims = council.seats[1], council.seats[2:]
    rival = council.block(liar.head.block, proposer=liar.id, salt=7)
    for seat in victims:
        council.hand(Letter(liar.id, seat.id, council.proposal(rival, view=1)))
        assert not _prepared(seat, rival.ready.block)
        assert (liar.id.hex(), "below_start") in seat.faults()


def test_who_enters_late_with_the_tip_committed_votes_on() -> None:
    """A member that synced beyond a view's tip before it heard of the view holds what the tip was about: it takes part
    in the next block instead of waiting for a proposal that comes no more."""
    council = Council().start()
    first, late = council.seats[0], council.seats[3]
    first.wait_for(500)
    council.deliver(lambda letter: not (isinstance(letter.message, Vote) and letter.message.phase == COMMIT))
    late.down = True
    for seat in council.seats[:3]:
        seat.fire("view")
    council.deliver()
    council.commit_one()
    assert [(seat.view, seat.head.height) for seat in council.seats[:3]] == [(1, 3)] * 3
    late.down = False
    for certificate in first.committed[1:]:
        made = council.library[BlockHash(certificate.block)]
        late.committed.append(certificate)
        late.tell(made)
        late.tell(port.Synced(made.ready, certificate))
    first.tell(port.PeerStatus(late.id, 0, active=True, height=3))
    council.deliver()
    assert late.view == 1 and late.head.height == 3
    council.commit_one()
    assert [seat.head.height for seat in council.seats] == [4] * 4
    assert _prepared(late, council.seats[0].head.block)
