"""From bytes to transactions: everything about a submission that can be said without state and signatures.

Decides which submissions are well formed for a ledger: format, ledger, suite, sender, bundle, sizes, steps.
Refuses to know whether a signature is good (it says what is to be verified) and whether a nonce is free.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from zizhu.chain.crypto.accounts import account_id
from zizhu.chain.crypto.hashing import (
    bundle_header_hash,
    bundle_message,
    bundled_witness_hash,
    single_witness_hash,
    transaction_id,
)
from zizhu.chain.crypto.merkle import merkle_root
from zizhu.chain.crypto.port import Signed, Suite
from zizhu.chain.model import limits
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.ids import AccountId, LedgerId, TransactionId, WitnessHash
from zizhu.chain.model.transaction import (
    INVOKE,
    Bundle,
    BundleStatement,
    Deploy,
    Invoke,
    Single,
    Submission,
    TransactionBody,
    body_codec,
    deploy_codec,
    invoke_codec,
    submission_codec,
)

ACCOUNTS_KEPT = 16_384
"""Accounts of public keys remembered: those of a consortium come again and again."""
ID_BYTES = 32
"""A leaf of exactly this length is an id; a body is always longer."""
LEAVES_PER_TRANSACTION = 4
BLOCK_ROOM_BYTES = 1024
"""What a block needs beside its items, at most: header, lengths."""

WRONG_LEDGER = ErrorCode(
    "transaction.wrong_ledger",
    "the transaction is for ledger {theirs}, this is {ours}",
    "sign it again for this ledger",
    "交易属于账本 {theirs},而本账本是 {ours}",
    "请为本账本重新签名",
)
UNKNOWN_SUITE = ErrorCode(
    "transaction.unknown_suite",
    "crypto suite {suite} is not known here",
    "use an account of suite 1 (guomi) or 2 (international)",
    "未知的密码套件 {suite}",
    "请使用套件 1(国密)或 2(国际)的账户",
)
WRONG_SENDER = ErrorCode(
    "transaction.wrong_sender",
    "the sender {sender} is not the account of the public key, {account}",
    "name the account of the key that signs as the sender",
    "发送方 {sender} 不是该公钥对应的账户 {account}",
    "请将签名密钥对应的账户填为发送方",
)
TOO_LONG = ErrorCode(
    "transaction.too_long",
    "{what} has {size} bytes, at most {size_max} are allowed on this ledger",
    "send less data, or put the data elsewhere and its digest on the ledger",
    "{what} 为 {size} 字节,本账本最多允许 {size_max} 字节",
    "请减少数据,或将数据存放于别处,仅将摘要上链",
)
TOO_MANY_STEPS = ErrorCode(
    "transaction.too_many_steps",
    "steps_max is {steps}, at most {steps_max} are allowed on this ledger",
    "lower steps_max",
    "steps_max 为 {steps},本账本最多允许 {steps_max}",
    "请降低 steps_max",
)
BAD_BUNDLE = ErrorCode(
    "transaction.bundle",
    "the bundle is not well formed: {reason}",
    "build the bundle again from its transactions",
    "交易包格式不正确:{reason}",
    "请用其中的交易重新构建交易包",
)


class Parsed:
    """A transaction that is well formed. `body` are its bytes as they came, `payload` what they carry;
    `size` is what it takes in a block, bytes (a bundle's header is counted with the bundle)."""

    __slots__ = ("body", "fields", "id", "payload", "public_key", "sender", "size", "suite_code", "witness_hash")

    def __init__(
        self, body: bytes, fields: TransactionBody, payload: Invoke | Deploy, id_: TransactionId, *, signer: "Signer"
    ) -> None:
        self.body = body
        self.fields = fields
        self.payload = payload
        self.id = id_
        self.sender = AccountId(fields.sender)
        self.suite_code = signer.suite_code
        self.public_key = signer.public_key
        self.witness_hash: WitnessHash = signer.witness_hash
        self.size = len(body) + 5


class Signer(msgspec.Struct, frozen=True):
    """Whose signature stands under a transaction, and the hash of that witness."""

    suite_code: int
    public_key: bytes
    witness_hash: WitnessHash


class ParsedSubmission(msgspec.Struct, frozen=True):
    """A submission that is well formed, with its transactions in order (of a bundle in a block: those whose
    bodies it carries). Its signature is *not* verified: `signature` is what to verify, under the account
    scheme of suite `suite_code`. `size` is its encoded length in bytes, roughly and never too little."""

    submission: Submission
    transactions: tuple[Parsed, ...]
    signature: Signed
    suite_code: int
    size: int
    leaf_ids: tuple[TransactionId, ...]
    """Ids of all leaves of a bundle, in order; of a single transaction its id."""

    @property
    def sender(self) -> AccountId:
        """The one account that signed."""
        return self.transactions[0].sender


Lookup = Callable[[TransactionId], "ParsedSubmission | None"]
"""What is already known of a transaction id: spares parsing what the pool has parsed."""


def nothing_known(_: TransactionId) -> ParsedSubmission | None:
    """The lookup without memory."""
    return None


@dataclass(frozen=True)
class Reader:
    """Parses submissions for one ledger. `suite` is the ledger's, `suites` those that accounts may have."""

    suite: Suite
    suites: Mapping[int, Suite]
    ledger: LedgerId
    parameters: Parameters
    _accounts: dict[tuple[int, bytes], AccountId] = field(default_factory=dict)
    """Accounts of keys seen lately, the oldest first."""

    def submission(self, raw: bytes | Submission) -> ParsedSubmission:
        """What a client hands in, or a peer gossips: every body is there.

        Raises SpokeWrongly (`encoding.malformed`) and AskedWrongly (`transaction.*`).
        """
        given = submission_codec.decode(raw) if isinstance(raw, bytes) else raw
        match given:
            case Single():
                return self._single(given, nothing_known)
            case Bundle():
                if any(len(leaf) == ID_BYTES for leaf in given.leaves):
                    raise AskedWrongly(BAD_BUNDLE, reason="a leaf is an id, which is for blocks only")
                return self._bundle(given, nothing_known)

    def item(self, given: Submission, known: Lookup = nothing_known) -> ParsedSubmission:
        """An item of a block, where leaves of a bundle may be ids. Raises as `submission`."""
        match given:
            case Single():
                return self._single(given, known)
            case Bundle():
                return self._bundle(given, known)

    def _single(self, given: Single, known: Lookup) -> ParsedSubmission:
        id_ = transaction_id(self.suite, given.body)
        remembered = known(id_)
        if remembered is not None and remembered.submission == given:
            return remembered
        fields, payload = self._body(given.body)
        self._check_sender(fields.sender, given.suite, given.public_key)
        witness = single_witness_hash(
            self.suite, code=given.suite, public_key=given.public_key, signature=given.signature
        )
        signer = Signer(given.suite, given.public_key, witness)
        parsed = Parsed(given.body, fields, payload, id_, signer=signer)
        size = len(given.body) + len(given.public_key) + len(given.signature) + 16
        self._check_fits(size)
        signature = Signed(given.public_key, id_, given.signature)
        return ParsedSubmission(given, (parsed,), signature, given.suite, size, (id_,))

    def _bundle(self, given: Bundle, known: Lookup) -> ParsedSubmission:
        header = given.header
        if header.count != len(given.leaves):
            raise AskedWrongly(BAD_BUNDLE, reason=f"count says {header.count}, there are {len(given.leaves)} leaves")
        ids = tuple(self._leaf_id(leaf) for leaf in given.leaves)
        if len(dict.fromkeys(ids)) != len(ids):
            raise AskedWrongly(BAD_BUNDLE, reason="a transaction stands in it twice")
        remembered = self._remembered(given, ids, known)
        if remembered is not None:
            return remembered
        if merkle_root(self.suite.hash, list(ids)) != header.root:
            raise AskedWrongly(BAD_BUNDLE, reason="the root is not that of its transactions")
        header_hash = bundle_header_hash(self.suite, header)
        transactions: list[Parsed] = []
        for index, leaf in enumerate(given.leaves):
            if len(leaf) == ID_BYTES:
                continue
            fields, payload = self._body(leaf)
            if transactions and fields.sender != transactions[0].sender:
                raise AskedWrongly(BAD_BUNDLE, reason="its transactions have different senders")
            witness = bundled_witness_hash(self.suite, header_hash=header_hash, index=index)
            signer = Signer(header.suite, header.public_key, witness)
            transactions.append(Parsed(leaf, fields, payload, ids[index], signer=signer))
        if not transactions:
            raise AskedWrongly(BAD_BUNDLE, reason="it carries no transaction, only ids")
        sender = transactions[0].sender
        self._check_sender(sender, header.suite, header.public_key)
        empty = bundle_room_bytes(header.count)
        self._check_fits(empty + max(parsed.size for parsed in transactions))
        statement = BundleStatement(self.ledger, sender, header.suite, header.count, header.root)
        signature = Signed(header.public_key, bundle_message(self.suite, statement), header.signature)
        size = empty + sum(parsed.size for parsed in transactions)
        return ParsedSubmission(given, tuple(transactions), signature, header.suite, size, ids)

    def _remembered(self, given: Bundle, ids: tuple[TransactionId, ...], known: Lookup) -> ParsedSubmission | None:
        """The part of a bundle parsed before that stands in this block; None if it is not the same bundle."""
        bodies = [index for index, leaf in enumerate(given.leaves) if len(leaf) != ID_BYTES]
        if not bodies:
            return None
        whole = known(ids[bodies[0]])
        if whole is None or not isinstance(whole.submission, Bundle) or whole.submission.header != given.header:
            return None
        if whole.leaf_ids != ids or len(whole.transactions) != len(ids):
            return None
        transactions = tuple(whole.transactions[index] for index in bodies)
        size = bundle_room_bytes(len(ids)) + sum(parsed.size for parsed in transactions)
        return ParsedSubmission(given, transactions, whole.signature, whole.suite_code, size, ids)

    def _leaf_id(self, leaf: bytes) -> TransactionId:
        return TransactionId(leaf) if len(leaf) == ID_BYTES else transaction_id(self.suite, leaf)

    def _body(self, body: bytes) -> tuple[TransactionBody, Invoke | Deploy]:
        size_max = self.parameters.transaction_bytes_max
        if len(body) > size_max:
            raise AskedWrongly(TOO_LONG, what="the transaction", size=len(body), size_max=size_max)
        fields = body_codec.decode(body)
        if fields.ledger != self.ledger:
            raise AskedWrongly(WRONG_LEDGER, theirs=fields.ledger.hex(), ours=self.ledger.hex())
        if fields.steps_max > self.parameters.transaction_steps_max:
            steps_max = self.parameters.transaction_steps_max
            raise AskedWrongly(TOO_MANY_STEPS, steps=fields.steps_max, steps_max=steps_max)
        if fields.kind == INVOKE:
            return fields, invoke_codec.decode(fields.payload)
        return fields, deploy_codec.decode(fields.payload)

    def _check_sender(self, sender: bytes, code: int, public_key: bytes) -> None:
        account = self._accounts.get((code, public_key))
        if account is None:
            suite = self.suites.get(code)
            if suite is None:
                raise AskedWrongly(UNKNOWN_SUITE, suite=code)
            account = self._accounts[code, public_key] = account_id(suite, public_key)
            if len(self._accounts) > ACCOUNTS_KEPT:
                del self._accounts[next(iter(self._accounts))]
        if account != sender:
            raise AskedWrongly(WRONG_SENDER, sender=sender.hex(), account=account.hex())

    def _check_fits(self, size: int) -> None:
        """What can never stand in a block must not wait for one."""
        size_max = self.parameters.block_bytes_max - BLOCK_ROOM_BYTES
        if size > size_max:
            raise AskedWrongly(TOO_LONG, what="the submission", size=size, size_max=size_max)


def leaves_max(parameters: Parameters) -> int:
    """Leaves all bundles of a block may have together, taken or not: every leaf is hashed by every member, so the
    work of a block must go with what it carries. One bundle always fits."""
    return max(LEAVES_PER_TRANSACTION * parameters.block_transactions_max, limits.BUNDLE_COUNT_MAX)


def bundle_room_bytes(count: int) -> int:
    """What a bundle of `count` leaves takes in a block when none of their bodies is taken, at most."""
    return 256 + count * (ID_BYTES + 2)


def parse_submission(
    raw: bytes | Submission, *, suite: Suite, suites: Mapping[int, Suite], ledger_id: LedgerId, parameters: Parameters
) -> ParsedSubmission:
    """`Reader.submission` for who parses once."""
    return Reader(suite, suites, ledger_id, parameters).submission(raw)


def part_of_bundle(whole: ParsedSubmission, taken: list[Parsed]) -> Bundle:
    """The bundle with the bodies of `taken` and the ids of its other transactions: what stands in a block."""
    assert isinstance(whole.submission, Bundle)
    bodies = {parsed.id: parsed.body for parsed in taken}
    return Bundle(whole.submission.header, [bodies.get(id_, bytes(id_)) for id_ in whole.leaf_ids])


def submission_bytes(parsed: ParsedSubmission) -> bytes:
    """The canonical bytes of a submission: what is gossiped."""
    return encode(parsed.submission)
