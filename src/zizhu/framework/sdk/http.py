"""One member over HTTP: requests and replies, files up and down, and what a refusal means.

Decides time-outs, what is kept open and how a member's error becomes ours again. Refuses to know which addresses a
member has, and other members. Everything waits at most as long as its time-out; a reply has a limit in bytes.
"""

import dataclasses
import http.client
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol, assert_never
from urllib.parse import urlsplit

import msgspec

from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode, OperatingFault

TIMEOUT_MS = 10_000
REPLY_BYTES_MAX = 64 * 1024 * 1024
"""Longest reply that is read into memory."""
CHUNK_BYTES = 256 * 1024
TEXT_SHOWN = 200

UNREACHABLE = ErrorCode(
    "sdk.unreachable",
    "member {url} does not answer: {reason}",
    "check that it runs (`zizhu status`) and that the address is right",
    "成员 {url} 没有应答:{reason}",
    "请确认其正在运行(`zizhu status`)且地址正确",
)
BAD_REPLY = ErrorCode(
    "sdk.bad_reply",
    "member {url} answered something that is not its API: {reason}",
    "check that the address is that of a zizhu node, and that both are of one version",
    "成员 {url} 的应答不符合其 API:{reason}",
    "请确认该地址是 zizhu 节点,且双方版本一致",
)
TOLD = ErrorCode(
    "sdk.told",
    "{said_cause}",
    "{said_fix}",
    "成员答复:{said_cause}",
    "建议:{said_fix}",
)
"""The shape of an error that a member told, which keeps the code and the words that the member gave it."""
BAD_URL = ErrorCode(
    "sdk.url",
    "{url!r} is not the address of a member",
    "give an address such as http://127.0.0.1:8001",
    "{url!r} 不是成员地址",
    "请给出类似 http://127.0.0.1:8001 的地址",
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that is read while it is sent: `length` bytes of `stream`; `progress` is told how many are gone."""

    stream: BinaryIO
    length: int
    progress: Callable[[int], None] = lambda _: None

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in pieces."""
        while chunk := self.stream.read(CHUNK_BYTES):
            yield chunk
            self.progress(len(chunk))


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `path` starts with "/" and is encoded; `sink`, when given, takes the body of a good reply."""

    method: str
    path: str
    body: bytes | Upload = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_ms: int = TIMEOUT_MS
    sink: Callable[[bytes], object] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A good reply (status below 400). `body` is empty when a sink took it; names of headers are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Member(Protocol):
    """Whoever answers requests as a member: over HTTP, or in a test."""

    url: str

    def exchange(self, request: Request) -> Reply:
        """The good reply.

        Raises OperatingFault (`sdk.unreachable`: it may have acted or not; `sdk.bad_reply`), and for an error of the
        member's AskedWrongly or Busy with the code that it gave.
        """
        ...


class _ErrorBody(msgspec.Struct, frozen=True):
    code: str
    cause: str
    fix: str
    retry_after_ms: int | None = None


class _ErrorReply(msgspec.Struct, frozen=True):
    error: _ErrorBody


_error_decoder = msgspec.json.Decoder(_ErrorReply)


class HttpMember:
    """A member at `url`. Not for two threads at once. The connection is kept open between requests."""

    def __init__(self, url: str, *, language: str = "en") -> None:
        """Connects with the first request. Raises AskedWrongly (`sdk.url`)."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise AskedWrongly(BAD_URL, url=url[:TEXT_SHOWN]) from None
        if parts.scheme != "http" or host is None or parts.path not in ("", "/"):
            raise AskedWrongly(BAD_URL, url=url[:TEXT_SHOWN])
        self.url = url.rstrip("/")
        self._language = language
        self._host, self._port = host, port
        self._kept: http.client.HTTPConnection | None = None

    def exchange(self, request: Request) -> Reply:
        """See `Member`."""
        kept = self._kept is not None
        try:
            return self._once(request)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self.close()
            if not kept or isinstance(request.body, Upload):
                raise self._unreachable(error) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error
        # The member closed a connection it had kept open: that says nothing about this request.
        try:
            return self._once(request)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error

    def close(self) -> None:
        """Gives the connection back."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _once(self, request: Request) -> Reply:
        if self._kept is None:
            self._kept = http.client.HTTPConnection(self._host, self._port)
        connection = self._kept
        connection.timeout = request.timeout_ms / 1000
        if connection.sock is not None:
            connection.sock.settimeout(request.timeout_ms / 1000)
        headers = {"accept-language": self._language, **request.headers}
        match request.body:
            case bytes() as body:
                connection.request(request.method, request.path, body=body or None, headers=headers)
            case Upload() as upload:
                headers["content-length"] = str(upload.length)
                connection.request(request.method, request.path, body=upload.chunks(), headers=headers)
            case _:
                assert_never(request.body)
        return self._read(connection.getresponse(), request)

    def _read(self, response: http.client.HTTPResponse, request: Request) -> Reply:
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.status < 400 and request.sink is not None:
            while chunk := response.read(CHUNK_BYTES):
                request.sink(chunk)
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
            return Reply(response.status, headers, b"")
        body = response.read(REPLY_BYTES_MAX + 1)
        if len(body) > REPLY_BYTES_MAX:
            self.close()
            raise OperatingFault(BAD_REPLY, url=self.url, reason=f"more than {REPLY_BYTES_MAX} bytes")
        if response.length:
            # http.client answers a read of so many bytes with fewer when the connection ends early.
            raise http.client.IncompleteRead(body, response.length)
        if response.status >= 400:
            raise self._refusal(response.status, body)
        return Reply(response.status, headers, body)

    def _refusal(self, status: int, body: bytes) -> Exception:
        try:
            error = _error_decoder.decode(body).error
        except (msgspec.MsgspecError, UnicodeError):
            return OperatingFault(BAD_REPLY, url=self.url, reason=f"status {status}")
        return told_error(error.code, error.cause, error.fix, retry_after_ms=error.retry_after_ms)

    def _unreachable(self, error: Exception) -> OperatingFault:
        return OperatingFault(UNREACHABLE, url=self.url, reason=str(error) or type(error).__name__)


def told_error(code: str, cause: str, fix: str, *, retry_after_ms: int | None = None) -> AskedWrongly:
    """An error as a member told it, in the language it was asked in."""
    told = dataclasses.replace(TOLD, code=code)
    if retry_after_ms is not None:
        return Busy(told, retry_after_ms=retry_after_ms, said_cause=cause, said_fix=fix)
    return AskedWrongly(told, said_cause=cause, said_fix=fix)
