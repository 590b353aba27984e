"""The gate of the bench: a short run whose one figure holds still on a noisy machine.

Decides what is run and how much worse it may be than the record in bench/data/gate.json. Refuses to know the record.
"""

from collections.abc import Callable

from zizhu.framework.devtools.results import Row
from zizhu.framework.devtools.session import Order, measure
from zizhu.framework.devtools.workloads import Transfers
from zizhu.framework.sdk.keys import known_suite

ALLOWED = 0.4
"""How far above the record the ratio may be."""
ACCOUNTS = 10_000


def run_gate(say: Callable[[str], None]) -> Row:
    """International accounts, three spans of 4 s, no other phases; under a minute on two cores."""
    order = Order(
        suite=known_suite("international"),
        workload=Transfers(ACCOUNTS),
        accounts=ACCOUNTS,
        spans=3,
        span_s=4.0,
        warm_s=3.0,
        half_s=0.0,
        idle_count=0,
        expected_tps=5_000,
    )
    return measure(order, say)
