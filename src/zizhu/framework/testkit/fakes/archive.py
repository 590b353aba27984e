"""One node's ledger on a fake disk, written as a driver writes it: block, commit, index, state.

Decides the order of the writes and the places where a crash can come between them. Refuses to know consensus:
certificates are counterfeit.
"""

from collections.abc import Callable
from dataclasses import dataclass

from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.ledger import Committed, Ledger
from zizhu.chain.ledger.records import encode_block_record, encode_commit_record
from zizhu.chain.ledger.recovery import Recovered, Rooms, committed_batch, recover
from zizhu.chain.model.certificate import COMMIT, VERSION, Certificate, SignedBy
from zizhu.chain.model.genesis import SignedGenesis
from zizhu.chain.storage.port import Change, KeyValueStore, Log
from zizhu.framework.testkit.fakes.disk import FakeDisk
from zizhu.framework.testkit.fakes.ledger import ENGINES, SUITES
from zizhu.framework.testkit.fakes.suite import suite

ROOMS = Rooms(suite, SUITES, ENGINES)
Between = Callable[[str], None]
"""Told the name of what was just done; may raise to crash there."""


def never(_: str) -> None:
    """No crash."""


def counterfeit_certificate(executed: Executed) -> Certificate:
    """A certificate that names the right things and is signed by nobody."""
    return Certificate(
        version=VERSION,
        phase=COMMIT,
        epoch=executed.block.header.epoch,
        view=0,
        height=executed.height,
        block=executed.hash,
        outcome=executed.outcome_hash,
        signatures=[SignedBy(bytes(32), bytes(64))],
    )


@dataclass
class StoredLedger:
    """A ledger with its log, index and state store, as `open_ledger` left them."""

    ledger: Ledger
    archive: BlockArchive
    recovered: Recovered
    log: Log
    index: KeyValueStore
    store: KeyValueStore

    def write_block(self, executed: Executed, between: Between = never) -> None:
        """Before a prepare: the block, durable, then its index."""
        self._append(encode_block_record(executed.block_bytes), "block", between)

    def commit(self, executed: Executed, between: Between = never) -> Committed:
        """The commit record, durable; the index; the state at root heights. Returns what became final."""
        committed = self.ledger.commit(executed.hash)
        certificate = counterfeit_certificate(executed)
        self._append(encode_commit_record(certificate, executed.outcome, list(executed.receipts)), "commit", between)
        self._write(self.store, committed_batch(self.ledger.ledger_id, committed))
        between("state written")
        return committed

    def _append(self, data: bytes, name: str, between: Between) -> None:
        (position,) = self.log.append([data])
        between(f"{name} appended")
        self.log.sync()
        between(f"{name} synced")
        self._write(self.index, self.archive.index_changes(position, data))
        between(f"{name} indexed")

    def _write(self, store: KeyValueStore, batch: list[Change]) -> None:
        if batch:
            store.write(batch, durable=False)


def open_ledger(disk: FakeDisk, signed: SignedGenesis) -> StoredLedger:
    """What a node does when it starts."""
    log, index, store = disk.log("blocks"), disk.store("index"), disk.store("state")
    archive = BlockArchive(log, index, suite=suite)
    archive.recover()
    recovered = recover(signed, archive, store, rooms=ROOMS)
    return StoredLedger(recovered.ledger, archive, recovered, log, index, store)
