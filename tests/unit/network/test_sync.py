"""Catching up: whom to ask, when, and who is not asked again for a while."""

import pytest

from zizhu.chain.model.ids import MemberId
from zizhu.chain.network.messages import SYNC_BLOCKS_MAX, FetchCertified
from zizhu.chain.network.sync import ANSWER_WAIT_MS, BLAME_MS, GRACE_MS, SMALL_GAP, Sync

A, B, C = (MemberId(bytes([number]) * 32) for number in (1, 2, 3))
FAR = 1_000


def test_nobody_ahead_is_nobody_asked() -> None:
    """Nothing to ask, nothing to wait for."""
    sync = Sync()
    sync.heard(A, 5)
    assert sync.next_question(0, 5) is None
    assert not sync.wants_timer


def test_a_small_gap_may_close_by_itself() -> None:
    """Votes under way close it within the grace; then the best peer is asked for what is missing."""
    sync = Sync()
    sync.heard(A, SMALL_GAP)
    assert sync.next_question(0, 0) is None
    assert sync.wants_timer
    assert sync.next_question(GRACE_MS - 1, 0) is None
    assert sync.next_question(GRACE_MS, 0) == (A, FetchCertified(1, SMALL_GAP))


def test_progress_starts_the_grace_anew() -> None:
    """A member whose head moves is not behind, only late."""
    sync = Sync()
    for head in range(20):
        sync.heard(A, head + SMALL_GAP)
        assert sync.next_question(head * (GRACE_MS - 1), head) is None


def test_a_large_gap_is_asked_for_at_once_and_in_bounded_parts() -> None:
    """The best peer, from the head on, at most so many blocks."""
    sync = Sync()
    sync.heard(A, FAR)
    sync.heard(B, FAR + 1)
    assert sync.next_question(0, 10) == (B, FetchCertified(11, SYNC_BLOCKS_MAX))


def test_one_question_at_a_time_and_its_own_answer_closes_it() -> None:
    """An answer from somebody else, or about another start, is none."""
    sync = Sync()
    sync.heard(A, FAR)
    assert sync.next_question(0, 0) is not None
    assert sync.next_question(ANSWER_WAIT_MS - 1, 0) is None
    assert not sync.answered(B, 1)
    assert not sync.answered(A, 2)
    assert sync.answered(A, 1)
    assert not sync.answered(A, 1)


@pytest.mark.row("A-23")
def test_a_liar_about_heights_is_passed_over() -> None:
    """Then sync ends when f+1 agree; liar demoted: a peer that claims the greatest height and does not answer is not
    asked for a while, whatever it claims meanwhile, and the others are."""
    sync = Sync()
    sync.heard(A, 2**53 - 1)
    sync.heard(B, FAR)
    assert sync.next_question(0, 0) == (A, FetchCertified(1, SYNC_BLOCKS_MAX))
    sync.heard(A, 2**53 - 2)
    question = sync.next_question(ANSWER_WAIT_MS, 0)
    assert question == (B, FetchCertified(1, SYNC_BLOCKS_MAX))
    assert sync.answered(B, 1)
    sync.heard(A, 2**53 - 1)
    assert sync.next_question(ANSWER_WAIT_MS + BLAME_MS - 1, 64) == (B, FetchCertified(65, SYNC_BLOCKS_MAX))


@pytest.mark.row("A-23")
def test_a_peer_that_falls_back_is_no_longer_ahead() -> None:
    """Then sync ends: high and then low heights leave nothing behind."""
    sync = Sync()
    sync.heard(A, FAR)
    sync.heard(A, 3)
    assert sync.next_question(0, 3) is None
    assert not sync.wants_timer


def test_blame_ends() -> None:
    """After its time a peer is asked again, if it still says that it is ahead."""
    sync = Sync()
    sync.heard(A, FAR)
    sync.blame(A, 0)
    sync.heard(A, FAR)
    assert sync.next_question(BLAME_MS - 1, 0) is None
    assert sync.next_question(BLAME_MS, 0) is not None


def test_a_lost_link_drops_its_question() -> None:
    """Another peer is asked at once."""
    sync = Sync()
    sync.heard(A, FAR + 1)
    sync.heard(B, FAR)
    assert sync.next_question(0, 0) is not None
    sync.lost(A)
    assert sync.next_question(1, 0) == (B, FetchCertified(1, SYNC_BLOCKS_MAX))


def test_evidence_raises_and_never_lowers() -> None:
    """A certificate of a height says that its holder has at least that."""
    sync = Sync()
    sync.at_least(C, 7)
    sync.at_least(C, 5)
    assert sync.heights == {C: 7}


@pytest.mark.row("A-23")
def test_a_peer_that_answers_slowly_does_not_set_the_pace() -> None:
    """Then liar demoted: who claims the greatest height and gives one block a question, as late as it may, costs its
    turn and no more. If it were asked each time, a chain that waits for this member would wait for days."""
    sync = Sync()
    now_ms, head = 0, 0
    while now_ms < 10_000:
        for peer, height in ((A, 2**53 - 1), (B, FAR), (C, FAR)):
            sync.heard(peer, height)
        question = sync.next_question(now_ms, head)
        assert question is not None
        peer, asked = question
        now_ms += ANSWER_WAIT_MS - 1 if peer == A else 10
        assert sync.answered(peer, asked.start)
        head += 1 if peer == A else asked.count
        if head >= FAR:
            return
    raise AssertionError(f"only {head} blocks")
