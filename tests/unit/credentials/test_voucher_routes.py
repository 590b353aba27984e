"""The voucher API of a member, over ASGI: replies, statuses, and malformed requests of every kind."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from zizhu.chain.node.api.application import build_app
from zizhu.chain.node.api.site import AccountKey, Issuer, Site
from zizhu.scenarios.credentials.routes import routes

if TYPE_CHECKING:
    from .conftest import Town

PORT = 18_001
BASE = f"http://127.0.0.1:{PORT}"
VOUCHERS = "/api/v1/vouchers"
BYTES = {"content-type": "application/octet-stream"}


class Door:
    """Requests to member 0 of a town."""

    def __init__(self, town: "Town", folder: Path) -> None:
        self.town = town
        account = town.accounts[0]
        site = Site(
            backend=town.backends[0],
            folder=folder,
            http_port=PORT,
            issuer=Issuer("issuer", account.id),
            open_account=lambda _: AccountKey(account.suite, account.secret),
        )
        self.app = build_app(site, plugins={"vouchers": routes})
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=BASE)

    def ask(self, method: str, path: str, **arguments: object) -> httpx.Response:
        """One request."""
        return self.town.run(self.client.request(method, path, **arguments))  # type: ignore[arg-type]

    def register(self, data: bytes, **headers: str) -> httpx.Response:
        """Uploads a file."""
        return self.ask("POST", VOUCHERS, content=data, headers=BYTES | headers)


@pytest.fixture
def door(town: "Town", tmp_path: Path) -> Iterator[Door]:
    """The API of one member."""
    made = Door(town, tmp_path / "door")
    yield made
    town.run(made.client.aclose())


def code_of(response: httpx.Response) -> str:
    """The code of an error reply."""
    return str(response.json()["error"]["code"])


def test_a_voucher_from_upload_to_proof(door: Door) -> None:
    """201 and its record; 200 the second time; listed, shown, its file and its proof given out."""
    made = door.register("发票".encode(), **{"x-zizhu-type": "invoice"})
    assert made.status_code == 201 and made.json()["created"] is True
    voucher = made.json()["voucher"]
    assert voucher["index"] == 1 and voucher["type"] == "invoice" and made.json()["copies"] == 1
    again = door.register("发票".encode(), **{"x-zizhu-type": "invoice"})
    assert again.status_code == 200 and again.json()["voucher"] == voucher
    assert door.ask("GET", VOUCHERS).json()["vouchers"] == [voucher]
    shown = door.ask("GET", f"{VOUCHERS}/1").json()
    assert shown["voucher"] == voucher and shown["hosted_here"] is True
    file = door.ask("GET", f"{VOUCHERS}/1/file")
    assert file.content == "发票".encode() and file.headers["content-disposition"].startswith("attachment")
    leads = door.ask("GET", f"{VOUCHERS}/1/proof")
    assert leads.status_code == 307 and voucher["proof_key"] in leads.headers["location"]
    proof = door.ask("GET", leads.headers["location"])
    assert proof.status_code == 200 and len(proof.content) > 1_000
    assert door.ask("GET", f"{VOUCHERS}/service").json()["account"] == door.town.accounts[0].id.hex()


def test_acts_and_history(door: Door) -> None:
    """Transfer, replace, revoke; the history in order; what is not allowed has its status."""
    door.register(b"one")
    replaced = door.ask("POST", f"{VOUCHERS}/1/replace", content=b"two", headers=BYTES)
    assert replaced.status_code == 200 and len(replaced.json()["voucher"]["replaced"]) == 1
    to = door.town.accounts[1].id.hex()
    assert door.ask("POST", f"{VOUCHERS}/1/transfer", json={"to": to}).json()["voucher"]["holder"] == to
    forbidden = door.ask("POST", f"{VOUCHERS}/1/transfer", json={"to": to})
    assert (forbidden.status_code, code_of(forbidden)) == (403, "voucher.not_holder")
    assert door.ask("POST", f"{VOUCHERS}/1/revoke", json={"reason": "错"}).json()["voucher"]["state"] == "revoked"
    conflict = door.ask("POST", f"{VOUCHERS}/1/revoke", json={"reason": "错"})
    assert (conflict.status_code, code_of(conflict)) == (409, "voucher.revoked")
    history = door.ask("GET", f"{VOUCHERS}/1/history").json()
    assert [act["action"] for act in history["acts"]] == ["register", "replace", "transfer", "revoke"]
    page = door.ask("GET", f"{VOUCHERS}/1/history?after=1&limit=2").json()
    assert page["acts"] == history["acts"][1:3] and page["next"] == 3


def test_verify_says_what_this_member_knows(door: Door) -> None:
    """Yes with height and time and in the language asked for; no for what was never registered."""
    door.register(b"one")
    headers = BYTES | {"accept-language": "zh"}
    yes = door.ask("POST", f"{VOUCHERS}/verify", content=b"one", headers=headers).json()
    assert (yes["answer"], yes["verdict"], yes["text"], yes["asked"]) == ("yes", "authentic", "是:真实", ["node1"])
    assert yes["height"] == door.town.backends[0].visible_height and yes["voucher"]["index"] == 1
    no = door.ask("POST", f"{VOUCHERS}/verify", content=b"0ne", headers=BYTES).json()
    assert (no["answer"], no["verdict"], no["check"]) == ("no", "not on this chain", "file-digest")


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status", "code"),
    [
        ("GET", "/9", {}, 404, "voucher.unknown"),
        ("GET", "/0", {}, 400, "http.parameter"),
        ("GET", "/-1", {}, 400, "http.parameter"),
        ("GET", "/" + "9" * 40, {}, 400, "http.parameter"),
        ("GET", "/9/file", {}, 404, "voucher.unknown"),
        ("GET", "/9/proof", {}, 404, "voucher.unknown"),
        ("GET", "/9/history", {}, 404, "voucher.unknown"),
        ("GET", "?limit=21", {}, 400, "http.parameter"),
        ("GET", "?after=x", {}, 400, "http.parameter"),
        ("GET", "?colour=red", {}, 400, "http.parameter"),
        ("POST", "", {"content": b"x", "headers": {"content-type": "text/html"}}, 415, "http.media_type"),
        ("POST", "", {"content": b"x", "headers": BYTES | {"x-zizhu-type": "cheque"}}, 400, "voucher.type"),
        ("POST", "", {"content": b"x", "headers": BYTES | {"x-zizhu-digest": "zz"}}, 400, "http.parameter"),
        (
            "POST",
            "",
            {"content": b"x", "headers": BYTES | {"x-zizhu-digest": "00" * 32}},
            400,
            "voucher.digest_differs",
        ),
        ("POST", "", {"content": b"x", "headers": BYTES | {"content-length": "999999999"}}, 413, "http.body_too_large"),
        ("POST", "/9/transfer", {"json": {"to": "abc"}}, 400, "http.body"),
        ("POST", "/9/transfer", {"json": {"to": "00" * 20}}, 404, "voucher.unknown"),
        ("POST", "/9/transfer", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, "http.body"),
        ("POST", "/9/revoke", {"json": {"reason": ""}}, 400, "http.body"),
        ("POST", "/9/revoke", {"json": {"reason": "长" * 201}}, 400, "http.body"),
        ("DELETE", "/9", {}, 405, "http.method"),
    ],
)
def test_wrong_requests_have_their_status(
    door: Door, method: str, path: str, arguments: dict[str, object], status: int, code: str
) -> None:
    """Each with a stable code, a cause and a fix."""
    response = door.ask(method, VOUCHERS + path, **arguments)
    assert (response.status_code, code_of(response)) == (status, code)
    assert response.json()["error"]["cause"] and response.json()["error"]["fix"]


def test_malformed_requests_never_crash(door: Door) -> None:
    """Random bodies, headers, indexes and parameters: an answer below 500, and the service goes on."""
    generator = random.Random(11)
    paths = ["", "/1", "/1/transfer", "/1/revoke", "/1/replace", "/1/history", "/1/file", "/verify", "/service", "/é"]
    for _ in range(300):
        body = generator.randbytes(generator.randrange(0, 200))
        if generator.random() < 0.3:
            body = json.dumps({"to": generator.choice([1, None, "x", [], "0" * 40]), "reason": {}}).encode()
        media = generator.choice(["application/json", "application/octet-stream", "", "text/plain; x"])
        type_ = generator.choice(["document", "%", "%ff%00", "a" * 3000, "", "%E5%8F%91"])
        headers = {b"content-type": media.encode(), b"x-zizhu-type": type_.encode()}
        if generator.random() < 0.3:
            digest = generator.choice(["", "00", "g" * 64, "0" * 63, "Ａ" * 8])
            headers[b"x-zizhu-digest"] = digest.encode()
        query = generator.choice(["", "?after=-1", "?limit=99999999999999999999", "?after=1&after=2", "?%00=%ff"])
        path = VOUCHERS + generator.choice(paths) + query
        response = door.ask(generator.choice(["GET", "POST", "PUT", "HEAD"]), path, content=body, headers=headers)
        assert response.status_code < 500, (path, body, headers, response.text)
    assert door.register(b"still here").status_code == 201


def test_a_member_without_issuer_or_contract_serves_no_vouchers(town: "Town", tmp_path: Path) -> None:
    """No account to sign as: no addresses, rather than addresses that fail."""
    site = Site(
        backend=town.backends[0],
        folder=tmp_path,
        http_port=PORT,
        issuer=None,
        open_account=lambda _: AccountKey(town.suite, b""),
    )
    assert routes(site) == []
