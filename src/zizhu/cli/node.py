"""`zizhu node`: run a member in the foreground; start and stop members of a running `zizhu up`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from zizhu.chain.crypto.passphrase import parse_source, read_passphrase
from zizhu.chain.model.errors import ZizhuError
from zizhu.chain.node.config import NodeConfig, load_config
from zizhu.chain.node.identity import MemberFolder, member_passphrase
from zizhu.cli.terminal import DEFAULT_DIRECTORY, AsJson, Directory, Language, terminal
from zizhu.cloud.nodes.network import node_folder, passphrase_path, read_network, read_passphrase_file
from zizhu.cloud.nodes.supervisor import order

app = typer.Typer(help="Members · 成员", no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The member, for example node1 · 成员名,例如 node1")]


@app.command()
def run(
    name: Annotated[str, typer.Option("--name", help="The member · 成员名")],
    directory: Directory = DEFAULT_DIRECTORY,
    passphrase: Annotated[
        str, typer.Option(help="fd:N | credential:NAME | prompt; default: as node.toml says · 口令来源")
    ] = "",
    lifeline_fd: Annotated[
        int, typer.Option(help="Stop when the other end of this pipe is closed · 管道对端关闭时停止")
    ] = -1,
    language: Language = "",
) -> None:
    """Run a member in the foreground, until SIGTERM or Ctrl-C. · 在前台运行成员"""
    speaker = terminal(language)
    try:
        read_network(directory).member(name)
        folder = MemberFolder(node_folder(directory, name))
        config = load_config(folder.config)
        secret = _secret(directory, config, passphrase)
        from zizhu.chain.node.run import run as run_process

        code = run_process(folder, config, passphrase=secret, lifeline=lifeline_fd if lifeline_fd >= 0 else None)
    except ZizhuError as error:
        speaker.fail(error)
    raise typer.Exit(code)


def _secret(directory: Path, config: NodeConfig, passphrase: str) -> bytes:
    """What opens the member's keys: from the option, as node.toml says, or a local network's own passphrase."""
    if passphrase:
        return read_passphrase(parse_source(passphrase))
    if config.passphrase == NodeConfig(name=config.name).passphrase and passphrase_path(directory).is_file():
        return read_passphrase_file(directory)
    return member_passphrase(config)


@app.command()
def start(
    name: Name, directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False, language: Language = ""
) -> None:
    """Start a member that was stopped, under the running `zizhu up`. · 启动成员"""
    _order("start", name, directory, as_json=as_json, language=language)


@app.command()
def stop(
    name: Name, directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False, language: Language = ""
) -> None:
    """Stop a member in an orderly way, and leave it stopped. · 停止成员"""
    _order("stop", name, directory, as_json=as_json, language=language)


def _order(act: str, name: str, directory: Directory, *, as_json: bool, language: str) -> None:
    speaker = terminal(language, as_json=as_json)
    try:
        read_network(directory).member(name)
        answer = asyncio.run(order(directory, {"do": act, "name": name}))
    except ZizhuError as error:
        speaker.fail(error)
    if not answer.get("ok"):
        speaker.emit({"name": name, "ok": False, "reason": answer.get("reason")}, f"{name}: {answer.get('reason')}")
        raise typer.Exit(1)
    pid = answer.get("pid")
    if act == "start":
        if answer.get("was_running"):
            text = speaker.say(f"{name} was running already, pid {pid}", f"{name} 已在运行,进程号 {pid}")
        else:
            text = speaker.say(f"{name} started, pid {pid}", f"{name} 已启动,进程号 {pid}")
    else:
        text = speaker.say(f"{name} stopped", f"{name} 已停止")
    speaker.emit({"name": name, "ok": True, "pid": pid}, text)
