"""`zizhu status`: every member's process, ports, state, view, leader, height and hashes."""

import asyncio
from typing import cast

import typer
from rich.table import Table

from zizhu.chain.model.errors import OperatingFault, ZizhuError
from zizhu.cli.reach import statuses
from zizhu.cli.terminal import DEFAULT_DIRECTORY, AsJson, Directory, Language, Terminal, terminal
from zizhu.cloud.nodes.network import Network, read_network
from zizhu.cloud.nodes.supervisor import order

app = typer.Typer(help="Members, heights, leader · 成员、高度、主节点")

STATES = {
    "voting": ("voting", "投票中", "green"),
    "changing view": ("changing view", "更换视图", "yellow"),
    "syncing": ("syncing", "同步中", "yellow"),
    "starting": ("starting", "启动中", "yellow"),
    "silent": ("silent", "沉默(丢失记忆)", "red"),
    "stopping": ("stopping", "停止中", "yellow"),
    "down": ("down", "未运行", "red"),
}


def gather(network: Network, pids: dict[str, object]) -> list[dict[str, object]]:
    """One row a member: what it says, or that it is down."""
    rows: list[dict[str, object]] = []
    said = statuses(network)
    for place in network.members:
        status = said[place.name]
        row: dict[str, object] = {
            "name": place.name,
            "pid": pids.get(place.name, 0),
            "p2p_port": place.p2p_port,
            "http_port": place.http_port,
            "state": "down",
        }
        if status is not None:
            keys = ("pid", "state", "reason", "view", "leader_name", "height", "block", "outcome", "root_height")
            row |= {key: status[key] for key in keys}
            row["leader"] = row.pop("leader_name")
            row["pool"] = status["pool_transactions"]
        rows.append(row)
    return rows


def table_of(rows: list[dict[str, object]], speaker: Terminal) -> Table:
    """The rows as a table for people."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    headings = [
        ("member", "成员"),
        ("pid", "进程"),
        ("p2p", "P2P"),
        ("http", "HTTP"),
        ("state", "状态"),
        ("view", "视图"),
        ("leader", "主节点"),
        ("height", "高度"),
        ("block", "区块"),
        ("outcome", "结果"),
    ]
    for english, chinese in headings:
        right = english in ("pid", "p2p", "http", "view", "height")
        table.add_column(speaker.say(english, chinese), justify="right" if right else "left", no_wrap=True)
    for row in rows:
        english, chinese, colour = STATES.get(str(row["state"]), (str(row["state"]), str(row["state"]), "yellow"))
        state = f"[{colour}]●[/] {speaker.say(english, chinese)}"
        table.add_row(
            str(row["name"]),
            str(row["pid"] or "–"),
            str(row["p2p_port"]),
            str(row["http_port"]),
            state,
            str(row.get("view", "–")),
            str(row.get("leader", "–")),
            str(row.get("height", "–")),
            str(row.get("block", "–"))[:12],
            str(row.get("outcome", "–"))[:12],
        )
    return table


def pids_of(directory: "Directory") -> dict[str, object]:
    """Process ids as the running `zizhu up` knows them; empty when none runs."""
    try:
        answer = asyncio.run(order(directory, {"do": "pids"}))
    except OperatingFault:
        return {}
    return cast(dict[str, object], answer.get("pids", {}))


@app.command()
def status(directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False, language: Language = "") -> None:
    """What every member says of itself. Exit code 1 when a member is down or silent. · 各成员状态"""
    speaker = terminal(language, as_json=as_json)
    try:
        network = read_network(directory)
    except ZizhuError as error:
        speaker.fail(error)
    rows = gather(network, pids_of(directory))
    if as_json:
        for row in rows:
            speaker.emit(row, "")
    else:
        speaker.out.print(
            f"{speaker.say('ledger', '账本')} [bold]{network.ledger}[/]  {network.suite} · {network.engine}"
        )
        speaker.out.print(table_of(rows, speaker))
    if any(row["state"] in ("down", "silent") for row in rows):
        raise typer.Exit(1)
