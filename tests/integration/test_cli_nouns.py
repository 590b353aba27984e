"""`zizhu account`, `tx`, `block`, `contract` against a ledger that runs: results, exit codes, both languages."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from zizhu.chain.model.ids import LedgerId
from zizhu.cli import account, block, contract, status, tx
from zizhu.cloud.nodes.network import account_path, read_passphrase_file
from zizhu.framework.sdk.keys import known_suite, open_account
from zizhu.framework.sdk.transactions import Call, Numbers, Target, call_body, sign_bundle
from zizhu.framework.testkit.processes.consortium import Consortium, register_consortium
from zizhu.framework.testkit.processes.ledger import REGISTER_SOURCE, register_id

APPS = {"account": account.app, "block": block.app, "contract": contract.app, "status": status.app, "tx": tx.app}
CHINESE = re.compile("[\u4e00-\u9fff]")


class Cli:
    """The command line on one network."""

    def __init__(self, consortium: Consortium) -> None:
        self.consortium = consortium
        self.directory = consortium.directory

    def run(self, line: str, *words: str, language: str = "en", directory: Path | None = None) -> tuple[int, str, str]:
        """Exit code, what went to stdout, what went to stderr."""
        noun, *rest = line.split()
        options = ["--dir", str(directory or self.directory), "--lang", language]
        if [noun, *rest[:1]] == ["contract", "check"]:
            options = options[2:]
        app: typer.Typer = APPS[noun]
        done = CliRunner().invoke(app, [*rest, *options, *words], catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    def good(self, line: str, *words: str, language: str = "en") -> str:
        """What a command that goes well prints."""
        code, out, err = self.run(line, *words, language=language)
        assert code == 0, f"{line}: {code} {out} {err}"
        return out

    def data(self, line: str, *words: str) -> list[dict[str, object]]:
        """The objects that a command prints with --json, one a line."""
        _, out, _ = self.run(line, "--json", *words)
        return [json.loads(each) for each in out.splitlines()]

    def refused(self, line: str, *words: str, exit_code: int = 2, language: str = "en") -> str:
        """The code of the error with which a command ends; its cause and fix are in the language asked for."""
        code, out, _ = self.run(line, "--json", *words, language=language)
        assert code == exit_code, out
        error = json.loads(out.splitlines()[-1])["error"]
        assert error["cause"]
        assert error["fix"]
        assert (CHINESE.search(error["cause"] + error["fix"]) is not None) == (language == "zh")
        return str(error["code"])


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """One ledger under solo for all tests of this module, with account alice."""
    with register_consortium(tmp_path_factory.mktemp("cli") / "net", engine="solo") as consortium:
        consortium.start()
        made = Cli(consortium)
        made.good("account new alice")
        yield made


def test_accounts(cli: Cli) -> None:
    """An account is made once, listed and shown; its key file is encrypted and only its owner may read it."""
    (made,) = cli.data("account new bob", "--suite", "international")
    assert made["name"] == "bob"
    assert made["suite"] == "international"
    path = account_path(cli.directory, "bob")
    assert path.stat().st_mode & 0o777 == 0o600
    opened = open_account(path, passphrase=read_passphrase_file(cli.directory))
    assert opened.id.hex() == made["account"]
    assert opened.secret.hex() not in path.read_text()
    assert opened.secret not in path.read_bytes()
    assert [line["name"] for line in cli.data("account list")] == ["alice", "bob"]
    (shown,) = cli.data("account show bob")
    assert shown["account"] == made["account"]
    assert shown["highest_nonce"] == 0
    assert cli.refused("account new bob") == "keystore.exists"
    assert cli.refused("account new ../bob", language="zh") == "account.name"
    assert cli.refused("account new carl --suite rot13") == "sdk.unknown_suite"
    assert cli.refused("account show carl", language="zh") == "account.none"
    assert not account_path(cli.directory, "carl").exists()


def test_a_contract_from_check_to_query(cli: Cli, tmp_path: Path) -> None:
    """Checked, deployed, invoked and queried; what is printed as done is final on the ledger."""
    source = tmp_path / "register.py"
    source.write_bytes(REGISTER_SOURCE)
    assert cli.data("contract check", str(source)) == [{"file": str(source), "ok": True}]
    (made,) = cli.data("contract deploy", str(source), "--name", "mine", "--account", "alice")
    assert made["status"] == "succeeded"
    assert cli.consortium.height() >= int(str(made["height"]))
    (noted,) = cli.data("contract invoke mine note", "张三", '"5"', "--account", "alice")
    assert (noted["value"], noted["code"]) == (1, "")
    (asked,) = cli.data("contract query mine last", "张三")
    assert asked["value"] == "5"
    (by_id,) = cli.data(f"contract query {made['contract']} count", "张三")
    assert by_id["value"] == 1
    (shown,) = cli.data(f"tx show {noted['transaction']}")
    assert shown["state"] == "final"
    assert shown["height"] == noted["height"]
    code, out, _ = cli.run("contract deploy", str(source), "--name", "mine", "--account", "alice", "--json")
    assert (code, json.loads(out)["code"]) == (1, "contract.name_taken")


def test_a_failed_call_is_no_success(cli: Cli) -> None:
    """A call that fails is final too: exit code 1, its code, and nothing that reads like success."""
    code, out, _ = cli.run("contract invoke register refuse x --account alice")
    assert code == 1
    assert "failed app.refused" in out
    assert "done" not in out
    (line,) = cli.data("contract invoke register refuse x --account alice")
    assert (line["status"], line["code"], line["value"]) == ("failed", "app.refused", None)
    assert cli.run(f"tx show {line['transaction']}")[0] == 1
    assert cli.run("contract query register refuse x")[0] == 1


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("7", 7), ("-7", -7), ('"7"', "7"), ("seven", "seven"), ("", ""), ("七", "七"), ("null", None), ("true", True),
        ("[1, [2]]", [1, [2]]), ('{"b": 1, "a": 2}', {"b": 1, "a": 2}), ('{"bytes": "00ff"}', {"bytes": "00ff"}),
        ("1" * 60, {"int": "1" * 60}), ('{"map": [[1, "x"]]}', {"map": [[1, "x"]]}),
    ],
)  # fmt: skip
def test_words_become_values(cli: Cli, tmp_path: Path, word: str, shown: object) -> None:
    """A word is JSON if it is JSON, and text otherwise; a value is shown in the way it is read."""
    if cli.run("contract query echo echo 1")[0] != 0:
        source = tmp_path / "echo.py"
        source.write_text("def init():\n    pass\n\n\n@view\ndef echo(x):\n    return x\n", encoding="utf-8")
        cli.good("contract deploy", str(source), "--name", "echo", "--account", "alice")
    (line,) = cli.data("contract query echo echo", "--", word)
    assert line["value"] == shown
    assert list(line["value"]) == list(shown) if isinstance(line["value"], dict) and isinstance(shown, dict) else True


def test_what_is_asked_wrongly(cli: Cli, tmp_path: Path) -> None:
    """Exit code 2, a stable code, cause and fix in the language asked for; nothing is sent."""
    before = cli.data("account show alice")[0]["highest_nonce"]
    bad = tmp_path / "bad.py"
    bad.write_text("import os\n", encoding="utf-8")
    assert cli.refused("contract deploy", str(bad), "--name", "x", "--account", "alice") == "contract.source"
    assert cli.refused("contract deploy nowhere.py --name x --account alice") == "contract.no_source"
    good = tmp_path / "good.py"
    good.write_bytes(REGISTER_SOURCE)
    deploy = ("contract deploy", str(good), "--name", "x", "--account", "alice", "--args")
    assert cli.refused(*deploy, "{}", language="zh") == "contract.bad_arguments"
    assert cli.refused("contract invoke register note a 1.5 --account alice") == "http.not_a_value"
    assert cli.refused("contract invoke nothing note a --account alice") == "http.unknown"
    assert cli.refused("contract invoke register note a --account nobody", language="zh") == "account.none"
    assert cli.refused("contract query nothing note") == "http.unknown"
    assert cli.refused("contract check", str(good), "--engine", "cobol", language="en") == "plugin.unknown"
    assert cli.refused("block show 999999", language="zh") == "http.unknown"
    assert cli.refused("block show ../status") == "http.no_address"
    assert cli.refused("tx show 12", language="zh") == "http.parameter"
    assert cli.refused("tx send", str(bad)) == "tx.file"
    assert cli.refused("block list", "--dir", str(tmp_path / "none")) == "network.none_here"
    assert cli.data("account show alice")[0]["highest_nonce"] == before


def test_a_static_error_names_its_place(cli: Cli, tmp_path: Path) -> None:
    """`contract check` names file, line and rule, and ends with 1."""
    bad = tmp_path / "bad.py"
    bad.write_text("def init():\n    import os\n", encoding="utf-8")
    code, out, _ = cli.run("contract check", str(bad))
    assert code == 1
    assert out.replace("\n", "").startswith(f"{bad}:2:")
    (line,) = cli.data("contract check", str(bad))
    assert (line["line"], line["rule"]) == (2, "script.construct")


def test_blocks(cli: Cli) -> None:
    """Listed newest first; one is shown by height and by hash, with who signed it and what is in it."""
    (done,) = cli.data("contract invoke register note b x --account alice")
    listed = cli.data("block list --limit 2")
    assert [line["height"] for line in listed] == sorted((line["height"] for line in listed), reverse=True)
    (by_height,) = cli.data(f"block show {done['height']}")
    assert cli.data(f"block show {by_height['hash']}") == [by_height]
    assert [line["id"] for line in by_height["transactions"]] == [done["transaction"]]  # type: ignore[attr-defined]
    text = cli.good(f"block show {done['height']}", language="zh")
    assert "签名成员" in text
    assert str(done["transaction"]) in text
    assert cli.data(f"block list --limit 1 --from {done['height']}")[0]["height"] == done["height"]


def test_what_was_signed_elsewhere(cli: Cli, tmp_path: Path) -> None:
    """`tx send` hands in signed bytes, a bundle too, and returns when all of it is final; again is harmless."""
    alice = open_account(account_path(cli.directory, "alice"), passphrase=read_passphrase_file(cli.directory))
    network = cli.consortium.network
    target = Target(LedgerId(bytes.fromhex(network.ledger)), known_suite(network.suite))
    call = Call(register_id(network.suite), "note", ("offline", "text"))
    bodies = [
        call_body(alice, target, call, Numbers(nonce=nonce, valid_until_height=100_000)) for nonce in (900, 901, 902)
    ]
    path = tmp_path / "signed"
    path.write_bytes(sign_bundle(alice, target, bodies).raw)
    first = cli.data("tx send", str(path))
    assert [(line["status"], line["value"]) for line in first] == [("succeeded", 1), ("succeeded", 2), ("succeeded", 3)]
    assert cli.data("tx send", str(path)) == first
    assert cli.data("contract query register count offline")[0]["value"] == 3


def test_text_of_others_stays_text(cli: Cli, tmp_path: Path) -> None:
    """A contract's name, method and values are shown as they are: they colour nothing, and move no cursor."""
    source = tmp_path / "register.py"
    source.write_bytes(REGISTER_SOURCE)
    name = "\x1b[2J[bold red]evil[/]\u202e"
    (made,) = cli.data("contract deploy", str(source), "--name", name, "--account", "alice")
    (done,) = cli.data("contract invoke", str(made["contract"]), "note", "[red]a\x1b[0m", "t", "--account", "alice")
    for line in (f"block show {made['height']}", f"block show {done['height']}", f"tx show {done['transaction']}"):
        out = cli.good(line)
        assert "\x1b" not in out
        assert "\u202e" not in out
    assert "[bold red]evil[/]" in cli.good(f"block show {done['height']}")
    assert "[red]a" in cli.good(f"tx show {done['transaction']}")


def test_an_unknown_transaction(cli: Cli) -> None:
    """What no member has seen is "unknown", with exit code 1, in both languages."""
    for language, word in (("en", "unknown"), ("zh", "未知")):
        code, out, _ = cli.run(f"tx show {'ab' * 32} --wait 1", language=language)
        assert code == 1
        assert word in out


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_command_speaks_the_language_asked_for(cli: Cli, language: str) -> None:
    """In English there is no Chinese, and in Chinese there are Chinese labels."""
    (done,) = cli.data("contract invoke register note c x --account alice")
    for line in (
        "account show alice",
        f"tx show {done['transaction']}",
        f"block show {done['height']}",
        "contract query register count c",
        "contract invoke register note c x --account alice",
        "block list",
    ):
        out = cli.good(line, language=language)
        assert (CHINESE.search(out) is not None) == (language == "zh"), out


def test_nothing_is_called_done_when_nobody_answers(cli: Cli, tmp_path: Path) -> None:
    """Without a member a command says so and ends with 1, within the time it was given."""
    with register_consortium(tmp_path / "net", engine="solo") as down:
        other = Cli(down)
        other.good("account new alice")
        line = "contract invoke register note a x --account alice --wait 1"
        assert other.refused(line, exit_code=1) == "sdk.no_member"
        (shown,) = other.data("account show alice")
        assert shown["highest_nonce"] is None
        assert other.run("status")[0] == 1
        assert other.data("status")[0]["state"] == "down"


def test_the_status_table_fits(cli: Cli) -> None:
    """On 80 columns nothing is cut, in both languages; on a wide terminal every column is there."""
    (row,) = cli.data("status")
    keys = ("name", "pid", "p2p_port", "http_port", "state", "view", "leader", "height", "block", "outcome")
    assert all(row[key] not in ("", None) for key in keys)
    for language in ("en", "zh"):
        out = cli.good("status", language=language)
        assert "…" not in out
        table = out.splitlines()[1:]
        assert all(len(line.encode("gb18030")) <= 80 for line in table)
        assert str(row["pid"]) in out
        assert str(row["http_port"]) in out
