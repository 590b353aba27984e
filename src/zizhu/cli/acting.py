"""Acting on a ledger as an account of DIR: the client, the key, the nonces, and values given as words.

Decides where an account's key and nonces lie, where the passphrase comes from, and how a word of the command line
becomes a contract's value. Refuses to know what is done with it. Nothing is called done before it is final.

A word is read as JSON; one that is no JSON is text. So `5` is a number, `true` a truth value, `"5"` and `five` are
text, `[1, 2]` a list, `{"a": 1}` a dict. What JSON lacks is written `{"bytes": "HEX"}`, `{"int": "DECIMAL"}` (beyond
2**53) and `{"map": [[key, value], ...]}` (keys that are no text). There are no floats.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from zizhu.chain.crypto.passphrase import FromPrompt, parse_source, read_passphrase
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, ZizhuError
from zizhu.chain.model.ids import ContractId, LedgerId
from zizhu.chain.model.transaction import TransactionBody
from zizhu.chain.model.value import Value
from zizhu.chain.node.api.json_values import json_to_value, value_to_json
from zizhu.cli.terminal import Terminal, moment, plain, terminal
from zizhu.cloud.nodes.network import Network, account_path, passphrase_path, read_network, read_passphrase_file
from zizhu.framework.sdk.client import Finality, LedgerClient
from zizhu.framework.sdk.http import HttpMember
from zizhu.framework.sdk.keys import Account, known_suite, open_account
from zizhu.framework.sdk.nonces import NonceAllocator
from zizhu.framework.sdk.transactions import LIFETIME_BLOCKS, Numbers, Target, sign_single

WAIT_S = 30
KEYS = {"name": "名称", "contract": "合约"}
"""What `tell_final` is told besides, in Chinese."""
_NAME = re.compile("[a-z0-9][a-z0-9_-]{0,63}")

BAD_NAME = ErrorCode(
    "account.name",
    "{name!r} cannot name an account: it must be 1 to 64 of a-z, 0-9, - and _, and begin with a letter or digit",
    "choose such a name, for example alice",
    "{name!r} 不能作为账户名称:须为 1 至 64 个 a-z、0-9、- 或 _,且以字母或数字开头",
    "请选择这样的名称,例如 alice",
)
NO_ACCOUNT = ErrorCode(
    "account.none",
    "there is no account {name} in {directory}; there are: {names}",
    "make it with `zizhu account new {name}`, or name another",
    "{directory} 中没有账户 {name};现有:{names}",
    "请用 `zizhu account new {name}` 创建,或指定其他账户",
)

Wait = Annotated[int, typer.Option("--wait", min=0, max=3600, help="Seconds to wait for finality · 等待最终确认的秒数")]
AccountName = Annotated[str, typer.Option("--account", help="Account that signs · 签名账户")]
Passphrase = Annotated[
    str, typer.Option("--passphrase", help="fd:N | credential:NAME | prompt; default: the network's own · 口令来源")
]


class _Named(msgspec.Struct, frozen=True):
    contract: str


@contextmanager
def speaking(language: str, *, as_json: bool) -> Iterator[Terminal]:
    """The terminal of a command; an error inside is shown with code, cause and fix, and ends the command."""
    speaker = terminal(language, as_json=as_json)
    try:
        yield speaker
    except ZizhuError as error:
        speaker.fail(error)


def checked_name(name: str) -> str:
    """A name an account may have; raises AskedWrongly (`account.name`)."""
    if _NAME.fullmatch(name) is None:
        raise AskedWrongly(BAD_NAME, name=name)
    return name


def account_names(directory: Path) -> list[str]:
    """The names of the accounts in DIR, ascending."""
    return sorted(path.stem for path in account_path(directory, "x").parent.glob("*.json"))


def key_file(directory: Path, name: str) -> Path:
    """The key file of an account that exists. Raises AskedWrongly (`account.name`, `account.none`)."""
    path = account_path(directory, checked_name(name))
    if not path.is_file():
        names = ", ".join(account_names(directory)) or "-"
        raise AskedWrongly(NO_ACCOUNT, name=name, directory=directory, names=names)
    return path


def passphrase_of(directory: Path, source: str) -> bytes:
    """What opens the accounts of DIR: from `source`, else the local network's own, else asked at the terminal.

    Raises AskedWrongly (`crypto.passphrase`), OperatingFault (`network.file`).
    """
    if source:
        return read_passphrase(parse_source(source))
    if passphrase_path(directory).is_file():
        return read_passphrase_file(directory)
    return read_passphrase(FromPrompt())


def client_of(network: Network, speaker: Terminal) -> LedgerClient:
    """A client of the network's members."""
    return LedgerClient([HttpMember(place.url, language=speaker.language) for place in network.members])


def contract_id(client: LedgerClient, contract: str, *, wait_s: int = WAIT_S) -> ContractId:
    """The id of a contract given by name or id. Raises AskedWrongly (`http.unknown`)."""
    path = "/contracts/" + "".join(f"%{byte:02x}" for byte in contract.encode())
    found = client.ask(lambda member: member.get(path, _Named), patience_ms=wait_s * 1000)
    return ContractId(bytes.fromhex(found.contract))


def value_of(word: str) -> Value:
    """The value that a word of the command line stands for. Raises AskedWrongly (`http.not_a_value`)."""
    try:
        found = json.loads(word)
    except ValueError:
        return word
    return json_to_value(found)


def values_of(words: Sequence[str]) -> tuple[Value, ...]:
    """The values of a call's arguments."""
    return tuple(value_of(word) for word in words)


def shown(value: Value) -> str:
    """A value for people: as JSON, in the way that `value_of` reads it."""
    return json.dumps(value_to_json(value), ensure_ascii=False)


@dataclass(frozen=True)
class Actor:
    """An account of DIR on the ledger of DIR."""

    directory: Path
    network: Network
    client: LedgerClient
    account: Account
    name: str

    @property
    def target(self) -> Target:
        """What its transactions are made for."""
        return Target(LedgerId(bytes.fromhex(self.network.ledger)), known_suite(self.network.suite))

    def act(self, build: Callable[[Target, Numbers], TransactionBody], *, wait_s: int) -> Finality:
        """Signs what `build` makes with a fresh nonce, sends it and returns once it is final.

        Raises AskedWrongly with the member's code when it is refused, OperatingFault (`sdk.not_final`,
        `sdk.no_member`).
        """
        patience_ms = wait_s * 1000
        height = self.client.ask(lambda member: member.status(), patience_ms=patience_ms).height
        used = self.client.ask(lambda member: member.highest_nonce(self.account.id), patience_ms=patience_ms)
        path = self.directory / "accounts" / f"{self.name}.nonces"
        nonces = NonceAllocator(path, account=self.account.id, ledger=self.target.ledger)
        nonces.expire(height)
        last = height + LIFETIME_BLOCKS
        nonce = nonces.take(valid_until_height=last, highest_used=used)[0]
        body = build(self.target, Numbers(nonce=nonce, valid_until_height=last))
        signed = sign_single(self.account, self.target, body)
        final = self.client.send(signed, patience_ms=patience_ms)[0]
        nonces.settle(signed.nonces)
        return final


def actor_of(directory: Path, name: str, passphrase: str, speaker: Terminal) -> Actor:
    """The account `name` of DIR, opened. Raises as `key_file`, `passphrase_of` and `open_account`."""
    network = read_network(directory)
    path = key_file(directory, name)
    account = open_account(path, passphrase=passphrase_of(directory, passphrase))
    return Actor(directory, network, client_of(network, speaker), account, name)


def why_failed(code: str, speaker: Terminal) -> list[str]:
    """Where the code of a failed call is explained, for people: a receipt has no room for a text."""
    if code.startswith("app."):
        return [speaker.say("  the contract itself refused", "  由合约自身拒绝")]
    if code.startswith("contract."):
        page = speaker.say("docs/reference/script.md", "docs/reference/script.zh.md")
        return [speaker.say(f"  what the code means: {page}", f"  代码含义见 {page}")]
    return []


def tell_final(final: Finality, speaker: Terminal, **more: object) -> int:
    """Shows how a transaction ended; the exit code: 0 when it succeeded, 1 when it failed."""
    line: dict[str, object] = {
        "transaction": final.transaction.hex(),
        "state": "final",
        "status": "failed" if final.code else "succeeded",
        "code": final.code,
        "height": final.height,
        "time_ms": final.time_ms,
        "value": value_to_json(final.value),
        **more,
    }
    when = speaker.say(
        f"final at height {final.height}, {moment(final.time_ms)}",
        f"已在高度 {final.height} 最终确认,{moment(final.time_ms)}",
    )
    if final.code:
        rows = [f"[red]{speaker.say('failed', '失败')}[/] {plain(final.code)}", *why_failed(final.code, speaker)]
    else:
        rows = [f"[green]{speaker.say('done', '完成')}[/] {plain(shown(final.value))}"]
    rows += [f"  {speaker.say('transaction', '交易')} {final.transaction.hex()}", f"  {when}"]
    rows += [f"  {speaker.say(key, KEYS.get(key, key))} {plain(str(value))}" for key, value in more.items()]
    speaker.emit(line, "\n".join(rows))
    return 1 if final.code else 0
