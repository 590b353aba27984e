"""HTTP as a load generator needs it: one request after another on a kept connection, at little cost.

Decides how a request is written and a reply is cut out of the stream. Refuses to know what is asked; replies of
the node always carry a Content-Length, and anything else ends the connection.
"""

import asyncio
from dataclasses import dataclass
from typing import cast

from zizhu.chain.model.errors import ErrorCode, OperatingFault

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "

BROKEN = ErrorCode(
    "bench.connection",
    "the connection to {host}:{port} broke: {reason}",
    "look at the member's console.log; the run is not valid",
    "与 {host}:{port} 的连接中断:{reason}",
    "请查看该成员的 console.log;本次测量无效",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of a reply."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One kept connection; at most one request is under way on it."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self.port = port
        self._head = f"host: {host}:{port}\r\n".encode()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none of its subclasses

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer += data
        end = self._buffer.find(HEAD_END)
        if end < 0 or self._waiting is None:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(LENGTH)
        if at < 0:
            self._break("a reply without Content-Length")
            return
        length = int(head[at + len(LENGTH) :].split(b"\r", 1)[0])
        whole = end + len(HEAD_END) + length
        if len(self._buffer) < whole:
            return
        answer = Answer(int(head[9:12]), bytes(self._buffer[end + len(HEAD_END) : whole]))
        del self._buffer[:whole]
        waiting, self._waiting = self._waiting, None
        if not waiting.done():
            waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        self._break(str(exc or "closed by the member"))

    async def get(self, path: str) -> Answer:
        """A GET. Raises OperatingFault (`bench.connection`)."""
        return await self._ask(b"GET " + path.encode() + b" HTTP/1.1\r\n" + self._head + b"\r\n")

    async def post(self, path: str, body: bytes) -> Answer:
        """A POST of bytes. Raises OperatingFault (`bench.connection`)."""
        head = b"content-type: application/octet-stream\r\ncontent-length: %d\r\n\r\n" % len(body)
        return await self._ask(b"POST " + path.encode() + b" HTTP/1.1\r\n" + self._head + head + body)

    def close(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.close()

    async def _ask(self, data: bytes) -> Answer:
        assert self._waiting is None, "one request at a time"
        if self._transport is None:
            await self._connect()
        assert self._transport is not None
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._transport.write(data)
        return await waiting

    async def _connect(self) -> None:
        self._buffer.clear()
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, self._host, self.port)
        except OSError as error:
            raise self._fault(str(error)) from None

    def _break(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(self._fault(reason))
        self.close()

    def _fault(self, reason: str) -> OperatingFault:
        return OperatingFault(BROKEN, host=self._host, port=self.port, reason=reason)
