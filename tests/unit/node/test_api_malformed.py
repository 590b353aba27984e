"""Malformed requests of every kind, made from the schemas, at a real port: refused with a code, the node goes on.

What is enumerated comes first, fresh noise after it: 500 requests in a quick run, 5,000 in CI, as many as the time
allows in `make long`.
"""

import http.client
import itertools
import json
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from zizhu.chain.model.encoding import encode
from zizhu.chain.model.transaction import Single
from zizhu.chain.node.api.application import own_endpoints
from zizhu.chain.node.api.openapi import openapi_document
from zizhu.framework.testkit.effort import Effort
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, Chain
from zizhu.framework.testkit.fakes.node import FakeNode
from zizhu.framework.testkit.fakes.served import HOST, ServedNode, served, site_of

API = "/api/v1"
JSON, BYTES = "application/json", "application/octet-stream"
ABSENT = object()
DEEP = "[" * 5_000 + "]" * 5_000
WRONG: list[object] = [
    ABSENT, None, True, 0, -1, 1 << 53, 1 << 64, -(1 << 63), 10**400, 0.5, 1e308, "", "x", "\x00", "é" * 70, "f" * 999,
    "0x", [], [None], [[[[[]]]]], {}, {"a": {"b": {}}}, {"bytes": 1}, {"int": "1e9"}, {"map": [[1]]}, "A" * 100_000,
]  # fmt: skip
WRONG_TEXTS = [
    "", "0", "-1", "+1", "1.5", "1e3", "0x10", "9007199254740992", "18446744073709551616", "9" * 500, " 1", "1 ",
    "%00", "null", "true", "[]", "{}", "..", "../status", "é", "٣", "g" * 64, "f" * 63, "f" * 65, "f" * 1_030, "\n", "'",
    "<script>", "%", "%zz", "%ff",
]  # fmt: skip
GOOD_TEXTS = {("from", "0"), ("height", "0"), ("offset", "0"), ("wait_ms", "0"), ("before", "1.5")}
VALID_JSON = {
    "QueryRequest": {"contract": "bank", "method": "echo", "arguments": [1], "caller": "00" * 20},
    "SubmitRequest": {"submissions": ["90"]},
}


@dataclass
class Case:
    """One request. `refused`: its status must be of the 400s."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    refused: bool = True


class Errors(logging.Handler):
    """What the server logged as an error: an exception above a handler."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    """A node with one block."""
    heard = Errors()
    logging.getLogger("uvicorn.error").addHandler(heard)
    with served(tmp_path) as running:
        chain = Chain(ledger=running.node.ledger)
        running.do(lambda: running.node.make_block(chain.call(ACCOUNTS[0], 1, "increment", b"n")))
        yield running
    logging.getLogger("uvicorn.error").removeHandler(heard)
    assert heard.messages == [], "an exception came out of a handler"
    assert running.faults == []


def json_cases() -> Iterator[Case]:
    """Each field of each JSON request absent, null, of each wrong type, huge, nested; and what is no JSON."""
    for path, name in ((f"{API}/query", "QueryRequest"), (f"{API}/transactions", "SubmitRequest")):
        valid = VALID_JSON[name]
        typed = {"content-type": JSON}
        for key, wrong in itertools.product(valid, WRONG):
            made = {one: value for one, value in valid.items() if one != key}
            if wrong is not ABSENT:
                made[key] = wrong
            unknown_method = key == "method" and isinstance(wrong, str) and 0 < len(wrong) <= 64
            refused = key not in {"arguments", "caller"} and not unknown_method
            yield Case("POST", path, json.dumps(made).encode(), typed, refused=refused)
        for key in valid:
            text = json.dumps({one: value for one, value in valid.items() if one != key})[:-1]
            comma = ", " if len(text) > 1 else ""
            yield Case("POST", path, f'{text}{comma}"{key}": {DEEP}}}'.encode(), typed)
            yield Case("POST", path, f'{text}{comma}"{key}": NaN}}'.encode(), typed)
        for raw in (b"", b"{", b"null", b"[]", b'"x"', b"1", b"\xff\xfe", b"{}{}", DEEP.encode(), b"\x00", b'{"a":1}'):
            yield Case("POST", path, raw, typed)
        whole = json.dumps(valid).encode()
        for length in range(0, len(whole), 7):
            yield Case("POST", path, whole[:length], typed)
        for media in ("text/plain", "", "application/json5", "multipart/form-data; boundary=x", "\xff"):
            yield Case("POST", path, whole, {"content-type": media})


def address_cases() -> Iterator[Case]:
    """Each parameter of each address with each wrong text, given twice, misspelt; each method that is not taken."""
    site = site_of(FakeNode(), Path("/nowhere"), 4711)
    paths = json.loads(msgspec.json.encode(openapi_document(own_endpoints(site))))["paths"]
    for path, methods in paths.items():
        filled = path.replace("{id}", "ab" * 32).replace("{block}", "1").replace("{contract}", "bank")
        filled = filled.replace("{key}", "00").replace("accounts/" + "ab" * 32, "accounts/" + "ab" * 20)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            if method.lower() not in methods:
                yield Case(method, filled)
        get = methods.get("get")
        if get is None or path.endswith("/stream"):
            continue
        yield Case("GET", filled + "?surplus=1")
        for one in get.get("parameters", []):
            for text in WRONG_TEXTS:
                if one["in"] == "path":
                    yield Case("GET", path.replace("{" + one["name"] + "}", quote(text, safe="%")), refused=False)
                else:
                    refused = (one["name"], text) not in GOOD_TEXTS
                    yield Case("GET", f"{filled}?{one['name']}={quote(text, safe='%')}", refused=refused)
            yield Case("GET", f"{filled}?{one['name']}=1&{one['name']}=1", refused=one["in"] == "query")


def packed_cases() -> Iterator[Case]:
    """Each field of each message of a submission absent, null, of another type, out of range, nested."""
    chain = Chain()
    single = chain.call(ACCOUNTS[0], 2, "increment", b"n")
    bundle = ACCOUNTS[0].bundle([chain.body(ACCOUNTS[0], nonce, "increment", b"n") for nonce in (2, 3)])
    wrong: list[object] = [
        None,
        True,
        0,
        -1,
        1 << 63,
        0.5,
        "x",
        b"",
        b"x" * 31,
        b"x" * 70_000,
        [],
        [[[[]]]],
        {},
        {1: 2},
    ]
    packed = msgspec.msgpack.decode
    for message in (packed(encode(single)), packed(encode(bundle))):
        for place, value in itertools.product(range(len(message)), wrong):
            yield _posted([encode(message[:place] + [value] + message[place + 1 :])])
        for place in range(len(message)):
            yield _posted([encode(message[:place] + message[place + 1 :])])
        yield _posted([encode([*message, 1])])
    header = packed(encode(bundle))[1]
    for place, value in itertools.product(range(len(header)), wrong):
        mutated = header[:place] + [value] + header[place + 1 :]
        yield _posted([encode([2, mutated, packed(encode(bundle))[2]])])
    fields = packed(single.body)
    for place, value in itertools.product(range(len(fields)), wrong):
        yield _posted([_with_body(single, encode(fields[:place] + [value] + fields[place + 1 :]))])
    payload = packed(fields[-1])
    for place, value in itertools.product(range(len(payload)), wrong):
        payload_bytes = encode(payload[:place] + [value] + payload[place + 1 :])
        yield _posted([_with_body(single, encode([*fields[:-1], payload_bytes]))])
    for value in wrong:
        yield Case("POST", f"{API}/transactions", encode(value), {"content-type": BYTES})
    for raw in (b"", b"\xc1", b"\x91" * 5_000, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", encode([b""] * 1025)):
        yield Case("POST", f"{API}/transactions", raw, {"content-type": BYTES})


def _with_body(single: Single, body: bytes) -> bytes:
    return encode(Single(body, single.suite, single.public_key, single.signature))


def _posted(raws: list[bytes]) -> Case:
    return Case("POST", f"{API}/transactions", encode(raws), {"content-type": BYTES}, refused=False)


def noise(seed: int) -> Iterator[Case]:
    """Seeded: enumerated cases with bytes flipped, cut or doubled; what comes out may even be good."""
    dice = random.Random(seed)
    cases = [case for case in (*json_cases(), *packed_cases()) if case.body]
    while True:
        case = dice.choice(cases)
        body = bytearray(case.body)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(body))
            body[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
            if not body:
                body = bytearray(b"\x00")
        yield Case(case.method, case.path, bytes(body), case.headers, refused=False)


class Asker:
    """Sends cases over one connection, and over a new one when the node closed it."""

    def __init__(self, port: int) -> None:
        self.link = http.client.HTTPConnection(HOST, port, timeout=10)

    def ask(self, case: Case) -> tuple[int, bytes]:
        """Status and body."""
        try:
            self.link.request(case.method, case.path, case.body or None, case.headers)
            reply = self.link.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.link.close()
            self.link.request(case.method, case.path, case.body or None, case.headers)
            reply = self.link.getresponse()
        return reply.status, reply.read()


def check(case: Case, status: int, body: bytes) -> None:
    """An error in its one form, or (where that is possible) a reply; of submissions, an outcome each."""
    shown = f"{case.method} {case.path[:100]} {case.body[:100]!r} -> {status} {body[:200]!r}"
    assert 200 <= status < 500, shown
    if case.refused:
        assert status >= 400, shown
    if status >= 400:
        error = json.loads(body)["error"]
        assert error["code"] and error["cause"] and error["fix"], shown
    elif status == 202:
        assert all(("error" in one) != ("transactions" in one) for one in json.loads(body)["outcomes"]), shown


@pytest.mark.row("F-2")
@pytest.mark.row("F-3")
@pytest.mark.counted("malformed")
def test_malformed_requests_are_refused_and_the_node_goes_on(node: ServedNode, effort: Effort) -> None:
    """F-2: 4xx error, process alive. F-3: error reply, no exception above the handler (generated from schema)."""
    asker = Asker(node.port)
    enumerated = [*json_cases(), *address_cases(), *packed_cases()]
    random.Random(1).shuffle(enumerated)
    rounds = effort.rounds("malformed HTTP requests", quick=500, ci=5_000)
    for _, case in zip(rounds, itertools.chain(enumerated, noise(effort.first)), strict=False):
        if "\n" in case.path or "\xff" in case.headers.get("content-type", ""):
            continue
        check(case, *asker.ask(case))
    status, body = asker.ask(Case("GET", f"{API}/status"))
    assert status == 200 and json.loads(body)["state"] == "voting"


def test_the_cases_reach_every_endpoint_and_every_field() -> None:
    """F-3's Given: every message type with each field; the enumeration leaves no endpoint out."""
    everything = [*json_cases(), *address_cases(), *packed_cases()]
    assert len(everything) > 1_000
    for endpoint in own_endpoints(site_of(FakeNode(), Path("/nowhere"), 4711)):
        head = endpoint.path.split("{")[0]
        assert any(case.path.startswith(head) for case in everything), endpoint.path
