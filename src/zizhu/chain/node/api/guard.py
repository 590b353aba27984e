"""What stands in front of every route: who may ask, how much, how long, and what every reply carries.

Decides the checks that no endpoint repeats: Host and Origin (DNS rebinding, foreign pages), the number of requests
under way, the length and the time of a body, the headers of security. Refuses to know routes.
"""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zizhu.chain.model.errors import AskedWrongly, Busy, ZizhuError
from zizhu.chain.node.api.bodies import BODY, BODY_TOO_LARGE, MEDIA_TYPE
from zizhu.chain.node.api.faults import CROWDED, HOST, ORIGIN, SLOW, error_reply
from zizhu.chain.node.api.site import Endpoint

REQUESTS_MAX = 256
"""Requests under way at once; streams count."""
BODY_MS = 20_000
"""Time that a body may take, beside what its length takes."""
BODY_BYTES_PER_MS = 200
"""The slowest that a long body may come (200 kB/s)."""
RETRY_MS = 1_000
HEX_SHOWN = 80
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

_EVERY_REPLY = [
    (name.encode(), value.encode()) for name, value in {**SECURITY_HEADERS, "cache-control": "no-store"}.items()
]


def local_hosts(port: int) -> tuple[str, ...]:
    """The Host headers that name this node on its loopback port."""
    return tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))


class Guard:
    """An ASGI application around another one. `hosts` are the only values of Host that are served."""

    def __init__(self, inner: ASGIApp, *, hosts: Iterable[str]) -> None:
        self._inner = inner
        self._hosts = tuple(hosts)
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; everything else than HTTP is for the application inside."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return

        headers = Headers(scope=scope)
        body_left = has_body(headers)

        async def receive_noted() -> Message:
            nonlocal body_left
            message = await receive()
            body_left = body_left and bool(message.get("more_body", False))
            return message

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message["headers"]
                names = [name for name, _ in own]
                message["headers"] = [*own, *(pair for pair in _EVERY_REPLY if pair[0] not in names)]
                if body_left and b"connection" not in names:
                    # Nobody reads the rest, so nobody may go on sending it.
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        refused = self._refusal(headers, scope["method"])
        if refused is not None:
            await error_reply(refused, headers)(scope, receive, send_secured)
            return
        self._under_way += 1
        try:
            await self._inner(scope, receive_noted, send_secured)
        finally:
            self._under_way -= 1

    def _refusal(self, headers: Headers, method: str) -> ZizhuError | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return AskedWrongly(HOST, host=", ".join(hosts)[:HEX_SHOWN], wanted=" or ".join(self._hosts))
        for origin in headers.getlist("origin"):
            if not self._is_ours(origin):
                return AskedWrongly(ORIGIN, origin=origin[:HEX_SHOWN])
        site = headers.get("sec-fetch-site", "none")
        if method not in SAFE_METHODS and site not in ("none", "same-origin"):
            return AskedWrongly(ORIGIN, origin=headers.get("origin", site)[:HEX_SHOWN])
        if self._under_way >= REQUESTS_MAX:
            return Busy(CROWDED, retry_after_ms=RETRY_MS, requests_max=REQUESTS_MAX)
        return None

    def _is_ours(self, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme == "http" and parts.netloc.lower() in self._hosts and not parts.path


class Served:
    """The methods of one path as an ASGI application: limits of the body, the handler, its errors."""

    def __init__(self, endpoints: Iterable[Endpoint], *, body_ms: int = BODY_MS) -> None:
        self._body_ms = body_ms
        self._endpoints = {endpoint.method: endpoint for endpoint in endpoints}
        self.methods = sorted([*self._endpoints, *(["HEAD"] if "GET" in self._endpoints else [])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request whose method is among `methods`."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        endpoint = self._endpoints[method]
        headers = Headers(scope=scope)
        try:
            check_body(headers, endpoint.body_bytes_max)
            bounded = limited(receive, endpoint.body_bytes_max, body_ms=self._body_ms)
            response = await endpoint.handler(Request(scope, bounded, send))
        except ZizhuError as error:
            response = error_reply(error, headers, endpoint.documents.statuses)
        await response(scope, receive, send)


def has_body(headers: Headers) -> bool:
    """Whether a body comes behind these headers."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def check_body(headers: Headers, bytes_max: int) -> None:
    """Refuses, before a byte of it is read, a body that is compressed, too long, or not wanted at all."""
    encoding = headers.get("content-encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise AskedWrongly(MEDIA_TYPE, wanted="an uncompressed body", found=encoding[:HEX_SHOWN])
    length = headers.get("content-length", "0")
    if has_body(headers) and bytes_max == 0:
        raise AskedWrongly(BODY, reason="there is none to be sent here")
    # The parser has refused what is no number; a number of 20 digits is too large whatever it is.
    if len(length) > 16 or int(length) > bytes_max:
        raise AskedWrongly(BODY_TOO_LARGE, bytes_max=bytes_max)


def limited(receive: Receive, bytes_max: int, *, body_ms: int) -> Receive:
    """`receive`, but a body longer than `bytes_max`, or too slow, is an error when the first byte too many comes."""
    limit_ms = body_ms + bytes_max // BODY_BYTES_PER_MS
    ends: float | None = None
    seen, complete = 0, False

    async def receive_limited() -> Message:
        nonlocal seen, complete, ends
        if complete:
            return await receive()
        if ends is None:
            ends = asyncio.get_running_loop().time() + limit_ms / 1000
        try:
            async with asyncio.timeout_at(ends):
                message = await receive()
        except TimeoutError:
            raise AskedWrongly(SLOW, limit_ms=limit_ms) from None
        seen += len(message.get("body", b""))
        if seen > bytes_max:
            raise AskedWrongly(BODY_TOO_LARGE, bytes_max=bytes_max)
        complete = not message.get("more_body", False)
        return message

    return receive_limited
