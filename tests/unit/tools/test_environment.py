"""The environment is installed again exactly when it has to be."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import environment
import foreground

ROOT = Path(foreground.__file__).resolve().parent.parent


def test_the_stamp_of_an_extra_serves_the_plain_installation(tmp_path: Path) -> None:
    """`make run` after `make test` installs nothing; the other way round it must."""
    stamp = tmp_path / "stamp"
    assert not environment.is_current(stamp, "")
    stamp.write_text(environment.fingerprint("dev") + "\n", encoding="utf-8")
    assert environment.is_current(stamp, "dev")
    assert environment.is_current(stamp, "")
    stamp.write_text(environment.fingerprint("") + "\n", encoding="utf-8")
    assert environment.is_current(stamp, "")
    assert not environment.is_current(stamp, "dev")


def test_changed_pins_are_installed(tmp_path: Path) -> None:
    """A stamp of other inputs is out of date."""
    stamp = tmp_path / "stamp"
    stamp.write_text("0" * 64 + environment.fingerprint("")[64:] + "\n", encoding="utf-8")
    assert not environment.is_current(stamp, "")


@pytest.mark.process
def test_interrupt_on_a_terminal_ends_make_with_the_exit_code_of_the_command(tmp_path: Path) -> None:
    """Ctrl-C under `make run` is an orderly end: the command exits 0, and so does make."""
    program = (
        "import signal, sys, threading\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(0))\n"
        "print('READY', flush=True)\n"
        "threading.Event().wait(20)\n"
        "sys.exit(3)\n"
    )
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    script = ROOT / "tools" / "foreground.py"
    recipe = f"run:\n\t@exec {sys.executable} {script} {sys.executable} program.py\n"
    (tmp_path / "Makefile").write_text(recipe, encoding="utf-8")
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execvp("env", ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "run"])
    seen = b""
    while b"READY" not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_without_a_terminal_the_command_stays_in_the_group(tmp_path: Path) -> None:
    """Whoever signals the group of `make run` reaches the command too."""
    script = str(ROOT / "tools" / "foreground.py")
    command = [sys.executable, script, sys.executable, "-c", "import os; print(os.getpgrp())"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert int(done.stdout) == os.getpgrp()
