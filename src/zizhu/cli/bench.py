"""`zizhu bench`: what this machine does, measured on a real network of its own, and whether that counts."""

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from zizhu.chain.model.errors import ZizhuError
from zizhu.chain.model.genesis import GenesisContract
from zizhu.cli.terminal import AsJson, Language, Terminal, terminal
from zizhu.framework.devtools.gate import run_gate
from zizhu.framework.devtools.results import Row
from zizhu.framework.devtools.session import Order, measure
from zizhu.framework.devtools.workloads import Registrations, Transfers, Values, Workload
from zizhu.framework.sdk.keys import known_suite

app = typer.Typer(help="Measure this machine · 测量本机性能", invoke_without_command=True, add_completion=False)

EXPECTED_TPS = {("international", False): 6_000, ("guomi", False): 2_000, ("international", True): 14_000}
"""How much load is signed for a second of a row, by (suite, bundled)."""
EXPECTED_TPS_OTHER = 14_000


@app.callback()
def bench(
    context: typer.Context,
    suite: Annotated[str, typer.Option(help="guomi | international · 密码套件")] = "guomi",
    engine: Annotated[str, typer.Option(help="pbft | raft · 共识引擎")] = "pbft",
    members: Annotated[int, typer.Option(help="How many members · 成员数")] = 4,
    bundle: Annotated[int, typer.Option(help="Transactions under one signature · 每个签名的交易数")] = 1,
    workload: Annotated[str, typer.Option(help="transfer | voucher | value · 负载")] = "transfer",
    seconds: Annotated[float, typer.Option(help="Length of a span at saturation · 每段秒数")] = 8.0,
    spans: Annotated[int, typer.Option(help="Spans at saturation; the median counts · 段数")] = 3,
    rate: Annotated[float, typer.Option(help="Rate of the open loop; default: half of saturation · 开环速率")] = 0.0,
    half: Annotated[float, typer.Option(help="Seconds of the open loop, 0 for none · 开环秒数")] = 10.0,
    expected: Annotated[int, typer.Option(help="Load to sign for a second, in transactions · 每秒预签交易数")] = 0,
    profile: Annotated[bool, typer.Option("--profile", help="Shares by stage; needs py-spy · 按阶段统计")] = False,
    keep: Annotated[Path | None, typer.Option(help="Folder to leave the network in · 保留网络的文件夹")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the raw figures there · 原始数据文件")] = None,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """A network, durable, over TLS, every signature checked by each member. Exit code 1 when the run does not count."""
    if context.invoked_subcommand is not None:
        return
    speaker = terminal(language, as_json=as_json)
    try:
        chosen = known_suite(suite)
        order = Order(
            suite=chosen,
            workload=_workload(workload),
            bundle=bundle,
            engine=engine,
            members=members,
            spans=spans,
            span_s=seconds,
            half_s=half,
            rate=rate,
            expected_tps=expected or EXPECTED_TPS.get((suite, bundle > 1), EXPECTED_TPS_OTHER),
            profile=profile,
            keep=keep,
        )
        row = measure(order, lambda text: speaker.err.print(text, style="dim", markup=False))
    except ZizhuError as error:
        speaker.fail(error)
    if out is not None:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(row), indent=1) + b"\n")
    show(row, speaker)
    if row.faults:
        raise typer.Exit(1)


@app.command()
def gate(
    record: Annotated[Path | None, typer.Option(help="Write the ratio there as the new record")] = None,
    as_json: AsJson = False,
    language: Language = "",
) -> None:
    """A short run, and its processor time a transaction in verifications. · 短测:每笔交易的处理器时间"""
    speaker = terminal(language, as_json=as_json)
    try:
        row = run_gate(lambda text: speaker.err.print(text, style="dim", markup=False))
    except ZizhuError as error:
        speaker.fail(error)
    show(row, speaker)
    if row.faults:
        raise typer.Exit(1)
    if record is not None:
        kept = {"ratio": round(row.ratio, 2), "when": row.when, "machine": row.machine}
        record.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _workload(name: str) -> Workload:
    """The workload of this name; vouchers are registered with the contract that every local ledger has."""
    match name:
        case "voucher":
            return Registrations(_evidence(), "invoice", "sm3")
        case "value":
            return Values(100_000)
        case _:
            return Transfers(100_000)


def _evidence() -> GenesisContract:
    from zizhu.components.evidence.package import evidence_contract

    return evidence_contract("bench-evidence", {"invoice": "sm3"})


def show(row: Row, speaker: Terminal) -> None:
    """The row for people, or as one JSON line."""
    if speaker.as_json:
        speaker.emit(json.loads(msgspec.json.encode(row)), "")
        return
    spans = ", ".join(f"{span.tps:,.0f}" for span in row.spans)
    half, idle = row.half, row.idle
    disk = row.disk_bytes_per_transaction / row.members
    lines = [row.name, f"  {row.tps:,.0f} TPS at saturation ({spans}), {row.block_size:.0f} transactions a block"]
    lines.append(
        f"  {row.members_us:.0f} µs CPU a transaction over {row.members} members, clients {row.clients_us:.0f} µs"
    )
    lines.append(f"  {row.ratio:.2f} verifications of {row.verification_us:.1f} µs ({row.rung})")
    lines.append(f"  saturated p50 {row.saturated.p50_ms:.0f} ms, p99 {row.saturated.p99_ms:.0f} ms")
    lines.append(f"  at {half.rate:,.0f} TPS p50 {half.p50_ms:.0f}, p95 {half.p95_ms:.0f}, p99 {half.p99_ms:.0f} ms")
    lines.append(f"  idle p50 {idle.p50_ms:.0f}, p99 {idle.p99_ms:.0f} ms")
    lines.append(f"  {max(row.resident_bytes) / 1e6:.0f} MB a member, {disk:.0f} bytes a transaction on each disk")
    lines.append(f"  signatures: {row.signatures_in_chain:,} in the chain, verified {row.signatures_verified}")
    if row.stages:
        lines.append("  " + ", ".join(f"{stage} {share:.0%}" for stage, share in row.stages.items()))
    lines += [f"  NOT VALID: {fault}" for fault in row.faults] or ["  valid"]
    speaker.out.print("\n".join(lines), markup=False)
