"""Continuous integration: every part in order, each within its budget, and one line of counts at the end.

Decides the parts, what belongs to each and how long it may take (the table `PARTS`). Refuses to know a test: parts
are selections by marker. Runs on the system's own interpreter with the standard library only, because making the
environment is a part itself. `--only WORD` runs the parts whose names contain it.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OTHER_MINORS = (11, 12, 13)
NO_TESTS = 5
OVERRAN = 124


@dataclass(frozen=True)
class Part:
    """A part of the run: `select` is a marker expression, None for the checks without tests."""

    name: str
    minutes: int
    select: "str | None" = None
    workers: int = 0
    debian: "tuple[str, ...]" = ()
    other_interpreters: bool = False


HEAVY = "process or simulation or demo or browser or bench"
PARTS = (
    Part("set-up, lint, types", 6),
    Part("unit, property, conformance, golden", 10, f"not long and not ({HEAVY})", 2, other_interpreters=True),
    Part("simulation, seeded bugs", 12, "simulation and not long", 2),
    Part("real processes", 10, "process and not (long or simulation or demo or browser or bench)"),
    Part("servers, pages", 10, "browser and not long", debian=("chromium", "fonts-noto-cjk")),
    Part("demonstrations", 5, "demo and not (long or browser)"),
    Part("bench gate", 2, "bench and not long"),
)


@dataclass
class Tally:
    """What all parts together came to."""

    outcomes: "Counter[str]" = field(default_factory=Counter)
    counts: "Counter[str]" = field(default_factory=Counter)
    unnamed_skips: "list[str]" = field(default_factory=list)
    rows: "list[tuple[str, int, float, int, str]]" = field(default_factory=list)

    def add(self, report: "dict[str, Any]") -> int:
        """Take in one test run's report; returns how many tests it had."""
        self.outcomes.update(report["outcomes"])
        self.counts.update(report["counts"])
        self.unnamed_skips += [f"{test}: {reason}" for test, reason in report["unnamed_skips"]]
        return sum(report["outcomes"].values())


class Run:
    """One run: where it happens, with which environment, and until when the present part may go on."""

    def __init__(self, venv: Path) -> None:
        self.venv = venv
        self.deadline = 0.0
        self.fresh = secrets.randbelow(2**40)
        self.environment = {
            **os.environ,
            "ZIZHU_EFFORT": "ci",
            "ZIZHU_FRESH": str(self.fresh),
            "ZIZHU_STRICT_SKIPS": "1",
        }
        self.tally = Tally()

    def command(self, *words: str) -> int:
        """Run a command until it ends or the part's time is up; its whole process group goes with it."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            return OVERRAN
        child = subprocess.Popen(
            words, cwd=str(ROOT), env=self.environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return child.wait(timeout=left)
        except subprocess.TimeoutExpired:
            say(f"ci: {' '.join(words[:6])} … is over the part's budget and is ended")
            return OVERRAN
        finally:
            end_group(child)

    def pytest(self, python: Path, select: str, workers: int) -> "tuple[int, int]":
        """(exit code, number of tests) of a selection; no tests yet is no failure."""
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "report.json"
            self.environment["ZIZHU_TEST_REPORT"] = str(target)
            spread = ["-n", str(workers), "--dist", "loadgroup"] if workers else []
            code = self.command(str(python), "-m", "pytest", "tests", "-m", select, *spread)
            count = self.tally.add(json.loads(target.read_text(encoding="utf-8"))) if target.exists() else 0
            return (0 if code == NO_TESTS else code), count


def end_group(child: "subprocess.Popen[bytes]") -> None:
    """Nothing that a part started outlives it."""
    for number, grace in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        ends = time.monotonic() + grace
        while child.poll() is None and time.monotonic() < ends:
            time.sleep(0.05)


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def static(run: Run) -> "tuple[int, int]":
    """Make the environment and run every static check."""
    code = run.command(sys.executable, "tools/environment.py", "--venv", str(run.venv), "--extra", "dev")
    return (code or run.command(str(run.venv / "bin" / "python"), "tools/lint.py")), 0


def tests(run: Run, part: Part) -> "tuple[int, int]":
    """Run a part's tests here, then on every other interpreter if the part asks for it."""
    assert part.select is not None
    python = run.venv / "bin" / "python"
    if part.debian and not provide(run, part, python):
        return 1, 0
    code, count = run.pytest(python, part.select, part.workers)
    if part.other_interpreters:
        others = interpreters()
        if not others:
            say("ci: no other Python of 3.11–3.13 starts here; its tests ran on this one only")
        for minor, other in others:
            more, added = elsewhere(run, part, minor, other)
            code, count = code or more, count + added
    return code, count


def provide(run: Run, part: Part, python: Path) -> bool:
    """Install Debian's packages that a part needs, once it has tests at all; False when that fails."""
    assert part.select is not None
    missing = [name for name in part.debian if not installed(name)]
    listed = [str(python), "-m", "pytest", "tests", "-m", part.select, "--collect-only", "-q"]
    none_yet = subprocess.run(listed, cwd=str(ROOT), check=False, capture_output=True).returncode == NO_TESTS
    if not missing or none_yet:
        return True
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        say(f"ci: missing: sudo apt-get install {' '.join(missing)}")
        return True  # the tests skip themselves, and a skip that is not named fails the run
    run.command("apt-get", "update", "-q")
    return run.command("apt-get", "install", "-y", "-q", "--no-install-recommends", *missing) == 0


def installed(package: str) -> bool:
    """Whether Debian's package is there."""
    query = ["dpkg-query", "-W", "-f", "${Status}", package]
    done = subprocess.run(query, check=False, capture_output=True, text=True) if shutil.which("dpkg-query") else None
    return done is not None and "ok installed" in done.stdout


def interpreters() -> "list[tuple[int, str]]":
    """(minor, path) of each other Python 3 of ours that really starts: on the PATH, then among pyenv's versions."""
    found = []
    for minor in OTHER_MINORS:
        if minor == sys.version_info[1]:
            continue
        versions = Path.home() / ".pyenv" / "versions"
        names = [f"python3.{minor}", *sorted(str(path) for path in versions.glob(f"3.{minor}.*/bin/python3"))]
        for name in names:
            path = shutil.which(name)
            if path and subprocess.run([path, "-c", ""], check=False, capture_output=True).returncode == 0:
                found.append((minor, path))
                break
    return found


def elsewhere(run: Run, part: Part, minor: int, interpreter: str) -> "tuple[int, int]":
    """The quick tests of a part on another interpreter, in an environment below build/."""
    venv = ROOT / "build" / f"venv-3.{minor}"
    say(f"ci: the same on Python 3.{minor}, {interpreter}")
    code = run.command(interpreter, "tools/environment.py", "--venv", str(venv), "--extra", "dev")
    if code:
        return code, 0
    return run.pytest(venv / "bin" / "python", f"({part.select}) and not slow", part.workers)


def play(run: Run, part: Part) -> bool:
    """One part with its heading; whether it was good."""
    say(f"\n════ {part.name} (at most {part.minutes} min)")
    started = time.monotonic()
    run.deadline = started + part.minutes * 60
    code, count = static(run) if part.select is None else tests(run, part)
    seconds = time.monotonic() - started
    if code == OVERRAN or seconds > part.minutes * 60:
        verdict = "OVERRAN"
    elif code:
        verdict = "FAILED"
    else:
        verdict = "ok" if count or part.select is None else "no tests yet"
    run.tally.rows.append((part.name, part.minutes, seconds, count, verdict))
    return verdict in {"ok", "no tests yet"}


def summary(run: Run, seconds: float) -> str:
    """The table of parts, what was counted, and the closing line in pytest's own form."""
    lines = ["", f"{'part':38} {'budget':>8} {'took':>9} {'tests':>6}  verdict"]
    for name, minutes, took, count, verdict in run.tally.rows:
        lines.append(f"{name:38} {minutes:>4} min {took:>7.1f} s {count:>6}  {verdict}")
    counted = ", ".join(f"{count:,} {what}" for what, count in sorted(run.tally.counts.items()))
    lines.append(f"counted: {counted or 'nothing yet'}; fresh numbers from {run.fresh} (ZIZHU_FRESH)")
    lines += [f"skip not named in tests/allowed_skips.toml: {each}" for each in run.tally.unnamed_skips]
    broken = sum(verdict in {"FAILED", "OVERRAN"} for *_, verdict in run.tally.rows)
    if broken and not run.tally.outcomes["failed"]:
        run.tally.outcomes["failed"] = broken  # a check, an overrun or an unnamed skip counts as one
    named = [("failed", "failed"), ("passed", "passed"), ("skipped", "skipped"), ("xfailed", "xfailed")]
    outcomes = [f"{run.tally.outcomes[key]} {word}" for key, word in named if run.tally.outcomes[key]]
    lines.append(f"{', '.join(outcomes) or 'no tests ran'} in {seconds:.2f}s")
    return "\n".join(lines)


def main() -> None:
    """Run the parts; exit 1 if one failed or overran. Without an environment there is nothing else to run."""
    parser = argparse.ArgumentParser(description="everything that a change has to pass")
    parser.add_argument("--venv", default=".venv")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    run = Run((ROOT / arguments.venv).resolve())
    started = time.monotonic()
    good = True
    for part in PARTS:
        if arguments.only not in part.name:
            continue
        good = play(run, part) and good
        if part.select is None and not (run.venv / "zizhu-setup").exists():
            break
    say(summary(run, time.monotonic() - started))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
