"""Assertions are part of the product: without them it does not start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"
NOUNS = [["--version"], ["up", "--help"], ["node", "run", "nowhere"], ["status"]]


@pytest.mark.row("D-1")
@pytest.mark.parametrize(("flags", "environment"), [(["-O"], {}), (["-OO"], {}), ([], {"PYTHONOPTIMIZE": "1"})])
def test_nothing_starts_without_assertions(flags: list[str], environment: dict[str, str]) -> None:
    """Under -O the node refuses to start: whatever is asked, however assertions were switched off, and it says why."""
    for arguments in NOUNS if flags == ["-O"] else NOUNS[:1]:
        done = subprocess.run(
            [sys.executable, *flags, "-m", "zizhu", *arguments],
            env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert "refusing to run under python -O" in done.stderr
