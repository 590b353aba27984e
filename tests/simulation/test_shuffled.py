"""Whole nodes in drawn orders: no fork while everything goes wrong, and everything final once it is over."""

import pytest

from zizhu.framework.testkit.effort import Effort
from zizhu.framework.testkit.shuffled import Shuffled

pytestmark = pytest.mark.simulation

KEPT = [(4, 899_271_805_195)]
"""(size, seed) of orders that failed: a block synced during a change of view stopped its timer, and it never ended."""


@pytest.mark.counted("simulation")
@pytest.mark.parametrize("size", [4, 7])
def test_any_order_heals(size: int, effort: Effort) -> None:
    """Losses, crashes of one or of all, timers at any moment; then, with one member still down at times, a transaction
    becomes final everywhere, nothing waits in a pool for ever, and there is one chain."""
    for number in effort.rounds(f"shuffled orders of {size}", quick=30, ci=300):
        Shuffled(number, size=size).play()


@pytest.mark.parametrize(("size", "seed"), KEPT)
def test_kept_order(size: int, seed: int) -> None:
    """An order that failed once is played for ever."""
    Shuffled(seed, size=size).play()
