"""Quorums: arithmetic over every pair, and what five and six members can lose."""

import itertools

import pytest

from zizhu.chain.consensus.quorum import faults_tolerated, majority, one_honest, quorum
from zizhu.framework.testkit.council import Council, Letter


def test_quorums_of_three_to_ten() -> None:
    """q = floor((n + f) / 2) + 1 gives 2, 3, 4, 4, 5, 6, 6, 7."""
    assert [quorum(n) for n in range(3, 11)] == [2, 3, 4, 4, 5, 6, 6, 7]
    assert [faults_tolerated(n) for n in range(1, 14)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]


@pytest.mark.parametrize("n", range(1, 14))
def test_every_pair_of_quorums_shares_an_honest_member(n: int) -> None:
    """Every two sets of q among n members share at least f + 1, and n - f members are enough for a quorum."""
    q, f = quorum(n), faults_tolerated(n)
    sets = [sum(1 << member for member in chosen) for chosen in itertools.combinations(range(n), q)]
    first = sets[0]
    # By symmetry it is enough to hold one of the two sets fixed; small n are enumerated whole all the same.
    pairs = itertools.product(sets, sets) if n <= 7 else ((first, other) for other in sets)
    assert min((one & other).bit_count() for one, other in pairs) >= f + 1
    assert n - f >= q
    assert one_honest(n) == f + 1
    assert 2 * majority(n) > n


@pytest.mark.parametrize("n", range(4, 14))
def test_one_member_less_is_no_quorum(n: int) -> None:
    """With q - 1 signatures two sets could meet in liars only."""
    q, f = quorum(n), faults_tolerated(n)
    assert 2 * (q - 1) - n < f + 1


@pytest.mark.row("P-11")
@pytest.mark.parametrize("n", [5, 6])
def test_five_and_six_members_need_four(n: int) -> None:
    """Quorums at n = 5 and 6: three of five, or of six, certify nothing; four do, with the rest dead or silent."""
    council = Council(n).start()
    for seat in council.seats[4:]:
        seat.down = True
    council.commit_one()
    assert [seat.head.height for seat in council.seats[:4]] == [2, 2, 2, 2]
    council.seats[3].down = True
    for seat in council.seats[:3]:
        seat.wait_for(1)
    council.deliver()
    assert [seat.head.height for seat in council.seats[:3]] == [2, 2, 2]


@pytest.mark.row("P-11")
@pytest.mark.parametrize("n", [5, 6])
def test_two_halves_never_both_commit(n: int) -> None:
    """A leader that tells two halves of five or six members different things, and votes with both, certifies at most
    one block: the half that has only 2f+1 = 3 votes with the leader's commits nothing."""
    council = Council(n).start()
    leader = council.seats[0]
    others = council.seats[1:]
    halves = others[: len(others) // 2], others[len(others) // 2 :]
    rivals = [council.block(leader.head.block, proposer=leader.id, salt=salt) for salt in (1, 2)]
    for half, rival in zip(halves, rivals, strict=True):
        for seat in half:
            council.hand(Letter(leader.id, seat.id, council.proposal(rival)))
            council.hand(Letter(leader.id, seat.id, council.vote(leader.id, rival, phase=2)))
    council.deliver(lambda letter: letter.target != leader.id)
    assert {seat.head.height for seat in halves[0]} == {1}
    assert {seat.head.block for seat in halves[1]} == {rivals[1].ready.block if n == 6 else halves[1][0].head.block}
    assert len({seat.head.block for seat in others if seat.head.height == 2}) == (1 if n == 6 else 0)
