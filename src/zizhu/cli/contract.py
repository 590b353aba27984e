"""`zizhu contract`: check, deploy, invoke and query contracts. Arguments are JSON (see `cli.acting`)."""

import json
from pathlib import Path
from typing import Annotated, cast

import typer

from zizhu.chain.contracts.port import ContractEngine
from zizhu.chain.crypto.hashing import deployed_contract_id
from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.transaction import Deploy, TransactionBody
from zizhu.chain.model.value import Value, encode_arguments
from zizhu.chain.node import plugins
from zizhu.chain.node.api.json_values import json_to_value, value_to_json
from zizhu.cli.acting import (
    WAIT_S,
    AccountName,
    Passphrase,
    Wait,
    actor_of,
    client_of,
    contract_id,
    shown,
    speaking,
    tell_final,
    values_of,
    why_failed,
)
from zizhu.cli.terminal import DEFAULT_DIRECTORY, AsJson, Directory, Language, moment, plain
from zizhu.cloud.nodes.network import read_network
from zizhu.framework.sdk.transactions import Call, Numbers, Target, call_body, deploy_body

app = typer.Typer(
    help="Deploy, invoke, query contracts · 部署、调用、查询合约", no_args_is_help=True, add_completion=False
)

SOURCE_BYTES_MAX = 4 * 1024 * 1024

BAD_ARGUMENTS = ErrorCode(
    "contract.bad_arguments",
    "--args {found} is no JSON list",
    "write the arguments of init as a list, for example --args '[\"gold\", 100]'",
    "--args {found} 不是 JSON 列表",
    "请将 init 的参数写成列表,例如 --args '[\"gold\", 100]'",
)
NO_SOURCE = ErrorCode(
    "contract.no_source",
    "{path} cannot be read: {reason}",
    "name a file with the contract's source",
    "无法读取 {path}:{reason}",
    "请给出合约源代码文件",
)

Contract = Annotated[str, typer.Argument(help="Name or id · 合约名称或标识")]
Method = Annotated[str, typer.Argument(help="Method · 方法")]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ARGS...",
        help="JSON, else text: 5 '\"5\"' five '[1, 2]'; before a negative number: -- · JSON,否则为文本;负数前加 --",
    ),
]
Source = Annotated[Path, typer.Argument(metavar="FILE", help="Source · 源代码")]
Engine = Annotated[str, typer.Option("--engine", help="Contract engine · 合约引擎")]


@app.command()
def check(file: Source, engine: Engine = "script", as_json: AsJson = False, language: Language = "") -> None:
    """Check a contract's source without a network; exit code 1 when it breaks a rule. · 检查源代码"""
    with speaking(language, as_json=as_json) as speaker:
        problems = _engine(engine).check(_read(file))
        for each in problems:
            line = {"file": str(file), "line": each.line, "column": each.column, "rule": each.rule, "text": each.text}
            speaker.emit(line, plain(f"{file}:{each.line}:{each.column}: {each.rule} {each.text}"))
        if not problems:
            good = speaker.say("no rule is broken", "未违反任何规则")
            speaker.emit({"file": str(file), "ok": True}, f"[green]✓[/] {plain(str(file))}: {good}")
    raise typer.Exit(1 if problems else 0)


@app.command()
def deploy(
    file: Source,
    name: Annotated[str, typer.Option("--name", help="Name on the ledger · 合约名称")],
    account: AccountName,
    arguments: Annotated[str, typer.Option("--args", help="JSON list for init · init 的参数")] = "[]",
    engine: Engine = "script",
    wait: Wait = WAIT_S,
    passphrase: Passphrase = "",
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Install a contract and run its init; returns when that is final. · 部署合约"""
    with speaking(language, as_json=as_json) as speaker:
        source = _read(file)
        _engine(engine).load(source)
        package = Deploy(name, engine, source, encode_arguments(_list(arguments)))
        actor = actor_of(directory, account, passphrase, speaker)
        made: list[bytes] = []

        def build(target: Target, numbers: Numbers) -> TransactionBody:
            made.append(deployed_contract_id(target.suite, sender=actor.account.id, nonce=numbers.nonce))
            return deploy_body(actor.account, target, package, numbers)

        final = actor.act(build, wait_s=wait)
        code = tell_final(final, speaker, **({} if final.code else {"name": name, "contract": made[0].hex()}))
    raise typer.Exit(code)


@app.command()
def invoke(
    contract: Contract,
    method: Method,
    account: AccountName,
    arguments: Arguments = None,
    wait: Wait = WAIT_S,
    passphrase: Passphrase = "",
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Call a method as an account; returns when that is final. Exit code 1 when the call failed. · 调用合约"""
    with speaking(language, as_json=as_json) as speaker:
        values = values_of(arguments or [])
        encode_arguments(list(values))
        actor = actor_of(directory, account, passphrase, speaker)
        call = Call(contract_id(actor.client, contract, wait_s=wait), method, values)
        final = actor.act(lambda target, numbers: call_body(actor.account, target, call, numbers), wait_s=wait)
        code = tell_final(final, speaker)
    raise typer.Exit(code)


@app.command()
def query(
    contract: Contract,
    method: Method,
    arguments: Arguments = None,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Call a read-only method at one member, signing nothing. Exit code 1 when the call failed. · 查询合约"""
    with speaking(language, as_json=as_json) as speaker:
        values = values_of(arguments or [])
        client = client_of(read_network(directory), speaker)
        answer = client.ask(lambda member: member.query(contract, method, *values))
        line = {
            "code": answer.code,
            "value": value_to_json(answer.value),
            "height": answer.height,
            "time_ms": answer.time_ms,
        }
        as_of = speaker.say(
            f"as of height {answer.height}, {moment(answer.time_ms)}, as one member says",
            f"截至高度 {answer.height},{moment(answer.time_ms)},来自一个成员",
        )
        said = f"[red]{speaker.say('failed', '失败')}[/] {plain(answer.code)}"
        rows = [said, *why_failed(answer.code, speaker)] if answer.code else [plain(shown(answer.value))]
        speaker.emit(line, "\n".join([*rows, f"  [dim]{as_of}[/]"]))
    raise typer.Exit(1 if answer.code else 0)


def _engine(name: str) -> ContractEngine:
    """The contract engine of this name; raises AskedWrongly (`plugin.unknown`)."""
    return cast(ContractEngine, plugins.load("zizhu.contracts", name))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(SOURCE_BYTES_MAX + 1)
    except OSError as error:
        raise AskedWrongly(NO_SOURCE, path=path, reason=error.strerror) from None
    if len(data) > SOURCE_BYTES_MAX:
        raise AskedWrongly(NO_SOURCE, path=path, reason=f"longer than {SOURCE_BYTES_MAX} bytes")
    return data


def _list(text: str) -> list[Value]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise AskedWrongly(BAD_ARGUMENTS, found=text[:80])
    return [json_to_value(item) for item in found]
