"""What each id is the hash of: the only place that says under which domain a structure is hashed.

Decides domains. Refuses to know an algorithm: the ledger's suite is an argument. An id of a structure is the
hash of its canonical bytes, so a structure received as bytes is hashed as it came.
"""

from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.block import BlockHeader, Outcome
from zizhu.chain.model.certificate import VoteStatement
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import EpochRecord
from zizhu.chain.model.genesis import Genesis
from zizhu.chain.model.ids import BlockHash, ContractId, LedgerId, MemberId, OutcomeHash, TransactionId, WitnessHash
from zizhu.chain.model.receipt import EventLeaf, Receipt
from zizhu.chain.model.transaction import BundledWitness, BundleHeader, BundleStatement


def transaction_id(suite: Suite, body: bytes) -> TransactionId:
    """Id of the transaction whose encoded body is `body`."""
    return TransactionId(suite.hash(b"transaction", body))


def single_witness_hash(suite: Suite, *, code: int, public_key: bytes, signature: bytes) -> WitnessHash:
    """Witness hash of a transaction with its own signature; `code` is the account's suite code."""
    return WitnessHash(suite.hash(b"witness", encode((code, public_key, signature))))


def bundle_header_hash(suite: Suite, header: BundleHeader) -> bytes:
    """32 bytes: hash of a signed bundle header, signature included."""
    return suite.hash(b"bundle-header", encode(header))


def bundled_witness_hash(suite: Suite, *, header_hash: bytes, index: int) -> WitnessHash:
    """Witness hash of leaf `index` under the signed bundle header of hash `header_hash`."""
    return WitnessHash(suite.hash(b"witness", encode(BundledWitness(header_hash, index))))


def bundle_message(suite: Suite, statement: BundleStatement) -> bytes:
    """32 bytes that a bundle's signature signs. `suite` is the ledger's."""
    return suite.hash(b"bundle", encode(statement))


def block_hash(suite: Suite, header: BlockHeader) -> BlockHash:
    """Hash of a block: of its encoded header."""
    return BlockHash(suite.hash(b"block", encode(header)))


def outcome_hash(suite: Suite, outcome: Outcome) -> OutcomeHash:
    """Hash of what a block did."""
    return OutcomeHash(suite.hash(b"outcome", encode(outcome)))


def record_hash(suite: Suite, record: EpochRecord) -> bytes:
    """32 bytes: hash of an epoch record."""
    return suite.hash(b"epoch-record", encode(record))


def receipt_hash(suite: Suite, receipt: Receipt) -> bytes:
    """32 bytes: leaf of the receipts tree."""
    return suite.hash(b"receipt", encode(receipt))


def event_hash(suite: Suite, leaf: EventLeaf) -> bytes:
    """32 bytes: leaf of the events tree."""
    return suite.hash(b"event", encode(leaf))


def vote_message(suite: Suite, statement: VoteStatement) -> bytes:
    """32 bytes that a vote signs."""
    return suite.hash(b"vote", encode(statement))


def ledger_id(suite: Suite, genesis: Genesis) -> LedgerId:
    """The id of the ledger that `genesis` opens: the trust anchor of every proof."""
    return LedgerId(suite.hash(b"genesis", encode(genesis)))


def genesis_consent_message(suite: Suite, ledger: bytes) -> bytes:
    """32 bytes that each first member signs to consent to the genesis of `ledger`."""
    return suite.hash(b"genesis-consent", ledger)


def genesis_contract_id(suite: Suite, name: str) -> ContractId:
    """Id of a contract that stands in the genesis."""
    return ContractId(suite.hash(b"contract-genesis", name.encode())[:20])


def deployed_contract_id(suite: Suite, *, sender: bytes, nonce: int) -> ContractId:
    """Id of a contract deployed by transaction; cannot be chosen by another sender."""
    return ContractId(suite.hash(b"contract-deployed", encode((sender, nonce)))[:20])


def member_id(suite: Suite, vote_key: bytes) -> MemberId:
    """Id of the member whose voting key is `vote_key`."""
    return MemberId(suite.hash(b"member", vote_key))
