"""A small proxy for TCP that stands between two members and does to their bytes what a bad network does.

Decides what a fault is: each of the two ways between the members has its own weather, and a connection keeps its
order in all of them. Bytes that are held are kept and not lost, as TCP would send them again. Refuses to know what the
bytes mean (members speak TLS) and who the members are. Everything here runs in one event loop: `links` has it.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Coroutine
from dataclasses import dataclass, replace

HOST = "127.0.0.1"
PIECE_BYTES_MAX = 64 * 1024
PIECES_MAX = 256
"""Pieces under way before a sender is slowed down, as full buffers of a kernel would."""


@dataclass(frozen=True, slots=True)
class Way:
    """From one member to another; the other direction is another way."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Weather:
    """What a way does to its bytes. A piece takes `delay_ms` give or take `jitter_ms` and passes at `bytes_per_s` (0:
    as fast as it can); `held`: nothing passes, the end of a connection neither, and connections stay open."""

    delay_ms: int = 0
    jitter_ms: int = 0
    bytes_per_s: int = 0
    held: bool = False

    def __post_init__(self) -> None:
        assert 0 <= self.jitter_ms <= self.delay_ms, "a piece cannot arrive before it was sent"
        assert self.bytes_per_s >= 0


FAIR = Weather()


@dataclass(frozen=True, slots=True)
class Seen:
    """What one way did so far: bytes that passed, pieces that had to wait for a delay, a rate or a held way, the
    longest such wait; connections that a cut ended, and those that were refused. The last two are of both ways."""

    passed_bytes: int = 0
    waited_pieces: int = 0
    waited_ms_max: int = 0
    ended: int = 0
    refused: int = 0


class Passage:
    """One way: its weather now, and what it did."""

    def __init__(self, way: Way, seed: int) -> None:
        self.seen = Seen()
        self._weather = FAIR
        self._open = asyncio.Event()
        self._open.set()
        self._dice = random.Random(f"{seed} {way.source} {way.target}")

    @property
    def weather(self) -> Weather:
        """What it does to bytes that come now."""
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        if weather.held:
            self._open.clear()
        else:
            self._open.set()

    async def opened(self) -> None:
        """Returns while nothing is held."""
        await self._open.wait()

    def due_s(self, *, now_s: float, before_s: float, size_bytes: int) -> float:
        """When a piece that comes now may go on; `before_s` is when the piece before it does."""
        weather = self._weather
        delay_ms = weather.delay_ms + self._dice.uniform(-weather.jitter_ms, weather.jitter_ms)
        due_s = max(before_s, now_s + delay_ms / 1000)
        return due_s + size_bytes / weather.bytes_per_s if weather.bytes_per_s else due_s

    def passed(self, size_bytes: int, *, waited_ms: int) -> None:
        """Count a piece."""
        seen = self.seen
        self.seen = replace(
            seen,
            passed_bytes=seen.passed_bytes + size_bytes,
            waited_pieces=seen.waited_pieces + (waited_ms > 0),
            waited_ms_max=max(seen.waited_ms_max, waited_ms),
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes under way; none of them: the stream ends."""

    data: bytes
    came_s: float
    due_s: float


class Flow:
    """One way of one connection: pieces in their order, each with the moment at which it may go on."""

    def __init__(self, passage: Passage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._passage = passage
        self._reader = reader
        self._writer = writer
        self._pieces: asyncio.Queue[Piece] = asyncio.Queue(PIECES_MAX)

    async def take(self) -> None:
        """Take in what the source sends; returns when it ended."""
        loop = asyncio.get_running_loop()
        due_s = 0.0
        while True:
            try:
                data = await self._reader.read(PIECE_BYTES_MAX)
            except OSError:
                data = b""
            now_s = loop.time()
            due_s = self._passage.due_s(now_s=now_s, before_s=due_s, size_bytes=len(data))
            await self._pieces.put(Piece(data, now_s, due_s))
            if not data:
                return

    async def give(self) -> None:
        """Hand on what is due; returns when the end got through to the target."""
        loop = asyncio.get_running_loop()
        while True:
            piece = await self._pieces.get()
            waits = piece.due_s > loop.time() or self._passage.weather.held
            await asyncio.sleep(max(0.0, piece.due_s - loop.time()))
            await self._passage.opened()
            if not piece.data:
                return
            waited_ms = math.ceil((loop.time() - piece.came_s) * 1000) if waits else 0
            self._passage.passed(len(piece.data), waited_ms=waited_ms)
            # A target that is gone says so by the other way, which may be held.
            with contextlib.suppress(OSError):
                if not self._writer.is_closing():
                    self._writer.write(piece.data)
                    await self._writer.drain()


class Line:
    """Both ways between two members: listens in place of the member that is dialled."""

    def __init__(self, way: Way, port: int, seed: int) -> None:
        self.forth = Passage(way, seed)
        self.back = Passage(Way(way.target, way.source), seed)
        self.ended = self.refused = 0
        self._port = port
        self._cut = False
        self._server: asyncio.Server | None = None
        self._carried: dict[asyncio.Task[None], None] = {}
        self._flap: asyncio.TimerHandle | None = None

    async def start(self) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._called, HOST, 0, limit=PIECE_BYTES_MAX)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """End everything."""
        assert self._server is not None, "not started"
        self._still()
        self._server.close()
        carried = list(self._carried)
        self._end_all()
        await asyncio.gather(*carried, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self, *, on: bool) -> None:
        """End the connections and refuse new ones, or take them again; it flaps no more."""
        self._still()
        self._cut = on
        if on:
            self.ended += len(self._carried)
            self._end_all()

    def flap(self, period_ms: int) -> None:
        """Cut for half a period, whole for the other half, and so on until `cut`."""
        self.cut(on=not self._cut)
        loop = asyncio.get_running_loop()
        self._flap = loop.call_later(period_ms / 2000, self.flap, period_ms)

    def _still(self) -> None:
        if self._flap is not None:
            self._flap.cancel()
            self._flap = None

    def _end_all(self) -> None:
        for task in self._carried:
            task.cancel()

    def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A member dials another."""
        if self._cut:
            self.refused += 1
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._carried[task] = None
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._carried[task]
        if not task.cancelled():
            task.result()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its first packet to its end."""
        try:
            await self.forth.opened()
            far_reader, far_writer = await asyncio.open_connection(HOST, self._port, limit=PIECE_BYTES_MAX)
        except OSError:
            return
        else:
            try:
                await _both(Flow(self.forth, reader, far_writer), Flow(self.back, far_reader, writer))
            finally:
                far_writer.transport.abort()
        finally:
            writer.transport.abort()


async def _both(forth: Flow, back: Flow) -> None:
    """Returns when the end of one side got through to the other, or when both sides are gone."""
    loop = asyncio.get_running_loop()

    async def gone() -> None:
        await asyncio.gather(forth.take(), back.take())

    works: tuple[Coroutine[object, object, None], ...] = (forth.give(), back.give(), gone())
    tasks = [loop.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
