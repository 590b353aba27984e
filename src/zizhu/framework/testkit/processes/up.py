"""`zizhu up` as a process of a test: started, told to stop, killed, read; on a pipe or on a terminal.

Decides how its members are found (they say their process ids) and that none outlives a test. Refuses to know what is
printed: tests read it.
"""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import TracebackType

from zizhu.cloud.nodes.network import network_path, read_network
from zizhu.framework.testkit.processes.member import MemberProcess, environment
from zizhu.framework.testkit.processes.waiting import until

READY_WITHIN_S = 90.0
STOP_WITHIN_S = 30.0


class Up:
    """A `zizhu up` on `directory`, from now on. `columns` puts it on a terminal of that width."""

    def __init__(self, directory: Path, *options: str, columns: int = 0) -> None:
        self.directory = directory
        self.output = directory.with_name(directory.name + ".out")
        self._before = self.output.stat().st_size if self.output.exists() else 0
        self._pids: dict[int, None] = {}
        command = [sys.executable, "-m", "zizhu", "up", "--dir", str(directory), *options]
        self._master = -1
        if columns:
            self._master, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
            os.set_blocking(self._master, False)
            self.child = subprocess.Popen(
                command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                env=environment({"TERM": "xterm-256color"}),
            )  # fmt: skip
            os.close(slave)
        else:
            with self.output.open("ab") as output:
                self.child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                    env=environment({"LC_ALL": "C.UTF-8"}),
                )  # fmt: skip

    def __enter__(self) -> "Up":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._note_members()
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._master >= 0:
            os.close(self._master)

    @property
    def text(self) -> str:
        """What it printed so far."""
        if self._master >= 0:
            with contextlib.suppress(BlockingIOError, OSError), self.output.open("ab") as output:
                while data := os.read(self._master, 65_536):
                    output.write(data)
        if not self.output.exists():
            return ""
        return self.output.read_bytes()[self._before :].decode("utf-8", errors="replace")

    def says(self, words: str, *, within_s: float = READY_WITHIN_S) -> str:
        """What it printed, once `words` are in it. Raises TooLate; AssertionError when it ended without them."""

        def look() -> str | None:
            text = self.text
            if words in text:
                return text
            assert self.child.poll() is None or words in self.text, f"it ended with {self.child.poll()}:\n{self.text}"
            return None

        return until(look, f"`zizhu up` says {words!r}", within_s=within_s, explain=lambda: self.text)

    def ready(self) -> str:
        """What it printed, once it is ready."""
        text = self.says("ready in")
        self._note_members()
        return text

    def members(self) -> list[MemberProcess]:
        """Its members, to be asked; their processes belong to it."""
        return [MemberProcess(self.directory, place) for place in read_network(self.directory).members]

    def pids(self) -> dict[str, int]:
        """Process ids of the members that answer, by name."""
        found = {}
        for member in self.members():
            status = member.status()
            if status is not None:
                found[member.name] = int(str(status["pid"]))
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; its exit code."""
        self._note_members()
        self.child.send_signal(number)
        return self.ended()

    def ended(self, *, within_s: float = STOP_WITHIN_S) -> int:
        """Its exit code, once it ended by itself. Raises TooLate."""

        def look() -> bool:
            # A terminal that nobody reads holds up who writes to it.
            assert self.text is not None
            return self.child.poll() is not None

        until(look, "`zizhu up` ends", within_s=within_s, explain=lambda: self.text)
        return self.child.wait()

    def left(self) -> list[int]:
        """Process ids of members that were seen and still live."""
        return [pid for pid in self._pids if is_member(pid)]

    def _note_members(self) -> None:
        if network_path(self.directory).exists():
            self._pids.update(dict.fromkeys(self.pids().values()))


def is_member(pid: int) -> bool:
    """Whether this process is a member that lives (a number may have been given to another process since)."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return b"node" in words and b"run" in words and state != "Z"
