"""Whole consortia from seeds: the kept ones, fresh ones, and the same ones under two hash seeds."""

import os
from pathlib import Path

import pytest

from zizhu.framework.testkit.simulate import digests_under, failure_line, play, play_all

pytestmark = pytest.mark.simulation

PARTS = {"whole": 6, "small": 6, "whole-raft": 4, "small-raft": 4}
"""Kinds of node, of those in `simulate.KINDS`, that fresh seeds are played with, each in so many parts."""
FRESH = int(os.environ.get("ZIZHU_SIM_SEEDS", "0"))
HASHED = {"quick": 8, "ci": 100, "long": 100}


def kept() -> list[tuple[str, int]]:
    """Kind and seed of every line of seeds.txt."""
    lines = (Path(__file__).parent / "seeds.txt").read_text(encoding="utf-8").splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(("kind", "seed"), kept())
def test_kept_seed(kind: str, seed: int) -> None:
    """A seed that failed once is played for ever, and every promise is kept in it."""
    played = play(seed, kind=kind)
    assert not played.failure, failure_line(played, kind)


@pytest.mark.counted("simulation")
@pytest.mark.parametrize(("kind", "part"), [(kind, part) for kind, parts in PARTS.items() for part in range(parts)])
def test_fresh_seeds(kind: str, part: int, effort) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Seeds nobody has seen break no promise: agreement, order, exactly once, durability, one vote, liveness."""
    first = effort.first % 2**32 + part * 10_000_019
    if FRESH:
        seeds = iter(range(first, first + max(1, FRESH // sum(PARTS.values()))))
    else:
        rounds = effort.rounds(f"{kind} seeds", quick=2, ci=50)
        seeds = (first + number - effort.first for number in rounds)
    report = play_all(seeds, kind=kind)
    print("\n".join(report.lines()))
    assert not report.failed, "\n".join(failure_line(each, kind) for each in report.failed)
    assert report.counting >= report.able * 3 // 4
    assert report.seeds < 20 or report.with_member_faults * 3 >= report.seeds * 2


@pytest.mark.parametrize("kind", PARTS)
def test_traces_do_not_depend_on_hash_order(kind: str, effort) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """All kept seeds and fresh ones give the same trace under two PYTHONHASHSEEDs, in processes of their own."""
    seeds = [seed for each, seed in kept() if each == kind]
    first = effort.first % 2**32
    seeds += range(first, first + HASHED[effort.name] // len(PARTS))
    one, two = (digests_under(hash_seed, seeds, kind=kind) for hash_seed in (1, 2))
    different = [seed for seed, left, right in zip(seeds, one, two, strict=True) if left != right]
    assert not different, f"make sim SEED={different[0]}  # its trace depends on PYTHONHASHSEED"
