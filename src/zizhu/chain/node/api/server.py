"""The HTTP port of a node: uvicorn inside the node's own loop, with the limits that uvicorn leaves to others.

Decides how many connections there are, how long and how many headers may be, how long they may take, and which
requests are ambiguous and are refused with their connection. Refuses to know routes.

httptools (llhttp) refuses most ambiguous framing by itself; what stands here holds whatever its version does.
"""

import asyncio
import contextlib
import socket
from asyncio.events import TimerHandle
from collections.abc import Iterator
from typing import Any

import httptools
import msgspec
import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from zizhu.chain.model.errors import ErrorCode, OperatingFault, SpokeWrongly
from zizhu.chain.node.api.faults import error_body
from zizhu.chain.node.api.guard import SECURITY_HEADERS
from zizhu.chain.node.api.replies import ErrorReply

HEAD_BYTES_MAX = 16 * 1024
"""Request line and headers, bytes."""
HEADERS_MAX = 64
PIPELINED_MAX = 16
"""Requests that a client may have waiting on one connection."""
HEAD_S = 10.0
"""Time for request line and headers to arrive, from the connection's start or the last answer."""
KEEP_ALIVE_S = 15
CONNECTIONS_MAX = 512
BACKLOG = 128
GRACE_S = 2
"""How long answers under way may go on when the node stops."""

LISTEN = ErrorCode(
    "http.listen",
    "the HTTP port {host}:{port} cannot be opened: {reason}",
    "free the port or choose another one in the node's configuration",
    "无法打开 HTTP 端口 {host}:{port}:{reason}",
    "请释放该端口,或在节点配置中另选端口",
)
FRAMING = ErrorCode(
    "http.framing",
    "this is no plain HTTP request: {reason}",
    "send HTTP as RFC 9112 says, with one Host and at most one length of the body",
    "这不是规范的 HTTP 请求:{reason}",
    "请按 RFC 9112 发送 HTTP 请求,只带一个 Host,且请求体至多声明一种长度",
)
_STATUS_LINES = {
    400: b"HTTP/1.1 400 Bad Request\r\n",
    408: b"HTTP/1.1 408 Request Timeout\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
}


class _Refused(Exception):
    """Raised in a callback of the parser, which stops there; the connection ends with `reason`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class LimitedProtocol(HttpToolsProtocol):
    """One connection. What is refused is answered once, in JSON, and the connection closed."""

    head_s = HEAD_S

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock of the first head."""
        super().connection_made(transport)
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; whatever it refuses ends the connection."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_timer is None:
                self._start_head(len(data))
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "upgrades are not served")
        except httptools.HttpParserError as error:
            inside = error.__context__
            reason = inside.reason if isinstance(inside, _Refused) else str(error)[:120]
            self._refuse(431 if "headers" in reason else 400, reason)
        else:
            # A head that is complete has set the count back: what is counted now belongs to one that is not.
            if self._in_head and self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(431, f"the headers are longer than {HEAD_BYTES_MAX} bytes")

    def on_message_begin(self) -> None:
        """A request line begins."""
        super().on_message_begin()
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        super().on_url(url)
        if len(self.url) > HEAD_BYTES_MAX:
            raise _Refused(f"the headers are longer than {HEAD_BYTES_MAX} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; not a folded or an oversized one, and not one too many."""
        super().on_header(name, value)
        if len(self.headers) > HEADERS_MAX:
            raise _Refused(f"more than {HEADERS_MAX} headers")
        if sum(len(one) + len(two) for one, two in self.headers) > HEAD_BYTES_MAX:
            raise _Refused(f"the headers are longer than {HEAD_BYTES_MAX} bytes")
        if b"\n" in value or b"\r" in value or b"\x00" in value:
            raise _Refused("a header value has a line break")

    def on_headers_complete(self) -> None:
        """The head is complete: refuses what two readers could frame differently, then the request begins."""
        self._in_head = False
        self._head_bytes = 0
        self._stop_clock()
        if len(self.pipeline) >= PIPELINED_MAX:
            raise _Refused(f"more than {PIPELINED_MAX} requests wait on this connection")
        reason = ambiguity(self.headers, self.parser.get_http_version())
        if reason is not None:
            raise _Refused(reason)
        if self.parser.should_upgrade():
            raise _Refused("upgrades are not served")
        if not self.url.startswith(b"/"):
            raise _Refused("the address is not a path of this node")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is complete; what comes next is a head."""
        super().on_message_complete()
        self._in_head = True

    def shutdown(self) -> None:
        """The node stops: answers are completed, streams end at once."""
        super().shutdown()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete and cycle.chunked_encoding:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn itself refuses."""
        self._refuse(400, msg)

    def _start_head(self, bytes_seen: int = 0) -> None:
        self._head_bytes = bytes_seen
        self._stop_clock()
        self._head_timer = self.loop.call_later(self.head_s, self._head_is_late)

    def _stop_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._refuse(408, f"the headers did not arrive within {self.head_s:g} s")

    def _refuse(self, status: int, reason: str) -> None:
        """Answers, unless the answer of an earlier request is under way, and closes."""
        self._stop_clock()
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            body = msgspec.json.encode(ErrorReply(error_body(SpokeWrongly(FRAMING, reason=reason), "en")))
            headers = {"content-type": "application/json", "connection": "close", **SECURITY_HEADERS}
            lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
            length = b"content-length: %d\r\n\r\n" % len(body)
            self.transport.write(_STATUS_LINES[status] + b"".join(lines) + length + body)
        self.transport.close()


def ambiguity(headers: list[tuple[bytes, bytes]], http_version: str) -> str | None:
    """Why two readers could disagree on where this request ends or whom it is for; None when they could not."""
    if http_version not in ("1.0", "1.1"):
        return f"HTTP version {http_version}"
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if sum(name == b"host" for name, _ in headers) > 1:
        return "more than one Host"
    if len(lengths) > 1:
        return "more than one Content-Length"
    if lengths and not lengths[0].isdigit():
        return "a Content-Length that is no number"
    if codings and (lengths or http_version == "1.0"):
        return "a Transfer-Encoding beside a Content-Length, or in HTTP/1.0"
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        return "a Transfer-Encoding other than chunked"
    return None


class NodeServer(uvicorn.Server):
    """uvicorn in somebody else's loop: it takes no signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the node."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises OperatingFault (`http.listen`)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's delay off only where it knows the protocol: without it every answer takes 40 ms.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise OperatingFault(LISTEN, host=host, port=port, reason=str(error)) from error
    opened.setblocking(False)
    return opened


def build_server(app: ASGIApp, *, head_s: float = HEAD_S) -> NodeServer:
    """The server of `app`: `await server.serve(sockets=[listen(...)])`; it ends after `server.should_exit = True`.

    `head_s` is the time that request line and headers may take.
    """
    protocol = type("TimedProtocol", (LimitedProtocol,), {"head_s": head_s})
    config = Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    return NodeServer(config)


async def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serves `app` on `host`:`port` until it is cancelled. Raises OperatingFault (`http.listen`)."""
    opened = listen(host, port)
    server = build_server(app)
    serving = asyncio.ensure_future(server.serve(sockets=[opened]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
    finally:
        opened.close()
