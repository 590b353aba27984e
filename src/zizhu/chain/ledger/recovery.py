"""From the disk to a ledger at its head: load the state, check it, replay what came after.

Decides when a stored state is believed: only at a root height, only with the running hash of that height's
certified outcome, and only if the tree over every loaded entry has the certified root. Anything else (missing,
ahead of the log, altered, written half) is thrown away and the chain is replayed from the genesis, by the same
execution path as ever. Refuses to know stores and clocks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from zizhu.chain.contracts.port import ContractEngine
from zizhu.chain.crypto.hashing import ledger_id, outcome_hash
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.keys import MARKER
from zizhu.chain.ledger.ledger import Committed, Head, Ledger, Restored
from zizhu.chain.ledger.records import CommitRecord
from zizhu.chain.ledger.state import State
from zizhu.chain.ledger.tree import StateTree
from zizhu.chain.ledger.validate import Invalid
from zizhu.chain.model.block import Block
from zizhu.chain.model.encoding import Codec, Count, Hash32, encode
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.genesis import SignedGenesis
from zizhu.chain.model.ids import BlockHash
from zizhu.chain.storage.port import Change, Delete, KeyValueStore, Put

VERSION = 1
BATCH_CHANGES = 4096
STATE_PREFIX = b"="
"""In front of every state key in the store, so that the marker is none of them."""


class StateMarker(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The store holds the state of this ledger as of this root height, whose running hash is this."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    ledger: Hash32
    height: Count
    running: Hash32


_marker_codec: Codec[StateMarker] = Codec(StateMarker, what="state marker", bytes_max=128)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A ledger at its head, the blocks above it that are written and not adopted (in order of height), how many
    heights were replayed, and whether the state store had to be made anew and why ("" if not)."""

    ledger: Ledger
    tentative: list[tuple[BlockHash, Block]]
    replayed: int
    rebuilt: str


@dataclass(frozen=True)
class Rooms:
    """What a ledger runs with."""

    suite: Suite
    suites: Mapping[int, Suite]
    engines: Mapping[str, ContractEngine]

    def ledger(self, signed: SignedGenesis, restored: Restored | None = None) -> Ledger:
        """A ledger that runs with these."""
        return Ledger(signed, suite=self.suite, suites=self.suites, engines=self.engines, restored=restored)


def state_batch(
    ledger: bytes, since_root: Mapping[bytes, bytes | None], *, height: int, running: bytes
) -> list[Change]:
    """The one atomic batch that brings a state store from the root height before to root height `height`.

    Written when that height is committed (`Committed.since_root`), behind the block log: a store that is ahead
    of the log is thrown away.
    """
    changes: list[Change] = [
        Delete(STATE_PREFIX + key) if value is None else Put(STATE_PREFIX + key, value)
        for key, value in since_root.items()
    ]
    changes.append(Put(MARKER, encode(StateMarker(VERSION, ledger, height, running))))
    return changes


def committed_batch(ledger: bytes, committed: Committed) -> list[Change]:
    """`state_batch` of a block just committed; empty when its height is no root height."""
    if committed.since_root is None:
        return []
    executed = committed.executed
    return state_batch(ledger, committed.since_root, height=executed.height, running=executed.outcome.running)


def recover(signed: SignedGenesis, archive: BlockArchive, store: KeyValueStore, *, rooms: Rooms) -> Recovered:
    """The ledger as the block log says it is, and the state store brought along with it.

    `archive` has been recovered. A replayed outcome that differs from the certified one is our own fault (or a
    node of another version) and stops the node with the height.
    """
    ledger_hash = ledger_id(rooms.suite, signed.genesis)
    restored, rebuilt = _load(ledger_hash, archive, store, rooms.suite)
    ledger = rooms.ledger(signed, restored)
    if restored is None:
        _clear(store)
        _write_genesis(ledger, store)
    start = ledger.head.height
    for height in range(start + 1, archive.head_height + 1):
        committed = _replay(ledger, archive, height)
        batch = committed_batch(ledger_hash, committed)
        if batch:
            store.write(batch, durable=False)
    tentative = archive.tentative_blocks(ledger.head.height)
    return Recovered(ledger, tentative, ledger.head.height - start, rebuilt)


def _replay(ledger: Ledger, archive: BlockArchive, height: int) -> Committed:
    block, commit, hash_ = archive.block(height), archive.commit(height), archive.block_hash(height)
    assert block is not None and commit is not None and hash_ is not None, f"the log has no height {height}"
    executed = ledger.execute(block, hash_)
    assert not isinstance(executed, Invalid), f"height {height} was committed, and is refused now: {executed}"
    check_certified(executed, commit)
    return ledger.commit(hash_)


def check_certified(executed: Executed, commit: CommitRecord) -> None:
    """Stops a node whose own execution differs from what the members certified; the assertion names the height."""
    certified = commit.certificate.outcome
    assert executed.outcome_hash == certified, (
        f"height {executed.height}: own outcome {executed.outcome_hash.hex()}, certified {certified.hex()};"
        f" own {executed.outcome}, recorded {commit.outcome}"
    )


def _load(ledger: bytes, archive: BlockArchive, store: KeyValueStore, suite: Suite) -> tuple[Restored | None, str]:
    """The stored state if it can be believed, else None and the reason in words."""
    stored = store.get(MARKER)
    if stored is None:
        return None, "" if archive.head_height == 0 else "the state store has no marker"
    try:
        marker = _marker_codec.decode(stored)
    except SpokeWrongly as error:
        return None, f"the marker of the state store is unreadable: {error}"
    if marker.ledger != ledger:
        return None, "the state store belongs to another ledger"
    if marker.height == 0:
        return None, ""
    block, commit, hash_ = (
        archive.block(marker.height),
        archive.commit(marker.height),
        archive.block_hash(marker.height),
    )
    if block is None or commit is None or hash_ is None:
        return None, f"the state store is of height {marker.height}, the log ends at {archive.head_height}"
    outcome = commit.outcome
    if outcome_hash(suite, outcome) != commit.certificate.outcome:
        return None, f"the log's outcome of height {marker.height} is not the certified one"
    if outcome.root_height != marker.height or outcome.running != marker.running:
        return None, f"the state store's marker is not that of height {marker.height}"
    head = STATE_PREFIX
    values = {key[len(head) :]: value for key, value in store.scan(head)}
    tree = StateTree.build(suite.hash, values.items())
    if tree.root != outcome.root:
        return None, f"the stored state does not have the root of height {marker.height}"
    at = Head(marker.height, hash_, outcome_hash(suite, outcome), outcome, block.header.time_ms)
    return Restored(at, State(values), tree), ""


def _clear(store: KeyValueStore) -> None:
    """Empties the store, the marker first: what is half cleared must not be believed."""
    store.write([Delete(MARKER)], durable=False)
    while entries := store.scan(b"", limit=BATCH_CHANGES):
        store.write([Delete(key) for key, _ in entries], durable=False)


def _write_genesis(ledger: Ledger, store: KeyValueStore) -> None:
    assert ledger.head.height == 0
    changes: dict[bytes, bytes | None] = dict(ledger.state_items())
    store.write(state_batch(ledger.ledger_id, changes, height=0, running=ledger.head.outcome.running), durable=False)
