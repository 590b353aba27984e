"""What every test run shares: how much effort it makes, what it counted, which skips are allowed.

Decides by three environment variables that `make ci` and `make long` set, so that `pytest tests` alone does the
right thing for a developer: `ZIZHU_EFFORT` (quick, ci, long), `ZIZHU_FRESH` (where fresh seeds start) and
`ZIZHU_MINUTES` (how long a `long` run lasts). Refuses to know any test.
"""

import json
import os
import secrets
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent
FOLDER_MARKS = {"simulation": "simulation", "integration": "process", "e2e": "process"}
MARKED_ALREADY = ("demo", "browser", "bench", "simulation")
WORKERS_APART = 1_000_000
EXAMPLES = {"quick": 50, "ci": 200, "long": 5_000}

for _name, _examples in EXAMPLES.items():
    hypothesis.settings.register_profile(_name, max_examples=_examples, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("ZIZHU_EFFORT", "quick"))


@dataclass
class Effort:
    """How many rounds a counted test makes, and which fresh numbers it gets.

    `name` is quick, ci or long; a long run goes on for `seconds` instead of a number of rounds.
    """

    name: str
    first: int
    seconds: float
    counts: Counter[str] = field(default_factory=Counter)

    def rounds(self, what: str, *, quick: int, ci: int) -> Iterator[int]:
        """Fresh numbers, one a round, each counted under `what`: `quick` many, `ci` many, or until the time is up."""
        limit = {"quick": quick, "ci": ci}.get(self.name)
        ends = time.monotonic() + self.seconds
        number = 0
        while number < limit if limit is not None else time.monotonic() < ends:
            yield self.first + number
            number += 1
            self.counts[what] += 1


@pytest.fixture
def effort(request: pytest.FixtureRequest) -> Iterator[Effort]:
    """The effort of this run; what it counts ends up in the run's report and in tests/long."""
    config = request.config
    whole = float(os.environ.get("ZIZHU_MINUTES", "1")) * 60
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    made = Effort(
        name=os.environ.get("ZIZHU_EFFORT", "quick"),
        first=_first_number(config),
        seconds=min(whole, whole * workers / max(1, config.stash.get(SHARING, 1))),
    )
    yield made
    for what, count in made.counts.items():
        request.node.user_properties.append(("count", [what, count]))


SHARING: pytest.StashKey[int] = pytest.StashKey()
FRESH: pytest.StashKey[int] = pytest.StashKey()


def _first_number(config: pytest.Config) -> int:
    """Where fresh numbers start here: workers stand far enough apart never to meet."""
    if hasattr(config, "workerinput"):
        worker = int(config.workerinput["workerid"].removeprefix("gw"))
        return int(config.workerinput["fresh"]) + worker * WORKERS_APART
    return config.stash[FRESH]


class Book:
    """Keeps the books of a run: outcomes, skips, counts, rows. Lives in the process that prints the summary."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.started = time.monotonic()
        self.outcomes: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self.skips: list[tuple[str, str]] = []
        path = TESTS / "allowed_skips.toml"
        self.allowed = tomllib.loads(path.read_text(encoding="utf-8")).get("skip", []) if path.exists() else []

    def pytest_configure_node(self, node: object) -> None:
        """Tell a worker where the fresh numbers of this run start."""
        node.workerinput["fresh"] = str(self.config.stash[FRESH])  # type: ignore[attr-defined]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that skips itself counts as one skipped test."""
        if report.skipped:
            self._skip(report.nodeid, report.longrepr)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count each test once: by its call, or by the phase that kept it from being called."""
        if report.when == "teardown":
            for name, value in report.user_properties:
                if name == "count":
                    self.counts[value[0]] += value[1]
        if report.when == "call" or report.outcome != "passed":
            expected = hasattr(report, "wasxfail")
            self.outcomes["xfailed" if expected else report.outcome] += 1
            if report.skipped and not expected:
                self._skip(report.nodeid, report.longrepr)
            if report.when == "call" and report.passed:
                self.rows.update(value for name, value in report.user_properties if name == "row")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a strict run that skipped in silence, and write the report for whoever asked."""
        if os.environ.get("ZIZHU_STRICT_SKIPS") and self.unnamed():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        target = os.environ.get("ZIZHU_TEST_REPORT")
        if target:
            report = {
                "seconds": round(time.monotonic() - self.started, 2),
                "outcomes": dict(sorted(self.outcomes.items())),
                "counts": dict(sorted(self.counts.items())),
                "rows": dict(sorted(self.rows.items())),
                "unnamed_skips": self.unnamed(),
                "fresh": self.config.stash[FRESH],
            }
            Path(target).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was counted, and which skips nobody named."""
        if self.counts:
            listed = ", ".join(f"{count:,} {what}" for what, count in sorted(self.counts.items()))
            terminalreporter.line(f"counted: {listed}; fresh numbers from {self.config.stash[FRESH]}")
        if os.environ.get("ZIZHU_STRICT_SKIPS"):
            for nodeid, reason in self.unnamed():
                terminalreporter.line(f"skip not named in tests/allowed_skips.toml: {nodeid}: {reason}", red=True)

    def unnamed(self) -> list[tuple[str, str]]:
        """Skips that no entry allows: (test, reason)."""
        return [
            (nodeid, reason)
            for nodeid, reason in self.skips
            if not any(fnmatch(nodeid, entry["test"]) and entry["reason"] in reason for entry in self.allowed)
        ]

    def _skip(self, nodeid: str, longrepr: object) -> None:
        reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
        self.skips.append((nodeid, str(reason)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--counted PART` keeps only the tests marked `counted("PART")`: a part of `make long`."""
    parser.addoption("--counted", default=None, help="run only the tests of this part of make long")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the fresh numbers once, and keep the books in the process that is not a worker."""
    if hasattr(config, "workerinput"):
        return
    config.stash[FRESH] = int(os.environ.get("ZIZHU_FRESH") or secrets.randbelow(2**40))
    config.pluginmanager.register(Book(config), "book")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark by folder, and carry the rows that a test shows into its report."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in FOLDER_MARKS and not any(item.get_closest_marker(name) for name in MARKED_ALREADY):
            item.add_marker(FOLDER_MARKS[folder])
        for marker in item.iter_markers("row"):
            item.user_properties.extend(("row", row) for row in marker.args)
    part = config.getoption("--counted")
    if part is not None:
        dropped = [item for item in items if part not in [arg for m in item.iter_markers("counted") for arg in m.args]]
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]
    config.stash[SHARING] = sum("effort" in getattr(item, "fixturenames", ()) for item in items)
