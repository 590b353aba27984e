"""One member as a process of its own, started by a test: killed, stopped, paused, asked, and read.

Decides how a member is started (as `zizhu up` starts it: its passphrase over a pipe, a lifeline that ends with the
test) and where its facts are read. Refuses to know the other members.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import zizhu.chain.model.ids as inside
from zizhu.cloud.nodes.network import MemberPlace, node_folder, read_passphrase_file
from zizhu.framework.testkit.processes.waiting import until

STATUS_TIMEOUT_S = 2.0
STOP_WITHIN_S = 15.0
SOURCE = Path(inside.__file__).parents[3]
"""The folder that holds the package under test: processes are started from the same one."""

Fact = dict[str, object]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that runs this very source tree."""
    paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", **(extra or {})}


class MemberProcess:
    """A member of the network in `directory`. It does not run before `start`."""

    def __init__(self, directory: Path, place: MemberPlace) -> None:
        self.name = place.name
        self.place = place
        self.folder = node_folder(directory, place.name)
        self.log = self.folder / "console.log"
        self._directory = directory
        self._child: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    # -- life and death ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it; returns at once."""
        assert not self.running, f"{self.name} runs already"
        self._child, self._lifeline = self.spawn()

    def spawn(self) -> tuple["subprocess.Popen[bytes]", int]:
        """A process of this member beside whatever runs, and the end of its lifeline that the caller closes."""
        secret_read, secret_write = os.pipe()
        os.write(secret_write, read_passphrase_file(self._directory) + b"\n")
        os.close(secret_write)
        lifeline_read, lifeline = os.pipe()
        command = [sys.executable, "-m", "zizhu", "node", "run", "--name", self.name, "--dir", str(self._directory)]
        command += ["--passphrase", f"fd:{secret_read}", "--lifeline-fd", str(lifeline_read)]
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(secret_read, lifeline_read),
                start_new_session=True,
                env=environment(),
            )
        os.close(secret_read)
        os.close(lifeline_read)
        return child, lifeline

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; it must have been started."""
        assert self._child is not None
        return self._child.pid

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        self.signal(signal.SIGKILL)
        self.ended(within_s=5.0)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.signal(signal.SIGTERM)
        return self.ended(within_s=STOP_WITHIN_S)

    def pause(self) -> None:
        """SIGSTOP: it does nothing, and its sockets stay open."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Any signal."""
        assert self._child is not None
        self._child.send_signal(number)

    def discard(self) -> None:
        """End it whatever its state, for the end of a test."""
        if self.running:
            self.resume()
            self.kill()

    def ended(self, *, within_s: float = STOP_WITHIN_S) -> int:
        """The exit code of a member that ends by itself. Raises subprocess.TimeoutExpired."""
        assert self._child is not None
        code = self._child.wait(timeout=within_s)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        return code

    # -- what it says ------------------------------------------------------------------------------------------

    def get(self, path: str, *, timeout_s: float = STATUS_TIMEOUT_S) -> dict[str, object] | None:
        """The JSON of a GET that went well; None when it does not answer or refuses."""
        return self.ask("GET", path, timeout_s=timeout_s)

    def ask(
        self, method: str, path: str, body: object = None, *, timeout_s: float = STATUS_TIMEOUT_S
    ) -> dict[str, object] | None:
        """The JSON of a request that went well; None when it does not answer or refuses."""
        connection = http.client.HTTPConnection("127.0.0.1", self.place.http_port, timeout=timeout_s)
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, body=data, headers={"content-type": "application/json"} if data else {})
            response = connection.getresponse()
            text = response.read()
            return cast(dict[str, object], json.loads(text)) if response.status < 400 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def status(self) -> dict[str, object] | None:
        """Its status; None when it does not answer."""
        return self.get("/api/v1/status")

    @property
    def height(self) -> int:
        """Its height; -1 when it does not answer."""
        status = self.status()
        return -1 if status is None else cast(int, status["height"])

    def in_state(self, *states: str, within_s: float = 30.0) -> dict[str, object]:
        """Its status once it is in one of these states. Raises TooLate."""

        def look() -> dict[str, object] | None:
            status = self.status()
            return status if status is not None and status["state"] in states else None

        what = f"{self.name} is {' or '.join(states)}"
        return until(look, what, within_s=within_s, explain=lambda: f"{self.status()}\n{self.tail()}")

    def at_height(self, height: int, *, within_s: float = 30.0) -> int:
        """Its height once it is at least `height`. Raises TooLate."""

        def look() -> int | None:
            now = self.height
            return now if now >= height else None

        what = f"{self.name} is at height {height}"
        return until(look, what, within_s=within_s, explain=lambda: f"{self.status()}\n{self.tail()}")

    def facts(self, fact: str = "") -> list[Fact]:
        """The facts in its log, all or those of one name, oldest first."""
        found: list[Fact] = []
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("{"):
                entry = cast(Fact, json.loads(line))
                if not fact or entry["fact"] == fact:
                    found.append(entry)
        return found

    def tail(self, lines: int = 30) -> str:
        """The end of its log, for people."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])
