"""The books that every test run keeps: counts, rows, and skips that nobody named."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each starts a test run of its own

CONFTEST = Path(__file__).resolve().parents[2] / "conftest.py"

TESTS = """
import pytest

@pytest.mark.counted("seeds")
@pytest.mark.row("A-1")
def test_counts(effort):
    numbers = list(effort.rounds("seeds", quick=3, ci=7))
    assert numbers == sorted(set(numbers))

def test_skips():
    pytest.skip("no such chip in this machine")
"""
SETTINGS = "[pytest]\nmarkers =\n    row(id): x\n    counted(part): x\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of tests with the project's own conftest in it."""
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "test_sample.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def play(folder: Path, *words: str, **variables: str) -> tuple[int, dict[str, dict[str, int]]]:
    """(exit code, report) of a run in `folder`."""
    target = folder / "report.json"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ZIZHU_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder), *words]
    environment = {**clean, "ZIZHU_TEST_REPORT": str(target), **variables}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, timeout=60)
    return done.returncode, json.loads(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("effort", "expected"), [("quick", 3), ("ci", 7)])
def test_rounds_follow_the_effort_and_are_counted(folder: Path, effort: str, expected: int) -> None:
    """A quick run makes its few rounds, continuous integration its many; the report has the sum and the row."""
    code, report = play(folder, ZIZHU_EFFORT=effort)
    assert code == 0
    assert report["counts"] == {"seeds": expected}
    assert report["rows"] == {"A-1": 1}
    assert report["outcomes"] == {"passed": 1, "skipped": 1}


def test_counts_of_workers_add_up(folder: Path) -> None:
    """Spread over two processes, each test is still counted once."""
    code, report = play(folder, "-n", "2")
    assert (code, report["counts"], report["outcomes"]) == (0, {"seeds": 3}, {"passed": 1, "skipped": 1})


def test_a_long_run_goes_on_until_its_time_is_up(folder: Path) -> None:
    """`--counted` keeps the part's tests only, and they make as many rounds as fit."""
    code, report = play(folder, "--counted", "seeds", ZIZHU_EFFORT="long", ZIZHU_MINUTES="0.001")
    assert code == 0
    assert report["outcomes"] == {"passed": 1}
    assert report["counts"]["seeds"] > 7


def test_a_strict_run_fails_on_a_skip_that_nobody_named(folder: Path) -> None:
    """Nothing is skipped in silence; a named skip passes."""
    code, report = play(folder, ZIZHU_STRICT_SKIPS="1")
    assert code == 1
    assert len(report["unnamed_skips"]) == 1
    entry = '[[skip]]\ntest = "unit/test_sample.py::*"\nreason = "no such chip"\ncondition = "x"\n'
    (folder / "allowed_skips.toml").write_text(entry, encoding="utf-8")
    code, report = play(folder, ZIZHU_STRICT_SKIPS="1")
    assert (code, report["unnamed_skips"]) == (0, [])
