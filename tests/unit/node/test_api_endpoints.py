"""Every endpoint of a node's API, asked over ASGI, on a fake node with a real ledger."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import httpx
import pytest

from zizhu.chain.consensus.certificate import Strength
from zizhu.chain.crosschain.proofs import verify_ledger_proof
from zizhu.chain.crypto.hashing import ledger_id
from zizhu.chain.ledger.proofs import ReceiptEntry, StateEntry, TransactionEntry
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode, OperatingFault
from zizhu.chain.model.genesis import genesis_codec
from zizhu.chain.model.value import encode_arguments
from zizhu.chain.node.api.application import build_app
from zizhu.chain.node.api.bodies import json_reply
from zizhu.chain.node.api.site import Documents, Endpoint, Served, Site
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, BANK, Chain
from zizhu.framework.testkit.fakes.node import FakeNode, encoded
from zizhu.framework.testkit.fakes.served import ISSUER, site_of
from zizhu.framework.testkit.fakes.suite import suite

PORT = 4711
API = "/api/v1"
BYTES = {"content-type": "application/octet-stream"}
ONE, TWO = ACCOUNTS[0], ACCOUNTS[1]


class Client:
    """A client of one application."""

    def __init__(self, node: FakeNode, http: httpx.AsyncClient) -> None:
        self.node = node
        self.http = http
        self.chain = Chain(ledger=node.ledger)

    async def get(self, path: str, status: int = 200, **headers: str) -> dict:
        """A JSON reply of this status."""
        reply = await self.http.get(
            API + path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
        assert reply.status_code == status, reply.text
        return reply.json()

    async def post(self, *calls: object) -> list[str]:
        """Submits calls; the ids of their transactions."""
        reply = await self.http.post(f"{API}/transactions", content=encoded(*calls), headers=BYTES)
        assert reply.status_code == 202, reply.text
        return [id_ for outcome in reply.json()["outcomes"] for id_ in outcome["transactions"]]


Play = Callable[[Client], Coroutine[object, object, None]]


def play(act: Play, node: FakeNode | None = None, plugins: dict | None = None) -> None:
    """Plays `act` against the application of a fake node."""

    async def run() -> None:
        fake = node or FakeNode()
        app = build_app(site_of(fake, Path("/nowhere"), PORT), plugins=plugins or {})
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{PORT}") as http:
            await act(Client(fake, http))

    asyncio.run(run())


def test_status_members_genesis_and_issuer() -> None:
    """The node says who it is, who the others are, and hands out the genesis whose hash is the ledger id."""

    async def act(client: Client) -> None:
        status = await client.get("/status")
        assert status["ledger"] == client.node.ledger_id.hex() and status["state"] == "voting"
        members = (await client.get("/members"))["members"]
        assert [member["name"] for member in members] == ["node1", "node2", "node3", "node4"]
        assert [member["me"] for member in members] == [True, False, False, False]
        assert [member["up"] for member in members] == [True, True, True, False]
        assert [member["leader"] for member in members] == [True, False, False, False]
        raw = (await client.http.get(f"{API}/genesis")).content
        assert ledger_id(suite, genesis_codec.decode(raw).genesis) == client.node.ledger_id
        assert (await client.get("/issuer")) == {"name": "issuer", "account": ISSUER.id.hex()}

    play(act)


def test_a_submission_becomes_final() -> None:
    """Submitted as MessagePack or JSON, waited for, and told the same by transaction, receipt, block and list."""

    async def act(client: Client) -> None:
        first = (await client.post(client.chain.call(ONE, 1, "transfer", TWO.id, 7)))[0]
        call = encode(client.chain.call(ONE, 2, "fail", "native.no")).hex()
        reply = await client.http.post(f"{API}/transactions", json={"submissions": [call]})
        second = reply.json()["outcomes"][0]["transactions"][0]
        told = await client.get(f"/transactions/{first}?wait_ms=1000")
        assert (told["state"], told["height"], told["index"]) == ("final", 1, 0)
        assert told["receipt"]["status"] == "succeeded" and told["receipt"]["events"][0]["name"] == "transfer"
        assert told["transaction"]["method"] == "transfer" and told["transaction"]["contract_name"] == "bank"
        assert told["transaction"]["arguments_json"] == [{"bytes": TWO.id.hex()}, 7]
        assert await client.get(f"/receipts/{first}") == told["receipt"]
        failed = await client.get(f"/receipts/{second}")
        assert (failed["status"], failed["code"], failed["result"], failed["events"]) == ("failed", "native.no", "", [])
        by_height, by_hash = await client.get("/blocks/1"), await client.get(f"/blocks/{told['block']}")
        assert by_height == by_hash and by_height["transactions"][0]["id"] == first
        assert len(by_height["certificate"]["signers"]) >= by_height["certificate"]["needed"] == 3
        listed = await client.get("/transactions")
        assert [line["id"] for line in listed["transactions"]] == [second, first]

    play(act)


def test_outcomes_are_told_one_by_one_in_the_asked_language() -> None:
    """A bad submission among good ones is refused alone, with a code, and in Chinese for who reads Chinese."""

    async def act(client: Client) -> None:
        good = encode(client.chain.call(ONE, 1, "increment", b"n"))
        body = encode([good, b"\xc1", good])
        headers = {**BYTES, "accept-language": "de, zh-CN;q=0.9, en;q=0.8"}
        outcomes = (await client.http.post(f"{API}/transactions", content=body, headers=headers)).json()["outcomes"]
        assert list(outcomes[0]) == ["transactions"] and outcomes[0] == outcomes[2]
        assert outcomes[1]["error"]["code"] == "encoding.malformed" and "无法解码" in outcomes[1]["error"]["cause"]

    play(act)


def test_busy_is_told_with_the_time_to_come_back() -> None:
    """A full pool answers every submission with its code and retry_after_ms, and the reply has Retry-After."""
    full = ErrorCode("pool.full", "full, {retry_after_ms}", "later", "满", "稍后")

    async def act(client: Client) -> None:
        client.node.refusal = Busy(full, retry_after_ms=1500)
        body = encoded(client.chain.call(ONE, 1, "increment", b"n"))
        reply = await client.http.post(f"{API}/transactions", content=body, headers=BYTES)
        assert reply.status_code == 202 and reply.headers["retry-after"] == "2"
        assert reply.json()["outcomes"][0]["error"]["retry_after_ms"] == 1500

    play(act)


@pytest.mark.row("B-14")
def test_a_transaction_goes_from_unknown_over_waiting_to_final_and_never_back() -> None:
    """B-14: each receipt is final and monotonic, reads are linearizable or labelled stale with height."""

    async def act(client: Client) -> None:
        node, call = client.node, client.chain.call(ONE, 1, "increment", b"n")
        id_ = node.ledger.reader.submission(call).transactions[0].id.hex()
        assert (await client.get(f"/transactions/{id_}"))["state"] == "unknown"
        await client.post(call)
        assert (await client.get(f"/transactions/{id_}?wait_ms=1"))["state"] == "waiting"
        node.hide()
        node.make_block()
        assert (await client.get(f"/transactions/{id_}"))["state"] == "waiting", "committed and not durable"
        await client.get(f"/receipts/{id_}", 404)
        await client.get("/blocks/1", 404)
        reading = asyncio.ensure_future(client.get(f"/accounts/{ONE.id.hex()}"))
        await asyncio.sleep(0)
        assert not reading.done(), "what is read at height 1 is told when height 1 is durable"
        node.show()
        assert (await reading)["highest_nonce"] == 1 and (await reading)["height"] == 1
        for _ in range(3):
            told = await client.get(f"/transactions/{id_}")
            assert (told["state"], told["receipt"]["height"]) == ("final", 1)
            node.make_block()

    play(act, FakeNode(at_once=False))


def test_an_expired_transaction_is_told_so() -> None:
    """A transaction whose last height has passed is expired, once and for all."""

    async def act(client: Client) -> None:
        ids = await client.post(client.chain.call(ONE, 1, "increment", b"n", valid_until_height=0))
        client.node.make_block(bodies=0)
        assert (await client.get(f"/transactions/{ids[0]}"))["state"] == "expired"

    play(act, FakeNode(at_once=False))


def test_waiting_ends_with_the_block() -> None:
    """A client that waits is answered when the block is certified and durable, not when its time is over."""

    async def act(client: Client) -> None:
        ids = await client.post(client.chain.call(ONE, 1, "increment", b"n"))
        asking = asyncio.ensure_future(client.get(f"/transactions/{ids[0]}?wait_ms=20000"))
        while client.node.moved_waiters == 0:
            await asyncio.sleep(0)
        client.node.make_block()
        async with asyncio.timeout(5):
            assert (await asking)["state"] == "final"

    play(act, FakeNode(at_once=False))


def test_lists_have_pages_that_meet_without_gap_or_double() -> None:
    """Pages of blocks and transactions, followed by `next`, give everything once, newest first."""

    async def act(client: Client) -> None:
        for nonce in range(1, 8):
            await client.post(
                client.chain.call(ONE, nonce, "increment", b"n"), client.chain.call(TWO, nonce, "burn", 1)
            )
            client.node.make_block()
        heights: list[int] = []
        step: int | None = client.node.visible_height
        while step is not None:
            page = await client.get(f"/blocks?limit=3&from={step}")
            heights += [line["height"] for line in page["blocks"]]
            step = page["next"]
        assert heights == list(range(14, 0, -1))
        places: list[tuple[int, int]] = []
        cursor = "&before=99.0"
        while cursor:
            page = await client.get(f"/transactions?limit=3{cursor}")
            places += [(line["height"], line["index"]) for line in page["transactions"]]
            cursor = f"&before={page['next']}" if page["next"] else ""
        assert places == sorted(places, reverse=True) and len(places) == 14 == len(dict.fromkeys(places))
        part = await client.get("/blocks/1?offset=1&limit=1")
        assert part["count"] == 2 and [line["index"] for line in part["transactions"]] == [1]

    play(act)


def test_a_transaction_is_found_below_many_empty_blocks() -> None:
    """Pages of a chain that has been idle for long are empty and lead on; what was looked through is remembered."""

    async def act(client: Client) -> None:
        first = (await client.post(client.chain.call(ONE, 1, "increment", b"n")))[0]
        for _ in range(700):
            client.node.make_block()
        cursor, turns, found = "", 0, []
        while not found:
            page = await client.get(f"/transactions{cursor}")
            found, cursor, turns = page["transactions"], f"?before={page['next']}", turns + 1
        assert found[0]["id"] == first and turns <= 3
        client.node.make_block()
        again = (await client.get("/transactions"))["transactions"]
        assert [line["id"] for line in again] == [first]

    play(act)


def test_queries_take_values_as_json_or_encoded_and_say_as_of_when() -> None:
    """A query answers with value, height and time; bytes, big numbers and maps survive JSON in both directions."""
    values = [None, True, -5, 1 << 60, "text", {"bytes": "00ff"}, {"int": str(1 << 200)}, {"a": [1]}]
    values.append({"map": [[{"bytes": "01"}, 1], [2, "two"]]})

    async def act(client: Client) -> None:
        await client.post(client.chain.call(ONE, 1, "increment", b"n"))
        asked = {"contract": "bank", "method": "echo", "arguments": [values]}
        told = (await client.http.post(f"{API}/query", json=asked)).json()
        expected = [{"int": str(1 << 60)} if value == 1 << 60 else value for value in values]
        assert told["code"] == "" and told["value_json"] == expected and told["height"] == 1
        asked = {"contract": BANK.hex(), "method": "balance", "arguments": encode_arguments([bytes(ONE.id)]).hex()}
        told = (await client.http.post(f"{API}/query", json=asked)).json()
        assert (told["value_json"], told["value"]) == (1000, "cd03e8")
        asked = {"contract": "bank", "method": "put", "arguments": [{"bytes": "00"}, {"bytes": "01"}]}
        told = (await client.http.post(f"{API}/query", json=asked)).json()
        assert (told["code"], told["value"], told["value_json"]) == ("contract.read_only", "", None)

    play(act)


def test_accounts_and_contracts() -> None:
    """The next nonce of an account, also of one that never sent anything; a contract by name and by id."""

    async def act(client: Client) -> None:
        await client.post(client.chain.call(ONE, 5, "increment", b"n"))
        assert (await client.get(f"/accounts/{ONE.id.hex()}"))["next_nonce"] == 6
        assert (await client.get(f"/accounts/{TWO.id.hex()}"))["next_nonce"] == 1
        named, by_id = await client.get("/contracts/bank"), await client.get(f"/contracts/{BANK.hex()}")
        assert named == by_id and named["engine"] == "native" and named["creator"] is None
        assert (await client.get("/contracts/nobody", 404))["error"]["code"] == "http.unknown"

    play(act)


def test_proofs_hold_against_the_ledger_id_alone() -> None:
    """Transaction, receipt and state proofs are verified offline; a state entry that changed since is not yet proved."""

    async def act(client: Client) -> None:
        id_ = (await client.post(client.chain.call(ONE, 1, "put", b"k", b"v")))[0]
        node = client.node
        trust = {"trust": node.ledger_id, "suites": {suite.name: suite}, "strength": Strength.BYZANTINE}
        for kind, entry in (("transactions", TransactionEntry), ("receipts", ReceiptEntry)):
            raw = (await client.http.get(f"{API}/proofs/{kind}/{id_}")).content
            assert isinstance(verify_ledger_proof(raw, **trust).entry, entry)
        key = (b"d" + BANK + b"k").hex()
        early = await client.http.get(f"{API}/proofs/state/{key}")
        assert early.status_code == 409 and early.json()["error"]["code"] == "proof.not_yet"
        root = node.make_blocks_until_root()
        proven = verify_ledger_proof((await client.http.get(f"{API}/proofs/state/{key}")).content, **trust)
        assert isinstance(proven.entry, StateEntry) and proven.entry.value == b"v" and proven.height == root
        absent = (await client.http.get(f"{API}/proofs/state/{(b'd' + BANK + b'none').hex()}")).content
        assert verify_ledger_proof(absent, **trust).entry.value is None
        await client.post(client.chain.call(ONE, 2, "put", b"k", b"w"))
        assert (await client.http.get(f"{API}/proofs/state/{key}")).status_code == 409
        waiting = asyncio.ensure_future(client.http.get(f"{API}/proofs/state/{key}?wait_ms=20000&height={root + 1}"))
        while node.moved_waiters == 0:
            await asyncio.sleep(0)
        node.make_blocks_until_root()
        assert verify_ledger_proof((await waiting).content, **trust).entry.value == b"w"

    play(act)


def test_only_this_nodes_own_pages_are_served() -> None:
    """A foreign Host (DNS rebinding) is misdirected, a foreign Origin forbidden; every reply has a policy."""

    async def act(client: Client) -> None:
        for host, status in (
            ("evil.example", 421),
            ("127.0.0.1", 421),
            ("127.0.0.1:80", 421),
            (f"LOCALHOST:{PORT}", 200),
        ):
            reply = await client.http.get(f"{API}/status", headers={"host": host})
            assert reply.status_code == status, host
            assert "default-src 'self'" in reply.headers["content-security-policy"]
        for origin in ("http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1", "http://["):
            reply = await client.http.post(f"{API}/query", headers={"origin": origin}, json={})
            assert (reply.status_code, reply.json()["error"]["code"]) == (403, "http.origin"), origin
        site = {"sec-fetch-site": "cross-site"}
        assert (await client.http.post(f"{API}/query", headers=site, json={})).status_code == 403
        ours = {"origin": f"http://localhost:{PORT}", "sec-fetch-site": "same-origin"}
        asked = {"contract": "bank", "method": "seen"}
        assert (await client.http.post(f"{API}/query", headers=ours, json=asked)).status_code == 200

    play(act)


def test_unknown_addresses_and_methods_have_stable_codes() -> None:
    """Nothing there: 404; another method: 405 with Allow; a slash too many is another address."""

    async def act(client: Client) -> None:
        for path in ("/nothing", "/status/", "/blocks/1/2", "/../../etc/passwd"):
            assert (await client.get(path, 404))["error"]["code"] == "http.no_address"
        reply = await client.http.request("DELETE", f"{API}/transactions")
        assert reply.status_code == 405 and reply.headers["allow"] == "GET, HEAD, POST"
        assert (await client.http.head(f"{API}/status")).status_code == 200

    play(act)


def test_bodies_are_refused_before_they_are_read() -> None:
    """Too long, compressed, of another type, or where none belongs: a code, and nothing is buffered."""

    async def act(client: Client) -> None:
        async def endless():  # noqa: ANN202
            for _ in range(1 << 14):
                yield bytes(1 << 16)
            raise AssertionError("the whole body was read")

        long = await client.http.post(f"{API}/query", content=endless(), headers={"content-type": "application/json"})
        assert (long.status_code, long.json()["error"]["code"]) == (413, "http.body_too_large")
        assert long.headers["connection"] == "close"
        told = {"content-type": "application/json", "content-length": "99999999999"}
        assert (await client.http.post(f"{API}/query", content=b"{}", headers=told)).status_code == 413
        packed = {"content-encoding": "gzip", "content-type": "application/json"}
        assert (await client.http.post(f"{API}/query", content=b"{}", headers=packed)).status_code == 415
        assert (await client.http.post(f"{API}/query", content=b"{}")).status_code == 415
        assert (await client.http.request("GET", f"{API}/status", content=b"x")).status_code == 400

    play(act)


def test_errors_of_plug_ins_have_the_same_form() -> None:
    """A plug-in's own code has the status it says; a full disk is 503; a bug is 500 and tells nothing of its inside."""
    code = ErrorCode("thing.unknown", "no thing {id}", "look", "没有 {id}", "请查看")
    errors = {"gone": AskedWrongly(code, id=1), "disk": OperatingFault(code, id=2), "bug": KeyError("secret")}

    def routes(site: Site) -> list[Served]:
        async def fail(request: object) -> None:
            raise errors[request.path_params["kind"]]

        documents = Documents(summary="Fails", statuses={"thing.unknown": 404})
        plain = Documents(summary="Fails")
        return [
            Endpoint("GET", f"{API}/things/{{kind}}", fail, documents),
            Endpoint("GET", f"{API}/plain/{{kind}}", fail, plain),
        ]

    async def act(client: Client) -> None:
        assert (await client.get("/things/gone", 404, accept_language="zh"))["error"]["cause"] == "没有 1"
        await client.get("/plain/gone", 400)
        await client.get("/plain/disk", 503)
        reply = await client.http.get(f"{API}/plain/bug")
        assert reply.status_code == 500 and reply.json()["error"]["code"] == "http.fault" and "secret" not in reply.text

    play(act, plugins={"things": routes})


def test_plug_ins_cannot_take_each_others_addresses() -> None:
    """Two claims to one address, or one outside the API, stop the start with the plug-in's name."""

    async def answer(request: object) -> object:
        return json_reply({})

    def routes(path: str) -> Callable[[Site], list[Served]]:
        return lambda site: [Endpoint("GET", path, answer, Documents(summary="Takes"))]

    for path in (f"{API}/status", "/elsewhere"):
        with pytest.raises(OperatingFault, match="greedy"):
            build_app(site_of(FakeNode(), Path("/nowhere"), PORT), plugins={"greedy": routes(path)})
