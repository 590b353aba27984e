"""Members of a local network as operating-system processes: started, watched, restarted, stopped.

Decides when a dead member is started again (back-off) and that members end when the supervisor ends, however it
ends: each holds the reading end of a lifeline that only the supervisor writes to, and stops when it breaks.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from zizhu.chain.model.errors import ErrorCode, OperatingFault
from zizhu.cloud.nodes.network import control_path, node_folder

BACKOFF_FIRST_MS = 200
BACKOFF_LAST_MS = 10_000
STEADY_MS = 10_000
"""A member that ran this long before it died is restarted at once again."""
STOP_WAIT_S = 10.0
LOG_BYTES_MAX = 64 * 1024 * 1024
"""A member's console log is set aside (one older one is kept) when it is longer at a start."""

NOT_RUNNING = ErrorCode(
    "up.not_running",
    "no `zizhu up` runs for {directory}",
    "start it, or run a member in the foreground with `zizhu node run`",
    "{directory} 没有正在运行的 `zizhu up`",
    "请启动它,或用 `zizhu node run` 在前台运行成员",
)

Watcher = Callable[[str, str, int], None]
"""Told of (member, "started" | "died" | "stopped", pid)."""


@dataclass
class Process:
    """One member's process, whether it shall run, and its back-off."""

    name: str
    wanted: bool = True
    child: asyncio.subprocess.Process | None = None
    lifeline: int = -1
    started_ms: int = 0
    backoff_ms: int = 0
    task: "asyncio.Task[None] | None" = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int:
        """Its process id, 0 when it does not run."""
        return self.child.pid if self.child is not None and self.child.returncode is None else 0


class Supervisor:
    """The members of DIR. `restart` says whether a member that dies is started again."""

    def __init__(
        self, directory: Path, names: list[str], *, passphrase: bytes, restart: bool, watcher: Watcher
    ) -> None:
        self._directory = directory
        self._passphrase = passphrase
        self._restart = restart
        self._watcher = watcher
        self._processes = {name: Process(name) for name in names}
        self._server: asyncio.Server | None = None

    def pid(self, name: str) -> int:
        """The process id of a member, 0 when it does not run."""
        return self._processes[name].pid

    async def start(self) -> None:
        """Start all members and listen for orders of `zizhu node start|stop`."""
        path = control_path(self._directory)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._order, path=_short(path))
        for process in self._processes.values():
            process.task = asyncio.create_task(self._keep(process))

    async def stop(self) -> None:
        """Stop all members in an orderly way, kill those that do not end in time."""
        if self._server is not None:
            self._server.close()
            control_path(self._directory).unlink(missing_ok=True)
        await asyncio.gather(*(self.stop_member(name) for name in self._processes))
        for process in self._processes.values():
            if process.task is not None:
                process.task.cancel()

    async def start_member(self, name: str) -> int:
        """Let a stopped member run again; returns its process id once it is started."""
        process = self._processes[name]
        process.wanted, process.backoff_ms = True, 0
        process.changed.set()
        while process.pid == 0 and process.wanted:
            process.changed.clear()
            await process.changed.wait()
        return process.pid

    async def stop_member(self, name: str) -> None:
        """Stop a member and leave it stopped."""
        process = self._processes[name]
        process.wanted = False
        child = process.child
        if child is None or child.returncode is not None:
            process.changed.set()
            return
        child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(child.wait(), STOP_WAIT_S)
        except TimeoutError:
            child.kill()
            await child.wait()

    # -- one member --------------------------------------------------------------------------------------------

    async def _keep(self, process: Process) -> None:
        """Keep one member running as long as it is wanted."""
        while True:
            if not process.wanted:
                process.changed.clear()
                await process.changed.wait()
                continue
            await self._spawn(process)
            assert process.child is not None
            await process.child.wait()
            os.close(process.lifeline)
            if self._was_stopped(process):
                self._watcher(process.name, "stopped", process.child.pid)
                continue
            self._watcher(process.name, "died", process.child.pid)
            if not self._restart:
                process.wanted = False
                continue
            await self._back_off(process)

    def _was_stopped(self, process: Process) -> bool:
        """Whether its end was wanted; asked after waiting for it, when that may have changed."""
        return not process.wanted

    async def _back_off(self, process: Process) -> None:
        ran_ms = time.monotonic_ns() // 1_000_000 - process.started_ms
        first = ran_ms >= STEADY_MS or process.backoff_ms == 0
        process.backoff_ms = BACKOFF_FIRST_MS if first else min(process.backoff_ms * 2, BACKOFF_LAST_MS)
        process.changed.clear()
        try:
            await asyncio.wait_for(process.changed.wait(), process.backoff_ms / 1000)
        except TimeoutError:
            return

    async def _spawn(self, process: Process) -> None:
        """Start the process; its passphrase goes over a pipe, never in an argument or the environment."""
        secret_read, secret_write = os.pipe()
        os.write(secret_write, self._passphrase + b"\n")
        os.close(secret_write)
        lifeline_read, process.lifeline = os.pipe()
        log = self._open_log(process.name)
        command = [sys.executable, "-m", "zizhu", "node", "run", "--name", process.name]
        command += ["--dir", str(self._directory), "--passphrase", f"fd:{secret_read}"]
        command += ["--lifeline-fd", str(lifeline_read)]
        try:
            process.child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(secret_read, lifeline_read),
                start_new_session=True,
            )
        finally:
            os.close(secret_read)
            os.close(lifeline_read)
            os.close(log)
        process.started_ms = time.monotonic_ns() // 1_000_000
        self._watcher(process.name, "started", process.child.pid)
        process.changed.set()

    def _open_log(self, name: str) -> int:
        path = node_folder(self._directory, name) / "console.log"
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    # -- orders ------------------------------------------------------------------------------------------------

    async def _order(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One order a connection: a JSON line {"do": "start" | "stop" | "pids", "name": …}."""
        answer: dict[str, object]
        try:
            order = json.loads(await reader.readline())
            name, act = order.get("name", ""), order["do"]
            if act == "pids":
                answer = {"ok": True, "pids": {each: self.pid(each) for each in self._processes}}
            elif name not in self._processes or act not in ("start", "stop"):
                answer = {"ok": False, "reason": f"{act} {name}"}
            elif act == "start":
                before = self.pid(name)
                pid = await self.start_member(name)
                answer = {"ok": True, "pid": pid, "was_running": before == pid}
            else:
                await self.stop_member(name)
                answer = {"ok": True, "pid": 0}
        except (ValueError, KeyError, AttributeError) as error:
            answer = {"ok": False, "reason": str(error)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()


def _short(path: Path) -> str:
    """A path that fits into a socket address (about 100 bytes): relative when that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


async def order(directory: Path, what: dict[str, str]) -> dict[str, object]:
    """Send an order to the `zizhu up` of DIR. Raises OperatingFault (`up.not_running`)."""
    try:
        reader, writer = await asyncio.open_unix_connection(_short(control_path(directory)))
    except OSError:
        raise OperatingFault(NOT_RUNNING, directory=directory) from None
    writer.write(json.dumps(what).encode() + b"\n")
    await writer.drain()
    answer: dict[str, object] = json.loads(await reader.readline())
    writer.close()
    return answer
