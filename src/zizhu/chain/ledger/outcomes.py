"""The outcome of a block: what members vote on beside the block itself.

Decides when a height is a root height, the running hash, and the roots of receipts and events. Refuses to know
how a block is executed. All of it is recomputed by everybody from headers, write sets and receipts.

D(h) = H("running", D(h−1) ‖ H("write-set", write set of h in order of keys)); at a root height R the root of the
state tree is taken and D(R) = H("running-root", root).
"""

from collections.abc import Mapping, Sequence

from zizhu.chain.crypto.hashing import event_hash, receipt_hash
from zizhu.chain.crypto.merkle import merkle_root
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.block import VERSION, Outcome
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.ids import ZERO_HASH
from zizhu.chain.model.receipt import EventLeaf, Receipt

Changes = dict[bytes, bytes | None]
"""A write set; None deletes."""


def is_root_height(height: int, *, time_ms: int, before: Outcome, before_time_ms: int, parameters: Parameters) -> bool:
    """Whether the block of `height` carries a state root, given its parent's outcome and time.

    Every `root_every` heights, and `root_wait_ms` of block time after a block that carries none.
    """
    if height - before.root_height >= parameters.root_every:
        return True
    parent_has_root = before.root_height == height - 1
    return not parent_has_root and time_ms >= before_time_ms + parameters.root_wait_ms


def running_at_root(suite: Suite, root: bytes) -> bytes:
    """D at a root height."""
    return suite.hash(b"running-root", root)


def running_after(suite: Suite, before: bytes, changes: Mapping[bytes, bytes | None]) -> bytes:
    """D of a height that is no root height, from its parent's D and its write set in any order."""
    return suite.hash(b"running", before + suite.hash(b"write-set", encode(sorted(changes.items()))))


def receipts_root(suite: Suite, receipts: Sequence[Receipt]) -> bytes:
    """Root over the receipts of a block, in order."""
    return merkle_root(suite.hash, [receipt_hash(suite, receipt) for receipt in receipts])


def event_leaves(receipts: Sequence[Receipt]) -> list[EventLeaf]:
    """The events of a block in order; `index` counts within a transaction."""
    return [
        EventLeaf(receipt.transaction, index, event)
        for receipt in receipts
        for index, event in enumerate(receipt.events)
    ]


def events_root(suite: Suite, receipts: Sequence[Receipt]) -> bytes:
    """Root over the events of a block, in order."""
    return merkle_root(suite.hash, [event_hash(suite, leaf) for leaf in event_leaves(receipts)])


def root_outcome(suite: Suite, height: int, root: bytes, receipts: Sequence[Receipt]) -> Outcome:
    """The outcome of a root height."""
    return Outcome(
        version=VERSION,
        root_height=height,
        root=root,
        running=running_at_root(suite, root),
        receipts_root=receipts_root(suite, receipts),
        events_root=events_root(suite, receipts),
        next_epoch=ZERO_HASH,
    )


def running_outcome(suite: Suite, before: Outcome, changes: Changes, receipts: Sequence[Receipt]) -> Outcome:
    """The outcome of a height without a root, after a parent of outcome `before`."""
    return Outcome(
        version=VERSION,
        root_height=before.root_height,
        root=before.root,
        running=running_after(suite, before.running, changes),
        receipts_root=receipts_root(suite, receipts),
        events_root=events_root(suite, receipts),
        next_epoch=ZERO_HASH,
    )
