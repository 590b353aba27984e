"""The same blocks give the same hashes in every process, whatever its hash seed, locale or folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zizhu.chain.model.value import Value
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, Chain

SOURCE = Path(__file__).parents[3] / "src"

ENVIRONMENTS = [
    {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC"},
    {"PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "TZ": "Asia/Shanghai"},
    {"PYTHONHASHSEED": "2", "LC_ALL": "POSIX", "TZ": "America/New_York"},
    {"PYTHONHASHSEED": "random"},
]


def history() -> str:
    """Outcomes, receipts and write sets of a few blocks that use everything there is, as one text."""
    chain = Chain(step_ms=700)
    lines = []
    for turn in range(1, 9):
        acts: list[tuple[str, list[Value]]] = [
            ("increment", [b"k"]),
            ("transfer", [bytes(ACCOUNTS[turn].id), turn]),
            ("fail", ["native.no"]),
            ("burn", [10**6]),
            ("put", ["键".encode(), b"v"]),
            ("scan", [b"", None, 100]),
            ("echo", [{"b": 1, "a": [2**200, None, True]}]),
        ]
        calls = [chain.call(ACCOUNTS[at], turn, method, *given) for at, (method, given) in enumerate(acts)]
        bodies = [chain.body(ACCOUNTS[9], nonce, "increment", b"b") for nonce in range(turn * 5, turn * 5 + 5)]
        done = chain.commit(*calls, ACCOUNTS[9].bundle(bodies))
        lines.append(f"{done.executed.hash.hex()} {done.executed.outcome_hash.hex()} {done.executed.receipts}")
        lines.append(str(sorted(done.changes.items())))
    return "\n".join(lines)


QUIET = "import os; os.umask({umask}); from test_ledger_determinism import history; print(history())"
LOUD = "import logging; logging.basicConfig(level=1); logging.captureWarnings(True); " + QUIET


@pytest.mark.row("D-1")
def test_every_process_computes_the_same(tmp_path: Path) -> None:
    """D-1: given the same block, when executed under PYTHONHASHSEED 0, 1, 2, random, different locale/TZ/cwd/umask:
    roots, receipts, gas byte-equal."""
    _all_equal(tmp_path, QUIET, ENVIRONMENTS)


@pytest.mark.row("D-5")
def test_log_levels_and_debug_flags_change_nothing(tmp_path: Path) -> None:
    """D-5: given nodes with different log levels and debug flags: receipts carry error codes only; equal roots. Python's
    development mode, asyncio's debug mode, its fault handler, and a root logger that takes everything."""
    debugging = {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONFAULTHANDLER": "1", "PYTHONDEBUG": "1"}
    _all_equal(tmp_path, LOUD, [debugging, {}])


def _all_equal(tmp_path: Path, program: str, environments: list[dict[str, str]]) -> None:
    """A process in each of these environments computes what this one computes."""
    wanted = history()
    for number, environment in enumerate(environments):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", program.format(umask=number * 9)],
            env={
                **environment,
                "PYTHONPATH": os.pathsep.join([str(SOURCE), str(Path(__file__).parent)]),
                "PYTHONUTF8": "1",
            },
            cwd=folder,
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.decode().rstrip("\n") == wanted, environment
