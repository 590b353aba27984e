"""What one message can do: any order, any field altered, any cut of who hears it, two copies of one member."""

import itertools
import random

import pytest

from zizhu.chain.consensus.pbft.messages import NewView, Proposal, ViewChange, Vote
from zizhu.chain.model.certificate import COMMIT, PREPARE
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.framework.testkit import malform, schedules
from zizhu.framework.testkit.stage import Stage, Waiting

pytestmark = pytest.mark.simulation

EVERYONE = (0, 1, 2, 3)


@pytest.mark.row("A-6")
def test_any_order_of_one_round() -> None:
    """No exception and same final state, whatever the order of one round's messages at one member."""
    stage = Stage(4)
    stage.deliver(schedules.proposals(0, 1, 2))
    stage.deliver(lambda each: isinstance(each.message, Vote) and each.target != 3, rounds=3)
    heard = [each for each in stage.waiting if each.target == 3 and isinstance(each.message, Proposal | Vote)]
    assert len(heard) >= 6
    outcomes = []
    for order in _orders(heard, 60):
        again = Stage(4)
        again.drop()
        for each in order:
            again.hand_over(each)
        again.deliver(schedules.fetches, rounds=2)
        outcomes.append(again.heights()[3])
    assert outcomes == [1] * len(outcomes)


def _orders(heard: list[Waiting], count: int) -> list[list[Waiting]]:
    draw = random.Random(1)
    return [heard[::-1], *(draw.sample(heard, len(heard)) for _ in range(count))]


@pytest.mark.row("A-12")
@pytest.mark.parametrize("part", range(4))
def test_any_cut_of_the_prepares(part: int) -> None:
    """Commit within k views; safety for every cut of the delivery matrix: cuts drawn from all 2^12 of the links, the
    same for the prepares and for the commits that follow them at once."""
    draw = random.Random(part)
    for _ in range(5):
        cut = [(a, b) for a, b in itertools.permutations(EVERYONE, 2) if draw.randrange(2)]
        stage = Stage(4)
        stage.deliver(schedules.proposals(0, *EVERYONE))
        stage.drop(lambda each, cut=cut: isinstance(each.message, Vote) and (each.source, each.target) in cut)  # type: ignore[misc]
        stage.deliver(lambda each: isinstance(each.message, Vote))
        stage.drop()
        for _ in range(4):
            stage.deliver(rounds=8)
            stage.skip(800)
            stage.deliver(rounds=8)
        assert min(stage.heights()) >= 1, cut


@pytest.mark.row("A-1", "A-18", "A-3")
def test_every_altered_field_is_refused() -> None:
    """Every honest node rejects it, counts one offence for the link peer, and the view is unchanged: each field of
    each kind of message, with its neighbours, signature kept."""
    stage = Stage(4)
    originals = [each for each in stage.waiting if isinstance(each.message, Proposal)][:1]
    stage.deliver(rounds=4)
    stage.move(0, 1)
    originals += [each for each in stage.waiting if isinstance(each.message, ViewChange) and each.target == 1][:1]
    stage.move(2, 1)
    stage.move(1, 1)
    stage.deliver(schedules.changes(1, sources=EVERYONE, targets=(1,)))
    originals += [each for each in stage.waiting if isinstance(each.message, NewView) and each.target == 3][:1]
    assert len(originals) == 3
    tried = 0
    for original in originals:
        again = Stage(4)
        if isinstance(original.message, Proposal):
            again.drop()
        else:
            again.deliver(rounds=4)
        before = (again.view(original.target), again.heights())
        for path, made in malform.variants(original.message):
            tried += 1
            try:
                decoded = again.wire.decode(again.wire.encode(made))
            except SpokeWrongly:
                continue
            again.hand_over(Waiting(original.source, original.target, decoded))
            assert (again.view(original.target), again.heights()) == before, path
            sent = [each for each in again.waiting if isinstance(each.message, Vote) and each.source == original.target]
            assert not sent, path
    assert tried >= 100


@pytest.mark.row("A-2")
def test_one_member_with_huge_views_moves_nobody() -> None:
    """Others move only on f+1 distinct valid claims, commits continue."""
    stage = Stage(4, actors=(0,))
    stage.deliver(rounds=4)
    liar = schedules.Liar(stage, 0)
    for view in (5, 1_000_000, (1 << 53) - 1):
        for target in (1, 2, 3):
            stage.say(0, target, liar.change(view))
            stage.say(0, target, stage.vote(0, view=view, phase=COMMIT, pair=(bytes(32), bytes(32)), height=9))
    assert [stage.view(position) for position in (1, 2, 3)] == [0, 0, 0]
    height = max(stage.heights())
    stage.submit(1, stage.some_submission(1))
    stage.deliver(rounds=12)
    assert min(stage.heights()) > height


@pytest.mark.row("A-13")
def test_twins_of_two_rounds() -> None:
    """No two committed digests at one height: n = 4, one member twice, two rounds, every way to divide the others
    between the twins, with every leader's proposal doubled."""
    played = 0
    for first, second in itertools.product(range(8), repeat=2):
        stage = Stage(4, actors=(0,))
        one = next(each.message for each in stage.waiting if isinstance(each.message, Proposal))
        two = schedules.other_proposal(stage, 0, one)
        for target in (1, 2, 3):
            stage.say(0, target, two if first >> (target - 1) & 1 else one)
        stage.drop(lambda each: each.source == 0)
        for phase in (PREPARE, COMMIT):
            for proposal in (one, two):
                vote = schedules.vote_for(stage, 0, proposal, phase)
                for target in (1, 2, 3):
                    if second >> (target - 1) & 1 or proposal is one:
                        stage.say(0, target, vote)
            stage.deliver(lambda each: isinstance(each.message, Vote), rounds=3)
        for position in (1, 2, 3):
            stage.move(position, 1)
        stage.deliver(rounds=schedules.ROUNDS)
        stage.skip(600)
        stage.deliver(rounds=schedules.ROUNDS)
        played += 1
        assert min(stage.heights()[1:]) >= 1, (first, second)
    assert played == 64
