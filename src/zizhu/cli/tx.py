"""`zizhu tx`: where a transaction stands, with its receipt; and handing in what was signed elsewhere."""

import json
from pathlib import Path
from typing import Annotated, assert_never

import msgspec
import typer

from zizhu.chain.crypto.hashing import transaction_id
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault, SpokeWrongly
from zizhu.chain.model.transaction import Bundle, Single, submission_codec
from zizhu.chain.node.api.replies import TransactionReply
from zizhu.chain.node.api.waiting import WAIT_MS_MAX
from zizhu.cli.acting import WAIT_S, Wait, client_of, speaking, tell_final
from zizhu.cli.terminal import DEFAULT_DIRECTORY, AsJson, Directory, Language, Terminal, labelled, moment, plain
from zizhu.cloud.nodes.network import read_network
from zizhu.framework.sdk.client import LedgerClient
from zizhu.framework.sdk.keys import known_suite
from zizhu.framework.sdk.transactions import SignedSubmission

app = typer.Typer(help="Transactions and receipts · 交易与回执", no_args_is_help=True, add_completion=False)

BAD_FILE = ErrorCode(
    "tx.file",
    "{path} holds no signed submission: {reason}",
    "give a file with the canonical bytes of one signed transaction or bundle",
    "{path} 中没有已签名的提交:{reason}",
    "请给出包含一笔已签名交易或一个交易包的规范编码的文件",
)


KINDS = {"invoke": "调用", "deploy": "部署"}
"""Kinds of transaction in Chinese."""


@app.command()
def show(
    transaction: Annotated[str, typer.Argument(metavar="ID", help="Id, 64 hex digits · 交易标识")],
    wait: Wait = 0,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """A transaction and its receipt. Exit code 0 when it is final and succeeded, 1 otherwise. · 查看交易与回执"""
    with speaking(language, as_json=as_json) as speaker:
        client = client_of(read_network(directory), speaker)
        found = _found(client, transaction, wait)
        speaker.emit(msgspec.to_builtins(found), _text(found, speaker))
    good = found.receipt is not None and found.receipt.status == "succeeded"
    raise typer.Exit(0 if good else 1)


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="Signed bytes · 已签名的字节")],
    wait: Wait = WAIT_S,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """Hand in what was signed elsewhere; returns when all of it is final. Sending again is harmless. · 提交交易"""
    with speaking(language, as_json=as_json) as speaker:
        network = read_network(directory)
        signed = _signed(file, known_suite(network.suite))
        finals = client_of(network, speaker).send(signed, patience_ms=wait * 1000)
        code = max(tell_final(final, speaker) for final in finals)
    raise typer.Exit(code)


def _found(client: LedgerClient, transaction: str, wait_s: int) -> TransactionReply:
    """The answer of a member that knows the transaction, if one does: it may have come to another than the first."""
    wait_ms = min(wait_s * 1000, WAIT_MS_MAX)
    part = "".join(f"%{byte:02x}" for byte in transaction.encode(errors="surrogateescape"))
    path = f"/transactions/{part}?wait_ms={wait_ms}"
    found = client.ask(lambda member: member.get(path, TransactionReply, timeout_ms=wait_ms + 5_000))
    for member in client.members if found.state == "unknown" else ():
        try:
            other = member.get(f"/transactions/{part}", TransactionReply)
        except OperatingFault:
            continue
        if other.state != "unknown":
            return other
    return found


def _signed(path: Path, suite: Suite) -> SignedSubmission:
    """The submission in a file, with the ids that the ledger will know it by."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(limits.BLOCK_BYTES_MAX + 1)
        submission = submission_codec.decode(raw)
    except (OSError, SpokeWrongly) as error:
        raise AskedWrongly(BAD_FILE, path=path, reason=error) from None
    match submission:
        case Single():
            bodies = [submission.body]
        case Bundle():
            bodies = list(submission.leaves)
        case _:
            assert_never(submission)
    return SignedSubmission(raw, tuple(transaction_id(suite, body) for body in bodies), (), 0)


def _text(found: TransactionReply, speaker: Terminal) -> str:
    say = speaker.say
    states = {
        "final": say("[green]final[/]", "[green]已最终确认[/]"),
        "waiting": say("[yellow]waiting[/]: accepted, not final", "[yellow]等待中[/]:已接收,尚未最终确认"),
        "unknown": say("[yellow]unknown[/] to the members that answer", "[yellow]未知[/]:应答的成员均未见过"),
        "expired": say("[red]expired[/]: it will never be final", "[red]已过期[/]:不会再被确认"),
    }
    rows = [(say("transaction", "交易"), found.id), (say("state", "状态"), states[found.state])]
    if found.state == "final" and found.height is not None and found.time_ms is not None:
        place = say(f"{found.height}, position {found.index}", f"{found.height},第 {found.index} 位")
        rows.append((say("block", "区块"), f"{place} · {moment(found.time_ms)}"))
    if found.transaction is not None:
        fields = found.transaction
        what = (
            fields.name or "" if fields.method is None else f"{fields.contract_name or fields.contract}.{fields.method}"
        )
        rows.append(
            (
                say("act", "操作"),
                plain(
                    f"{say(fields.kind, KINDS.get(fields.kind, fields.kind))} {what}({_json(fields.arguments_json)})"
                ),
            )
        )
        rows.append((say("sender", "发送方"), f"{fields.sender} · nonce {fields.nonce}"))
    if found.receipt is not None:
        receipt = found.receipt
        good = receipt.status == "succeeded"
        ended = (
            say("[green]succeeded[/]", "[green]成功[/]")
            if good
            else f"[red]{say('failed', '失败')}[/] {plain(receipt.code)}"
        )
        rows.append((say("receipt", "回执"), f"{ended} · {receipt.steps} {say('steps', '步')}"))
        if good:
            rows.append((say("result", "结果"), plain(_json(receipt.result_json))))
        rows += [(say("event", "事件"), plain(f"{one.name} {_json(one.data_json)}")) for one in receipt.events]
    return "\n".join(labelled(rows))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
