"""`zizhu account`: accounts of people and services, whose keys lie encrypted in DIR/accounts and never leave it."""

from pathlib import Path
from typing import Annotated

import typer

from zizhu.chain.crypto.accounts import account_id
from zizhu.chain.crypto.keystore import COST_OF_MACHINES, COST_OF_PERSONS, KeyLabel, read_label
from zizhu.chain.model.errors import OperatingFault
from zizhu.chain.storage.atomic_file import make_folder
from zizhu.cli.acting import Passphrase, account_names, checked_name, client_of, key_file, passphrase_of, speaking
from zizhu.cli.terminal import DEFAULT_DIRECTORY, AsJson, Directory, Language, Terminal, labelled, plain
from zizhu.cloud.nodes.network import account_path, passphrase_path, read_network
from zizhu.framework.sdk.keys import create_account, known_suite

app = typer.Typer(help="Accounts and their keys · 账户与密钥", no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help="Name of the account · 账户名")]
ASK_MS = 1_000
"""How long `show` asks the members for the nonce; it works without them."""


@app.command()
def new(
    name: Name,
    suite: Annotated[str, typer.Option(help="guomi | international; default: the ledger's · 密码套件")] = "",
    passphrase: Passphrase = "",
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Make a key for a new account; nothing is sent anywhere. · 新建账户密钥"""
    with speaking(language, as_json=as_json) as speaker:
        network = read_network(directory)
        chosen = known_suite(suite or network.suite)
        path = account_path(directory, checked_name(name))
        make_folder(path.parent, mode=0o700)
        local = not passphrase and passphrase_path(directory).is_file()
        secret = passphrase_of(directory, passphrase)
        # The network's own passphrase is random: stretching it would cost time and add nothing.
        create_account(path, chosen, passphrase=secret, cost=COST_OF_MACHINES if local else COST_OF_PERSONS)
        _tell(name, path, speaker)


@app.command(name="list")
def list_(directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False, language: Language = "") -> None:
    """The accounts in DIR, by name. · 列出账户"""
    with speaking(language, as_json=as_json) as speaker:
        read_network(directory)
        names = account_names(directory)
        for name in names:
            line = _line(name, read_label(account_path(directory, name)))
            speaker.emit(line, f"{name:<16} {line['account']}  {line['suite']}")
        if not names and not as_json:
            speaker.err.print(speaker.say("no accounts: zizhu account new NAME", "没有账户:zizhu account new NAME"))


@app.command()
def show(
    name: Name, directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False, language: Language = ""
) -> None:
    """An account's id, public key, and its nonce on the ledger when a member answers. · 查看账户"""
    with speaking(language, as_json=as_json) as speaker:
        _tell(name, key_file(directory, name), speaker, nonce=_nonce(directory, name, speaker), asked=True)


def _nonce(directory: Path, name: str, speaker: Terminal) -> int | None:
    """The highest nonce that the ledger has seen used, or None when no member answers."""
    label = read_label(key_file(directory, name))
    account = account_id(known_suite(label.suite), label.public_key)
    client = client_of(read_network(directory), speaker)
    try:
        return client.ask(lambda member: member.highest_nonce(account), patience_ms=ASK_MS)
    except OperatingFault:
        return None


def _line(name: str, label: KeyLabel) -> dict[str, object]:
    account = account_id(known_suite(label.suite), label.public_key)
    return {"name": name, "account": account.hex(), "suite": label.suite, "public_key": label.public_key.hex()}


def _tell(name: str, path: Path, speaker: Terminal, *, nonce: int | None = None, asked: bool = False) -> None:
    line = {**_line(name, read_label(path)), "file": str(path)}
    rows = [
        (speaker.say("account", "账户"), str(line["account"])),
        (speaker.say("suite", "套件"), str(line["suite"])),
        (speaker.say("public key", "公钥"), str(line["public_key"])),
        (speaker.say("key file", "密钥文件"), plain(str(path))),
    ]
    if asked:
        line["highest_nonce"] = nonce
        unknown = speaker.say("unknown: no member answers", "未知:没有成员应答")
        rows.append((speaker.say("highest nonce", "最高 nonce"), unknown if nonce is None else str(nonce)))
    speaker.emit(line, "\n".join([f"[bold]{name}[/]", *labelled(rows, indent="  ")]))
