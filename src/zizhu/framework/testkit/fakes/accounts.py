"""Accounts and transactions for tests: signed with whatever suite is given, in one line each.

Decides short ways to say "this account calls that method". Refuses to keep secrets: its keys are counted up.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from zizhu.chain.crypto.accounts import account_id
from zizhu.chain.crypto.hashing import bundle_message, transaction_id
from zizhu.chain.crypto.merkle import merkle_root
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import AccountId, LedgerId
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

FOREVER = 1 << 40
"""A height nobody reaches."""


@dataclass(frozen=True)
class TestAccount:
    """An account of a test: its suite, and secret number `number`."""

    __test__ = False

    suite: Suite
    number: int

    @property
    def secret(self) -> bytes:
        """32 bytes."""
        return hashlib.sha256(b"test account" + self.number.to_bytes(8, "big")).digest()

    @property
    def public_key(self) -> bytes:
        """Its public key."""
        return self.suite.accounts.public_key(self.secret)

    @property
    def id(self) -> AccountId:
        """20 bytes."""
        return account_id(self.suite, self.public_key)

    def sign(self, body: TransactionBody, *, ledger_suite: Suite | None = None) -> Single:
        """A transaction with its own signature; `ledger_suite` hashes the id (default: the account's suite)."""
        raw = encode(body)
        signature = self.suite.accounts.sign(self.secret, transaction_id(ledger_suite or self.suite, raw))
        return Single(raw, self.suite.code, self.public_key, signature)

    def bundle(self, bodies: Sequence[TransactionBody], *, ledger_suite: Suite | None = None) -> Bundle:
        """Transactions under one signature."""
        hashing = ledger_suite or self.suite
        leaves = [encode(body) for body in bodies]
        root = merkle_root(hashing.hash, [transaction_id(hashing, leaf) for leaf in leaves])
        statement = BundleStatement(bodies[0].ledger, self.id, self.suite.code, len(leaves), root)
        signature = self.suite.accounts.sign(self.secret, bundle_message(hashing, statement))
        header = BundleHeader(VERSION, self.suite.code, self.public_key, len(leaves), root, signature)
        return Bundle(header, leaves)


@dataclass(frozen=True)
class Asking:
    """What an account asks of a ledger, beside the call itself."""

    ledger: LedgerId
    nonce: int
    valid_until_height: int = FOREVER
    steps_max: int = 10_000


def invoking(
    account: TestAccount, asking: Asking, contract: bytes, method: str, arguments: Sequence[Value]
) -> TransactionBody:
    """The body of a call."""
    payload = encode(Invoke(contract, method, encode_arguments(list(arguments))))
    return _body(account, asking, INVOKE, payload)


def deploying(account: TestAccount, asking: Asking, package: Deploy) -> TransactionBody:
    """The body of a deployment."""
    return _body(account, asking, DEPLOY, encode(package))


def _body(account: TestAccount, asking: Asking, kind: int, payload: bytes) -> TransactionBody:
    return TransactionBody(
        version=VERSION,
        kind=kind,
        ledger=asking.ledger,
        sender=account.id,
        nonce=asking.nonce,
        valid_until_height=asking.valid_until_height,
        steps_max=asking.steps_max,
        payload=payload,
    )
