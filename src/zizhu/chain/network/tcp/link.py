"""One TLS connection with one member: greeting, frames in and out, heartbeats, and when to give up.

Decides when a connection counts as a link and when it is dead. Refuses to know which peers there are and who
dials whom: its owner identifies the certificate and judges the greeting. An asyncio Protocol, not streams:
half the cost a frame and no task a link.
"""

import asyncio
import socket
import ssl
import sys
from dataclasses import dataclass
from typing import Protocol, cast

from zizhu.chain.model import limits
from zizhu.chain.model.errors import ErrorCode, SpokeWrongly, ZizhuError
from zizhu.chain.model.ids import MemberId
from zizhu.chain.network.port import HANDSHAKE
from zizhu.chain.network.tcp.frames import HEARTBEAT, FrameReader, SendQueue
from zizhu.chain.network.tcp.pacing import Budget

SLICE_BYTES = 64 * 1024
"""What is handed to TLS at once; an urgent frame overtakes everything that is not yet handed over."""
SLICES_PER_TURN = 4
"""Slices written before other links and the node get their turn."""
HELLO_FRAME_BYTES_MAX = 1024
_TCP_NOTSENT_LOWAT = 25
"""Linux: how much unsent data the kernel takes; more only lets urgent frames wait behind it."""

SILENT = ErrorCode(
    "network.silent",
    "nothing was heard from {address} for {silence_ms} ms",
    "check the peer and the network between; the link is built again by itself",
    "{silence_ms} 毫秒内未收到 {address} 的任何数据",
    "请检查对方节点与网络;连接会自动重建",
)
SLOW = ErrorCode(
    "network.slow",
    "{address} does not take its urgent frames; {queued_bytes} bytes wait",
    "check the peer's load and the network between; the link is built again by itself",
    "{address} 未及时接收紧急帧,已积压 {queued_bytes} 字节",
    "请检查对方负载与网络;连接会自动重建",
)


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bounds of one link; units in the names."""

    urgent_bytes_max: int = limits.MESSAGE_BYTES_MAX + 8 * 1024 * 1024
    bulk_bytes_max: int = limits.MESSAGE_BYTES_MAX + 8 * 1024 * 1024
    bytes_per_s: int = 256 * 1024 * 1024
    frames_per_s: int = 100_000
    greeting_ms: int = 5_000
    heartbeat_ms: int = 1_000
    silence_ms: int = 4_000


class Owner(Protocol):
    """Whoever holds the links and knows the members."""

    def identify(self, link: "Link", certificate: bytes) -> bytes:
        """This side's greeting for the owner of `certificate` (DER). Raises SpokeWrongly to refuse the link."""
        ...

    def greeted(self, link: "Link", frame: bytes) -> None:
        """The first frame came. Raises SpokeWrongly to refuse the link."""
        ...

    def frame_received(self, link: "Link", frame: bytes) -> None: ...

    def link_lost(self, link: "Link", error: ZizhuError | None) -> None:
        """The connection ended; `error` says why, if this side ended it or TLS did."""
        ...


class Link(asyncio.Protocol):
    """A connection whose TLS handshake is done or under way. Counters are cumulative."""

    def __init__(self, owner: Owner, limits_: LinkLimits, *, address: str, dialled: MemberId | None) -> None:
        self.address = address
        self.dialled = dialled
        """The member this side dialled; None when the other side dialled."""
        self.up = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.bytes_in = self.bytes_out = self.frames_in = self.frames_out = 0
        self.queue = SendQueue(urgent_bytes_max=limits_.urgent_bytes_max, bulk_bytes_max=limits_.bulk_bytes_max)
        self._owner = owner
        self._limits = limits_
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(HELLO_FRAME_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._error: ZizhuError | None = None
        self._write_paused = self._flush_due = self._wrote = False
        self._held = self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._credit: asyncio.TimerHandle | None = None
        now_s = self._loop.time()
        self._heard_s = self._tick_s = now_s
        self._budget = Budget(bytes_per_s=limits_.bytes_per_s, frames_per_s=limits_.frames_per_s, now_s=now_s)

    # -- what the owner asks -----------------------------------------------------------------------------------

    def send(self, frame: bytes, *, urgent: bool) -> None:
        """Queue `frame`; resets the link when the urgent lane overflows."""
        if not urgent:
            self.queue.push_bulk(frame)
        elif not self.queue.push_urgent(frame):
            self.reset(SpokeWrongly(SLOW, address=self.address, queued_bytes=self.queue.cost_bytes))
            return
        if not self._flush_due and not self._write_paused:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def hold(self, *, held: bool) -> None:
        """Stop or go on taking frames; what the peer then sends waits in its own buffers."""
        self._held = held
        self._regulate()
        if not held:
            self._loop.call_soon(self._drain)

    def reset(self, error: ZizhuError | None) -> None:
        """End the connection at once."""
        if self._error is None:
            self._error = error
        self._over = True
        if self._transport is not None:
            self._transport.abort()

    def refuse(self, error: ZizhuError) -> None:
        """End the connection, after what is written already (this side's greeting, so that the other can say why)."""
        if not self._over and self._transport is not None:
            self._error = error
            self._flush()
            self._over = True
            self._transport.close()

    # -- what asyncio tells ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TLS handshake succeeded; nothing is parsed before the certificate is pinned to a member."""
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is one by shape only
        ssl_object: ssl.SSLObject = transport.get_extra_info("ssl_object")
        certificate = ssl_object.getpeercert(binary_form=True)
        try:
            greeting = self._owner.identify(self, certificate or b"")
        except SpokeWrongly as error:
            self.reset(error)
            return
        transport.set_write_buffer_limits(high=2 * SLICE_BYTES)
        _tune(transport.get_extra_info("socket"))
        self.send(greeting, urgent=True)
        self._timer = self._loop.call_later(self._limits.greeting_ms / 1000, self._greeting_overdue)

    def data_received(self, data: bytes) -> None:
        """Part of the stream; takes all whole frames in it unless the owner holds the link."""
        if self._over:
            return
        self._heard_s = self._loop.time()
        self.bytes_in += len(data)
        before = self._reader.fragments
        self._reader.feed(data)
        self._drain()
        wait_s = self._budget.spend(size_bytes=len(data), frames=self._reader.fragments - before, now_s=self._heard_s)
        if wait_s > 0.0 and self._credit is None:
            self._credit = self._loop.call_later(wait_s, self._in_credit)
            self._regulate()

    def pause_writing(self) -> None:
        """TLS and the kernel hold enough; the rest waits in the queue, where urgent frames can overtake."""
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever the reason, the owner hears of it once."""
        for timer in (self._timer, self._credit):
            if timer is not None:
                timer.cancel()
        if self._error is None and isinstance(exc, OSError):  # others are ours and went to the loop's handler
            self._error = SpokeWrongly(HANDSHAKE, address=self.address, reason=str(exc) or type(exc).__name__)
        elif self._error is None and not self._over and not self.up:
            self._error = SpokeWrongly(HANDSHAKE, address=self.address, reason="it was closed before a greeting came")
        self._over = True
        self._owner.link_lost(self, self._error)
        if not self.closed.done():
            self.closed.set_result(None)

    # -- inside ------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Hand over the frames that are whole; the first is the greeting."""
        try:
            while not self._over and not self._held:
                frame = self._reader.next_frame()
                if frame is None:
                    return
                if self.up:
                    self.frames_in += 1
                    self._owner.frame_received(self, frame)
                else:
                    self._greeted(frame)
        except SpokeWrongly as error:
            self.refuse(error)

    def _greeted(self, frame: bytes) -> None:
        self._owner.greeted(self, frame)
        self._reader.length_max = limits.MESSAGE_BYTES_MAX
        if self._timer is not None:
            self._timer.cancel()
        self._tick_s = self._loop.time()
        self._timer = self._loop.call_later(self._limits.heartbeat_ms / 1000, self._tick)

    def _greeting_overdue(self) -> None:
        self.reset(SpokeWrongly(SILENT, address=self.address, silence_ms=self._limits.greeting_ms))

    def _tick(self) -> None:
        """Say that this side lives; give up on a peer that does not. Not after a stall of our own loop: what the
        peer sent meanwhile is unread."""
        now_s = self._loop.time()
        stalled = now_s - self._tick_s > 2 * self._limits.heartbeat_ms / 1000
        self._tick_s = now_s
        if stalled or self._held or self._credit is not None:
            self._heard_s = now_s
        elif now_s - self._heard_s > self._limits.silence_ms / 1000:
            self.reset(SpokeWrongly(SILENT, address=self.address, silence_ms=self._limits.silence_ms))
            return
        if not self._wrote and not self._write_paused and self._transport is not None:
            self._transport.write(HEARTBEAT)
            self.bytes_out += len(HEARTBEAT)
        self._wrote = False
        self._timer = self._loop.call_later(self._limits.heartbeat_ms / 1000, self._tick)

    def _flush(self) -> None:
        """Write slices until TLS has enough, and not more than a turn's worth."""
        self._flush_due = False
        transport = self._transport
        if transport is None or self._over or transport.is_closing():
            return
        for _ in range(SLICES_PER_TURN):
            if self._write_paused:
                return
            waiting = self.queue.frames
            piece = self.queue.take(SLICE_BYTES)
            if not piece:
                return
            self.frames_out += waiting - self.queue.frames
            self.bytes_out += len(piece)
            self._wrote = True
            transport.write(piece)
        self._flush_due = True
        self._loop.call_soon(self._flush)

    def _in_credit(self) -> None:
        self._credit = None
        self._regulate()

    def _regulate(self) -> None:
        """Read from the socket exactly while nobody holds the link and its budget is in credit."""
        if self._transport is None or self._transport.is_closing():
            return
        reading = not self._held and self._credit is None
        if reading and not self._transport.is_reading():
            self._transport.resume_reading()
        elif not reading and self._transport.is_reading():
            self._transport.pause_reading()


def _tune(raw: socket.socket | None) -> None:
    """No delay for small frames, little unsent data in the kernel. Buffer sizes stay with the kernel: fixing them
    turns its own tuning off, whose maximum is higher than what an unprivileged process may ask for."""
    if raw is None:
        return
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        raw.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, 2 * SLICE_BYTES)
