"""`zizhu up`: founded, ready, stopped, killed, resumed; on a pipe and on a terminal."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.text import Text

from zizhu.cli.terminal import Terminal
from zizhu.cli.up import live_line
from zizhu.cloud.nodes.founding import free_ports
from zizhu.cloud.nodes.network import MemberPlace, Network, read_network
from zizhu.cloud.nodes.supervisor import Supervisor
from zizhu.framework.testkit.processes.member import environment
from zizhu.framework.testkit.processes.up import Up
from zizhu.framework.testkit.processes.waiting import now_ms, until

SOLO = ("--engine", "solo")
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def zizhu(*words: str, within_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
    """A command that ends by itself."""
    command = [sys.executable, "-m", "zizhu", *words]
    return subprocess.run(
        command, env=environment({"LC_ALL": "C.UTF-8"}), capture_output=True, text=True, timeout=within_s, check=False
    )


def rows(directory: Path) -> list[dict[str, object]]:
    """What `zizhu status --json` says, a member a line."""
    return [json.loads(line) for line in zizhu("status", "--json", "--dir", str(directory)).stdout.splitlines()]


def test_four_members_from_nothing_and_again(tmp_path: Path) -> None:
    """It founds a ledger of four, says when it is ready and what comes next, ends with 0 on SIGTERM without leaving a
    process; a second one resumes the same ledger with all data, and ends with 0 on Ctrl-C."""
    directory = tmp_path / "net"
    with Up(directory) as up:
        text = up.ready()
        network = read_network(directory)
        for expected in (network.ledger, network.members[0].url, "zizhu voucher register", *up.pids()):
            assert expected in text
        assert re.search(r"ready in \d+\.\d s", text)
        table = [line for line in text.splitlines() if line.startswith(("member", "node"))]
        assert len(table) == 5
        assert all(len(line) <= 80 and "…" not in line for line in table), "no cell of the table is cut"
        first = rows(directory)
        assert [row["name"] for row in first] == ["node1", "node2", "node3", "node4"]
        assert {row["state"] for row in first} == {"voting"}
        keys = ("pid", "p2p_port", "http_port", "view", "leader", "height", "block", "outcome")
        assert all(key in row for row in first for key in keys)
        member = up.members()[0]
        block = member.get("/api/v1/blocks/1")
        assert up.end(signal.SIGTERM) == 0
        assert up.left() == []
        height = int(str(first[0]["height"]))
    with Up(directory) as up:
        assert network.ledger in up.ready()
        assert read_network(directory) == network
        assert up.members()[0].get("/api/v1/blocks/1") == block
        assert up.members()[0].height >= height
        os.killpg(up.child.pid, signal.SIGINT)
        assert up.ended() == 0
        assert up.left() == []


def test_a_raft_network_is_ready_when_it_has_a_leader(tmp_path: Path) -> None:
    """`up --engine raft` founds three members; "ready" is said when all take part under one leader, also when a network
    that has blocks is resumed; `status` speaks of terms."""
    directory = tmp_path / "net"
    for _ in range(2):
        with Up(directory, "--engine", "raft") as up:
            up.ready()
            said = rows(directory)
            assert [row["state"] for row in said] == ["voting"] * 3
            assert len({row["leader"] for row in said}) == 1 and said[0]["leader"] != "–"
            assert "term" in zizhu("status", "--dir", str(directory)).stdout
            assert up.end() == 0
    again = zizhu("up", "--dir", str(directory), "--engine", "pbft")
    assert (again.returncode, "--engine raft" in again.stderr) == (2, True)


def test_node_stop_and_start(tmp_path: Path) -> None:
    """`zizhu node stop` stops one member, which stays stopped and is shown as down; `node start` brings it back."""
    directory = tmp_path / "net"
    with Up(directory) as up:
        up.ready()
        done = zizhu("node", "stop", "node3", "--dir", str(directory), "--json")
        assert (done.returncode, json.loads(done.stdout)["ok"]) == (0, True)
        stopped = zizhu("status", "--json", "--dir", str(directory))
        assert stopped.returncode == 1
        assert [json.loads(line)["state"] for line in stopped.stdout.splitlines()].count("down") == 1
        done = zizhu("node", "start", "node3", "--dir", str(directory), "--json")
        assert done.returncode == 0
        up.members()[2].in_state("voting", within_s=60)
        assert up.pids()["node3"] == json.loads(done.stdout)["pid"]
        assert "already" in zizhu("node", "start", "node3", "--dir", str(directory)).stdout
        assert zizhu("node", "stop", "node9", "--dir", str(directory)).returncode == 2
        assert up.end() == 0
    assert zizhu("node", "stop", "node3", "--dir", str(directory)).returncode == 1, "no `zizhu up` runs"


def test_members_end_when_it_is_killed(tmp_path: Path) -> None:
    """kill -9 of `zizhu up`: its members end within 5 s, by the lifeline; a second one resumes."""
    directory = tmp_path / "net"
    with Up(directory, *SOLO) as up:
        up.ready()
        assert up.end(signal.SIGKILL) == -signal.SIGKILL
        began_ms = now_ms()
        until(lambda: not up.left(), "all members end", within_s=15)
        assert now_ms() - began_ms <= 5_000
    with Up(directory, "--once") as up:
        up.says("ready in")
        assert up.ended() == 0
        assert up.left() == []


def test_a_member_that_dies_is_started_again(tmp_path: Path) -> None:
    """A dead member is started again, again and again, and that is said."""
    directory = tmp_path / "net"
    with Up(directory, *SOLO) as up:
        up.ready()
        for _ in range(2):
            pid = up.pids()["node1"]
            os.kill(pid, signal.SIGKILL)
            up.says(f"node1 (pid {pid}) died", within_s=10)
            until(lambda pid=pid: up.pids().get("node1", pid) != pid, "node1 runs again", within_s=30)
        up.members()[0].in_state("voting")
        assert up.end() == 0
        assert up.left() == []


def test_the_pause_before_another_start_grows(tmp_path: Path) -> None:
    """A member that cannot run (its network is not there) is started after 0.2, 0.4, 0.8 s, not in a tight circle."""
    (tmp_path / "nodes" / "node1").mkdir(parents=True)
    pauses: list[int] = []

    async def play() -> None:
        died_ms = [0]
        enough = asyncio.Event()

        def watch(name: str, what: str, pid: int) -> None:
            assert (name, pid > 0) == ("node1", True)
            if what == "started" and died_ms[0]:
                pauses.append(now_ms() - died_ms[0])
                if len(pauses) == 3:
                    enough.set()
            elif what == "died":
                died_ms[0] = now_ms()

        supervisor = Supervisor(tmp_path, ["node1"], passphrase=b"any", restart=True, watcher=watch)
        await supervisor.start()
        await asyncio.wait_for(enough.wait(), 60)
        await supervisor.stop()

    asyncio.run(play())
    assert all(pause >= least for pause, least in zip(pauses, (200, 400, 800), strict=True)), pauses


def test_without_restart_the_dead_stay_dead(tmp_path: Path) -> None:
    """With --no-restart a dead member stays dead until `zizhu node start`."""
    directory = tmp_path / "net"
    with Up(directory, *SOLO, "--no-restart") as up:
        up.ready()
        pid = up.pids()["node1"]
        os.kill(pid, signal.SIGKILL)
        up.says(f"node1 (pid {pid}) died")
        assert "starting it again" not in up.text
        assert rows(directory)[0]["state"] == "down"
        assert zizhu("node", "start", "node1", "--dir", str(directory)).returncode == 0
        up.members()[0].in_state("voting")
        assert up.end() == 0


def test_a_second_one_on_the_folder_is_refused(tmp_path: Path) -> None:
    """Two at once on one folder: the second is refused and names the first, also while the first is founding."""
    directory = tmp_path / "net"
    with Up(directory, *SOLO) as up:
        until(lambda: (directory / "lock").exists() or None, "the first has the folder", within_s=30)
        early = zizhu("up", "--dir", str(directory), *SOLO)
        assert early.returncode == 1, early.stderr
        assert "storage.locked" in early.stderr
        up.ready()
        pid = up.pids()["node1"]
        late = zizhu("up", "--dir", str(directory))
        assert late.returncode == 1
        assert str(up.child.pid) in late.stderr
        assert up.pids()["node1"] == pid
        assert up.end() == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--members", "3"), "up.members"),
        (("--members", "200"), "up.members"),
        (("--members", "2", "--engine", "solo"), "up.members"),
        (("--members", "2", "--engine", "raft"), "up.members"),
        (("--port", "65530"), "network.listen"),
        (("--engine", "raffle"), "plugin.unknown"),
        (("--suite", "rot13"), "plugin.unknown"),
    ],
)
def test_what_cannot_be_founded_is_refused(tmp_path: Path, options: tuple[str, ...], code: str) -> None:
    """A network of too few or too many members, ports that there are not, an engine or suite that nobody knows: exit code 2, cause and fix in both
    languages, and no folder is left behind."""
    directory = tmp_path / "net"
    for language in ("en", "zh"):
        done = zizhu("up", "--dir", str(directory), *options, "--lang", language)
        assert done.returncode == 2, done.stdout + done.stderr
        assert code in done.stderr
        assert ("错误" in done.stderr) == (language == "zh")
    assert not directory.exists()


def test_what_is_there_is_not_changed(tmp_path: Path) -> None:
    """Asked for something else than the folder holds, it refuses with 2; so with what an interrupted founding left."""
    directory = tmp_path / "net"
    with Up(directory, *SOLO, "--once") as up:
        up.says("ready in")
        assert up.ended() == 0
    done = zizhu("up", "--dir", str(directory), "--suite", "international")
    assert (done.returncode, "up.other_network" in done.stderr) == (2, True)
    half = tmp_path / "half"
    (half / "nodes").mkdir(parents=True)
    done = zizhu("up", "--dir", str(half))
    assert (done.returncode, "up.half_founded" in done.stderr) == (2, True)


def test_ports(tmp_path: Path) -> None:
    """--port gives the first port; one that is taken is refused with its number before anything is written."""
    (port,) = free_ports(1)
    with Up(tmp_path / "net", *SOLO, "--port", str(port), "--suite", "international") as up:
        up.ready()
        (row,) = rows(tmp_path / "net")
        assert (row["p2p_port"], row["http_port"]) == (port, port + 1)
        assert up.end() == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        done = zizhu("up", "--dir", str(tmp_path / "other"), *SOLO, "--port", str(number))
        assert done.returncode == 2, done.stdout + done.stderr
        assert str(number) in done.stderr
    assert not (tmp_path / "other" / "nodes").exists()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_on_a_terminal(tmp_path: Path, language: str) -> None:
    """On a terminal of 80 columns the last line lives: it shows the height as it grows, in the language asked for, and
    fits; Ctrl-C typed there ends it with 0."""
    words = {"en": ("ready in", "height", "Ctrl-C stops"), "zh": ("秒就绪", "高度", "Ctrl-C 停止")}[language]
    with Up(tmp_path / "net", *SOLO, "--lang", language, columns=80) as up:
        up.says(words[0])
        up.says(words[2])
        first = len(re.findall(words[1], up.text))
        until(lambda: len(re.findall(words[1], up.text)) > first, "the line is drawn again", within_s=15)
        live = [line for line in ANSI.sub("\n", up.text).splitlines() if words[2] in line]
        assert all(len(line.encode("gb18030", errors="replace")) <= 80 for line in live), live
        os.killpg(up.child.pid, signal.SIGINT)
        assert up.ended() == 0
        assert up.left() == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_live_line_fits(language: str) -> None:
    """Four members, a great height, one or two of them down: one line of 80 columns, which names who is down."""
    places = [MemberPlace(f"node{number}", 20_000 + number, 21_000 + number) for number in range(1, 5)]
    network = Network(1, "n", "00", "guomi", "pbft", places)
    status: dict[str, object] = {"height": 12_345_678, "leader_name": "node1", "view": 1_234}
    said: dict[str, dict[str, object] | None] = {place.name: status for place in places}
    for down in ((), ("node3",), ("node3", "node4")):
        said.update(dict.fromkeys(down))
        shown = Text.from_markup(live_line(network, said, Terminal(language, as_json=False)))
        assert cell_len(shown.plain) <= 80
        assert all(name in shown.plain for name in ("12345678", "node1", *down))
