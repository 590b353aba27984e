"""Long runs: one part of the counted tests for some minutes, and its counts added to tests/long/PART.json.

Decides which part covers which rooms. The digest of those rooms stands beside the counts: runs with the same digest
add up, so that a million needs no single night, and a changed room starts again from nothing. A run that found
something is not recorded; what it found is. Extending: one line in `PARTS`, and tests marked `counted("name")`.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "tests/long"


@dataclass(frozen=True)
class Part:
    """A part of the long runs: the rooms whose digest its counts belong to, and how many workers it uses."""

    rooms: tuple[str, ...]
    workers: int


CHAIN = ("src/zizhu/chain",)
PARTS = {
    "simulation": Part((*CHAIN, "src/zizhu/framework/testkit"), 2),
    "kills": Part((*CHAIN, "src/zizhu/framework/sdk", "src/zizhu/cli"), 0),
    "malformed": Part((*CHAIN,), 2),
    "crosschecks": Part(("src/zizhu/chain/model", "src/zizhu/chain/crypto", "src/zizhu/chain/contracts"), 2),
    "vouchers": Part(("src/zizhu/components", "src/zizhu/scenarios", "src/zizhu/framework/sdk"), 2),
}


def digest(root: Path, rooms: Iterable[str]) -> str:
    """What the rooms under test look like, in 16 hexadecimal digits: every Python file's path and content."""
    total = hashlib.sha256()
    for room in sorted(rooms):
        for path in sorted((root / room).rglob("*.py"), key=lambda each: each.as_posix()):
            name = path.relative_to(root).as_posix().encode()
            content = path.read_bytes()
            total.update(len(name).to_bytes(4) + name + len(content).to_bytes(8) + content)
    return total.hexdigest()[:16]


def commit() -> str:
    """The commit under test, with a plus behind it when the tree was changed since."""
    short = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, check=False, capture_output=True)
    clean = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT, check=False).returncode == 0
    return short.stdout.decode().strip() + ("" if clean else "+")


def append(path: Path, entry: dict[str, Any]) -> None:
    """One more run at the end of the list in `path`, one line a run."""
    runs = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    runs.append(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(run, ensure_ascii=False) for run in runs)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def totals(path: Path, now: str) -> tuple[dict[str, int], float]:
    """(counts, minutes) of all runs with the digest `now`."""
    counts: Counter[str] = Counter()
    minutes = 0.0
    for run in json.loads(path.read_text(encoding="utf-8")) if path.exists() else []:
        if run["digest"] == now:
            counts.update(run["counts"])
            minutes += run["minutes"]
    return dict(sorted(counts.items())), round(minutes, 1)


def run(name: str, minutes: float, extra: list[str]) -> int:
    """Play one part; returns pytest's exit code."""
    part = PARTS[name]
    command = ["-m", "pytest", "tests", "--counted", name, *extra]
    command += ["-n", str(part.workers)] if part.workers else []
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "report.json"
        environment = {
            **os.environ,
            "ZIZHU_EFFORT": "long",
            "ZIZHU_MINUTES": str(minutes),
            "ZIZHU_TEST_REPORT": str(target),
        }
        code = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=False).returncode
        if code == 5:
            print(f'long: no test is marked counted("{name}") yet')
            return code
        report = json.loads(target.read_text(encoding="utf-8"))
    now = digest(ROOT, part.rooms)
    path = ROOT / FOLDER / f"{name}.json"
    if code == 0:
        entry = {
            "commit": commit(),
            "digest": now,
            "command": f"make long PART={name} MINUTES={minutes:g}",
            "counts": report["counts"],
            "minutes": round(report["seconds"] / 60, 1),
            "fresh": report["fresh"],
            "python": platform.python_version(),
        }
        append(path, entry)
    counts, spent = totals(path, now)
    print(f"long: {name}, rooms {now}: {counts or 'nothing counted'} in {spent} minutes altogether")
    return code


def main() -> None:
    """Run the part named on the command line; without a name, list the parts and what they came to."""
    parser = argparse.ArgumentParser(description="long runs, whose counts add up")
    parser.add_argument("--part", choices=sorted(PARTS))
    parser.add_argument("--minutes", type=float, default=10)
    arguments, extra = parser.parse_known_args()
    if arguments.part:
        sys.exit(run(arguments.part, arguments.minutes, extra))
    for name, part in PARTS.items():
        counts, spent = totals(ROOT / FOLDER / f"{name}.json", digest(ROOT, part.rooms))
        print(f"{name:12} {spent:>7} min  {counts}")


if __name__ == "__main__":
    main()
