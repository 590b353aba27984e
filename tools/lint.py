"""Runs every static check, prints each with its time, and fails if one does.

Decides which checks there are and in which order: the quickest first, and all of them even when one fails, so
that one run shows everything. Refuses to know their rules (pyproject.toml, tools/tidy.py).
Runs on any interpreter that has the `dev` extra; the tree under check is the one this file lies in.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("src", "tools", "tests")


def commands() -> "list[tuple[str, list[str]]]":
    """(name, command) of every check."""
    python = sys.executable
    linter = str(Path(python).parent / "lint-imports")
    present = [name for name in SOURCES if (ROOT / name).is_dir()]
    return [
        ("ruff check", [python, "-m", "ruff", "check", "--quiet", *present]),
        ("ruff format", [python, "-m", "ruff", "format", "--check", "--quiet", *present]),
        ("tidy", [python, "tools/tidy.py"]),
        ("import-linter", [linter, "--no-cache"]),
        ("mypy --strict", [python, "-m", "mypy", "--strict", "src", "tools"]),
    ]


def main() -> None:
    """Run the checks whose names contain one of the arguments; all without one."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    failed: list[str] = []
    for name, command in commands():
        if len(sys.argv) > 1 and not any(word in name for word in sys.argv[1:]):
            continue
        print(f"── {name}", flush=True)
        started = time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        good = done.returncode == 0
        if not good:
            failed.append(name)
            print(done.stdout.rstrip(), flush=True)
        print(f"   {'ok' if good else 'FAILED'} in {time.monotonic() - started:.1f} s", flush=True)
    if failed:
        sys.exit(f"lint: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
