"""`zizhu status`: every member's process, ports, state, view, leader, height and hashes."""

import asyncio
from typing import cast

import typer
from rich.table import Table

from zizhu.chain.consensus.quorum import majority, quorum
from zizhu.chain.model.errors import OperatingFault, ZizhuError
from zizhu.cli.reach import statuses
from zizhu.cli.terminal import DEFAULT_DIRECTORY, AsJson, Directory, Language, Terminal, terminal
from zizhu.cloud.nodes.network import Network, read_network
from zizhu.cloud.nodes.supervisor import order

app = typer.Typer(help="Members, heights, leader · 成员、高度、主节点", add_completion=False)

STATES = {
    "voting": ("voting", "投票中", "green"),
    "changing view": ("changing view", "更换视图", "yellow"),
    "electing": ("electing", "选举中", "yellow"),
    "syncing": ("syncing", "同步中", "yellow"),
    "starting": ("starting", "启动中", "yellow"),
    "silent": ("silent", "沉默", "red"),
    "stopping": ("stopping", "停止中", "yellow"),
    "down": ("down", "未运行", "red"),
    "no answer": ("no answer", "无应答", "yellow"),
}

COLUMNS = (
    ("name", "member", "成员", False),
    ("pid", "pid", "进程", True),
    ("p2p_port", "p2p", "P2P", True),
    ("http_port", "http", "HTTP", True),
    ("state", "state", "状态", False),
    ("view", "view", "视图", True),
    ("leader", "leader", "主节点", False),
    ("height", "height", "高度", True),
    ("block", "block", "区块", False),
    ("outcome", "outcome", "结果", False),
)
"""Columns of the table: key of a row, heading in English and Chinese, whether it stands to the right."""
WIDE = 104
"""From this width on, in cells, every column is shown."""
WIDE_ONLY = ("p2p_port",)
REASONS = {
    "newer_vote_shown": ("another member shows a newer vote of its own", "其他成员出示了它更新的投票"),
    "newer_view_change_shown": (
        "another member shows a newer view change of its own",
        "其他成员出示了它更新的视图更换",
    ),
    "newer_term_shown": ("another member knows it in a newer term", "其他成员知道它处于更新的任期"),
    "longer_log_shown": ("another member saw a longer log of its own", "其他成员见过它更长的日志"),
    "vote_log_missing": ("its vote log is missing", "其投票日志缺失"),
}
"""Why a member lost its memory."""


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
            # A process that was just started, or hangs, is not down.
            "state": "no answer" if pids.get(place.name) else "down",
        }
        if status is not None:
            keys = ("pid", "state", "reason", "engine", "view", "leader_name", "height", "block", "outcome")
            row |= {key: status[key] for key in keys}
            row["leader"] = row.pop("leader_name") or "–"
            row |= {"root_height": status["root_height"], "pool": status["pool_transactions"]}
        rows.append(row)
    return rows


def table_of(rows: list[dict[str, object]], speaker: Terminal) -> Table:
    """The rows as a table for people; on a narrow terminal with fewer columns and shorter hashes, but none cut."""
    narrow = speaker.out.width < WIDE
    digits = 8 if narrow else 12
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1 if narrow else 2, 0, 0))
    terms = any(row.get("engine") == "raft" for row in rows)
    for name, english, chinese, right in COLUMNS:
        if name == "view" and terms:
            english, chinese = "term", "任期"  # noqa: PLW2901
        if not (narrow and name in WIDE_ONLY):
            table.add_column(speaker.say(english, chinese), justify="right" if right else "left", no_wrap=True)
    for row in rows:
        english, chinese, colour = STATES.get(str(row["state"]), (str(row["state"]), str(row["state"]), "yellow"))
        shown = {name: str(row.get(name, "–")) for name, *_ in COLUMNS}
        shown |= {name: shown[name][:digits] for name in ("block", "outcome")}
        shown |= {"pid": str(row["pid"] or "–"), "state": f"[{colour}]●[/] {speaker.say(english, chinese)}"}
        table.add_row(*(shown[name] for name, *_ in COLUMNS if not (narrow and name in WIDE_ONLY)))
    return table


def silences(rows: list[dict[str, object]], speaker: Terminal) -> list[str]:
    """Why members are silent, a line each."""
    lines = []
    for row in rows:
        if row["state"] == "silent":
            name, reason = row["name"], row.get("reason", "")
            english, chinese = REASONS.get(str(reason), (str(reason), str(reason)))
            lines.append(
                speaker.say(
                    f"{name} follows the chain and never votes again with this key: {english}",
                    f"{name} 跟随账本,但不再用该密钥投票:{chinese}",
                )
            )
    return lines


def members_needed(network: Network) -> int:
    """How many members must take part for new blocks."""
    size = len(network.members)
    match network.engine:
        case "solo":
            return 1
        case "raft":
            return majority(size)
        case _:
            return quorum(size)


def too_few(rows: list[dict[str, object]], network: Network, speaker: Terminal) -> list[str]:
    """That no new block can come, when fewer members vote than have to sign it."""
    needed = members_needed(network)
    up = sum(row["state"] not in ("down", "no answer", "silent") for row in rows)
    if up >= needed:
        return []
    return [
        speaker.say(
            f"no new blocks: {up} of {len(rows)} members take part, {needed} are needed",
            f"无法产生新区块:{len(rows)} 个成员中有 {up} 个参与,至少需要 {needed} 个",
        )
    ]


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
            f"{speaker.say('ledger', '账本')} [bold]{network.ledger}[/]\n"
            f"{speaker.say('suite', '套件')} {network.suite} · {speaker.say('engine', '共识')} {network.engine}"
        )
        speaker.out.print(table_of(rows, speaker))
        for line in [*silences(rows, speaker), *too_few(rows, network, speaker)]:
            speaker.out.print(line)
    if any(row["state"] in ("down", "no answer", "silent") for row in rows):
        raise typer.Exit(1)
