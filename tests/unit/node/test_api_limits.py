"""The limits of the HTTP door and of a node's files: each passes at its maximum, and refuses above it."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path

import httpx
import msgspec
import pytest

from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import AskedWrongly, OperatingFault, ZizhuError
from zizhu.chain.model.value import INT_MAX
from zizhu.chain.node.api import replies, server
from zizhu.chain.node.api.application import build_app
from zizhu.chain.node.api.chain_routes import LINES_MAX
from zizhu.chain.node.api.guard import REQUESTS_MAX
from zizhu.chain.node.api.json_values import DECIMAL_DIGITS_MAX, json_to_value
from zizhu.chain.node.api.waiting import REMEMBERED_MAX, WAIT_MS_MAX, Accepted
from zizhu.chain.node.config import CLOCK_OFFSET_MS_MAX, FILE_BYTES_MAX, PEERS_MAX, load_config
from zizhu.chain.node.identity import PASSPHRASE_BYTES_MAX, member_passphrase
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, Chain
from zizhu.framework.testkit.fakes.node import FakeNode, encoded
from zizhu.framework.testkit.fakes.served import HOST, served, site_of

PORT = 4711
API = "/api/v1"
BYTES = {"content-type": "application/octet-stream"}
JSON = {"content-type": "application/json"}
ANSWER_S = 5.0

Play = Callable[[FakeNode, httpx.AsyncClient], Coroutine[object, object, None]]


def _play(act: Play) -> None:
    """Against the application of a fake node."""

    async def run() -> None:
        fake = FakeNode()
        transport = httpx.ASGITransport(app=build_app(site_of(fake, Path("/nowhere"), PORT), plugins={}))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{PORT}") as http:
            await act(fake, http)

    asyncio.run(run())


def _code(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, "" if reply.is_success else reply.json()["error"]["code"]


def test_lines_of_a_list_and_time_of_waiting() -> None:
    """LINES_MAX lines and WAIT_MS_MAX ms may be asked for; one more is a bad parameter, wherever it is asked."""

    async def act(fake: FakeNode, http: httpx.AsyncClient) -> None:
        call = Chain(ledger=fake.ledger).call(ACCOUNTS[0], 1, "echo", 1)
        posted = await http.post(f"{API}/transactions", content=encoded(call), headers=BYTES)
        (transaction,) = posted.json()["outcomes"][0]["transactions"]
        for path in ("/blocks", "/transactions", "/blocks/1"):
            assert _code(await http.get(f"{API}{path}?limit={LINES_MAX}")) == (200, "")
            assert _code(await http.get(f"{API}{path}?limit={LINES_MAX + 1}")) == (400, "http.parameter")
        for path in (f"/transactions/{transaction}", f"/proofs/transaction/{transaction}"):
            status, code = _code(await http.get(f"{API}{path}?wait_ms={WAIT_MS_MAX}"))
            assert code != "http.parameter", status
            assert _code(await http.get(f"{API}{path}?wait_ms={WAIT_MS_MAX + 1}"))[0] in (400, 404)
        path = f"/transactions/{transaction}?wait_ms={WAIT_MS_MAX + 1}"
        assert _code(await http.get(f"{API}{path}")) == (400, "http.parameter")

    _play(act)


def test_submissions_of_one_request() -> None:
    """SUBMISSIONS_MAX are taken, as bytes and as JSON; one more is refused before any of them is looked at."""

    async def act(fake: FakeNode, http: httpx.AsyncClient) -> None:
        raw = encode(Chain(ledger=fake.ledger).call(ACCOUNTS[0], 1, "echo", 1))
        for count, status in ((replies.SUBMISSIONS_MAX, 202), (replies.SUBMISSIONS_MAX + 1, 400)):
            packed = await http.post(f"{API}/transactions", content=encode([raw] * count), headers=BYTES)
            written = await http.post(f"{API}/transactions", json={"submissions": [raw.hex()] * count})
            assert (packed.status_code, written.status_code) == (status, status)
        long = await http.post(
            f"{API}/transactions", content=b"", headers={**BYTES, "content-length": str(1 + (1 << 40))}
        )
        assert _code(long) == (413, "http.body_too_large")

    _play(act)


def test_the_bytes_of_a_query() -> None:
    """A body of QUERY_BYTES_MAX bytes is read, a longer one is refused."""

    async def act(fake: FakeNode, http: httpx.AsyncClient) -> None:
        body = msgspec.json.encode({"contract": "bank", "method": "echo", "arguments": [1]})
        body += b" " * (replies.QUERY_BYTES_MAX - len(body))
        assert _code(await http.post(f"{API}/query", content=body, headers=JSON)) == (200, "")
        assert _code(await http.post(f"{API}/query", content=body + b" ", headers=JSON)) == (413, "http.body_too_large")

    _play(act)


def test_requests_under_way() -> None:
    """REQUESTS_MAX are answered at once; the next is told to come back, and has room when one has gone."""

    async def act(fake: FakeNode, http: httpx.AsyncClient) -> None:
        path = f"{API}/transactions/{'ab' * 32}?wait_ms={WAIT_MS_MAX}"
        waiting = [asyncio.create_task(http.get(path)) for _ in range(REQUESTS_MAX)]
        async with asyncio.timeout(20):
            while fake.moved_waiters < REQUESTS_MAX:
                await asyncio.sleep(0)
        crowded = await http.get(f"{API}/status")
        assert _code(crowded)[1] == "http.crowded"
        assert int(crowded.headers["retry-after"]) > 0
        waiting[0].cancel()
        await asyncio.gather(waiting[0], return_exceptions=True)
        assert _code(await http.get(f"{API}/status")) == (200, "")
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    _play(act)


def test_accepted_transactions_remembered_as_waiting() -> None:
    """REMEMBERED_MAX are remembered; with one more the oldest is forgotten, and no other."""
    accepted = Accepted()
    ids = [number.to_bytes(4, "big") for number in range(REMEMBERED_MAX + 1)]
    for id_ in ids[:-1]:
        accepted.add(id_)
    assert accepted.has(ids[0])
    accepted.add(ids[-1])
    assert not accepted.has(ids[0])
    assert accepted.has(ids[1]) and accepted.has(ids[-1])


def test_the_head_of_a_request(tmp_path: Path) -> None:
    """HEADERS_MAX headers and HEAD_BYTES_MAX bytes of them are read; one more closes the connection with 4xx."""

    def asked(port: int, headers: list[bytes]) -> bytes:
        lines = [b"GET /api/v1/status HTTP/1.1", b"Host: %s:%d" % (HOST.encode(), port), b"Connection: close", *headers]
        with socket.create_connection((HOST, port), ANSWER_S) as link:
            link.sendall(b"".join(line + b"\r\n" for line in lines) + b"\r\n")
            return link.recv(12)

    def padded(port: int, bytes_: int) -> list[bytes]:
        """One header that brings names and values of all together to `bytes_`."""
        others = len(b"Host" + b"%s:%d" % (HOST.encode(), port)) + len(b"Connectionclose")
        return [b"X: " + b"a" * (bytes_ - others - 1)]

    with served(tmp_path) as node:
        many = [b"X-%d: a" % number for number in range(server.HEADERS_MAX - 2)]
        assert asked(node.port, many) == b"HTTP/1.1 200"
        assert asked(node.port, [*many, b"X: a"]).startswith(b"HTTP/1.1 4")
        assert asked(node.port, padded(node.port, server.HEAD_BYTES_MAX - 256)) == b"HTTP/1.1 200"
        assert asked(node.port, padded(node.port, server.HEAD_BYTES_MAX + 1)).startswith(b"HTTP/1.1 4")
        assert asked(node.port, []) == b"HTTP/1.1 200"


def test_digits_of_a_number_in_text() -> None:
    """The greatest number passes; one above it, and more digits than DECIMAL_DIGITS_MAX, are refused unread."""
    assert json_to_value({"int": str(INT_MAX)}) == INT_MAX
    assert json_to_value({"int": str(-INT_MAX)}) == -INT_MAX
    for text in (str(INT_MAX + 1), "9" * DECIMAL_DIGITS_MAX, "9" * (DECIMAL_DIGITS_MAX + 1), "9" * 10_000):
        with pytest.raises(AskedWrongly):
            json_to_value({"int": text})


HEAD = 'name = "node1"\nfolder = "here"\n{more}\n[listen]\nhost = "127.0.0.1"\nport = 1\n'
PEER = '[[peers]]\nname = "peer{number}"\nhost = "127.0.0.1"\nport = 1\n'


def _loads(folder: Path, text: str) -> str:
    """The code of what is wrong with a configuration; "" if it is read."""
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    try:
        load_config(path)
    except ZizhuError as error:
        return error.code.code
    return ""


def test_a_configuration(tmp_path: Path) -> None:
    """FILE_BYTES_MAX bytes, PEERS_MAX peers and CLOCK_OFFSET_MS_MAX of offset are read; one more names its key."""
    plain = HEAD.format(more="")
    assert _loads(tmp_path, plain + "#" * (FILE_BYTES_MAX - len(plain))) == ""
    assert _loads(tmp_path, plain + "#" * (FILE_BYTES_MAX - len(plain) + 1)) == "config.syntax"
    peers = [PEER.format(number=number) for number in range(PEERS_MAX + 1)]
    assert _loads(tmp_path, plain + "".join(peers[:-1])) == ""
    assert _loads(tmp_path, plain + "".join(peers)) != ""
    for sign in ("", "-"):
        assert _loads(tmp_path, HEAD.format(more=f"clock_offset_ms = {sign}{CLOCK_OFFSET_MS_MAX}")) == ""
        assert _loads(tmp_path, HEAD.format(more=f"clock_offset_ms = {sign}{CLOCK_OFFSET_MS_MAX + 1}")) != ""


def test_a_passphrase_in_a_file(tmp_path: Path) -> None:
    """PASSPHRASE_BYTES_MAX bytes and the end of the line are read; one byte more is an error, not a shorter secret."""
    secret = tmp_path / "secret"
    path = tmp_path / "node.toml"
    path.write_text(HEAD.format(more=f'passphrase = "file:{secret}"'), encoding="utf-8")
    config = load_config(path)
    for text in (b"x" * PASSPHRASE_BYTES_MAX, b"x" * PASSPHRASE_BYTES_MAX + b"\n"):
        secret.write_bytes(text)
        os.chmod(secret, 0o600)
        assert member_passphrase(config) == b"x" * PASSPHRASE_BYTES_MAX
    secret.write_bytes(b"x" * (PASSPHRASE_BYTES_MAX + 1) + b"\n")
    with pytest.raises(OperatingFault, match="longer"):
        member_passphrase(config)
