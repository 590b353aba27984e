"""Entries and their proofs: that a block holds a transaction, a receipt or an event, or that the state holds a value.

Decides what an entry carries and when it follows from a header and an outcome; `outcomes` decides what the leaves of
their trees are. Refuses to know whether that header and outcome were agreed on: `crosschain` asks the certificate.

An entry carries nothing that header, outcome or the entry itself already say (the place of a receipt is in the
receipt, the number of receipts in the header), so no two fields can disagree.
Source: docs/protocol/state-and-proofs.md.
"""

from collections.abc import Sequence
from typing import Annotated, assert_never

import msgspec

from zizhu.chain.crypto.hashing import event_hash, receipt_hash, transaction_id
from zizhu.chain.crypto.merkle import merkle_path, verify_path
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.outcomes import event_leaves
from zizhu.chain.ledger.tree import StateProof, StateTree
from zizhu.chain.ledger.tree_proof import Check, verify_state_proof
from zizhu.chain.model import limits
from zizhu.chain.model.block import BlockHeader, Outcome
from zizhu.chain.model.encoding import Count, Hash32
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.ids import TransactionId
from zizhu.chain.model.receipt import EventLeaf, Receipt
from zizhu.chain.model.transaction import Payload, body_codec

TRANSACTION_ROOT = Check(
    "transaction-root",
    "the transaction does not stand at place {index} under the header's transaction root",
    "该交易不在区块头交易根的第 {index} 位",
)
TRANSACTION_BODY = Check("transaction-body", "{cause}", "{cause_zh}")
RECEIPT_HEIGHT = Check(
    "receipt-height",
    "the receipt is of height {found}, the header of height {height}",
    "回执的高度为 {found},区块头的高度为 {height}",
)
RECEIPT_ROOT = Check(
    "receipts-root",
    "the receipt does not stand at place {index} under the outcome's receipts root",
    "该回执不在执行结果回执根的第 {index} 位",
)
EVENT_ROOT = Check(
    "events-root",
    "the event does not stand at place {index} of {count} under the outcome's events root",
    "该事件不在执行结果事件根的第 {index} 位(共 {count} 个)",
)
STATE_HEIGHT = Check(
    "state-height",
    "height {height} has no state root of its own (its outcome names that of height {root_height})",
    "高度 {height} 没有自己的状态根(其执行结果给出的是高度 {root_height} 的状态根)",
)
STATE_VALUE = Check(
    "state-value",
    "the value is not the one that the state tree proves for the key",
    "该值不是状态树为该键所证明的值",
)

Path = Annotated[list[Hash32], msgspec.Meta(max_length=64)]
StateKey = Annotated[bytes, msgspec.Meta(max_length=limits.STATE_KEY_BYTES_MAX)]
StateValue = Annotated[bytes, msgspec.Meta(max_length=limits.STATE_VALUE_BYTES_MAX)]


class TransactionEntry(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """Transaction `index` of the block, as its encoded body. That it stands there is not that it succeeded."""

    body: Payload
    index: Count
    path: Path


class ReceiptEntry(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """The receipt of transaction `receipt.index` of the block."""

    receipt: Receipt
    path: Path


class EventEntry(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """Event `index` of the `count` events of the block."""

    leaf: EventLeaf
    index: Count
    count: Count
    path: Path


class StateEntry(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """What the state holds under `key` after the block, which is of a root height; None: nothing."""

    key: StateKey
    value: StateValue | None
    proof: StateProof


Entry = TransactionEntry | ReceiptEntry | EventEntry | StateEntry


def transaction_entry(suite: Suite, *, ids: Sequence[TransactionId], index: int, body: bytes) -> TransactionEntry:
    """The entry of transaction `index` of the block with these `ids`; `body` is its encoded body."""
    assert transaction_id(suite, body) == ids[index], "the body is not that of the transaction"
    return TransactionEntry(body, index, merkle_path(suite.hash, ids, index))


def receipt_entry(suite: Suite, receipts: Sequence[Receipt], index: int) -> ReceiptEntry:
    """The entry of receipt `index` among all `receipts` of its block."""
    leaves = [receipt_hash(suite, receipt) for receipt in receipts]
    return ReceiptEntry(receipts[index], merkle_path(suite.hash, leaves, index))


def event_entry(suite: Suite, receipts: Sequence[Receipt], *, transaction: bytes, index: int) -> EventEntry:
    """The entry of event `index` of `transaction` (its id), which must be there, among all `receipts` of the block."""
    leaves = event_leaves(receipts)
    place = next(at for at, leaf in enumerate(leaves) if leaf.transaction == transaction and leaf.index == index)
    hashes = [event_hash(suite, leaf) for leaf in leaves]
    return EventEntry(leaves[place], place, len(leaves), merkle_path(suite.hash, hashes, place))


def state_entry(tree: StateTree, *, key: bytes, value: bytes | None) -> StateEntry:
    """The entry of `key`, whose value in the state of `tree` is `value`, None when it has none."""
    return StateEntry(key, value, tree.prove(key))


def verify_entry(suite: Suite, entry: Entry, *, header: BlockHeader, outcome: Outcome) -> None:
    """Whether `entry` follows from `header` and its `outcome`; the caller knows that both were agreed on.

    Raises SpokeWrongly (`proof.invalid`, its value `check` names the check that failed).
    """
    match entry:
        case TransactionEntry():
            _verify_transaction(suite, entry, header)
        case ReceiptEntry():
            _verify_receipt(suite, entry, header, outcome)
        case EventEntry():
            _verify_event(suite, entry, outcome)
        case StateEntry():
            _verify_state(suite, entry, header, outcome)
        case _:
            assert_never(entry)


def _verify_transaction(suite: Suite, entry: TransactionEntry, header: BlockHeader) -> None:
    leaf = transaction_id(suite, entry.body)
    if not verify_path(
        suite.hash,
        leaf=leaf,
        index=entry.index,
        count=header.count,
        path=entry.path,
        root=header.transaction_root,
    ):
        raise TRANSACTION_ROOT.error(index=entry.index)
    try:
        body_codec.decode(entry.body)
    except SpokeWrongly as error:
        raise TRANSACTION_BODY.error(cause=error.cause(), cause_zh=error.cause("zh")) from error


def _verify_receipt(suite: Suite, entry: ReceiptEntry, header: BlockHeader, outcome: Outcome) -> None:
    receipt = entry.receipt
    if receipt.height != header.height:
        raise RECEIPT_HEIGHT.error(found=receipt.height, height=header.height)
    if not verify_path(
        suite.hash,
        leaf=receipt_hash(suite, receipt),
        index=receipt.index,
        count=header.count,
        path=entry.path,
        root=outcome.receipts_root,
    ):
        raise RECEIPT_ROOT.error(index=receipt.index)


def _verify_event(suite: Suite, entry: EventEntry, outcome: Outcome) -> None:
    if not verify_path(
        suite.hash,
        leaf=event_hash(suite, entry.leaf),
        index=entry.index,
        count=entry.count,
        path=entry.path,
        root=outcome.events_root,
    ):
        raise EVENT_ROOT.error(index=entry.index, count=entry.count)


def _verify_state(suite: Suite, entry: StateEntry, header: BlockHeader, outcome: Outcome) -> None:
    if outcome.root_height != header.height:
        raise STATE_HEIGHT.error(height=header.height, root_height=outcome.root_height)
    proven = verify_state_proof(suite.hash, outcome.root, entry.key, entry.proof)
    claimed = None if entry.value is None else suite.hash(b"state-value", entry.value)
    if proven != claimed:
        raise STATE_VALUE.error()
