"""The closing lines of continuous integration say what happened, and nothing outlives its budget."""

import sys
import time
from pathlib import Path

import pytest

import ci

REPORT = {"outcomes": {"passed": 3, "skipped": 1}, "counts": {"seeds": 500}, "unnamed_skips": [["t.py::t", "no x"]]}


def finished(verdict: str) -> ci.Run:
    """A run with one part behind it."""
    run = ci.Run(Path(".venv"))
    count = run.tally.add(REPORT)
    run.tally.rows.append(("unit", 10, 1.0, count, verdict))
    return run


def test_the_last_line_is_a_summary_in_the_form_of_pytest() -> None:
    """All parts' tests in one line, at the very end; a skip that nobody named is shown above it."""
    lines = ci.summary(finished("ok"), 12.3456).splitlines()
    assert lines[-1] == "3 passed, 1 skipped in 12.35s"
    assert "skip not named in tests/allowed_skips.toml: t.py::t: no x" in lines
    assert any("500 seeds" in line for line in lines)


@pytest.mark.parametrize("verdict", ["FAILED", "OVERRAN"])
def test_a_part_that_failed_without_a_test_is_counted(verdict: str) -> None:
    """The closing line never reads as if all were well."""
    assert ci.summary(finished(verdict), 1.0).splitlines()[-1].startswith("1 failed, ")


def test_a_run_without_tests_says_so() -> None:
    """No test yet is no failure, and not called a pass."""
    assert ci.summary(ci.Run(Path(".venv")), 0.5).splitlines()[-1] == "no tests ran in 0.50s"


def test_every_test_belongs_to_one_part() -> None:
    """The selections of the parts exclude each other: the plain part names every heavy marker."""
    selections = [part.select for part in ci.PARTS if part.select]
    assert all("not" in each and "long" in each for each in selections)
    for marker in ("process", "simulation", "browser", "demo", "bench"):
        assert marker in selections[0]
        assert sum(each.startswith(marker) for each in selections) == 1


def test_a_command_over_its_budget_is_ended() -> None:
    """What a part started is gone when its time is up."""
    run = ci.Run(Path(".venv"))
    run.deadline = time.monotonic() + 0.2
    assert run.command(sys.executable, "-c", "import threading; threading.Event().wait(30)") == ci.OVERRAN
    assert time.monotonic() < run.deadline + 5
    assert run.command(sys.executable, "-c", "") == ci.OVERRAN
