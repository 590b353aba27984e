"""When a block may be voted for: every field of its header, and every rule of its body that needs no execution.

Decides each rule and its code. Refuses to know clocks (`check_clock` is given one, once, on arrival), whose turn
it was to propose (consensus), and signatures (verified before a block comes here).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zizhu.chain.crypto.hashing import block_hash
from zizhu.chain.crypto.merkle import merkle_root
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.keys import NonceUse, account_key, account_record
from zizhu.chain.ledger.state import StateReader
from zizhu.chain.ledger.transactions import Parsed, ParsedSubmission, leaves_max
from zizhu.chain.model.block import Block, BlockHeader, block_codec
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.errors import ErrorCode, ZizhuError
from zizhu.chain.model.ids import BlockHash, LedgerId, MemberId, OutcomeHash
from zizhu.chain.model.transaction import Bundle

HASH = ErrorCode(
    "block.hash",
    "the header does not hash to {block}",
    "do not vote for it; the member that proposed it is faulty",
    "区块头的哈希不是 {block}",
    "请勿对其投票;提议该区块的成员有误",
)
LEDGER = ErrorCode(
    "block.ledger",
    "it is of ledger {found}, not {wanted}",
    "do not vote for it; the member that proposed it is faulty",
    "区块属于账本 {found},而非 {wanted}",
    "请勿对其投票;提议该区块的成员有误",
)
EPOCH = ErrorCode(
    "block.epoch",
    "it is of epoch {found}, not {wanted}",
    "do not vote for it; the member that proposed it is faulty",
    "区块属于纪元 {found},而非 {wanted}",
    "请勿对其投票;提议该区块的成员有误",
)
EPOCH_RECORD = ErrorCode(
    "block.epoch_record",
    "it names epoch record {found}, not {wanted}",
    "do not vote for it; the member that proposed it is faulty",
    "区块引用的纪元记录是 {found},而非 {wanted}",
    "请勿对其投票;提议该区块的成员有误",
)
HEIGHT = ErrorCode(
    "block.height",
    "its height is {found}, its parent's plus one is {wanted}",
    "do not vote for it; the member that proposed it is faulty",
    "高度为 {found},应为 {wanted}",
    "请勿对其投票;提议该区块的成员有误",
)
PARENT = ErrorCode(
    "block.parent",
    "its parent {found} is not {wanted}",
    "do not vote for it; the member that proposed it is faulty",
    "父区块为 {found},应为 {wanted}",
    "请勿对其投票;提议该区块的成员有误",
)
PARENT_OUTCOME = ErrorCode(
    "block.parent_outcome",
    "it names parent outcome {found}, not {wanted}",
    "do not vote for it; the member that proposed it is faulty",
    "引用的父区块结果为 {found},应为 {wanted}",
    "请勿对其投票;提议该区块的成员有误",
)
TIME = ErrorCode(
    "block.time",
    "its time is {found}, at least {wanted} is needed",
    "do not vote for it; the member that proposed it is faulty",
    "区块时间为 {found},至少应为 {wanted}",
    "请勿对其投票;提议该区块的成员有误",
)
CLOCK = ErrorCode(
    "block.clock",
    "its time {found} is too far from {wanted}",
    "do not vote for it; the member that proposed it is faulty",
    "区块时间 {found} 与 {wanted} 相差过大",
    "请勿对其投票;提议该区块的成员有误",
)
PROPOSER = ErrorCode(
    "block.proposer",
    "its proposer {found} is no member",
    "do not vote for it; the member that proposed it is faulty",
    "提议者 {found} 不是成员",
    "请勿对其投票;提议该区块的成员有误",
)
COUNT = ErrorCode(
    "block.count",
    "it says {found} transactions, there are {wanted}",
    "do not vote for it; the member that proposed it is faulty",
    "声明 {found} 笔交易,实际 {wanted} 笔",
    "请勿对其投票;提议该区块的成员有误",
)
TRANSACTION_ROOT = ErrorCode(
    "block.transaction_root",
    "its transaction root is wrong",
    "do not vote for it; the member that proposed it is faulty",
    "交易根不正确",
    "请勿对其投票;提议该区块的成员有误",
)
WITNESS_ROOT = ErrorCode(
    "block.witness_root",
    "its witness root is wrong",
    "do not vote for it; the member that proposed it is faulty",
    "见证根不正确",
    "请勿对其投票;提议该区块的成员有误",
)
TOO_MANY = ErrorCode(
    "block.too_many",
    "{found} transactions, at most {wanted} are allowed",
    "do not vote for it; the member that proposed it is faulty",
    "{found} 笔交易,最多 {wanted} 笔",
    "请勿对其投票;提议该区块的成员有误",
)
TOO_MANY_LEAVES = ErrorCode(
    "block.too_many_leaves",
    "its bundles have {found} leaves, at most {wanted} are allowed",
    "do not vote for it; the member that proposed it is faulty",
    "交易包共有 {found} 个叶子,最多 {wanted} 个",
    "请勿对其投票;提议该区块的成员有误",
)
TOO_LONG = ErrorCode(
    "block.too_long",
    "{found} bytes, at most {wanted} are allowed",
    "do not vote for it; the member that proposed it is faulty",
    "{found} 字节,最多 {wanted} 字节",
    "请勿对其投票;提议该区块的成员有误",
)
DUPLICATE = ErrorCode(
    "block.duplicate",
    "transaction {found} stands in it twice",
    "do not vote for it; the member that proposed it is faulty",
    "交易 {found} 重复出现",
    "请勿对其投票;提议该区块的成员有误",
)
BUNDLE_TWICE = ErrorCode(
    "block.bundle_twice",
    "the bundle of root {found} stands in it twice",
    "do not vote for it; the member that proposed it is faulty",
    "交易包 {found} 重复出现",
    "请勿对其投票;提议该区块的成员有误",
)
ITEM = ErrorCode(
    "block.item",
    "item {found} is not well formed: {reason}",
    "do not vote for it; the member that proposed it is faulty",
    "第 {found} 项格式不正确:{reason}",
    "请勿对其投票;提议该区块的成员有误",
)
EXPIRED = ErrorCode(
    "block.expired",
    "transaction {found} was valid until height {wanted}",
    "do not vote for it; the member that proposed it is faulty",
    "交易 {found} 的有效高度截至 {wanted}",
    "请勿对其投票;提议该区块的成员有误",
)
NONCE = ErrorCode(
    "block.nonce",
    "nonce {nonce} of transaction {found} is not free: {use}",
    "do not vote for it; the member that proposed it is faulty",
    "交易 {found} 的序号 {nonce} 不可用:{use}",
    "请勿对其投票;提议该区块的成员有误",
)
STEPS = ErrorCode(
    "block.steps",
    "transaction {found} starts after {wanted} steps",
    "do not vote for it; the member that proposed it is faulty",
    "交易 {found} 在已用 {wanted} 步之后开始",
    "请勿对其投票;提议该区块的成员有误",
)


@dataclass(frozen=True, slots=True)
class Invalid:
    """A block that must not be voted for: which rule (stable code), and in words."""

    code: str
    text: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class Parent:
    """What a block's header is checked against."""

    block: BlockHash
    height: int
    outcome_hash: OutcomeHash
    time_ms: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What all blocks of one epoch have in common."""

    suite: Suite
    ledger: LedgerId
    epoch: int
    epoch_record: bytes
    members: tuple[MemberId, ...]
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    """A block whose items are well formed; `items` in the block's order."""

    block: Block
    hash: BlockHash
    items: tuple[ParsedSubmission, ...]
    transactions: tuple[Parsed, ...]
    raw: bytes
    """The canonical bytes of the block."""


def refuse(rule: ErrorCode, **values: object) -> Invalid:
    """The verdict that `rule` is broken; 32-byte values are shown by their first 8 bytes."""
    shown = {name: value.hex()[:16] if isinstance(value, bytes) else value for name, value in values.items()}
    return Invalid(rule.code, rule.cause.format(**shown), rule.cause_zh.format(**shown))


def decode_block(data: bytes) -> Block:
    """The block of these canonical bytes; raises SpokeWrongly (`encoding.malformed`)."""
    return block_codec.decode(data)


def check_leaves(block: Block, parameters: Parameters) -> Invalid | None:
    """Whether parsing the block is bounded work; asked before anything of its items is hashed."""
    found = sum(len(item.leaves) for item in block.items if isinstance(item, Bundle))
    wanted = leaves_max(parameters)
    return refuse(TOO_MANY_LEAVES, found=found, wanted=wanted) if found > wanted else None


def check_header(header: BlockHeader, hash_: BlockHash, parent: Parent, terms: Terms) -> Invalid | None:
    """Every field that does not depend on the body; None when all hold."""
    if block_hash(terms.suite, header) != hash_:
        return refuse(HASH, block=hash_)
    fields: list[tuple[ErrorCode, object, object]] = [
        (LEDGER, header.ledger, terms.ledger),
        (EPOCH, header.epoch, terms.epoch),
        (EPOCH_RECORD, header.epoch_record, terms.epoch_record),
        (PARENT, header.parent, parent.block),
        (HEIGHT, header.height, parent.height + 1),
        (PARENT_OUTCOME, header.parent_outcome, parent.outcome_hash),
    ]
    for rule, found, wanted in fields:
        if found != wanted:
            return refuse(rule, found=found, wanted=wanted)
    if header.time_ms <= parent.time_ms:
        return refuse(TIME, found=header.time_ms, wanted=parent.time_ms + 1)
    if header.proposer not in terms.members:
        return refuse(PROPOSER, found=header.proposer)
    return None


def check_clock(header_time_ms: int, *, parent_time_ms: int, wall_ms: int, tolerance_ms: int) -> Invalid | None:
    """Whether a fresh proposal's time is near this member's clock; parent + 1 ms is never refused.

    Asked once, when the proposal arrives; never of a block proposed again, synced or replayed.
    """
    if header_time_ms == parent_time_ms + 1 or abs(header_time_ms - wall_ms) <= tolerance_ms:
        return None
    return refuse(CLOCK, found=header_time_ms, wanted=wall_ms)


def check_body(parsed: ParsedBlock, terms: Terms) -> Invalid | None:
    """Counts, sizes, roots and duplicates; None when all hold."""
    header, transactions, parameters = parsed.block.header, parsed.transactions, terms.parameters
    if header.count != len(transactions):
        return refuse(COUNT, found=header.count, wanted=len(transactions))
    if len(transactions) > parameters.block_transactions_max:
        return refuse(TOO_MANY, found=len(transactions), wanted=parameters.block_transactions_max)
    if len(parsed.raw) > parameters.block_bytes_max:
        return refuse(TOO_LONG, found=len(parsed.raw), wanted=parameters.block_bytes_max)
    twice = _first_twice([parsed_transaction.id for parsed_transaction in transactions])
    if twice is not None:
        return refuse(DUPLICATE, found=twice)
    bundles = [item.submission.header.root for item in parsed.items if isinstance(item.submission, Bundle)]
    twice = _first_twice(bundles)
    if twice is not None:
        return refuse(BUNDLE_TWICE, found=twice)
    if header.transaction_root != transaction_root(terms.suite, transactions):
        return refuse(TRANSACTION_ROOT)
    if header.witness_root != witness_root(terms.suite, transactions):
        return refuse(WITNESS_ROOT)
    return None


def check_transaction(parsed: Parsed, state: StateReader, height: int) -> Invalid | None:
    """Whether a transaction may be executed next on `state`, in a block of `height`."""
    fields = parsed.fields
    if fields.valid_until_height < height:
        return refuse(EXPIRED, found=parsed.id, wanted=fields.valid_until_height)
    use = account_record(state.get(account_key(parsed.sender))).use_of(fields.nonce)
    if use is not NonceUse.FREE:
        return refuse(NONCE, found=parsed.id, nonce=fields.nonce, use=use.value)
    return None


def transaction_root(suite: Suite, transactions: Sequence[Parsed]) -> bytes:
    """Root over the ids in order."""
    return merkle_root(suite.hash, [parsed.id for parsed in transactions])


def witness_root(suite: Suite, transactions: Sequence[Parsed]) -> bytes:
    """Root over the witness hashes in order."""
    return merkle_root(suite.hash, [parsed.witness_hash for parsed in transactions])


def malformed_item(index: int, error: ZizhuError) -> Invalid:
    """The verdict on a block whose item `index` is not well formed."""
    return refuse(ITEM, found=index, reason=str(error))


def _first_twice(values: Sequence[bytes]) -> bytes | None:
    seen: dict[bytes, None] = {}
    for value in values:
        if value in seen:
            return value
        seen[value] = None
    return None
