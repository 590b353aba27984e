"""Ambiguous, oversized and slow HTTP on raw sockets: refused with the connection, the node goes on."""

import gzip
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from zizhu.chain.node.api import server
from zizhu.chain.node.api.bodies import json_reply, read_bytes
from zizhu.chain.node.api.site import Documents, Endpoint, Served, Site
from zizhu.framework.testkit.fakes.served import HOST, Haste, ServedNode, served

PATH = b"/api/v1/query"
JSON = b"Content-Type: application/json\r\n"
ANSWER_S = 5.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    """One port for all cases: it must live through every one of them."""
    with served(tmp_path_factory.mktemp("node")) as running:
        yield running


def post(*headers: bytes, body: bytes = b"", line: bytes = b"POST " + PATH + b" HTTP/1.1") -> bytes:
    """A request with a Host (`@` stands for it) and these headers."""
    return line + b"\r\nHost: @\r\n" + JSON + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


def get(*headers: bytes, line: bytes = b"GET /api/v1/status HTTP/1.1") -> bytes:
    """A request without a body."""
    return line + b"\r\n" + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked"
CLOSE = b"Connection: close"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: @\r\n\r\n"
BOMB = gzip.compress(bytes(1 << 20))
HUGE = b"x" * 20_000

CASES: dict[str, bytes] = {
    # Two lengths: whoever believes the other one sees another request.
    "length and chunked": post(b"Content-Length: 4", CHUNKED, body=b"0\r\n\r\n" + HIDDEN),
    "chunked and length": post(CHUNKED, b"Content-Length: 4", body=b"0\r\n\r\n" + HIDDEN),
    "length 0 and chunked": post(b"Content-Length: 0", CHUNKED, body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 2", b"Content-Length: 40", body=b"{}" + HIDDEN),
    "two equal lengths": post(b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
    "a list of lengths": post(b"Content-Length: 2, 2", body=b"{}"),
    "a list of different lengths": post(b"Content-Length: 2, 40", body=b"{}" + HIDDEN),
    # Lengths that some read as numbers.
    "length with plus": post(b"Content-Length: +2", body=b"{}"),
    "length with minus": post(b"Content-Length: -2", body=b"{}"),
    "length in hex": post(b"Content-Length: 0x2", body=b"{}"),
    "length with underscore": post(b"Content-Length: 1_0", body=b"{}" + b" " * 8),
    "length with inner blank": post(b"Content-Length: 1 0", body=b"{}" + b" " * 8),
    "length of words": post(b"Content-Length: two", body=b"{}"),
    "length empty": post(b"Content-Length:", body=b"{}"),
    "length in Arabic digits": post("Content-Length: ٢".encode(), body=b"{}"),
    "length beyond 64 bits": post(b"Content-Length: 18446744073709551618", body=b"{}"),
    "length with dot": post(b"Content-Length: 2.0", body=b"{}"),
    "length with exponent": post(b"Content-Length: 2e0", body=b"{}"),
    # Codings that some take for chunked.
    "chunked twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "chunked, chunked": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked with vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "blank before the colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "tab before the colon": post(b"Content-Length\t: 2", body=b"{}"),
    "chunked in HTTP/1.0": post(CHUNKED, body=b"0\r\n\r\n", line=b"POST " + PATH + b" HTTP/1.0"),
    "chunked after a fold": post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "a header by folding": post(b"X-One: a\r\n Content-Length: 2", b"Content-Length: 40", body=b"{}"),
    "first header folded": get(b" Host: @", b"Host: @"),
    # Chunks.
    "chunk size negative": post(CHUNKED, body=b"-2\r\n{}\r\n0\r\n\r\n"),
    "chunk size with 0x": post(CHUNKED, body=b"0x2\r\n{}\r\n0\r\n\r\n"),
    "chunk size no number": post(CHUNKED, body=b"zz\r\n{}\r\n0\r\n\r\n"),
    "chunk size beyond 64 bits": post(CHUNKED, body=b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    "chunk size empty": post(CHUNKED, body=b"\r\n{}\r\n0\r\n\r\n"),
    "chunk longer than its size": post(CHUNKED, body=b"1\r\n{}\r\n0\r\n\r\n"),
    "chunk ended by a bare line feed": post(CHUNKED, body=b"2\n{}\n0\n\n"),
    "chunk size with trailing blank": post(CHUNKED, body=b"2 x\r\n{}\r\n0\r\n\r\n"),
    "chunk data without end": post(CHUNKED, body=b"2\r\n{}XX0\r\n\r\n"),
    # Line ends and bytes that some swallow.
    "header ended by a bare carriage return": b"GET /api/v1/status HTTP/1.1\r\nHost: @\rX-Two: b\r\n\r\n",
    "header with a zero byte": get(b"Host: @", b"X-One: a\x00b"),
    "header name with a zero byte": get(b"Host: @", b"X\x00One: a"),
    "header without a name": get(b"Host: @", b": a"),
    "header without a colon": get(b"Host: @", b"NoColonHere"),
    "header name with a blank": get(b"Host: @", b"X One: a"),
    "header name with a bracket": get(b"Host: @", b"X(One): a"),
    # Whom the request is for.
    "two hosts": get(b"Host: @", b"Host: evil.example"),
    "two equal hosts": get(b"Host: @", b"Host: @"),
    "no host": get(b"X-One: a"),
    "an absolute address": get(b"Host: @", line=b"GET http://evil.example/api/v1/status HTTP/1.1"),
    "an address of another host's": get(b"Host: evil.example"),
    "a tunnel": get(b"Host: @", line=b"CONNECT evil.example:443 HTTP/1.1"),
    "an upgrade to another protocol": get(b"Host: @", b"Connection: Upgrade", b"Upgrade: h2c"),
    "an upgrade to WebSocket": get(b"Host: @", b"Connection: Upgrade", b"Upgrade: websocket"),
    # Request lines.
    "no version": b"GET /api/v1/status\r\nHost: @\r\n\r\n",
    "version 2.0": get(b"Host: @", line=b"GET /api/v1/status HTTP/2.0"),
    "version 1.10": get(b"Host: @", line=b"GET /api/v1/status HTTP/1.10"),
    "version 3": get(b"Host: @", line=b"GET /api/v1/status HTTP/3"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown method": get(b"Host: @", line=b"FETCH /api/v1/status HTTP/1.1"),
    "a method in small letters": get(b"Host: @", line=b"get /api/v1/status HTTP/1.1"),
    "a blank in the address": get(b"Host: @", line=b"GET /api/v1/ status HTTP/1.1"),
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "nothing but noise": bytes(range(256)) * 4,
    # Too much.
    "a huge address": get(b"Host: @", line=b"GET /" + HUGE + b" HTTP/1.1"),
    "a huge header": get(b"Host: @", b"X-One: " + HUGE),
    "a huge header name": get(b"Host: @", HUGE + b": a"),
    "many headers": get(b"Host: @", *[b"X-%d: a" % number for number in range(100)]),
    "a header that never ends": b"GET /api/v1/status HTTP/1.1\r\nHost: @\r\nX-One: " + HUGE * 4,
    # Compressed bodies are not opened.
    "a bomb of gzip": post(b"Content-Encoding: gzip", b"Content-Length: %d" % len(BOMB), body=BOMB),
    "a bomb of deflate": post(b"Content-Encoding: deflate", b"Content-Length: 2", body=b"{}"),
    "a body longer than allowed": post(b"Content-Length: 99999999"),
    "a body where none belongs": b"GET /api/v1/status HTTP/1.1\r\nHost: @\r\nContent-Length: 2\r\n\r\n{}",
}


def exchange(node: ServedNode, request: bytes) -> bytes:
    """All that comes back until the node closes the connection, which it must; a reset counts as closed."""
    with socket.create_connection((HOST, node.port), ANSWER_S) as link:
        link.settimeout(ANSWER_S)
        got = b""
        try:
            link.sendall(request.replace(b"@", f"{HOST}:{node.port}".encode()))
            while piece := link.recv(1 << 16):
                got += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
        return got


def is_alive(node: ServedNode) -> bool:
    """Whether the node answers a plain request, and its loop met nothing that nobody caught."""
    reply = exchange(node, get(b"Host: @", CLOSE))
    return reply.startswith(b"HTTP/1.1 200 ") and not node.faults


@pytest.mark.row("F-7")
@pytest.mark.parametrize("name", CASES)
def test_what_two_readers_could_read_differently_is_refused(node: ServedNode, name: str) -> None:
    """F-7: 400 and close; no request body compression. One answer at most, never that of a hidden request."""
    got = exchange(node, CASES[name])
    answers = got.count(b"HTTP/1.1 ")
    assert answers <= 1, got
    assert not answers or got.startswith(b"HTTP/1.1 4"), got
    assert b"/hidden" not in got and b"Traceback" not in got
    assert is_alive(node)


@pytest.mark.row("F-7")
def test_there_are_sixty_cases() -> None:
    """F-7: Given 60 smuggling/ambiguity cases; Then 400 and close."""
    assert len(CASES) >= 60


@pytest.mark.row("F-7")
def test_slow_heads_and_idle_connections_are_closed(tmp_path: Path) -> None:
    """F-7: slowloris: 400 and close. A head that dribbles in is cut off at its time, however lively it looks."""
    with served(tmp_path, haste=Haste(head_s=0.3)) as node:
        address = (HOST, node.port)
        with socket.create_connection(address, ANSWER_S) as idle, socket.create_connection(address, ANSWER_S) as slow:
            slow.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\n")
            began = time.monotonic()
            got = dribble(slow)
            assert time.monotonic() - began < 2, "the clock goes on while bytes come"
            assert not got or got.startswith(b"HTTP/1.1 408 ")
            assert idle.recv(1 << 16).startswith(b"HTTP/1.1 408 "), "who says nothing is told, and closed"
            assert idle.recv(1) == b""
        assert is_alive(node)


def dribble(link: socket.socket) -> bytes:
    """Sends a header a byte at a time until the connection is closed; what came back."""
    link.settimeout(0.02)
    got, ends = b"", time.monotonic() + ANSWER_S
    while time.monotonic() < ends:
        try:
            link.sendall(b"X")
            piece = link.recv(1 << 16)
        except TimeoutError:
            continue
        except OSError:
            break
        if not piece:
            break
        got += piece
    return got


def slow_routes(site: Site) -> list[Served]:
    """A plug-in that takes a short body."""

    async def take(request: Request) -> Response:
        return json_reply(len(await read_bytes(request)))

    return [Endpoint("POST", "/api/v1/bodies", take, Documents(summary="Takes a body"), body_bytes_max=100)]


@pytest.mark.row("F-7")
def test_slow_bodies_are_closed(tmp_path: Path) -> None:
    """F-7: slowloris: a body has its time, too; the answer is 408 and the connection is closed."""
    request = post(b"Content-Length: 100", body=b"{", line=b"POST /api/v1/bodies HTTP/1.1")
    with served(tmp_path, plugins={"slow": slow_routes}, haste=Haste(body_ms=100)) as node:
        got = exchange(node, request)
        assert got.startswith(b"HTTP/1.1 408 ") and b"connection: close" in got
        assert is_alive(node)


@pytest.mark.row("F-7")
def test_what_is_plain_is_served(node: ServedNode) -> None:
    """Chunked bodies, pipelined requests and kept connections are answered, each once and in order."""
    chunked = post(CHUNKED, body=b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
    got = exchange(node, get(b"Host: @") + chunked + get(b"Host: @", CLOSE, line=b"GET /nothing HTTP/1.1"))
    codes = [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]]
    assert codes == [b"200", b"400", b"404"] and b"missing required field" in got


def test_a_pipeline_has_an_end(node: ServedNode) -> None:
    """As many requests as may wait on a connection are answered; a flood in one piece ends the connection."""
    polite = get(b"Host: @") * (server.PIPELINED_MAX - 1) + get(b"Host: @", CLOSE)
    assert exchange(node, polite).count(b"HTTP/1.1 200 ") == server.PIPELINED_MAX
    assert exchange(node, get(b"Host: @") * 40).count(b"HTTP/1.1 200 ") <= server.PIPELINED_MAX
    assert is_alive(node)


def test_a_client_that_leaves_waits_no_more(node: ServedNode) -> None:
    """Who asks to wait half a minute and goes away leaves nothing behind that waits."""
    line = b"GET /api/v1/transactions/" + b"ab" * 32 + b"?wait_ms=30000 HTTP/1.1"
    with socket.create_connection((HOST, node.port), ANSWER_S) as link:
        link.sendall(get(b"Host: @", line=line).replace(b"@", f"{HOST}:{node.port}".encode()))
        assert eventually(lambda: node.node.moved_waiters == 1)
    assert eventually(lambda: node.node.moved_waiters == 0)


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold before the deadline."""
    ends = time.monotonic() + ANSWER_S
    while not holds() and time.monotonic() < ends:
        time.sleep(0.005)
    return holds()
