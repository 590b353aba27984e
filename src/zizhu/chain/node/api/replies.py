"""The JSON of the API: what every endpoint takes and gives, as structs from which OpenAPI is written.

Decides names and shapes. Refuses to know where the values come from. Ids, hashes and bytes are lower-case hex; times
are block times in milliseconds since 1970 (UTC); heights count from 1.
"""

from typing import Annotated, Literal

import msgspec

from zizhu.chain.model import limits

SUBMISSIONS_MAX = 1024
"""Submissions in one request."""
SUBMISSIONS_BYTES_MAX = limits.BLOCK_BYTES_MAX
"""Length of one request with submissions, bytes."""
QUERY_BYTES_MAX = 1024 * 1024
"""Length of one query, bytes."""


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was wrong: a stable code, the cause and the fix in the language of Accept-Language (en, zh)."""

    code: str
    cause: str
    fix: str
    values: dict[str, str | int] = {}
    retry_after_ms: int | None = None


class ErrorReply(msgspec.Struct, frozen=True):
    """Every reply whose status is 400 or more."""

    error: ErrorBody


class IssuerReply(msgspec.Struct, frozen=True):
    """The account as which this member's own services sign, or nulls."""

    name: str | None
    account: str | None


class MemberReply(msgspec.Struct, frozen=True):
    """A voting member, and how this member sees it: `up` is the link to it (true for itself)."""

    name: str
    organisation: str
    member: str
    vote_key: str
    me: bool
    up: bool
    leader: bool
    height: int


class MembersReply(msgspec.Struct, frozen=True):
    """The members of the epoch, in the order of the epoch record."""

    epoch: int
    engine: str
    suite: str
    members: list[MemberReply]


class SubmitRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Submissions in their canonical encoding, as hex."""

    submissions: Annotated[list[str], msgspec.Meta(min_length=1, max_length=SUBMISSIONS_MAX)]


class SubmitOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """Accepted (ids of its transactions, not final yet), or refused with an error."""

    transactions: list[str] | None = None
    error: ErrorBody | None = None


class SubmitReply(msgspec.Struct, frozen=True):
    """One outcome a submission, in order."""

    outcomes: list[SubmitOutcome]


class EventReply(msgspec.Struct, frozen=True):
    """An event; `data` is an encoded value, `data_json` the same as JSON."""

    contract: str
    name: str
    data: str
    data_json: object


class ReceiptReply(msgspec.Struct, frozen=True):
    """What a transaction did. `status` is "succeeded" or "failed" (then `code` says why); `result` is an encoded
    value, `result_json` the same as JSON (null when it failed)."""

    transaction: str
    height: int
    index: int
    status: Literal["succeeded", "failed"]
    code: str
    steps: int
    result: str
    result_json: object
    events: list[EventReply]


class TransactionFields(msgspec.Struct, frozen=True, omit_defaults=True):
    """The signed body, decoded. `contract`, `method` of a call; `name`, `engine`, `source_bytes` of a deployment.
    `arguments_json` is null when the arguments are no values."""

    kind: Literal["invoke", "deploy"]
    sender: str
    nonce: int
    valid_until_height: int
    steps_max: int
    bytes: int
    body: str
    arguments: str
    arguments_json: object
    contract: str | None = None
    contract_name: str | None = None
    method: str | None = None
    name: str | None = None
    engine: str | None = None
    source_bytes: int | None = None


class TransactionReply(msgspec.Struct, frozen=True):
    """Where a transaction stands. "final": in a certified, durable block. "waiting": accepted by this member.
    "expired": it will never be final. "unknown": this member has not seen it (another may have)."""

    id: str
    state: Literal["final", "waiting", "unknown", "expired"]
    height: int | None = None
    index: int | None = None
    block: str | None = None
    time_ms: int | None = None
    receipt: ReceiptReply | None = None
    transaction: TransactionFields | None = None


class TransactionLine(msgspec.Struct, frozen=True):
    """A line of a list of transactions."""

    id: str
    height: int
    index: int
    time_ms: int
    status: Literal["succeeded", "failed"]
    code: str
    steps: int
    kind: Literal["invoke", "deploy"]
    sender: str
    contract: str | None
    contract_name: str | None
    method: str | None


class TransactionsReply(msgspec.Struct, frozen=True):
    """Newest first; `next` is the `before` of the next page, null at the end of the chain."""

    transactions: list[TransactionLine]
    next: str | None


class BlockLine(msgspec.Struct, frozen=True):
    """A line of a list of blocks. `proposer_name` is "" for a member of another epoch."""

    height: int
    hash: str
    time_ms: int
    count: int
    proposer: str
    proposer_name: str


class BlocksReply(msgspec.Struct, frozen=True):
    """Newest first; `next` is the `from` of the next page, null at the beginning of the chain."""

    height: int
    blocks: list[BlockLine]
    next: int | None


class OutcomeReply(msgspec.Struct, frozen=True):
    """What executing the block did (docs/protocol/ledger.md)."""

    hash: str
    root_height: int
    root: str
    running: str
    receipts_root: str
    events_root: str


class SignerReply(msgspec.Struct, frozen=True):
    """A member that signed the certificate."""

    member: str
    name: str
    organisation: str


class CertificateReply(msgspec.Struct, frozen=True):
    """Who certified the block, in which view, and how many signatures are needed."""

    epoch: int
    view: int
    needed: int
    members: int
    signers: list[SignerReply]


class BlockReply(msgspec.Struct, frozen=True):
    """A certified block. `transactions` are those from number `offset` on, at most `limit` of `count`."""

    height: int
    hash: str
    parent: str
    parent_outcome: str
    time_ms: int
    epoch: int
    count: int
    bytes: int
    proposer: str
    proposer_name: str
    transaction_root: str
    witness_root: str
    outcome: OutcomeReply
    certificate: CertificateReply
    offset: int
    transactions: list[TransactionLine]


class QueryRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A read-only call. `contract` is an id (hex) or a name; `arguments` a list of JSON values, or the encoded list as
    hex; `caller` an account (hex), by default nobody."""

    contract: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_BYTES_MAX)]
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_BYTES_MAX)]
    arguments: list[object] | str = msgspec.field(default_factory=list)
    caller: Annotated[str, msgspec.Meta(max_length=40)] = ""


class QueryReply(msgspec.Struct, frozen=True):
    """How the call ended: `code` is "" or a stable error code, then `text` explains it. True as of `height`."""

    code: str
    text: str
    value: str
    value_json: object
    steps: int
    height: int
    time_ms: int


class AccountReply(msgspec.Struct, frozen=True):
    """Nonces of an account as of `height`: the highest used one, and the first that was never used above it."""

    account: str
    highest_nonce: int
    next_nonce: int
    height: int


class ContractReply(msgspec.Struct, frozen=True):
    """A contract; `source` is the hash of its source, `creator` is null and `created` 0 for one of the genesis."""

    contract: str
    name: str
    engine: str
    source: str
    creator: str | None
    created: int
    height: int
