"""The desk: what it does when the member that it gave a file to dies, before or after it has registered it."""

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from zizhu.chain.model.errors import Busy, ErrorCode, OperatingFault
from zizhu.chain.node.api.application import build_app
from zizhu.chain.node.api.site import AccountKey, Issuer, Site
from zizhu.framework.sdk.client import Clock
from zizhu.framework.sdk.http import UNREACHABLE, Reply, Request, Upload, told_error
from zizhu.scenarios.credentials.desk import Desk
from zizhu.scenarios.credentials.routes import routes

if TYPE_CHECKING:
    from .conftest import Town

PORT = 18_002
CLOCK = Clock(now_ms=lambda: 0, pause=lambda _: None)
BUSY = ErrorCode("test.busy", "busy {retry_after_ms}", "wait", "忙 {retry_after_ms}", "请等待")


class InProcess:
    """Member `number` of a town, asked without sockets. While `dies` is "before" or "after", an upload breaks off
    before or after it has acted, and the member answers no more."""

    def __init__(self, town: "Town", number: int, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{PORT}"
        self.dies = ""
        self.dead = False
        self.busy = 0
        self.uploads = 0
        account = town.accounts[number]
        site = Site(
            backend=town.backends[number],
            folder=folder / f"desk{number}",
            http_port=PORT,
            issuer=Issuer("issuer", account.id),
            open_account=lambda _: AccountKey(account.suite, account.secret),
        )
        self._town = town
        transport = httpx.ASGITransport(build_app(site, plugins={"vouchers": routes}))
        self._client = httpx.AsyncClient(transport=transport, base_url=self.url)

    def exchange(self, request: Request) -> Reply:
        """See `sdk.http.Member`."""
        body = request.body
        content = b"".join(body.chunks()) if isinstance(body, Upload) else body
        is_upload = isinstance(body, Upload)
        self.uploads += is_upload
        if is_upload and self.busy:
            self.busy -= 1
            raise Busy(BUSY, retry_after_ms=1)
        self.dead = self.dead or (is_upload and self.dies == "before")
        if self.dead:
            raise OperatingFault(UNREACHABLE, url=self.url, reason="dead")
        asked = self._client.request(request.method, request.path, content=content, headers=dict(request.headers))
        reply = self._town.run(asked)
        self.dead = is_upload and self.dies == "after"
        if self.dead:
            raise OperatingFault(UNREACHABLE, url=self.url, reason="died")
        if reply.status_code >= 400:
            error = reply.json()["error"]
            raise told_error(error["code"], error["cause"], error["fix"])
        return Reply(reply.status_code, dict(reply.headers), reply.content)


@pytest.fixture
def members(town: "Town", tmp_path: Path) -> list[InProcess]:
    """The four."""
    return [InProcess(town, number, tmp_path) for number in range(4)]


@pytest.fixture
def desk(members: list[InProcess]) -> Desk:
    """A desk of all four."""
    return Desk([(f"node{number}", member) for number, member in enumerate(members, 1)], clock=CLOCK)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file."""
    path = tmp_path / "file"
    path.write_bytes(b"a file")
    return path


def test_a_member_that_dies_before_it_registers_is_replaced(
    desk: Desk, members: list[InProcess], file: Path, town: "Town"
) -> None:
    """S1.11 in part: the next member takes the file; there is one voucher."""
    members[0].dies = "before"
    at, done = desk.register_somewhere(file, "document")
    assert (at.place.name, done.voucher.issuer) == ("node2", town.accounts[1].id.hex())
    assert [record.index for record in desk.reader.page().value] == [done.voucher.index] == [1]


def test_what_a_dying_member_has_registered_is_found_and_not_registered_again(
    desk: Desk, members: list[InProcess], file: Path, town: "Town"
) -> None:
    """Its answer was lost, its transaction was not: the same voucher is told, and nobody makes a second one."""
    members[0].dies = "after"
    at, done = desk.register_somewhere(file, "document")
    assert (at.place.name, done.voucher.issuer) == ("node1", town.accounts[0].id.hex())
    assert [record.index for record in desk.reader.page().value] == [done.voucher.index] == [1]


def test_a_busy_custodian_is_waited_for(desk: Desk, members: list[InProcess], file: Path) -> None:
    """The same member, the same file, one voucher."""
    members[0].busy = 3
    at, done = desk.register_somewhere(file, "document")
    assert (at.place.name, done.created, members[0].uploads) == ("node1", True, 4)


def test_a_member_that_was_named_is_not_left(desk: Desk, members: list[InProcess], file: Path) -> None:
    """Who names a member means its account: no other one registers the file."""
    members[0].dies = "before"
    with pytest.raises(OperatingFault) as error:
        desk.register(desk.at("node1"), file, "document")
    assert error.value.code.code == "sdk.unreachable"
    assert members[1].uploads == 0


def test_when_every_member_dies_it_is_told(desk: Desk, members: list[InProcess], file: Path) -> None:
    """No voucher is made up."""
    for member in members:
        member.dies = "before"
    with pytest.raises(OperatingFault):
        desk.register_somewhere(file, "document")
