"""One member over a real socket: what is kept open, what is sent again, and what is not believed."""

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from zizhu.chain.model.errors import AskedWrongly, Busy, OperatingFault, ZizhuError
from zizhu.framework.sdk.http import HttpMember, Request, Upload

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def told(status: int, body: bytes) -> bytes:
    """A reply with this status."""
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


@contextmanager
def serving(*connections: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives each connection its list of replies and then closes it; yields URL and what it heard."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for replies in connections:
            connection, _ = listener.accept()
            with connection:
                for reply in replies:
                    heard.append(_whole_request(connection))
                    connection.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        listener.close()
        thread.join(timeout=5)


def _whole_request(connection: socket.socket) -> bytes:
    """Head and as much body as it says."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def refused(act: Callable[[], object]) -> ZizhuError:
    """The error that `act` raises."""
    with pytest.raises(ZizhuError) as error:
        act()
    return error.value


def test_a_connection_is_kept_and_taken_up_again_when_it_was_closed() -> None:
    """Two requests on one connection; a third after the member closed it goes out on a new one."""
    with serving([OK, OK], [OK]) as (url, heard):
        member = HttpMember(url, language="zh")
        assert [member.exchange(Request("GET", "/a")).body for _ in range(3)] == [b"ok"] * 3
        assert len(heard) == 3 and all(b"accept-language: zh" in one.lower() for one in heard)
        member.close()


def test_a_new_connection_that_breaks_is_told() -> None:
    """Nothing is sent twice in silence when the first answer is lost."""
    with serving([b""]) as (url, heard):
        error = refused(lambda: HttpMember(url).exchange(Request("POST", "/a", b"x")))
        assert error.code.code == "sdk.unreachable" and len(heard) == 1


def test_nobody_listens() -> None:
    """A port that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = refused(lambda: HttpMember(f"http://127.0.0.1:{port}").exchange(Request("GET", "/")))
    assert isinstance(error, OperatingFault) and error.code.code == "sdk.unreachable"


def test_a_member_that_hangs_is_left_after_the_time_out() -> None:
    """The time-out is kept, and is an unreachable member."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        error = refused(lambda: HttpMember(url).exchange(Request("GET", "/", timeout_ms=50)))
        assert error.code.code == "sdk.unreachable"


def test_a_members_error_keeps_its_code_and_words() -> None:
    """Asked wrongly, busy with its time, and what is no error of ours."""
    wrong = b'{"error":{"code":"a.b","cause":"because {x}","fix":"do that"}}'
    busy = b'{"error":{"code":"p.busy","cause":"full","fix":"wait","retry_after_ms":70}}'
    with serving([told(400, wrong), told(429, busy), told(500, b"<html>")]) as (url, _):
        member = HttpMember(url)
        one = refused(lambda: member.exchange(Request("GET", "/")))
        assert isinstance(one, AskedWrongly) and (one.code.code, one.cause()) == ("a.b", "because {x}")
        two = refused(lambda: member.exchange(Request("GET", "/")))
        assert isinstance(two, Busy) and two.retry_after_ms == 70
        three = refused(lambda: member.exchange(Request("GET", "/")))
        assert three.code.code == "sdk.bad_reply"


def test_a_reply_cut_short_is_no_reply() -> None:
    """Neither in memory nor into a sink."""
    short = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok"
    taken: list[bytes] = []
    with serving([short], [short]) as (url, _):
        assert refused(lambda: HttpMember(url).exchange(Request("GET", "/"))).code.code == "sdk.unreachable"
        into = Request("GET", "/", sink=taken.append)
        assert refused(lambda: HttpMember(url).exchange(into)).code.code == "sdk.unreachable"


def test_files_go_up_and_down_in_pieces() -> None:
    """A body of known length is streamed, its progress told; a reply goes into its sink."""
    data = bytes(range(256)) * 4096
    down = told(200, data)
    taken: list[bytes] = []
    gone: list[int] = []
    with serving([OK, down]) as (url, heard):
        member = HttpMember(url)
        member.exchange(Request("POST", "/", Upload(io.BytesIO(data), len(data), gone.append)))
        assert heard[0].endswith(data) and b"transfer-encoding" not in heard[0].lower() and sum(gone) == len(data)
        assert member.exchange(Request("GET", "/", sink=taken.append)).body == b""
    assert b"".join(taken) == data and len(taken) > 1


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:80", "https://a", "http://", "http://a:b", "http://a:99999", "http://a/x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """Before anything is sent."""
    assert refused(lambda: HttpMember(url)).code.code == "sdk.url"
