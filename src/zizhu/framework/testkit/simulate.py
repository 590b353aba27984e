"""`python -m zizhu.framework.testkit.simulate`: play seeds, and say in one line what failed.

Decides what a run of seeds reports: what failed and how to see it again, how many seeds count (docs/guides), which
faults struck members in which state. `--check-hash-seed` plays the seeds under two PYTHONHASHSEEDs in processes of
their own and compares the digests of their traces.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from zizhu.framework.testkit.facts import Violation
from zizhu.framework.testkit.faults import Plan, draw_plan
from zizhu.framework.testkit.kinds import SmallKind, WholeKind
from zizhu.framework.testkit.simulator import Kind, Simulation

KINDS: dict[str, Callable[[], Kind]] = {
    "whole": WholeKind,
    "small": SmallKind,
    "whole-raft": lambda: WholeKind("raft"),
    "small-raft": lambda: SmallKind("raft"),
}
"""The nodes to play: the size of the node, and the engine if it is not PBFT."""
BLOCKS_COUNTED = 20
FAULTS_COUNTED = 3
CLASSES_COUNTED = 2
MEMBERS_COUNTED = 4
TRACE_SHOWN = 30


@dataclass(frozen=True)
class Played:
    """One seed and what came of it; `failure` is "" for a good run, otherwise `check` is the broken promise."""

    plan: Plan
    failure: str
    check: str
    digest: str
    events: int
    counts: bool
    faults: dict[tuple[str, str], int]
    lines: list[str]


@dataclass
class Report:
    """What a series of seeds adds up to; `able` have members enough to count."""

    seeds: int = 0
    able: int = 0
    counting: int = 0
    with_member_faults: int = 0
    events: int = 0
    seconds: float = 0.0
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: list[Played] = field(default_factory=list)

    def add(self, played: Played) -> None:
        """One more seed."""
        self.seeds += 1
        self.able += played.plan.size >= MEMBERS_COUNTED
        self.counting += played.counts
        self.with_member_faults += bool(played.plan.actors) or any(
            name.startswith("crash") for name in played.plan.classes
        )
        self.events += played.events
        self.faults.update(played.faults)
        if played.failure:
            self.failed.append(played)

    def lines(self) -> list[str]:
        """For people."""
        shown = [
            (
                f"{self.seeds} seeds, {self.counting} of them count, {self.with_member_faults} with a crashing or "
                f"Byzantine member, {len(self.failed)} failed"
            ),
            (
                f"{self.events} events in {self.seconds:.1f} s: {self.events / max(self.seconds, 0.001):.0f} events/s, "
                f"{self.seconds / max(self.seeds, 1):.2f} s a seed"
            ),
            "faults × state of the member they struck:",
        ]
        for name in sorted({name for name, _ in self.faults}):
            states = [
                f"{state} {self.faults[key]}" for key in sorted(self.faults) if key[0] == name for state in key[1:]
            ]
            shown.append(f"  {name}: {', '.join(states)}")
        return shown


def play(seed: int, *, kind: str = "whole", keep_trace: bool = False) -> Played:
    """One seed, played to its end or to the first broken promise."""
    node = KINDS[kind]()
    plan = draw_plan(seed, node.consensus)
    simulation = Simulation(node, plan, keep_trace=keep_trace)
    failure, check = "", ""
    try:
        simulation.run()
    except Violation as violation:
        failure, check = str(violation), violation.check
    except AssertionError as error:
        check = "no assertion fails"
        failure = f"an assertion of the product: {str(error) or 'without words'} ({_where(error)})"
    return Played(
        plan, failure, check, simulation.trace.digest, simulation.events, _counts(simulation),
        simulation.faults.total(), simulation.trace.lines,
    )  # fmt: skip


def _where(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return "" if frame is None else frame.tb_frame.f_code.co_qualname


def _counts(simulation: Simulation) -> bool:
    """Whether at least 4 members committed 20 blocks under at least 3 faults of 2 classes."""
    faults = simulation.faults.total()
    heights = [simulation.kind.height(each.machine) for each in simulation.live() if each.machine is not None]
    return (
        simulation.settled
        and len(simulation.members) >= MEMBERS_COUNTED
        and sum(height >= BLOCKS_COUNTED for height in heights) >= MEMBERS_COUNTED - len(simulation.actors)
        and sum(faults.values()) >= FAULTS_COUNTED
        and len(sorted({name for name, _ in faults})) >= CLASSES_COUNTED
    )


def play_all(seeds: Iterator[int] | Sequence[int], *, kind: str = "whole") -> Report:
    """Many seeds; each failure is told when it happens."""
    report = Report()
    started = time.monotonic()
    for seed in seeds:
        played = play(seed, kind=kind)
        report.add(played)
        if played.failure:
            print(failure_line(played, kind), flush=True)
    report.seconds = time.monotonic() - started
    return report


def failure_line(played: Played, kind: str) -> str:
    """The one line that says how to see it again, and what broke."""
    arguments = "" if kind == "whole" else f" ARGS='--kind {kind}'"
    return f"make sim SEED={played.plan.seed}{arguments}  # {played.failure}"


def digests_under(hash_seed: int, seeds: Sequence[int], *, kind: str) -> list[str]:
    """Digests of the traces of `seeds`, played in a process with this PYTHONHASHSEED."""
    command = [sys.executable, "-m", __spec__.name, "--digests", "--kind", kind, "--of", *map(str, seeds)]
    environment = dict(os.environ, PYTHONHASHSEED=str(hash_seed), PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="simulate", description="Play seeds of the simulator.")
    parser.add_argument("--seed", type=int, help="play one seed")
    parser.add_argument("--seeds", type=int, default=100, help="how many fresh seeds")
    parser.add_argument("--first", type=int, help="where they begin (default: drawn now, and printed)")
    parser.add_argument("--kind", choices=tuple(KINDS), default="whole", help="the node that is played")
    parser.add_argument("--trace", action="store_true", help="with --seed: print every event")
    parser.add_argument("--check-hash-seed", action="store_true", help="same traces under two PYTHONHASHSEEDs")
    parser.add_argument("--digests", action="store_true", help="print only the digests of the traces")
    parser.add_argument("--of", type=int, nargs="*", help="these seeds")
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        return _one(asked.seed, kind=asked.kind, trace=asked.trace)
    first = asked.first if asked.first is not None else int.from_bytes(os.urandom(4), "big")
    seeds = list(asked.of or range(first, first + asked.seeds))
    if asked.digests:
        for seed in seeds:
            print(play(seed, kind=asked.kind).digest)
        return 0
    if asked.check_hash_seed:
        return _compare(seeds, asked.kind)
    print(f"seeds {seeds[0]} to {seeds[-1]}, {asked.kind} node", flush=True)
    report = play_all(seeds, kind=asked.kind)
    print("\n".join(report.lines()))
    return 1 if report.failed else 0


def _one(seed: int, *, kind: str, trace: bool) -> int:
    played = play(seed, kind=kind, keep_trace=True)
    plan = played.plan
    if trace:
        print("\n".join(played.lines))
    elif played.failure:
        print("\n".join(played.lines[-TRACE_SHOWN:]))
    if played.failure:
        print(failure_line(played, kind))
        return 1
    print(
        f"seed {seed}: {plan.size} members, faults {', '.join(plan.classes)}, actors {plan.actors or 'none'}; "
        f"{played.events} events, trace {played.digest}"
    )
    return 0


def _compare(seeds: list[int], kind: str) -> int:
    one, two = (digests_under(hash_seed, seeds, kind=kind) for hash_seed in (1, 2))
    different = [seed for seed, left, right in zip(seeds, one, two, strict=True) if left != right]
    for seed in different:
        print(f"make sim SEED={seed}  # its trace depends on PYTHONHASHSEED")
    print(f"{len(seeds)} seeds under two hash seeds, {len(different)} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
