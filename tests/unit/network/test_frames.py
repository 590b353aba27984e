"""Framing, the two lanes, budgets and back-off, without a socket."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.network.tcp.frames import BULK_BIT, FRAGMENT_BYTES, HEARTBEAT, MORE_BIT, FrameReader, SendQueue
from zizhu.chain.network.tcp.pacing import Backoff, Budget

MIB = 1024 * 1024


def _frames(reader: FrameReader) -> list[bytes]:
    found = []
    while (frame := reader.next_frame()) is not None:
        found.append(frame)
    return found


def _stream(queue: SendQueue, slice_bytes: int = 64 * 1024) -> bytes:
    pieces = []
    while piece := queue.take(slice_bytes):
        assert len(piece) <= slice_bytes
        pieces.append(piece)
    return b"".join(pieces)


def _word(length: int, bits: int = 0) -> bytes:
    return (bits | length).to_bytes(4, "big")


@given(
    frames=st.lists(st.tuples(st.binary(min_size=1, max_size=3000), st.booleans()), max_size=20),
    cuts=st.lists(st.integers(1, 2000), min_size=1, max_size=8),
    slice_bytes=st.integers(1024, 8192),
)
def test_frames_come_out_as_they_went_in(
    frames: Sequence[tuple[bytes, bool]], cuts: Sequence[int], slice_bytes: int
) -> None:
    """However the stream is sliced on one side and cut on the other, each lane's frames arrive whole and in order."""
    queue = SendQueue(urgent_bytes_max=MIB, bulk_bytes_max=MIB)
    for frame, urgent in frames:
        if urgent:
            assert queue.push_urgent(frame)
        else:
            queue.push_bulk(frame)
    stream = _stream(queue, slice_bytes)
    reader, found, at, turn = FrameReader(3000), [], 0, 0
    while at < len(stream):
        length = cuts[turn % len(cuts)]
        reader.feed(stream[at : at + length])
        found += _frames(reader)
        at, turn = at + length, turn + 1
    assert found == [f for f, urgent in frames if urgent] + [f for f, urgent in frames if not urgent]
    assert (queue.cost_bytes, queue.frames) == (0, 0)


def test_an_urgent_frame_enters_a_long_one() -> None:
    """Behind what is handed over already, an urgent frame comes next, between two fragments of a bulk frame."""
    queue = SendQueue(urgent_bytes_max=MIB, bulk_bytes_max=MIB)
    queue.push_bulk(bytes(5 * FRAGMENT_BYTES))
    begun = queue.take(64 * 1024)
    assert queue.push_urgent(b"vote")
    reader = FrameReader(MIB)
    reader.feed(begun + queue.take(64 * 1024))
    assert _frames(reader) == [b"vote"]
    reader.feed(_stream(queue))
    assert _frames(reader) == [bytes(5 * FRAGMENT_BYTES)]


@pytest.mark.parametrize("bits", [0, BULK_BIT])
def test_a_length_is_judged_before_its_payload_comes(bits: int) -> None:
    """The longest frame is awaited; one byte more is refused by its word alone, in either lane."""
    reader = FrameReader(1000)
    reader.feed(_word(1000, bits))
    assert reader.next_frame() is None
    reader = FrameReader(1000)
    reader.feed(_word(1001, bits))
    with pytest.raises(SpokeWrongly, match=r"network\.frame_length.*1001"):
        reader.next_frame()


@pytest.mark.parametrize("bits", [0, BULK_BIT])
def test_fragments_count_together(bits: int) -> None:
    """Fragments cannot make up a frame longer than a frame may be."""
    reader = FrameReader(1000)
    reader.feed(_word(600, bits | MORE_BIT) + bytes(600) + _word(401, bits))
    with pytest.raises(SpokeWrongly, match=r"network\.frame_length.*1001"):
        reader.next_frame()


@pytest.mark.parametrize("bits", [BULK_BIT, MORE_BIT, BULK_BIT | MORE_BIT])
def test_an_empty_fragment_is_refused(bits: int) -> None:
    """A fragment without payload is no heartbeat and no progress: a peer cannot keep a link busy with them."""
    reader = FrameReader(1000)
    reader.feed(_word(0, bits))
    with pytest.raises(SpokeWrongly, match=r"network\.frame_length"):
        reader.next_frame()


def test_heartbeats_are_no_frames_and_are_counted() -> None:
    """Heartbeats stand anywhere between fragments, give no frame, and cost the peer's budget."""
    reader = FrameReader(1000)
    reader.feed(HEARTBEAT * 3 + _word(2, MORE_BIT) + b"ab" + HEARTBEAT + _word(1) + b"c" + HEARTBEAT)
    assert _frames(reader) == [b"abc"]
    assert reader.fragments == 7


def test_a_stream_of_single_bytes_costs_linear_work() -> None:
    """A long frame that comes byte by byte is put together without copying it again for each byte."""
    reader = FrameReader(MIB)
    reader.feed(_word(50_000))
    assert reader.next_frame() is None
    for _ in range(49_999):
        reader.feed(b"x")
    assert reader.next_frame() is None
    reader.feed(b"x")
    assert reader.next_frame() == b"x" * 50_000


def test_bulk_drops_the_oldest_and_keeps_what_is_begun() -> None:
    """A full bulk lane drops its oldest frames, never the one that is partly written, and counts them."""
    queue = SendQueue(urgent_bytes_max=MIB, bulk_bytes_max=10_000)
    queue.push_bulk(b"a" * 4000)
    begun = queue.take(1024)
    for letter in b"bcd":
        queue.push_bulk(bytes([letter]) * 3000)
    assert queue.dropped == 2
    assert queue.cost_bytes <= 10_000
    reader = FrameReader(MIB)
    reader.feed(begun + _stream(queue))
    assert _frames(reader) == [b"a" * 4000, b"d" * 3000]
    queue.push_bulk(bytes(20_000))
    assert (queue.dropped, queue.frames) == (3, 0)


def test_a_full_urgent_lane_says_so() -> None:
    """Urgent frames are never dropped in silence: the push that does not fit returns False."""
    queue = SendQueue(urgent_bytes_max=10_000, bulk_bytes_max=10_000)
    assert queue.push_urgent(bytes(9_000))
    assert not queue.push_urgent(bytes(2_000))
    assert queue.frames == 1


def test_tiny_frames_are_bounded_too() -> None:
    """A frame costs more than its bytes: a lane of one-byte frames is full long before its bound in frames."""
    queue = SendQueue(urgent_bytes_max=6_500, bulk_bytes_max=0)
    assert all(queue.push_urgent(b"x") for _ in range(100))
    assert not queue.push_urgent(b"x")


def test_a_budget_is_paid_back_by_waiting() -> None:
    """Within a second's worth nothing waits; beyond it the wait is what the overdraft takes to earn, by either
    measure; credit never grows beyond one second."""
    budget = Budget(bytes_per_s=1000, frames_per_s=10, now_s=0.0)
    assert budget.spend(size_bytes=1000, frames=1, now_s=0.0) == 0.0
    assert budget.spend(size_bytes=500, frames=1, now_s=0.0) == pytest.approx(0.5)
    assert budget.spend(size_bytes=0, frames=0, now_s=0.5) == 0.0
    assert budget.spend(size_bytes=0, frames=30, now_s=100.0) == pytest.approx(2.0)


def test_back_off_doubles_to_its_limit_and_is_the_seeds() -> None:
    """Waits lie between half and all of 50, 100, … 2,000 ms; one seed gives one row; a success begins anew."""
    waits = Backoff(first_s=0.05, last_s=2.0, seed="a")
    row = [waits.wait_s() for _ in range(9)]
    for wait_s, whole_s in zip(row, [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0], strict=True):
        assert whole_s / 2 <= wait_s <= whole_s
    again = Backoff(first_s=0.05, last_s=2.0, seed="a")
    assert [again.wait_s() for _ in range(9)] == row
    assert [Backoff(first_s=0.05, last_s=2.0, seed="b").wait_s()] != row[:1]
    waits.reset()
    assert waits.wait_s() <= 0.05
