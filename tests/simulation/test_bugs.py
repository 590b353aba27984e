"""Bugs on purpose: each is caught by a checker, and the same seed or schedule passes without it."""

import pytest

from zizhu.framework.testkit.bugs import BUGS as PBFT_BUGS
from zizhu.framework.testkit.bugs import Bug, planted
from zizhu.framework.testkit.facts import Violation
from zizhu.framework.testkit.raft_bugs import RAFT_BUGS
from zizhu.framework.testkit.raft_schedules import SCHEDULES as RAFT_SCHEDULES
from zizhu.framework.testkit.schedules import SCHEDULES as PBFT_SCHEDULES
from zizhu.framework.testkit.simulate import play

pytestmark = pytest.mark.simulation

BUGS = (*PBFT_BUGS, *RAFT_BUGS)
SCHEDULES = {**PBFT_SCHEDULES, **RAFT_SCHEDULES}


def caught(bug: Bug) -> str:
    """The check that the bug's seed or schedule breaks; "" if none does."""
    if bug.schedule:
        try:
            SCHEDULES[bug.schedule](None)
        except Violation as violation:
            return violation.check
        return ""
    assert bug.seed is not None
    return play(bug.seed, kind=bug.kind).check


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_is_caught(bug: Bug) -> None:
    """A checker, not an exception at the patched line, finds the bug; without it the same run is good."""
    assert caught(bug) == ""
    with planted(bug):
        assert caught(bug) == bug.check
    assert caught(bug) == ""


def test_there_are_enough_bugs() -> None:
    """At least twelve of PBFT and ten of Raft, the ones of our own review among them."""
    assert len(PBFT_BUGS) >= 12 and len(RAFT_BUGS) >= 10
    rows = [bug.row for bug in BUGS]
    assert [row for row in ("P-1", "P-2", "P-3", "P-5", "P-7", "P-8", "P-11") if row not in rows] == []
