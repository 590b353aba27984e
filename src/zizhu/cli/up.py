"""`zizhu up`: found a network on this machine if there is none, run its members, show that it works, stay.

Decides what a person sees in the first minute. The members are processes of their own; they end when this one
ends, however it ends. A second `up` on the same folder resumes with all data.
"""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault, ZizhuError
from zizhu.chain.model.genesis import GenesisContract
from zizhu.chain.node import plugins
from zizhu.chain.storage.atomic_file import make_folder
from zizhu.chain.storage.lock import lock_folder
from zizhu.cli.reach import get, statuses
from zizhu.cli.status import gather as gather_rows
from zizhu.cli.status import members_needed, table_of
from zizhu.cli.terminal import DEFAULT_DIRECTORY, Directory, Language, Terminal, terminal
from zizhu.cloud.nodes.founding import Plan, check_plan, found
from zizhu.cloud.nodes.network import Network, network_path, read_network, read_passphrase_file
from zizhu.cloud.nodes.supervisor import Supervisor

app = typer.Typer(help="Start a network on this machine · 在本机启动网络", add_completion=False)

READY_WITHIN_S = 60.0
POLL_S = 0.05
REFRESH_S = 1.0
MEMBERS_DEFAULT = {"pbft": 4, "raft": 3, "solo": 1}

NOT_READY = ErrorCode(
    "up.not_ready",
    "the network was not ready within {seconds} s: {reason}",
    "look at {directory}/nodes/NAME/console.log",
    "网络在 {seconds} 秒内未就绪:{reason}",
    "请查看 {directory}/nodes/NAME/console.log",
)
OTHER_NETWORK = ErrorCode(
    "up.other_network",
    "{directory} holds a network with {found}, {asked} was asked for",
    "leave the option out to resume it, or name another folder with --dir",
    "{directory} 中已有网络({found}),而请求的是 {asked}",
    "请去掉该选项以恢复它,或用 --dir 指定其他文件夹",
)


@dataclass(frozen=True)
class Wish:
    """What the command line asked for; None where it said nothing."""

    directory: Path
    members: int | None
    suite: str | None
    engine: str | None
    port: int
    samples: bool
    once: bool
    restart: bool


@app.command()
def up(
    directory: Directory = DEFAULT_DIRECTORY,
    members: Annotated[int | None, typer.Option(help="How many members (default 4; raft 3, solo 1) · 成员数")] = None,
    suite: Annotated[str | None, typer.Option(help="guomi (default) | international · 密码套件")] = None,
    engine: Annotated[str | None, typer.Option(help="pbft (default) | raft | solo · 共识引擎")] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="First port; default: free ones · 起始端口")] = 0,
    samples: Annotated[bool, typer.Option("--samples", help="Register sample vouchers · 登记示例凭证")] = False,
    once: Annotated[bool, typer.Option("--once", help="End when ready · 就绪后退出")] = False,
    no_restart: Annotated[bool, typer.Option("--no-restart", help="Leave a dead member dead · 不重启成员")] = False,
    language: Language = "",
) -> None:
    """Found (or resume) a network, run it, and stay until Ctrl-C or SIGTERM. · 创建或恢复网络并运行"""
    speaker = terminal(language)
    wish = Wish(directory, members, suite, engine, port, samples, once, not no_restart)
    try:
        began = time.monotonic()
        _check_wish(wish)
        make_folder(directory, mode=0o700)
        # Locked before anything is founded: of two at once, one founds and the other is refused.
        with lock_folder(directory):
            network = _network(wish, speaker)
            asyncio.run(_run(wish, network, speaker, began))
    except ZizhuError as error:
        speaker.fail(error)


def _check_wish(wish: Wish) -> None:
    """What can be refused is refused before a folder is made. Raises AskedWrongly (`up.*`, `plugin.unknown`)."""
    if network_path(wish.directory).exists():
        _check_same(wish, read_network(wish.directory))
        return
    plugins.load("zizhu.crypto", wish.suite or "guomi")
    plugins.load("zizhu.consensus", wish.engine or "pbft")
    check_plan(members=_members(wish), engine=wish.engine or "pbft", port=wish.port)


def _members(wish: Wish) -> int:
    return wish.members if wish.members is not None else MEMBERS_DEFAULT.get(wish.engine or "pbft", 4)


def _network(wish: Wish, speaker: Terminal) -> Network:
    """The network in the folder; founded if there is none."""
    engine, members = wish.engine or "pbft", _members(wish)
    if network_path(wish.directory).exists():
        network = read_network(wish.directory)
        _check_same(wish, network)
        count, terms = len(network.members), f"{network.suite}, {network.engine}"
        speaker.err.print(
            speaker.say(
                f"resuming the ledger of {count} members ({terms}) in {wish.directory}",
                f"正在恢复 {wish.directory} 中 {count} 个成员的账本({terms})",
            ),
            markup=False,
        )
        return network
    suite = cast(Suite, plugins.load("zizhu.crypto", wish.suite or "guomi"))
    plan = Plan("zizhu", members, suite, engine, wish.port, _contracts(), Parameters())
    made: list[str] = []

    def progress(name: str) -> None:
        made.append(name)

    with speaker.err.status(speaker.say("making keys and the genesis …", "正在生成密钥与创世文件 …")):
        network = found(wish.directory, plan, progress)
    speaker.out.print(
        speaker.say(
            f"founded a ledger of {len(made)} members ({network.suite}, {network.engine}) in {wish.directory}",
            f"已在 {wish.directory} 创建 {len(made)} 个成员的账本({network.suite},{network.engine})",
        )
    )
    return network


def _check_same(wish: Wish, network: Network) -> None:
    """A second `up` resumes; it does not change what the members agreed on."""
    asked = [
        ("--members", wish.members, len(network.members)),
        ("--suite", wish.suite, network.suite),
        ("--engine", wish.engine, network.engine),
    ]
    for option, wanted, is_ in asked:
        if wanted is not None and wanted != is_:
            asked_for, found_there = f"{option} {wanted}", f"{option} {is_}"
            raise AskedWrongly(OTHER_NETWORK, directory=wish.directory, found=found_there, asked=asked_for)


def _contracts() -> tuple[GenesisContract, ...]:
    """The contracts every new local ledger starts with."""
    from zizhu.scenarios.credentials.contract import genesis_contract

    return (genesis_contract(),)


async def _run(wish: Wish, network: Network, speaker: Terminal, began: float) -> None:
    """Run the members until told to stop; the exit code is 0 when that was wanted."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    told: list[str] = []
    supervisor = Supervisor(
        wish.directory,
        [place.name for place in network.members],
        passphrase=read_passphrase_file(wish.directory),
        restart=wish.restart,
        watcher=_watcher(told, speaker, restart=wish.restart),
    )
    await supervisor.start()
    try:
        stopped = asyncio.create_task(stop.wait())
        ready = asyncio.create_task(_until_ready(wish, network))
        await asyncio.wait((stopped, ready), return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            await _show(wish, network, supervisor, speaker, began)
            if not wish.once:
                await _stay(network, speaker, stop, told)
        ready.cancel()
        stopped.cancel()
    finally:
        speaker.err.print(speaker.say("stopping the members …", "正在停止各成员 …"))
        await supervisor.stop()


def _watcher(told: list[str], speaker: Terminal, *, restart: bool) -> Callable[[str, str, int], None]:
    def watch(name: str, what: str, pid: int) -> None:
        if what != "died":
            return
        if restart:
            told.append(speaker.say(f"{name} (pid {pid}) died; starting it again", f"{name}(进程 {pid})退出,正在重启"))
        else:
            order = f"zizhu node start {name}"
            told.append(speaker.say(f"{name} (pid {pid}) died; {order}", f"{name}(进程 {pid})退出;{order}"))

    return watch


async def _until_ready(wish: Wish, network: Network) -> None:
    """Returns once every member answers, has a block, and takes part under a leader that it knows. One whose key is
    silent for ever is not waited for, as long as the others are enough."""
    deadline = time.monotonic() + READY_WITHIN_S
    reason = ""
    while time.monotonic() < deadline:
        said = await asyncio.to_thread(statuses, network, timeout_s=1.0)
        silent = [name for name, status in said.items() if status is None]
        answers = {name: status for name, status in said.items() if status is not None}
        early = [name for name, status in answers.items() if cast(int, status.get("height", 0)) < 1]
        apart = [name for name, status in answers.items() if status["state"] not in ("voting", "silent")]
        voting = sum(status["state"] == "voting" for status in answers.values())
        if not (silent or early or apart) and voting >= members_needed(network):
            return
        reason = _why_not(silent, early, apart)
        await asyncio.sleep(POLL_S)
    raise OperatingFault(NOT_READY, seconds=int(READY_WITHIN_S), reason=reason, directory=wish.directory)


def _why_not(silent: list[str], early: list[str], apart: list[str]) -> str:
    """The first thing that a network lacks to be ready, with a few names."""
    for what, names in (("no answer from", silent), ("no block at", early), ("no part taken by", apart)):
        if names:
            return f"{what} {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
    return "too few members take part"


async def _show(wish: Wish, network: Network, supervisor: Supervisor, speaker: Terminal, began: float) -> None:
    """Samples, then what a person needs next."""
    out = speaker.out
    if wish.samples:
        await asyncio.to_thread(_register_samples, wish, network, speaker)
    seconds = time.monotonic() - began
    out.print()
    pids: dict[str, object] = {place.name: supervisor.pid(place.name) for place in network.members}
    out.print(table_of(await asyncio.to_thread(gather_rows, network, pids), speaker))
    out.print()
    place = network.members[0]
    option = "" if wish.directory == DEFAULT_DIRECTORY else f" --dir {wish.directory}"
    lines = [
        (speaker.say("ledger", "账本"), network.ledger),
        (speaker.say("issuers", "签发账户"), await asyncio.to_thread(_issuers, network)),
        (speaker.say("page", "页面"), f"{place.url}/"),
        (speaker.say("API", "接口"), f"{place.url}/api/v1/openapi.json"),
        (speaker.say("next", "下一步"), f"{_activation()}zizhu voucher register FILE{option}"),
    ]
    grid = Table.grid(padding=(0, 2, 0, 0))
    for label, value in lines:
        grid.add_row(f"[dim]{label}[/]", value)
    out.print(grid)
    out.print()
    out.print(f"[bold green]{speaker.say(f'ready in {seconds:.1f} s', f'{seconds:.1f} 秒就绪')}[/]")
    sys.stdout.flush()


def _activation() -> str:
    """What has to be typed in another terminal before `zizhu` is found there, when it is not found here."""
    if shutil.which("zizhu") is not None:
        return ""
    script = Path(sys.executable).parent / "activate"
    if not script.is_file():
        return ""
    return f". {os.path.relpath(script) if script.is_relative_to(Path.cwd()) else script}; "


def _issuers(network: Network) -> str:
    """The account as which each member's services sign, by member."""
    answers = [(place.name, get(place, "/api/v1/issuer")) for place in network.members]
    known = [(name, answer[1]) for name, answer in answers if answer is not None and answer[0] == 200]
    return " · ".join(f"{name} {str(said['account'])[:8]}…" for name, said in known)


def _register_samples(wish: Wish, network: Network, speaker: Terminal) -> None:
    """Register the sample vouchers, prove each and verify it offline; what is printed was checked."""
    from zizhu.cli.samples import register_and_verify

    register_and_verify(wish.directory, network, speaker)


async def _stay(network: Network, speaker: Terminal, stop: asyncio.Event, told: list[str]) -> None:
    """A live status line until told to stop; on a pipe, a line for each change of a member."""
    console = Console(highlight=False)
    stopping = asyncio.create_task(stop.wait())
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not stopping.done():
            said = await asyncio.to_thread(statuses, network, timeout_s=1.0)
            while told:
                console.print(told.pop(0))
            if console.is_terminal:
                live.update(live_line(network, said, speaker), refresh=True)
            await asyncio.wait((stopping,), timeout=REFRESH_S)


def live_line(network: Network, said: dict[str, dict[str, object] | None], speaker: Terminal) -> str:
    """A dot a member, who is down, height, leader and view: on one line of 80 columns."""
    known = [status for status in said.values() if status is not None]
    if not known:
        return speaker.say("no member answers", "没有成员应答")
    down = [place.name for place in network.members if said.get(place.name) is None]
    best = max(known, key=lambda status: cast(int, status["height"]))
    dots = "".join(f"[{'red' if place.name in down else 'green'}]●[/]" for place in network.members)
    missing = f" [red]{', '.join(down[:3])}{' …' if len(down) > 3 else ''}[/]" if down else ""
    turn = speaker.say("term", "任期") if network.engine == "raft" else speaker.say("view", "视图")
    leader = best["leader_name"] or "–"
    text = speaker.say(
        f"height {best['height']} · leader {leader} · {turn} {best['view']} · Ctrl-C stops",
        f"高度 {best['height']} · 主节点 {leader} · {turn} {best['view']} · Ctrl-C 停止",
    )
    return f"{dots}{missing}  {text}"
