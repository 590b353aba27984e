"""One round in every order; what may be prepared on what; the tip of a view; one apply a height."""

import itertools

import msgspec
import pytest

from zizhu.chain.consensus import port
from zizhu.chain.consensus.pbft.messages import NewView, Proposal, ViewChange, ViewRequest, Vote
from zizhu.chain.consensus.pbft.view_change import change_message, new_view_message, tip_of
from zizhu.chain.model.certificate import COMMIT, PREPARE, Certificate
from zizhu.framework.testkit.council import Council, Seat


def _round(council: Council) -> tuple[list[tuple[Seat, msgspec.Struct]], port.Executed]:
    """Every message of the round of height 2 that member 3 receives, with its sender."""
    leader, first, second = council.seats[:3]
    made = council.block(leader.head.block, proposer=leader.id, count=1)
    return [
        (leader, council.proposal(made)),
        (first, council.vote(first.id, made, phase=PREPARE)),
        (second, council.vote(second.id, made, phase=PREPARE)),
        (leader, council.vote(leader.id, made, phase=COMMIT)),
        (first, council.vote(first.id, made, phase=COMMIT)),
        (second, council.vote(second.id, made, phase=COMMIT)),
    ], made


@pytest.mark.row("A-6")
@pytest.mark.parametrize("first", range(6))
def test_a_round_in_every_order(first: int) -> None:
    """Then no exception and same final state: all 720 orders of the messages of one round."""
    for order in itertools.permutations(range(6)):
        if order[0] != first:
            continue
        council = Council().start()
        target = council.seats[3]
        messages, made = _round(council)
        for number in order:
            sender, message = messages[number]
            target.tell(port.Received(sender.id, message))
        assert target.head == made.ready, order
        assert not target.faults(), order
        phases = [each.phase for each in target.sent if isinstance(each, Vote) and each.height == 2]
        assert phases in ([PREPARE, COMMIT], [PREPARE], [])


@pytest.mark.row("A-6")
def test_messages_that_come_twice_change_nothing() -> None:
    """Then no exception and same final state: every message of a round, three times."""
    council = Council().start()
    target = council.seats[3]
    messages, made = _round(council)
    for sender, message in messages * 3:
        target.tell(port.Received(sender.id, message))
    assert target.head == made.ready
    assert not target.faults()
    assert len([each for each in target.sent if isinstance(each, Vote) and each.height == 2]) == 2


# -- the prefix rule -----------------------------------------------------------------------------------------------


def _votes(seat: Seat, height: int) -> list[Vote]:
    return [each for each in seat.sent if isinstance(each, Vote) and each.height == height]


def test_a_child_is_prepared_only_on_what_was_prepared() -> None:
    """A member prepares h+1 only on the block it prepared at h in this view: a child of a rival is refused, and
    another leader is wanted."""
    council = Council().start()
    leader, target = council.seats[0], council.seats[3]
    made = council.block(leader.head.block, proposer=leader.id, count=1)
    rival = council.block(leader.head.block, proposer=leader.id, count=1, salt=1)
    child = council.block(rival.ready.block, proposer=leader.id, count=1)
    target.tell(port.Received(leader.id, council.proposal(made)))
    target.tell(port.Received(leader.id, council.proposal(child)))
    assert len(_votes(target, 2)) == 1
    assert not _votes(target, 3)
    assert target.faults() == [(leader.id.hex(), "parent_differs")]
    assert any(isinstance(each, ViewRequest) for each in target.sent)


def test_a_child_waits_for_its_parent() -> None:
    """A proposal that comes before its parent's is held back, and prepared behind it."""
    council = Council().start()
    leader, target = council.seats[0], council.seats[3]
    made = council.block(leader.head.block, proposer=leader.id, count=1)
    child = council.block(made.ready.block, proposer=leader.id, count=1)
    target.tell(port.Received(leader.id, council.proposal(child)))
    assert not _votes(target, 3) and child.ready.block not in [each.block for each in target.asked]
    target.tell(port.Received(leader.id, council.proposal(made)))
    assert [each.height for each in target.sent if isinstance(each, Vote)][-2:] == [2, 3]


def test_a_block_on_no_known_parent_is_not_prepared() -> None:
    """Not on a block that is neither prepared here, nor the view's start, nor certified."""
    council = Council().start()
    leader, target = council.seats[0], council.seats[3]
    stranger = council.block(council.genesis.block, proposer=leader.id, count=1, salt=7)
    orphan = council.block(stranger.ready.block, proposer=leader.id, count=1)
    target.tell(port.Received(leader.id, council.proposal(orphan)))
    assert not _votes(target, 2)
    assert target.faults() == [(leader.id.hex(), "parent_differs")]


def test_h_plus_one_is_committed_only_behind_h() -> None:
    """A member commits h+1 only after h is committed by it or certified."""
    council = Council().start()
    leader, target = council.seats[0], council.seats[3]
    made = council.block(leader.head.block, proposer=leader.id, count=1)
    child = council.block(made.ready.block, proposer=leader.id, count=1)
    for each in (made, child):
        target.tell(port.Received(leader.id, council.proposal(each)))
    for seat in council.seats[1:3]:
        target.tell(port.Received(seat.id, council.vote(seat.id, child, phase=PREPARE)))
    assert [each.phase for each in _votes(target, 3)] == [PREPARE]
    for seat in council.seats[1:3]:
        target.tell(port.Received(seat.id, council.vote(seat.id, made, phase=PREPARE)))
    assert [(each.height, each.phase) for each in target.sent if isinstance(each, Vote)][-2:] == [(2, 2), (3, 2)]


def test_another_outcome_than_ones_own_is_not_prepared() -> None:
    """Prepare and commit name the outcome: a leader whose outcome differs is wrong, and left."""
    council = Council().start()
    leader, target = council.seats[0], council.seats[3]
    made = council.block(leader.head.block, proposer=leader.id, count=1)
    wrong = port.Executed(
        port.Ready(2, made.ready.block, made.ready.parent, bytes(32), made.ready.time_ms, has_root=False, count=1),  # type: ignore[arg-type]
        made.header,
        (),
    )
    target.tell(port.Received(leader.id, council.proposal(wrong)))
    assert not _votes(target, 2)
    assert target.faults() == [(leader.id.hex(), "outcome_differs")]


def test_two_proposals_for_one_place_are_equivocation() -> None:
    """The second is not looked at; its sender is named, and another leader wanted."""
    council = Council().start()
    leader, target = council.seats[0], council.seats[3]
    for salt in (0, 1):
        rival = council.block(leader.head.block, proposer=leader.id, count=1, salt=salt)
        target.tell(port.Received(leader.id, council.proposal(rival)))
    assert len(_votes(target, 2)) == 1
    assert target.faults() == [(leader.id.hex(), "equivocation")]


def test_two_votes_for_one_place_are_equivocation() -> None:
    """The first counts, the second names its sender."""
    council = Council().start()
    liar, target = council.seats[1], council.seats[3]
    for salt in (0, 1):
        rival = council.block(target.head.block, proposer=liar.id, count=1, salt=salt)
        target.tell(port.Received(liar.id, council.vote(liar.id, rival, phase=COMMIT)))
    assert target.faults() == [(liar.id.hex(), "equivocation")]


# -- the tip -------------------------------------------------------------------------------------------------------


def _change(council: Council, seat: Seat, view: int, certificate: Certificate | None) -> ViewChange:
    unsigned = ViewChange(0, view, certificate, seat.id, bytes(64))
    signature = council.consortium.sign(seat.id, change_message(council.consortium.voters, unsigned))
    return msgspec.structs.replace(unsigned, signature=signature)


def _new_view(council: Council, view: int, carried: dict[int, Certificate | None]) -> NewView:
    """The NEW-VIEW of the leader of `view`; `carried` by position of the member."""
    changes = [_change(council, council.seats[at], view, certificate) for at, certificate in carried.items()]
    changes.sort(key=lambda each: each.member)
    message = new_view_message(council.consortium.voters, epoch=0, view=view, changes=changes)
    leader = council.seats[view % len(council.seats)]
    return NewView(0, view, changes, council.consortium.sign(leader.id, message))


class TipScene:
    """View 1 is open for member 3 at a tip prepared in view 0: heights 2 and 3 on top of the committed block 1."""

    def __init__(self) -> None:
        self.council = Council().start()
        self.leader, self.target = self.council.seats[1], self.council.seats[3]
        old = self.council.seats[0]
        self.second = self.council.block(old.head.block, proposer=old.id, count=1)
        self.third = self.council.block(self.second.ready.block, proposer=old.id, count=1)
        prepared = self.council.certificate(self.third, phase=PREPARE)
        committed = self.council.certificate(self.council.library[old.head.block])
        self.tell(_new_view(self.council, 1, {0: prepared, 1: committed, 2: None}))
        assert self.target.view == 1 and self.target.active

    def tell(self, message: msgspec.Struct, sender: Seat | None = None) -> None:
        self.target.tell(port.Received((sender or self.leader).id, message))


def test_nothing_is_prepared_before_the_tip() -> None:
    """Nobody prepares anything else in v before it: a child of the tip waits, a block below it is refused."""
    scene = TipScene()
    council, target = scene.council, scene.target
    child = council.block(scene.third.ready.block, proposer=scene.leader.id, count=1)
    scene.tell(council.proposal(child, view=1))
    assert not [each for each in target.sent if isinstance(each, Vote) and each.view == 1]
    scene.tell(council.proposal(scene.third, view=1))
    assert [(each.height, each.phase) for each in target.sent if isinstance(each, Vote) and each.view == 1] == [
        (3, PREPARE),
        (4, PREPARE),
    ]


def test_a_block_below_the_tip_is_refused() -> None:
    """The new leader's first proposal is the tip itself: its ancestor is none."""
    scene = TipScene()
    scene.tell(scene.council.proposal(scene.second, view=1))
    assert scene.target.faults() == [(scene.leader.id.hex(), "below_tip")]
    assert any(isinstance(each, ViewRequest) for each in scene.target.sent)


def test_another_block_than_the_tip_is_refused() -> None:
    """The new leader's first proposal is the tip itself, unchanged: a rival at its height is none."""
    scene = TipScene()
    rival = scene.council.block(scene.second.ready.block, proposer=scene.leader.id, count=1, salt=3)
    scene.tell(scene.council.proposal(rival, view=1))
    assert scene.target.faults() == [(scene.leader.id.hex(), "tip_differs")]
    assert not [each for each in scene.target.sent if isinstance(each, Vote) and each.view == 1]


def test_a_prepare_for_the_tip_is_one_for_its_ancestors() -> None:
    """Each uncommitted ancestor gets its own commit signature in v, lowest first, and a certificate of v."""
    scene = TipScene()
    council, target = scene.council, scene.target
    scene.tell(council.proposal(scene.third, view=1))
    for position in (0, 2):
        seat = council.seats[position]
        scene.tell(council.vote(seat.id, scene.third, phase=PREPARE, view=1), seat)
    commits = [each for each in target.sent if isinstance(each, Vote) and each.view == 1 and each.phase == COMMIT]
    assert [each.height for each in commits] == [2, 3]
    for position in (0, 2):
        seat = council.seats[position]
        for made in (scene.second, scene.third):
            scene.tell(council.vote(seat.id, made, phase=COMMIT, view=1), seat)
    assert target.head == scene.third.ready
    assert [each.view for each in target.committed] == [0, 1, 1]


def test_the_tip_is_the_greatest_by_view_and_then_height() -> None:
    """The certificate of greatest (view, height) that the VIEW-CHANGEs carry; of one pair, the commit."""
    council = Council().start()
    low = council.library[council.seats[0].head.block]
    high = council.block(low.ready.block, proposer=council.seats[0].id)
    candidates = [
        council.certificate(low, phase=COMMIT, view=0),
        council.certificate(high, phase=PREPARE, view=0),
        council.certificate(high, phase=COMMIT, view=0),
        council.certificate(low, phase=PREPARE, view=1),
    ]
    for order in itertools.permutations(range(4)):
        for length in range(1, 5):
            chosen = sorted(order[:length])
            changes = [_change(council, council.seats[0], 2, candidates[number]) for number in order[:length]]
            assert tip_of(changes) == candidates[chosen[-1]]
    nothing = _change(council, council.seats[0], 2, None)
    assert tip_of([nothing, nothing]) is None
    assert tip_of([nothing, changes[0]]) == changes[0].certificate


def test_a_view_without_certificates_starts_at_the_genesis() -> None:
    """If no VIEW-CHANGE carries one, nothing is proposed again: the view starts on the epoch's starting block."""
    council = Council()
    for seat in council.seats:
        seat.tell(port.Started())
    council.deliver(lambda letter: not isinstance(letter.message, Proposal))
    for seat in council.seats[1:]:
        seat.fire("view")
    council.deliver()
    assert {seat.head.height for seat in council.seats} == {1}
    assert {seat.committed[0].view for seat in council.seats} == {1}
    made = council.library[council.seats[0].head.block]
    assert made.header.proposer == council.seats[1].id


def test_a_certified_tip_is_where_the_view_starts() -> None:
    """If the tip is a commit certificate nothing is proposed again; a member without the block asks for it."""
    council = Council().start()
    target = council.seats[3]
    made = council.block(target.head.block, proposer=council.seats[0].id, count=1)
    committed = council.certificate(made)
    target.tell(port.Received(council.seats[1].id, _new_view(council, 1, {0: committed, 1: None, 2: None})))
    assert target.head == made.ready
    child = council.block(made.ready.block, proposer=council.seats[1].id, count=1)
    target.tell(port.Received(council.seats[1].id, council.proposal(child, view=1)))
    assert [each.height for each in target.sent if isinstance(each, Vote) and each.view == 1] == [3]


@pytest.mark.row("A-7")
@pytest.mark.row("A-9")
@pytest.mark.parametrize("order", list(itertools.permutations(["votes", "change", "new view", "sync"])))
def test_sync_view_change_and_votes_race_to_one_apply(order: tuple[str, ...]) -> None:
    """Then apply(h) is called exactly once per h per node, enforced by an assertion in production code. Then no
    illegal-state error, h applied once: the decision for h arrives by votes, in a VIEW-CHANGE, in a NEW-VIEW and by
    sync, in every order."""
    council = Council().start()
    target = council.seats[3]
    made = council.block(target.head.block, proposer=council.seats[0].id, count=1)
    certificate = council.certificate(made)
    target.tell(port.Received(council.seats[0].id, council.proposal(made)))
    for step in order:
        match step:
            case "votes":
                for seat in council.seats[:3]:
                    target.tell(port.Received(seat.id, council.vote(seat.id, made, phase=COMMIT)))
            case "change":
                for seat in council.seats[:2]:
                    target.tell(port.Received(seat.id, _change(council, seat, 1, certificate)))
            case "new view":
                opened = _new_view(council, 1, {0: certificate, 1: None, 2: None})
                target.tell(port.Received(council.seats[1].id, opened))
            case _:
                if target.head.height == 1:
                    target.held[made.ready.block] = made
                    target.committed.append(certificate)
                    target.tell(port.Synced(made.ready, certificate))
                    target.tell(made)
    assert [each.height for each in target.committed] == [1, 2]
    assert target.head == made.ready
    assert target.view == 1
