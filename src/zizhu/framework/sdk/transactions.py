"""Transactions as a client makes them: built, signed and bundled here, so that no key ever travels.

Decides the fields of a call or deployment and which signature goes where. Refuses to know how a submission gets to
the ledger (`client`) and which nonce is free (`nonces`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zizhu.chain.crypto.hashing import bundle_message, transaction_id
from zizhu.chain.crypto.merkle import merkle_root
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model import limits
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.ids import LedgerId, TransactionId
from zizhu.chain.model.transaction import (
    DEPLOY,
    INVOKE,
    VERSION,
    Bundle,
    BundleHeader,
    BundleStatement,
    Deploy,
    Invoke,
    Single,
    TransactionBody,
)
from zizhu.chain.model.value import Value, encode_arguments
from zizhu.framework.sdk.keys import Account

STEPS_MAX = 1_000_000
"""Steps a call may use when nobody says otherwise: the default limit of a ledger."""
LIFETIME_BLOCKS = 1_000
"""How many heights a transaction stays valid when nobody says otherwise."""

BAD_BUNDLE = ErrorCode(
    "sdk.bundle",
    "a bundle has 1 to {count_max} transactions, not {count}",
    "split the calls into several bundles",
    "一个交易包应含 1 至 {count_max} 笔交易,而不是 {count} 笔",
    "请将调用拆分为多个交易包",
)


@dataclass(frozen=True, slots=True)
class Target:
    """The ledger that transactions are made for: its id, and the suite that its genesis names."""

    ledger: LedgerId
    suite: Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What is a transaction's own: its nonce, the last height it may stand in, the steps it may use."""

    nonce: int
    valid_until_height: int
    steps_max: int = STEPS_MAX


@dataclass(frozen=True, slots=True)
class Call:
    """A call of `method` of `contract` (20 bytes)."""

    contract: bytes
    method: str
    arguments: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedSubmission:
    """Signed bytes, the ids of their transactions in order, and what the allocator must know of them.

    To send it again anywhere is harmless: it is the same transactions.
    """

    raw: bytes
    ids: tuple[TransactionId, ...]
    nonces: tuple[int, ...]
    valid_until_height: int


def call_body(account: Account, target: Target, call: Call, numbers: Numbers) -> TransactionBody:
    """The body of a call. Raises AskedWrongly (`value.not_encodable`)."""
    payload = encode(Invoke(call.contract, call.method, encode_arguments(list(call.arguments))))
    return _body(account, target, INVOKE, payload, numbers)


def deploy_body(account: Account, target: Target, package: Deploy, numbers: Numbers) -> TransactionBody:
    """The body of a deployment."""
    return _body(account, target, DEPLOY, encode(package), numbers)


def sign_single(account: Account, target: Target, body: TransactionBody) -> SignedSubmission:
    """One transaction with its own signature over its id."""
    assert body.sender == account.id, "the body names another sender"
    raw = encode(body)
    id_ = transaction_id(target.suite, raw)
    single = Single(raw, account.suite.code, account.public_key, account.sign(id_))
    return SignedSubmission(encode(single), (id_,), (body.nonce,), body.valid_until_height)


def sign_bundle(account: Account, target: Target, bodies: Sequence[TransactionBody]) -> SignedSubmission:
    """At most 1,024 transactions of one account under one signature. Raises AskedWrongly (`sdk.bundle`)."""
    if not 1 <= len(bodies) <= limits.BUNDLE_COUNT_MAX:
        raise AskedWrongly(BAD_BUNDLE, count=len(bodies), count_max=limits.BUNDLE_COUNT_MAX)
    assert all(body.sender == account.id for body in bodies), "a body names another sender"
    leaves = [encode(body) for body in bodies]
    ids = tuple(transaction_id(target.suite, leaf) for leaf in leaves)
    root = merkle_root(target.suite.hash, ids)
    statement = BundleStatement(target.ledger, account.id, account.suite.code, len(leaves), root)
    signature = account.sign(bundle_message(target.suite, statement))
    header = BundleHeader(VERSION, account.suite.code, account.public_key, len(leaves), root, signature)
    nonces = tuple(body.nonce for body in bodies)
    last = max(body.valid_until_height for body in bodies)
    return SignedSubmission(encode(Bundle(header, leaves)), ids, nonces, last)


def _body(account: Account, target: Target, kind: int, payload: bytes, numbers: Numbers) -> TransactionBody:
    return TransactionBody(
        version=VERSION,
        kind=kind,
        ledger=target.ledger,
        sender=account.id,
        nonce=numbers.nonce,
        valid_until_height=numbers.valid_until_height,
        steps_max=numbers.steps_max,
        payload=payload,
    )
