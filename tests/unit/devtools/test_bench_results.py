"""Figures of the bench: percentiles, latencies, stages, and what makes a run invalid."""

from zizhu.framework.devtools.audit import Chain, Height, faults
from zizhu.framework.devtools.results import Latency, percentile
from zizhu.framework.devtools.stages import OTHER, shares, stage_of


def test_percentiles_are_values_that_were_measured() -> None:
    """The smallest value that p % do not exceed; 0 of nothing."""
    assert percentile([], 50) == 0.0
    assert percentile([7.0], 99) == 7.0
    values = [float(each) for each in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 95), percentile(values, 99)) == (50.0, 95.0, 99.0)


def test_latencies_of_all_clients_are_one_distribution() -> None:
    """Samples of two clients are ranked together, and what a client lost is a fault of the run."""
    reports: list[dict[str, object]] = [
        {"latencies_ms": [1.0, 9.0], "lost": [], "accepted": 2, "busy": 1},
        {"latencies_ms": [5.0], "lost": ["pool.nonce_used"], "accepted": 2, "busy": 0},
    ]
    found = Latency.of(reports, members_s=0.004)
    assert (found.samples, found.p50_ms, found.p99_ms, found.busy) == (3, 5.0, 9.0, 1)
    assert found.members_us == 1000.0
    assert found.faults == ["a client lost: pool.nonce_used"]


def chain(*ids: bytes, block: bytes = b"b", signatures: int = 1) -> Chain:
    heights = [Height(block, b"o", 1_000, len(ids), signatures)]
    return Chain(heights, {id_: ids.count(id_) for id_ in ids})


ONE, TWO = bytes(32), bytes([1]) * 32


def test_a_run_counts_when_chains_ids_and_signatures_agree() -> None:
    """Equal chains, every acknowledged id once on every member, every signature verified by every member."""
    assert faults([chain(ONE, TWO), chain(ONE, TWO)], ONE + TWO, [1, 1]) == []


def test_every_way_to_be_invalid_is_named() -> None:
    """Another chain, a lost or doubled transaction, an unverified signature, a failed transaction: each is a fault."""
    good = chain(ONE, TWO)
    assert "another chain" in faults([good, chain(ONE, TWO, block=b"x")], ONE, [1, 1])[0]
    assert "1 acknowledged transactions missing" in faults([chain(ONE)], ONE + TWO, [1])[0]
    assert "1 more than once" in faults([chain(ONE, ONE)], ONE, [1])[0]
    assert "verified 4 signatures, 5 stand" in faults([chain(ONE, signatures=5)], ONE, [4])[0]
    failed = chain(ONE)
    failed.failed = 1
    assert faults([failed], ONE, [1]) == ["1 transactions failed"]


def test_a_sample_belongs_to_the_innermost_stage() -> None:
    """A hash inside the state tree is state, a verification inside the runtime is signature, the loop is the rest."""
    tree = "run (x.py);Ledger._finish (zizhu/chain/ledger/ledger.py);StateTree.update (zizhu/chain/ledger/tree.py)"
    assert stage_of(tree + ";DomainHash.hash (zizhu/chain/crypto/domain_hash.py)") == "state"
    assert stage_of("Runtime._work (r.py);Secp256k1.verify_many (zizhu/chain/crypto/international/secp256k1.py)") == (
        "signature"
    )
    assert stage_of("main (x.py);run (uvloop/__init__.py)") == OTHER


def test_shares_sum_to_one_and_leave_waiting_threads_out() -> None:
    """Counts become shares, the largest first; the writer's idle thread is nobody's time."""
    lines = ["a;verify_many 3", "a;x (zizhu/chain/ledger/tree.py) 1", "t;_worker (concurrent/futures/thread.py) 96"]
    assert shares(lines) == {"signature": 0.75, "state": 0.25}
    assert shares([]) == {}
