"""Makes the virtual environment, in the least time that is honest.

Decides when an installation is out of date (a stamp of everything it depends on) and what to do on a machine
without ensurepip. Refuses to know what is installed: pyproject.toml and constraints.txt say that. Runs on the
system's own interpreter, so it uses the standard library only and the syntax of old versions.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
INPUTS = ("pyproject.toml", "constraints.txt", "tools/environment.py")
APT = ("apt-get", "install", "-y", "-q", "--no-install-recommends")


def fingerprint(extra: str) -> str:
    """A line that changes whenever the environment has to be installed again."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
        digest.update(b"\0")
    version = ".".join(str(part) for part in sys.version_info[:3])
    return f"{digest.hexdigest()} {version} {ROOT} {extra}".rstrip()


def is_current(stamp: Path, extra: str) -> bool:
    """Whether `stamp` was written for what the tree says now; an installation with an extra serves both."""
    if not stamp.is_file():
        return False
    found = stamp.read_text(encoding="utf-8").strip()
    return found == fingerprint(extra) or (not extra and found.startswith(fingerprint("") + " "))


def say(text: str) -> None:
    """One line to the person who waits."""
    print(text, flush=True)


def create(venv: Path) -> None:
    """Make `venv` with pip in it; as root install what Debian leaves out, otherwise say the command and exit 1."""
    if (venv / "bin" / "python").exists() and runs([str(venv / "bin" / "python"), "-m", "pip", "--version"]):
        return
    shutil.rmtree(venv, ignore_errors=True)
    say(f"setup: {venv} with Python {sys.version.split()[0]}")
    if runs([sys.executable, "-m", "venv", str(venv)]):
        return
    shutil.rmtree(venv, ignore_errors=True)
    packages = [f"python{sys.version_info[0]}.{sys.version_info[1]}-venv", "python3-venv"]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("setup: this Python has no ensurepip; installing Debian's package for it")
        subprocess.run(["apt-get", "update", "-q"], check=False, stdout=subprocess.DEVNULL)
        for package in packages:
            if runs([*APT, package]) and runs([sys.executable, "-m", "venv", str(venv)]):
                return
    shutil.rmtree(venv, ignore_errors=True)
    sys.exit("setup: this Python cannot make a virtual environment. Run: sudo apt-get install python3-venv")


def runs(command: "list[str]") -> bool:
    """Whether `command` ends well; its output is dropped."""
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def install(venv: Path, extra: str) -> None:
    """Install the tree in place, with exactly the versions of constraints.txt."""
    target = f".[{extra}]" if extra else "."
    say(f"setup: installing {target} with the versions of constraints.txt")
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["-c", "constraints.txt", "-e", target]
    if subprocess.run(command, check=False, cwd=str(ROOT)).returncode != 0:
        sys.exit("setup: the installation failed; what pip says is above")


def main() -> None:
    """Bring the environment up to date, or return at once when it is."""
    parser = argparse.ArgumentParser(description="make or refresh the virtual environment")
    parser.add_argument("--venv", default=".venv")
    parser.add_argument("--extra", default="")
    arguments = parser.parse_args()
    if sys.version_info < OLDEST:
        version = sys.version.split()[0]
        sys.exit(f"setup: Python 3.11 or later is needed, this is {version}. Run: make PYTHON=python3.11 …")
    venv = (ROOT / arguments.venv).resolve()
    stamp = venv / "zizhu-setup"
    if is_current(stamp, arguments.extra) and (venv / "bin" / "python").exists():
        return
    create(venv)
    stamp.unlink(missing_ok=True)
    install(venv, arguments.extra)
    stamp.write_text(fingerprint(arguments.extra) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
