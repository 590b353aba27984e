"""Entries of a block: transactions, receipts, events and state values, each proven or refused by name."""

import msgspec
import pytest

from zizhu.chain.crypto.hashing import transaction_id
from zizhu.chain.crypto.merkle import merkle_root
from zizhu.chain.ledger.outcomes import event_leaves, events_root, receipts_root
from zizhu.chain.ledger.proofs import (
    Entry,
    EventEntry,
    StateEntry,
    event_entry,
    receipt_entry,
    state_entry,
    transaction_entry,
    verify_entry,
)
from zizhu.chain.ledger.tree import StateTree
from zizhu.chain.model.block import BlockHeader, Outcome
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.ids import ZERO_HASH
from zizhu.chain.model.receipt import FAILED, SUCCEEDED, Event, Receipt
from zizhu.chain.model.transaction import INVOKE, TransactionBody
from zizhu.framework.testkit.fakes.suite import suite

HEIGHT = 20
BODIES = [encode(TransactionBody(1, INVOKE, bytes(32), bytes(20), nonce, 99, 1000, b"")) for nonce in range(1, 6)]
IDS = [transaction_id(suite, body) for body in BODIES]
RECEIPTS = [
    Receipt(1, identity, HEIGHT, at, SUCCEEDED, "", 7, b"", [Event(bytes(20), f"e{n}", b"") for n in range(at)])
    for at, identity in enumerate(IDS[:4])
] + [Receipt(1, IDS[4], HEIGHT, 4, FAILED, "script.stopped", 7, b"", [])]
STATE = {b"key %d" % number: b"value %d" % number for number in range(100)}
TREE = StateTree.build(suite.hash, STATE.items())
HEADER = BlockHeader(
    version=1,
    ledger=bytes(32),
    epoch=0,
    epoch_record=ZERO_HASH,
    height=HEIGHT,
    parent=ZERO_HASH,
    parent_outcome=ZERO_HASH,
    time_ms=1,
    proposer=ZERO_HASH,
    count=5,
    transaction_root=merkle_root(suite.hash, IDS),
    witness_root=ZERO_HASH,
)
OUTCOME = Outcome(
    1, HEIGHT, TREE.root, ZERO_HASH, receipts_root(suite, RECEIPTS), events_root(suite, RECEIPTS), ZERO_HASH
)


def refusal(entry: Entry, *, header: BlockHeader = HEADER, outcome: Outcome = OUTCOME) -> object:
    """The name of the check that refuses the entry."""
    with pytest.raises(SpokeWrongly) as error:
        verify_entry(suite, entry, header=header, outcome=outcome)
    assert error.value.code.code == "proof.invalid"
    return error.value.values["check"]


def test_every_true_entry_holds() -> None:
    """Every transaction, receipt and event of a block, and state values present and absent, are proven."""
    entries: list[Entry] = [transaction_entry(suite, ids=IDS, index=at, body=BODIES[at]) for at in range(5)]
    entries += [receipt_entry(suite, RECEIPTS, at) for at in range(5)]
    leaves = event_leaves(RECEIPTS)
    assert [(leaf.transaction, leaf.index) for leaf in leaves] == [(IDS[at], n) for at in range(4) for n in range(at)]
    entries += [event_entry(suite, RECEIPTS, transaction=leaf.transaction, index=leaf.index) for leaf in leaves]
    entries += [state_entry(TREE, key=key, value=STATE.get(key)) for key in (b"key 3", b"absent")]
    for entry in entries:
        verify_entry(suite, entry, header=HEADER, outcome=OUTCOME)


def test_a_transaction_stands_at_one_place() -> None:
    """A transaction moved, changed or shown under another root is refused at `transaction-root`."""
    true = transaction_entry(suite, ids=IDS, index=2, body=BODIES[2])
    replace = msgspec.structs.replace
    assert refusal(replace(true, index=3)) == "transaction-root"
    assert refusal(replace(true, index=2 + 8)) == "transaction-root"
    assert refusal(replace(true, body=BODIES[3])) == "transaction-root"
    assert refusal(replace(true, path=true.path[:-1])) == "transaction-root"
    assert refusal(true, header=msgspec.structs.replace(HEADER, count=6)) == "transaction-root"


def test_an_id_of_no_transaction_is_refused() -> None:
    """Bytes whose hash is under the root, but which are no transaction, are refused at `transaction-body`."""
    body = b"no transaction"
    ids = [transaction_id(suite, body)]
    header = msgspec.structs.replace(HEADER, count=1, transaction_root=merkle_root(suite.hash, ids))
    assert refusal(transaction_entry(suite, ids=ids, index=0, body=body), header=header) == "transaction-body"


def test_a_receipt_is_of_its_block_and_place() -> None:
    """A receipt that says it succeeded, was elsewhere, or was of another height is refused."""
    true = receipt_entry(suite, RECEIPTS, 4)
    replace = msgspec.structs.replace
    assert refusal(replace(true, receipt=replace(true.receipt, status=SUCCEEDED, code=""))) == "receipts-root"
    assert refusal(replace(true, receipt=replace(true.receipt, index=3))) == "receipts-root"
    assert refusal(replace(true, receipt=replace(true.receipt, height=21))) == "receipt-height"
    assert refusal(replace(true, path=[*true.path, ZERO_HASH])) == "receipts-root"


def test_an_event_is_of_its_transaction_and_place() -> None:
    """An event of another transaction, at another place or among another number of events is refused."""
    true = event_entry(suite, RECEIPTS, transaction=IDS[3], index=1)
    replace = msgspec.structs.replace
    forgeries: list[EventEntry] = [
        replace(true, leaf=replace(true.leaf, transaction=IDS[2])),
        replace(true, leaf=replace(true.leaf, index=0)),
        replace(true, index=true.index + 1),
        replace(true, count=true.count + 1),
        replace(true, count=0),
        replace(true, path=[]),
    ]
    assert [refusal(forgery) for forgery in forgeries] == ["events-root"] * len(forgeries)


def test_a_state_value_is_the_one_under_the_root() -> None:
    """Another value, a value for an absent key, absence of a present key: refused at `state-value`."""
    true = state_entry(TREE, key=b"key 3", value=b"value 3")
    absent = state_entry(TREE, key=b"absent", value=None)
    forgeries: list[StateEntry] = [
        msgspec.structs.replace(true, value=b"value 4"),
        msgspec.structs.replace(true, value=b""),
        msgspec.structs.replace(true, value=None),
        msgspec.structs.replace(absent, value=b""),
    ]
    assert [refusal(forgery) for forgery in forgeries] == ["state-value"] * len(forgeries)
    assert refusal(msgspec.structs.replace(true, key=b"key 4")) in {"state-place", "state-value"}


def test_state_is_proven_at_root_heights_only() -> None:
    """A header whose outcome names the root of an earlier height proves no state, though the root be true."""
    true = state_entry(TREE, key=b"key 3", value=b"value 3")
    later = msgspec.structs.replace(HEADER, height=HEIGHT + 1)
    assert refusal(true, header=later) == "state-height"
