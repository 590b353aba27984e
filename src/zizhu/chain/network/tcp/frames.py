"""How frames lie in the byte stream of a link, and in what order they are put there.

Decides framing, fragmenting and the two lanes: urgent frames overtake others, even inside a long one. Refuses
to know sockets, TLS and what a frame means; does no I/O.

A fragment is a 4-byte big-endian word and its payload. Bit 31 of the word: the lane (1: not urgent). Bit 30:
more fragments of this frame follow in this lane. Bits 0..29: length of the payload. The word 0 is a heartbeat.
"""

from collections import deque
from typing import Final

from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.network.port import FRAME_LENGTH

WORD_BYTES: Final = 4
BULK_BIT: Final = 1 << 31
MORE_BIT: Final = 1 << 30
LENGTH_MASK: Final = MORE_BIT - 1
HEARTBEAT: Final = bytes(WORD_BYTES)
FRAGMENT_BYTES: Final = 64 * 1024 - WORD_BYTES
"""Longest fragment this side writes, so that an urgent frame waits for at most one of them."""
ROOM_BYTES_MIN: Final = 1024
"""Less room than this at the end of a slice is left empty rather than filled with a splinter of a frame."""
FRAME_COST_BYTES: Final = 64
"""What a queued frame is reckoned to cost above its bytes."""


class FrameReader:
    """Takes the stream in pieces, gives frames. Holds at most `length_max` a lane, and the piece last fed.

    `length_max` may be changed between frames: the first frame of a link is held to a shorter one.
    """

    __slots__ = ("_at", "_buffer", "_parts", "fragments", "length_max")

    def __init__(self, length_max: int) -> None:
        self.length_max = length_max
        self.fragments = 0
        """Fragments and heartbeats taken so far."""
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self._parts: tuple[bytearray, bytearray] = (bytearray(), bytearray())

    def feed(self, data: bytes) -> None:
        """Take the next piece of the stream. Copies only when the last piece ended inside a fragment."""
        if self._at == len(self._buffer):
            self._buffer = data
        else:
            if isinstance(self._buffer, bytearray):
                del self._buffer[: self._at]
            else:
                self._buffer = bytearray(memoryview(self._buffer)[self._at :])
            self._buffer += data
        self._at = 0

    def next_frame(self) -> bytes | None:
        """The next whole frame, or None until more is fed.

        Raises SpokeWrongly (`network.frame_length`) as soon as a word announces too much, before its payload
        is waited for; the reader is of no use afterwards.
        """
        while len(self._buffer) - self._at >= WORD_BYTES:
            start = self._at + WORD_BYTES
            word = int.from_bytes(self._buffer[self._at : start], "big")
            if word == 0:
                self._at = start
                self.fragments += 1
                continue
            length = word & LENGTH_MASK
            parts = self._parts[word >> 31]
            if length == 0 or len(parts) + length > self.length_max:
                raise SpokeWrongly(FRAME_LENGTH, length=len(parts) + length, length_max=self.length_max)
            end = start + length
            if len(self._buffer) < end:
                return None
            self.fragments += 1
            self._at = end
            if word & MORE_BIT:
                parts += memoryview(self._buffer)[start:end]
            elif parts:
                parts += memoryview(self._buffer)[start:end]
                frame = bytes(parts)
                parts.clear()
                return frame
            else:
                return bytes(memoryview(self._buffer)[start:end])
        if self._at == len(self._buffer):
            self._buffer, self._at = b"", 0  # a long frame's room is not kept
        return None


class _Lane:
    """Frames that wait, oldest first; of the first, `offset` bytes are written already."""

    __slots__ = ("cost", "flag", "frames", "offset")

    def __init__(self, flag: int) -> None:
        self.flag = flag
        self.frames: deque[bytes] = deque()
        self.offset = 0
        self.cost = 0

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.cost += len(frame) + FRAME_COST_BYTES

    def drop_oldest(self) -> bool:
        """Drop the oldest frame of which nothing is written; False if there is none."""
        place = 1 if self.offset else 0
        if len(self.frames) <= place:
            return False
        self.cost -= len(self.frames[place]) + FRAME_COST_BYTES
        del self.frames[place]
        return True

    def take(self, pieces: list[bytes | memoryview], room: int) -> int:
        """Append fragments of at most `room` bytes in all to `pieces`; their length."""
        taken = 0
        while self.frames and room - taken >= ROOM_BYTES_MIN:
            frame = self.frames[0]
            length = min(len(frame) - self.offset, FRAGMENT_BYTES, room - taken - WORD_BYTES)
            end = self.offset + length
            more = 0 if end == len(frame) else MORE_BIT
            pieces.append((self.flag | more | length).to_bytes(WORD_BYTES, "big"))
            pieces.append(frame if length == len(frame) else memoryview(frame)[self.offset : end])
            taken += WORD_BYTES + length
            if more:
                self.offset = end
            else:
                self.frames.popleft()
                self.offset = 0
                self.cost -= len(frame) + FRAME_COST_BYTES
        return taken


class SendQueue:
    """Frames on their way out of one link: an urgent lane in front of a bulk lane, both bounded in bytes."""

    __slots__ = ("_bulk", "_bulk_bytes_max", "_urgent", "_urgent_bytes_max", "dropped")

    def __init__(self, *, urgent_bytes_max: int, bulk_bytes_max: int) -> None:
        self._urgent = _Lane(0)
        self._bulk = _Lane(BULK_BIT)
        self._urgent_bytes_max = urgent_bytes_max
        self._bulk_bytes_max = bulk_bytes_max
        self.dropped = 0
        """Bulk frames discarded so far to stay within the bound."""

    @property
    def cost_bytes(self) -> int:
        """What the waiting frames cost in memory, bytes."""
        return self._urgent.cost + self._bulk.cost

    @property
    def frames(self) -> int:
        """Frames that wait, those partly written included."""
        return len(self._urgent.frames) + len(self._bulk.frames)

    def push_urgent(self, frame: bytes) -> bool:
        """Queue `frame` in front of all bulk frames; False if the lane is full: the link must be reset."""
        if self._urgent.cost + len(frame) + FRAME_COST_BYTES > self._urgent_bytes_max:
            return False
        self._urgent.push(frame)
        return True

    def push_bulk(self, frame: bytes) -> None:
        """Queue `frame`, dropping the oldest bulk frames if the lane is full (or itself, if that is not enough)."""
        while self._bulk.cost + len(frame) + FRAME_COST_BYTES > self._bulk_bytes_max:
            self.dropped += 1
            if not self._bulk.drop_oldest():
                return
        self._bulk.push(frame)

    def take(self, bytes_max: int) -> bytes:
        """The next bytes of the stream, at most `bytes_max`, urgent lane first; empty when nothing waits."""
        pieces: list[bytes | memoryview] = []
        taken = self._urgent.take(pieces, bytes_max)
        self._bulk.take(pieces, bytes_max - taken)
        return b"".join(pieces)
