"""What the bench found out: rows, spans, latencies, as they are printed and kept.

Decides names and units of the figures, and how percentiles are taken. Refuses to know how they were measured.
"""

import statistics
from collections.abc import Sequence
from typing import cast

import msgspec


class Span(msgspec.Struct, frozen=True):
    """A stretch at saturation. `members_us` and `clients_us` are processor microseconds a committed transaction, of
    all members (clients) together."""

    seconds: float
    transactions: int
    blocks: int
    tps: float
    members_us: float
    clients_us: float


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from when a submission was due to its acknowledged finality; 0 when nothing was measured.

    `members_us`: processor microseconds of all members a transaction, in this phase."""

    samples: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    rate: float = 0.0
    members_us: float = 0.0
    accepted: int = 0
    busy: int = 0
    faults: list[str] = []

    @classmethod
    def of(cls, reports: Sequence[dict[str, object]], *, rate: float = 0.0, members_s: float = 0.0) -> "Latency":
        """Percentiles over the reports of all clients."""
        found = sorted(each for report in reports for each in cast(list[float], report["latencies_ms"]))
        accepted = sum(cast(int, report["accepted"]) for report in reports)
        lost = [f"a client lost: {each}" for report in reports for each in cast(list[str], report["lost"])]
        return cls(
            samples=len(found),
            p50_ms=percentile(found, 50),
            p95_ms=percentile(found, 95),
            p99_ms=percentile(found, 99),
            rate=round(rate, 1),
            members_us=round(members_s * 1e6 / max(1, accepted), 1),
            accepted=accepted,
            busy=sum(cast(int, report["busy"]) for report in reports),
            faults=lost[:10],
        )


class Row(msgspec.Struct, frozen=True):
    """One configuration, measured. `faults` says why the row does not count; empty when it does.

    `verification_us` is what one verification cost while the load ran, `verification_quiet_us` just before;
    `stages` are shares of the members' processor time, empty unless they were asked for."""

    suite: str
    workload: str
    bundle: int
    accounts: int
    signers: int
    members: int
    rung: str
    verification_us: float
    verification_quiet_us: float
    spans: list[Span]
    saturated: Latency
    stages: dict[str, float]
    half: Latency
    idle: Latency
    resident_bytes: list[int]
    disk_bytes_per_transaction: float
    transactions: int
    blocks: int
    signatures_in_chain: int
    signatures_verified: list[int]
    faults: list[str]
    machine: dict[str, object]
    when: str
    engine: str = "pbft"

    @property
    def tps(self) -> float:
        """Median over the spans."""
        return statistics.median(span.tps for span in self.spans)

    @property
    def members_us(self) -> float:
        """Processor microseconds a transaction of all members, median over the spans."""
        return statistics.median(span.members_us for span in self.spans)

    @property
    def clients_us(self) -> float:
        """The same of the clients."""
        return statistics.median(span.clients_us for span in self.spans)

    @property
    def block_size(self) -> float:
        """Transactions a block at saturation."""
        return sum(span.transactions for span in self.spans) / max(1, sum(span.blocks for span in self.spans))

    @property
    def ratio(self) -> float:
        """`members_us` in verifications."""
        return self.members_us / self.verification_us

    @property
    def name(self) -> str:
        """What tables call it."""
        bundled = f", bundles of {self.bundle}" if self.bundle > 1 else ""
        engine = "" if self.engine == "pbft" else f", {self.engine} of {self.members}"
        return f"{self.suite}{bundled}, {self.workload}{engine}"


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` % of the values do not exceed; 0 of none."""
    if not ascending:
        return 0.0
    return ascending[max(0, -(-len(ascending) * percent // 100) - 1)]
