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


@pytest.mark.row("D-1")
def test_every_process_computes_the_same(tmp_path: Path) -> None:
    """D-1: given the same block, when executed under PYTHONHASHSEED 0, 1, 2, random, different locale/TZ/cwd/umask:
    roots, receipts, gas byte-equal."""
    wanted = history()
    program = "import os; os.umask({umask}); from test_ledger_determinism import history; print(history())"
    for number, environment in enumerate(ENVIRONMENTS):
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
