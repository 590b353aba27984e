"""The bench gate: processor time a transaction, in verifications, against what was recorded."""

import json
from pathlib import Path

import pytest

from zizhu.framework.devtools.gate import ALLOWED, run_gate

RECORDED = Path(__file__).resolve().parents[2] / "bench" / "data" / "gate.json"


@pytest.mark.bench
def test_a_transaction_costs_no_more_verifications_than_recorded() -> None:
    """A short run is valid, and its CPU a transaction over that of one verification is not above the record + 40 %."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    row = run_gate(lambda _: None)
    assert row.faults == []
    assert row.ratio <= recorded["ratio"] * (1 + ALLOWED), (
        f"{row.ratio:.2f} verifications a transaction, recorded are {recorded['ratio']}: "
        f"{row.members_us:.0f} µs at {row.verification_us:.1f} µs a verification"
    )
