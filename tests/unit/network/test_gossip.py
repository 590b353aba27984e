"""Gossip: batches by count, bytes and time; each submission once to everybody."""

from zizhu.chain.model.effects import Send, SetTimer
from zizhu.chain.model.ids import MemberId
from zizhu.chain.model.transaction import Single
from zizhu.chain.network.gossip import (
    BATCH_BYTES,
    BATCH_SUBMISSIONS,
    BATCH_WAIT_MS,
    TIMER,
    GossipQueue,
    first_batch,
)
from zizhu.chain.network.messages import Gossip

OTHERS = tuple(MemberId(bytes([number]) * 32) for number in range(3))


def _single(number: int) -> Single:
    return Single(number.to_bytes(4, "big"), 1, bytes(33), bytes(64))


def test_the_first_of_a_batch_starts_its_timer() -> None:
    """One timer a batch; when it fires the batch leaves, whole and in order, to all others."""
    queue = GossipQueue(OTHERS)
    assert queue.add(_single(1), 100) == [SetTimer(TIMER, BATCH_WAIT_MS)]
    assert queue.add(_single(2), 100) == []
    assert queue.flush() == [Send(OTHERS, Gossip([_single(1), _single(2)]))]
    assert queue.flush() == []
    assert queue.add(_single(3), 100) == [SetTimer(TIMER, BATCH_WAIT_MS)]


def test_a_full_batch_leaves_at_once() -> None:
    """By count, or by bytes; nothing is left behind."""
    queue = GossipQueue(OTHERS)
    out = [effect for number in range(BATCH_SUBMISSIONS) for effect in queue.add(_single(number), 1)]
    batches = [each.message for each in out if isinstance(each, Send)]
    assert batches == [Gossip([_single(number) for number in range(BATCH_SUBMISSIONS)])]
    assert queue.add(_single(1), BATCH_BYTES) == [Send(OTHERS, Gossip([_single(1)]))]
    assert (queue.waiting, queue.waiting_bytes) == ([], 0)


def test_a_member_alone_tells_nobody() -> None:
    """No peers, no batch, no timer."""
    assert GossipQueue(()).add(_single(1), 1) == []


def test_a_first_batch_is_bounded_and_never_empty() -> None:
    """One submission of any size, or as many as fit."""
    assert first_batch([(_single(1), 10 * BATCH_BYTES), (_single(2), 1)]) == Gossip([_single(1)])
    many = [(_single(number), 1) for number in range(2 * BATCH_SUBMISSIONS)]
    assert len(first_batch(many).submissions) == BATCH_SUBMISSIONS
    assert len(first_batch([(_single(n), BATCH_BYTES // 4) for n in range(9)]).submissions) == 4
