"""The whole of `zizhu voucher` through its public surface: the command, HTTP over sockets, four members.

The members are real ledgers, archives, voucher services and HTTP servers in one process; only consensus is replaced by
`fakes.backend`, which certifies with the members' keys. So waiting for finality costs nothing here.
"""

import asyncio
import json
import os
import random
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.genesis import encode_genesis
from zizhu.chain.node.api.application import build_app
from zizhu.chain.node.api.server import build_server, listen
from zizhu.chain.node.api.site import AccountKey, Issuer, Site
from zizhu.cli.voucher import app
from zizhu.cloud.nodes.network import MemberPlace, Network, genesis_path, write_network
from zizhu.framework.sdk.keys import Account
from zizhu.framework.testkit.fakes.backend import FakeConsortium
from zizhu.scenarios.credentials.contract import genesis_contract
from zizhu.scenarios.credentials.routes import routes

SAMPLES = Path(str(files("zizhu.scenarios.credentials") / "samples"))
DOCUMENTS = Path(os.environ.get("ZIZHU_DOCUMENTS", str(SAMPLES)))
"""A folder of documents that go through with the others; by default our own samples."""


@dataclass(frozen=True)
class Done:
    """How a command ended: exit code, what it printed, and that as JSON lines."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, object]]:
        """One object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def line(self) -> dict[str, object]:
        """The only object."""
        assert len(self.lines) == 1, self.out + self.err
        return self.lines[0]


class Network4:
    """Four members behind four ports, and the folder DIR of their network."""

    def __init__(self, folder: Path, suite: Suite, *, name: str) -> None:
        self.folder = folder
        self.consortium = FakeConsortium(suite=suite, name=name, contracts=[genesis_contract()])
        self.accounts = [Account(suite, suite.digest(b"issuer %d" % number)) for number in range(4)]
        self._loop = asyncio.new_event_loop()
        self._sockets = [listen("127.0.0.1", 0) for _ in range(4)]
        self.ports = [one.getsockname()[1] for one in self._sockets]
        self.sites = [self._site(number) for number in range(4)]
        self._servers = [build_server(build_app(site, plugins={"credentials": routes})) for site in self.sites]
        self._serving = [
            self._loop.create_task(server.serve(sockets=[one]))
            for server, one in zip(self._servers, self._sockets, strict=True)
        ]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        folder.mkdir(parents=True, exist_ok=True)
        places = [MemberPlace(f"node{number + 1}", 1, self.ports[number]) for number in range(4)]
        ledger = self.consortium.ledger_id.hex()
        write_network(folder, Network(1, name, ledger, suite.name, "pbft", places))
        genesis_path(folder).write_bytes(encode_genesis(self.consortium.genesis))
        self._thread.start()

    def _site(self, number: int) -> Site:
        account = self.accounts[number]
        return Site(
            backend=self.consortium.backend(number),
            folder=self.folder / "nodes" / f"node{number + 1}",
            http_port=self.ports[number],
            issuer=Issuer("issuer", account.id),
            open_account=lambda _: AccountKey(account.suite, account.secret),
        )

    def _serve(self) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*self._serving)

        self._loop.run_until_complete(all_of_them())

    def stop(self, number: int) -> None:
        """Member `number` is gone: its port refuses."""

        async def stopped() -> None:
            self._servers[number].should_exit = True
            await asyncio.wait([self._serving[number]])
            self._sockets[number].close()

        asyncio.run_coroutine_threadsafe(stopped(), self._loop).result(20)

    def close(self) -> None:
        """Ends all servers."""
        for server in self._servers:
            self._loop.call_soon_threadsafe(setattr, server, "should_exit", True)
        self._thread.join(timeout=10)

    def zizhu(self, *arguments: object, as_json: bool = True, directory: Path | None = None) -> Done:
        """Runs `zizhu voucher ARGUMENTS`."""
        words = [str(one) for one in arguments]
        words += ["--dir", str(directory or self.folder), "--lang", "en", *(["--json"] if as_json else [])]
        done = CliRunner().invoke(app, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    def files(self, number: int) -> Path:
        """Where member `number` keeps its files."""
        return self.folder / "nodes" / f"node{number + 1}" / "vouchers" / "files"


@pytest.fixture(params=[guomi, international], ids=["guomi", "international"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network4]:
    """Four members that serve."""
    made = Network4(tmp_path / "net", request.param, name="ours")
    yield made
    made.close()


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Network4]:
    """Four members of the quicker suite."""
    made = Network4(tmp_path / "net", international, name="ours")
    yield made
    made.close()


def test_register_proof_verify_offline(network: Network4, tmp_path: Path) -> None:
    """S1.2, S1.7: register a file, cut its proof, verify it where no node runs and nothing but the genesis lies."""
    file = tmp_path / "发票.xml"
    file.write_text("<发票>¥86.50</发票>", encoding="utf-8")
    made = network.zizhu("register", file, "--type", "invoice")
    assert made.code == 0, made.err
    wanted = ["path", "index", "digest", "algorithm", "issuer", "holder", "type", "transaction", "height", "time"]
    assert list(made.line)[: len(wanted)] == wanted
    assert (made.line["path"], made.line["index"], made.line["type"]) == (str(file), 1, "invoice")
    proof = tmp_path / "发票.zproof"
    cut = network.zizhu("proof", file, "--out", proof)
    assert (cut.code, cut.line["index"]) == (0, 1)
    network.close()
    away = tmp_path / "away"
    away.mkdir()
    shutil.copy(genesis_path(network.folder), genesis_path(away))
    yes = network.zizhu("verify", file, proof, directory=away)
    assert (yes.code, yes.line["answer"], yes.line["verdict"]) == (0, "yes", "authentic")
    assert (yes.line["height"], yes.line["ledger"]) == (cut.line["as_of_height"], network.consortium.ledger_id.hex())
    shown = network.zizhu("verify", file, proof, as_json=False, directory=away)
    assert "yes: authentic" in shown.out and "as of height" in shown.out and "visible online only" in shown.out
    nobody = tmp_path / "nobody"
    told = network.zizhu("verify", file, proof, "--trust", network.consortium.ledger_id.hex(), directory=nobody)
    assert told.code == 0
    untrusting = network.zizhu("verify", file, proof, directory=nobody)
    assert untrusting.code == 2 and untrusting.line["error"]["code"] == "voucher.no_trust"  # type: ignore[index]
    file.write_text("<发票>¥96.50</发票>", encoding="utf-8")
    no = network.zizhu("verify", file, proof, directory=away)
    assert (no.code, no.line["verdict"], no.line["check"]) == (1, "altered", "file-digest")


def test_a_proof_of_another_network_is_no_other_ledger(quick: Network4, tmp_path: Path) -> None:
    """A perfect proof of the same file from a second network of one's own: exit 1, "no: other ledger"."""
    file = tmp_path / "file"
    file.write_bytes(b"the same file")
    own = Network4(tmp_path / "own", international, name="own")
    try:
        assert own.zizhu("register", file).code == quick.zizhu("register", file).code == 0
        assert own.zizhu("proof", file, "--out", tmp_path / "own.zproof").code == 0
        assert own.zizhu("verify", file, tmp_path / "own.zproof").code == 0
    finally:
        own.close()
    no = quick.zizhu("verify", file, tmp_path / "own.zproof", as_json=False)
    assert no.code == 1 and "no: other ledger" in no.out
    trusting = ["--trust", quick.consortium.ledger_id.hex()]
    nowhere = quick.zizhu("verify", file, tmp_path / "own.zproof", *trusting, directory=tmp_path / "nowhere")
    assert (nowhere.code, nowhere.line["verdict"], nowhere.line["check"]) == (1, "other ledger", "ledger")
    junk = quick.zizhu("verify", file, file, *trusting, directory=tmp_path / "nowhere")
    assert (junk.code, junk.line["verdict"], junk.line["check"]) == (1, "proof refused", "encoding")


def test_a_folder_in_byte_order_without_links(quick: Network4, tmp_path: Path) -> None:
    """A folder means its files in byte order of their paths; links are skipped with a word; again, the same indexes."""
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    for name in ("é.txt", "a.txt", "B.txt", "b/inner.txt", "合同.txt"):
        (folder / name).write_text(name, encoding="utf-8")
    (folder / "empty").write_bytes(b"")
    (folder / "link").symlink_to(folder / "a.txt")
    (folder / "loop").symlink_to(folder)
    made = quick.zizhu("register", folder)
    assert made.code == 0, made.err
    paths = [str(line["path"]) for line in made.lines]
    assert paths == sorted(paths, key=os.fsencode) and len(paths) == 6
    assert [line["index"] for line in made.lines] == [1, 2, 3, 4, 5, 6]
    assert "link" in made.err and "loop" in made.err
    again = quick.zizhu("register", folder)
    assert [line["index"] for line in again.lines] == [1, 2, 3, 4, 5, 6]
    assert [line["created"] for line in again.lines] == [False] * 6
    other = quick.zizhu("register", folder / "a.txt", "--member", "node3")
    listed = {line["index"]: line for line in quick.zizhu("list").lines}
    assert listed[other.line["index"]]["first"] == paths.index(str(folder / "a.txt")) + 1
    assert quick.zizhu("register", tmp_path / "none").code == 2
    (tmp_path / "hollow").mkdir()
    assert quick.zizhu("register", tmp_path / "hollow").code == 2


def test_transfer_replace_revoke_and_history(quick: Network4, tmp_path: Path) -> None:
    """S1.8: the circulation record in order with actor and time; each act by the member that may."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    index = quick.zizhu("register", old).line["index"]
    account = quick.accounts[1].id.hex()
    assert quick.zizhu("transfer", index, "--to", account).line["holder"] == account
    assert quick.zizhu("transfer", index, "--to", "node3").line["holder"] == quick.accounts[2].id.hex()
    assert quick.zizhu("replace", index, new).code == 0
    replaced = quick.zizhu("verify", old)
    assert (replaced.code, replaced.line["verdict"]) == (1, "replaced")
    assert quick.zizhu("verify", new).code == 0
    assert quick.zizhu("revoke", index, "--reason", "金额有误").line["state"] == "revoked"
    revoked = quick.zizhu("verify", new)
    assert (revoked.code, revoked.line["verdict"]) == (0, "authentic, revoked")
    assert quick.zizhu("transfer", index, "--to", "node9").line["error"]["code"] == "voucher.taker"  # type: ignore[index]
    refused = quick.zizhu("transfer", index, "--to", account)
    assert refused.code == 2 and refused.line["error"]["code"] == "voucher.revoked"  # type: ignore[index]
    own = quick.zizhu("register", new, "--member", "node2").line["index"]
    assert quick.zizhu("transfer", own, "--to", "11" * 20).code == 0
    gone = quick.zizhu("transfer", own, "--to", account)
    assert gone.code == 2 and gone.line["error"]["code"] == "voucher.no_signer"  # type: ignore[index]
    acts = quick.zizhu("history", index).lines
    assert [act["action"] for act in acts] == ["register", "transfer", "transfer", "replace", "revoke"]
    assert [act["actor"] for act in acts] == [quick.accounts[number].id.hex() for number in (0, 0, 1, 0, 0)]
    shown = quick.zizhu("show", index, as_json=False)
    assert "revoked" in shown.out and "(node1)" in shown.out and "as of height" in shown.out
    assert quick.zizhu("show", 99).code == 2


def test_a_malicious_custodian_is_found_out_by_the_others(quick: Network4, tmp_path: Path) -> None:
    """S1.6 through the command: altered, not this voucher, replaced, missing; and fetch keeps nothing that is wrong."""
    for number in range(4):
        (tmp_path / f"f{number}").write_bytes(b"file %d" % number)
        assert quick.zizhu("register", tmp_path / f"f{number}").line["index"] == number + 1
    assert quick.zizhu("verify", "--index", 1).code == 0
    out = tmp_path / "out"
    assert quick.zizhu("fetch", 1, "--out", out).code == 0 and out.read_bytes() == b"file 0"
    kept = {index: quick.files(0) / f"sm3-{quick.zizhu('show', index).line['digest']}" for index in range(1, 5)}
    (tmp_path / "new").write_bytes(b"new")
    assert quick.zizhu("replace", 4, tmp_path / "new").code == 0
    (quick.files(0) / f"sm3-{quick.zizhu('show', 4).line['digest']}").write_bytes(b"file 3")
    kept[1].write_bytes(b"fi1e 0")
    kept[2].write_bytes(b"file 2")
    kept[3].unlink()
    found = [quick.zizhu("verify", "--index", index) for index in range(1, 5)]
    assert [one.line["verdict"] for one in found] == ["altered", "not this voucher", "missing", "replaced"]
    assert [one.code for one in found] == [1] * 4
    assert all("node1" not in one.line["asked"] for one in found)  # type: ignore[operator]
    for index in range(1, 5):
        assert quick.zizhu("fetch", index, "--out", tmp_path / f"bad{index}").code == 1
        assert not (tmp_path / f"bad{index}").exists()
    assert [path for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_asked_wrongly_is_two(quick: Network4, tmp_path: Path) -> None:
    """Exit 2 with code, cause and fix, for whatever cannot be meant."""
    file = tmp_path / "file"
    file.write_bytes(b"x")
    for arguments, code in (
        (["verify"], "voucher.what_to_verify"),
        (["verify", file, "--index", "1"], "voucher.what_to_verify"),
        (["register", file, "--type", "cheque"], "voucher.type"),
        (["register", file, "--member", "node9"], "voucher.no_such_member"),
        (["proof", file, "--out", tmp_path / "p"], "voucher.unregistered"),
        (["proof", "7", "--out", tmp_path / "p"], "voucher.unknown"),
        (["verify", file, tmp_path / "none"], "voucher.unreadable"),
        (["verify", file, file, "--trust", "abc"], "sdk.ledger_id"),
        (["verify", file, "--strength", "crash"], "voucher.only_with_proof"),
        (["transfer", "1", "--to", "nobody"], "voucher.unknown"),
    ):
        done = quick.zizhu(*arguments)
        error = done.line["error"]
        assert done.code == 2 and error["code"] == code, done.out  # type: ignore[index]
        assert error["cause"] and error["fix"]  # type: ignore[index]
    assert quick.zizhu("show", "0").code == 2
    assert quick.zizhu("show", 1, directory=tmp_path / "nowhere").code == 2
    never = quick.zizhu("verify", file)
    assert (never.code, never.line["verdict"]) == (1, "not on this chain")


def test_one_member_down(quick: Network4, tmp_path: Path) -> None:
    """S1.11 in part: registration and verification go on through the other members."""
    file = tmp_path / "file"
    file.write_bytes(b"x")
    (tmp_path / "early").write_bytes(b"early")
    assert quick.zizhu("register", tmp_path / "early").line["index"] == 1
    assert quick.zizhu("fetch", 1, "--out", tmp_path / "f", "--member", "node2").code == 2
    quick.stop(0)
    down = quick.zizhu("verify", "--index", 1)
    assert (down.code, down.line["error"]["code"]) == (1, "voucher.signer_down")  # type: ignore[index]
    assert quick.zizhu("verify", tmp_path / "early").code == 0
    made = quick.zizhu("register", file)
    assert made.code == 0 and made.line["hosted_on"] == ["node2"]
    assert quick.zizhu("verify", file).code == 0
    assert quick.zizhu("proof", file, "--out", tmp_path / "p").code == 0
    assert quick.zizhu("verify", file, tmp_path / "p").code == 0


def test_chinese_is_spoken(quick: Network4, tmp_path: Path) -> None:
    """The same in Chinese, errors of members included."""
    file = tmp_path / "签购单[1].txt"
    file.write_bytes("签购单".encode())
    words = ["--dir", str(quick.folder), "--lang", "zh"]
    made = CliRunner().invoke(app, ["register", str(file), *words])
    assert made.exit_code == 0 and "已登记,索引 1" in made.stdout and "签购单[1].txt" in made.stdout
    assert "由 1 个成员托管" in made.stdout
    assert "是:真实" in CliRunner().invoke(app, ["verify", str(file), *words]).stdout
    refused = CliRunner().invoke(app, ["revoke", "1", "--reason", "长" * 300, *words])
    assert refused.exit_code != 0


@pytest.mark.slow
def test_the_real_documents(quick: Network4, tmp_path: Path) -> None:
    """Two hundred mixed files: every one is registered, proved and verified offline; none but itself fits its proof."""
    folder = tmp_path / "many"
    folder.mkdir()
    for path in DOCUMENTS.iterdir():
        shutil.copy(path, folder / path.name)
    generator = random.Random(7)
    while len(list(folder.iterdir())) < 199:
        number = len(list(folder.iterdir()))
        (folder / f"文件 {number}.bin").write_bytes(generator.randbytes(generator.randrange(1, 5_000)))
    (folder / "空.txt").write_bytes(b"")
    (folder / "50 MB.bin").write_bytes(generator.randbytes(50 * 1024 * 1024))
    made = quick.zizhu("register", folder, "--type", "contract")
    assert made.code == 0, made.err
    lines = made.lines
    assert len(lines) == 201 and len({line["index"] for line in lines}) == 201
    for line in lines[::20] + [one for one in lines if "50 MB" in str(one["path"])]:
        proof = tmp_path / "p"
        assert quick.zizhu("proof", line["index"], "--out", proof).code == 0
        assert quick.zizhu("verify", line["path"], proof).code == 0
        other = lines[0] if line is not lines[0] else lines[1]
        assert quick.zizhu("verify", other["path"], proof).line["check"] == "file-digest"
