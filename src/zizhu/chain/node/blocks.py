"""A node's blocks on their way: built, executed and written, committed, dropped.

Decides what is written in front of which effect: a block's record stands before any vote on it, its commit record
before anybody is answered. Refuses to know why a block is built or certified: the engine says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from zizhu.chain.consensus import port as engine
from zizhu.chain.consensus.port import Ready
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.pool import Pool
from zizhu.chain.ledger.records import encode_block_record, encode_commit_record
from zizhu.chain.ledger.recovery import committed_batch
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.effects import Persist, Record, Report
from zizhu.chain.model.ids import BlockHash, Instant, MemberId
from zizhu.chain.node.assembly import entries_of
from zizhu.chain.node.clients import Admission
from zizhu.chain.node.events import Effect, Keep, Published


@dataclass
class Blocks:
    """The blocks between the head and the newest proposal of one node. `put` takes effects in their order;
    `written` are blocks whose record is in the log, by height."""

    me: MemberId
    ledger: Ledger
    pool: Pool
    admission: Admission
    put: Callable[[Effect], None]
    written: dict[BlockHash, int] = field(default_factory=dict)
    _in_flight: dict[BlockHash, int] = field(default_factory=dict)
    _free_since_ms: int | None = None
    """Since when something waits that stands in no block: what the batch rule means by waiting."""

    def build(self, now: Instant, asked: engine.Build) -> engine.Executed | None:
        """A new block from the pool, executed; its record is written before anything is said about it."""
        parameters = self.ledger.record.parameters
        candidates = self.pool.take(parameters.block_transactions_max * (parameters.window + 1))
        executed = self.ledger.build(asked.parent, candidates=candidates, wall_ms=now.wall_ms, proposer=self.me)
        if not executed.transactions and not asked.empty:
            self.ledger.drop(executed.hash)
            return None
        return self.executed(executed)

    def executed(self, executed: Executed) -> engine.Executed:
        """Bodies are durable before any vote on them: the record goes in front of what the engine does next."""
        self._in_flight[executed.hash] = len(executed.transactions)
        self._free_since_ms = None
        if executed.hash not in self.written:
            self.written[executed.hash] = executed.height
            self.put(Persist((Record("blocks", encode_block_record(executed.block_bytes)),)))
        return engine.Executed(
            ready_of(executed), executed.block.header, entries_of(executed.block, executed.transactions)
        )

    def commit(self, now: Instant, certificate: Certificate, *, agreed_now: bool) -> None:
        """A certified child of the head: adopt it, make it durable, then answer.

        `agreed_now`: this member took part in the agreement just now, so who was overtaken in it is noted; of a
        block that is synced that would accuse a leader of what others saw long ago.
        """
        committed = self.ledger.commit(BlockHash(certificate.block))
        executed = committed.executed
        record = encode_commit_record(certificate, executed.outcome, list(executed.receipts))
        self.put(Persist((Record("blocks", record),)))
        if batch := committed_batch(self.ledger.ledger_id, committed):
            self.put(Keep(tuple(batch)))
        self.put(Published(executed.height))
        if agreed_now:
            self.pool.committed(executed.transactions, now.monotonic_ms)
        else:
            self.pool.synced(executed.transactions, now.monotonic_ms)
        self.admission.final(executed.receipts)
        for removed in self.pool.expire(executed.height, now.monotonic_ms):
            self.admission.expired(removed.transaction.id, executed.height)
        self.put(Report("committed", {"height": executed.height, "transactions": len(executed.transactions)}))
        for at in [at for at, height in self.written.items() if height <= executed.height]:
            del self.written[at]
        self._forget_what_left_the_ledger()

    def drop(self, now: Instant, keep: tuple[BlockHash, ...]) -> None:
        """Forget executed blocks that lost: all but `keep` and its ancestors. What stood above it is proposed anew, so
        its transactions must not count as in flight."""
        kept = [block for block in keep if self.ledger.executed(block) is not None]
        if kept:
            self.ledger.drop_all_but_lineage(kept[0])
        else:
            self.ledger.drop_all()
        self._forget_what_left_the_ledger()
        self.pool.restart_turns(now.monotonic_ms)

    def _forget_what_left_the_ledger(self) -> None:
        """Blocks that were committed, dropped, or lost with a rival: what stands in them only is free again."""
        self._in_flight = {at: count for at, count in self._in_flight.items() if self.ledger.executed(at) is not None}

    def waiting(self, now: Instant) -> engine.Waiting:
        """What the engine may know of the pool."""
        waiting = self.pool.waiting
        free = max(0, waiting - sum(self._in_flight.values()))
        if not free:
            self._free_since_ms = None
        elif self._free_since_ms is None:
            self._free_since_ms = now.monotonic_ms
        since = self._free_since_ms
        return engine.Waiting(free, 0 if since is None else now.monotonic_ms - since, waiting)


def ready_of(executed: Executed) -> Ready:
    """What the engine knows of an executed block."""
    header = executed.block.header
    return Ready(
        height=executed.height,
        block=executed.hash,
        parent=BlockHash(header.parent),
        outcome=executed.outcome_hash,
        time_ms=header.time_ms,
        has_root=executed.outcome.root_height == executed.height,
        count=len(executed.transactions),
    )
