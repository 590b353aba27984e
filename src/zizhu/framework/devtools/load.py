"""Load, signed before any clock starts: the accounts of a client and what they will submit.

Decides whose turn it is to sign and with which nonce. Refuses to know members and time. The keys are made from the
seed of the bench: they guard nothing, and a run can be repeated.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from zizhu.chain.crypto.hashing import bundle_message, transaction_id
from zizhu.chain.crypto.merkle import merkle_root
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import AccountId, LedgerId, TransactionId
from zizhu.chain.model.transaction import (
    INVOKE,
    VERSION,
    Bundle,
    BundleHeader,
    BundleStatement,
    Invoke,
    Single,
    TransactionBody,
)
from zizhu.chain.model.value import encode_arguments
from zizhu.framework.sdk.keys import Account
from zizhu.framework.sdk.transactions import Call

STEPS_MAX = 1_000_000
VALID_UNTIL = 1 << 40
"""No transaction of a bench expires."""


@dataclass
class Signer:
    """An account of the load. Its public key and id are computed once, not once a transaction."""

    account: Account
    public_key: bytes
    id: AccountId
    nonce: int = 0


@dataclass(frozen=True, slots=True)
class Submission:
    """Signed bytes, and the ids of the transactions in them."""

    raw: bytes
    ids: tuple[TransactionId, ...]


def make_signers(suite: Suite, *, count: int, first: int = 0) -> list[Signer]:
    """Accounts number `first` and on."""
    found = []
    for number in range(first, first + count):
        account = Account(suite, suite.digest(b"zizhu bench signer %d" % number))
        found.append(Signer(account, account.public_key, account.id))
    return found


@dataclass
class Press:
    """Makes submissions of one ledger, each signer in turn. `bundle` 1 means a signature a transaction."""

    suite: Suite
    ledger: LedgerId
    signers: list[Signer]
    bundle: int
    calls: Iterator[Call]

    def make(self, transactions: int) -> list[Submission]:
        """Submissions with at least so many transactions, the signers in turn.

        Signed signer by signer, because a scheme keeps only a few secrets ready, and dealt out in turn afterwards.
        """
        rounds = -(-transactions // (self.bundle * len(self.signers)))
        piles = [[self._next(signer) for _ in range(rounds)] for signer in self.signers]
        return [pile[number] for number in range(rounds) for pile in piles]

    def _next(self, signer: Signer) -> Submission:
        bodies = [self._body(signer, next(self.calls)) for _ in range(self.bundle)]
        return self._single(signer, bodies[0]) if self.bundle == 1 else self._bundle(signer, bodies)

    def one(self, call: Call) -> Submission:
        """A transaction of the first signer with a given call, under a signature of its own."""
        return self._single(self.signers[0], self._body(self.signers[0], call))

    def _body(self, signer: Signer, call: Call) -> bytes:
        signer.nonce += 1
        payload = encode(Invoke(call.contract, call.method, encode_arguments(list(call.arguments))))
        return encode(
            TransactionBody(VERSION, INVOKE, self.ledger, signer.id, signer.nonce, VALID_UNTIL, STEPS_MAX, payload)
        )

    def _single(self, signer: Signer, body: bytes) -> Submission:
        id_ = transaction_id(self.suite, body)
        suite = signer.account.suite
        signature = suite.accounts.sign(signer.account.secret, id_)
        return Submission(encode(Single(body, suite.code, signer.public_key, signature)), (id_,))

    def _bundle(self, signer: Signer, bodies: list[bytes]) -> Submission:
        ids = tuple(transaction_id(self.suite, body) for body in bodies)
        root = merkle_root(self.suite.hash, ids)
        suite = signer.account.suite
        statement = BundleStatement(self.ledger, signer.id, suite.code, len(ids), root)
        signature = suite.accounts.sign(signer.account.secret, bundle_message(self.suite, statement))
        header = BundleHeader(VERSION, suite.code, signer.public_key, len(ids), root, signature)
        return Submission(encode(Bundle(header, bodies)), ids)
