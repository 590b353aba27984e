"""`zizhu block`: certified blocks, as a member shows them."""

from typing import Annotated

import msgspec
import typer

from zizhu.chain.node.api.replies import BlockReply, BlocksReply, TransactionLine
from zizhu.cli.acting import client_of, speaking
from zizhu.cli.terminal import DEFAULT_DIRECTORY, AsJson, Directory, Language, Terminal, labelled, moment, plain
from zizhu.cloud.nodes.network import read_network

app = typer.Typer(help="Blocks · 区块", no_args_is_help=True, add_completion=False)

LINES = 20


@app.command(name="list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many · 条数")] = LINES,
    before: Annotated[int, typer.Option("--from", min=0, help="Highest height; 0: the newest · 起始高度")] = 0,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """The newest blocks, newest first. · 最新区块"""
    with speaking(language, as_json=as_json) as speaker:
        client = client_of(read_network(directory), speaker)
        path = f"/blocks?limit={limit}" + (f"&from={before}" if before else "")
        for block in client.ask(lambda member: member.get(path, BlocksReply)).blocks:
            count = speaker.say(f"{block.count} tx", f"{block.count} 笔")
            proposer = plain(block.proposer_name)
            text = f"{block.height:>8}  {moment(block.time_ms)}  {count:>8}  {proposer:<8} {block.hash[:16]}"
            speaker.emit(msgspec.to_builtins(block), text)


@app.command()
def show(
    block: Annotated[str, typer.Argument(metavar="HEIGHT|HASH", help="Height or hash · 高度或哈希")],
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """One block: its header, its outcome, who signed it, its first transactions. · 查看区块"""
    with speaking(language, as_json=as_json) as speaker:
        client = client_of(read_network(directory), speaker)
        # Whatever was typed is one part of the path.
        path = "/blocks/" + "".join(f"%{byte:02x}" for byte in block.encode(errors="surrogateescape"))
        found = client.ask(lambda member: member.get(path, BlockReply))
        speaker.emit(msgspec.to_builtins(found), _text(found, speaker))


def _text(block: BlockReply, speaker: Terminal) -> str:
    certificate, say = block.certificate, speaker.say
    signers = ", ".join(plain(signer.name) for signer in certificate.signers)
    rows = [
        (say("height", "高度"), str(block.height)),
        (say("hash", "哈希"), block.hash),
        (say("parent", "父区块"), block.parent),
        (say("time", "时间"), moment(block.time_ms)),
        (say("proposer", "提议者"), plain(block.proposer_name)),
        (say("transactions", "交易"), str(block.count)),
        (say("bytes", "字节"), str(block.bytes)),
        (say("outcome", "结果"), block.outcome.hash),
        (say("state root", "状态根"), f"{block.outcome.root} ({say('height', '高度')} {block.outcome.root_height})"),
        (say("view", "视图"), str(certificate.view)),
        (say("signed by", "签名成员"), f"{signers} ({certificate.needed}/{certificate.members})"),
    ]
    lines = labelled(rows)
    lines += [transaction_line(line) for line in block.transactions]
    if block.count > len(block.transactions):
        rest = block.count - len(block.transactions)
        lines.append(say(f"  … and {rest} more", f"  … 另有 {rest} 笔"))
    return "\n".join(lines)


def transaction_line(line: TransactionLine) -> str:
    """A transaction on one line: whether it succeeded, its id, what it called."""
    mark = "[green]✓[/]" if line.status == "succeeded" else "[red]✗[/]"
    called = f"{line.contract_name or (line.contract or '')[:8]}.{line.method}"
    return f"  {mark} {line.id}  {plain(line.kind if line.method is None else called)} {plain(line.code)}".rstrip()
