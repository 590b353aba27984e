"""The JSON of the voucher API and of `zizhu voucher --json`: records, histories and answers as structs.

Decides names and shapes; OpenAPI is written from them. Refuses to know where the values come from. Ids, digests and
keys are lower-case hex, times are block times in milliseconds since 1970 (UTC).
"""

from typing import Annotated

import msgspec

from zizhu.components.evidence.record import Act, Record, record_key
from zizhu.scenarios.credentials.answers import Answer, explanation, headline


class ReplacedReply(msgspec.Struct, frozen=True):
    """A digest that the voucher once had, and when another took its place."""

    digest: str
    time_ms: int
    height: int


class RevokedReply(msgspec.Struct, frozen=True):
    """Why and when the voucher was revoked."""

    reason: str
    time_ms: int
    height: int


class VoucherReply(msgspec.Struct, frozen=True):
    """A voucher. `height`, `time_ms` and `transaction` are those of its registration; `first` is the voucher of
    another issuer that had the digest first, or null; `proof_key` is the state key that its proof is about."""

    index: int
    digest: str
    algorithm: str
    issuer: str
    holder: str
    type: str
    state: str
    transaction: str
    height: int
    time_ms: int
    first: int | None
    replaced: list[ReplacedReply]
    revoked: RevokedReply | None
    acts: int
    proof_key: str


class VoucherAsOf(msgspec.Struct, frozen=True):
    """A voucher as of block `height`. `hosted_here` says that this member keeps the file, `copies` on how many members
    it lies (one: that of its custodian). `created` is false when a registration found the voucher there already."""

    voucher: VoucherReply
    height: int
    time_ms: int
    hosted_here: bool
    copies: int = 1
    created: bool = False


class VouchersReply(msgspec.Struct, frozen=True):
    """A page of vouchers in the order of their indexes; `next` is the `after` of the next page, null at the end."""

    vouchers: list[VoucherReply]
    next: int | None
    height: int
    time_ms: int


class ActReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """An act: what `actor` did and when. Which of the last fields there are depends on the action."""

    number: int
    action: str
    actor: str
    height: int
    time_ms: int
    transaction: str
    digest: str | None = None
    giver: str | None = None
    taker: str | None = None
    old: str | None = None
    new: str | None = None
    reason: str | None = None


class HistoryReply(msgspec.Struct, frozen=True):
    """A page of a voucher's history, in order; `next` is the `after` of the next page, null at the end."""

    index: int
    acts: list[ActReply]
    next: int | None
    height: int
    time_ms: int


class TypeReply(msgspec.Struct, frozen=True):
    """A type of voucher, and the digest algorithm agreed for it."""

    type: str
    algorithm: str
    name_en: str
    name_zh: str


class ServiceReply(msgspec.Struct, frozen=True):
    """This member's voucher service: the account it signs as, the contract it writes to, and its types."""

    member: str
    account: str
    contract: str
    file_bytes_max: int
    types: list[TypeReply]


class TransferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account (40 hex digits) that is to hold the voucher."""

    to: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{40}$")]


class RevokeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, in 1 to 200 characters."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class AnswerReply(msgspec.Struct, frozen=True):
    """What a verification says. `answer` is "yes" or "no"; `check` names what failed; `text` and `lines` are in the
    language that was asked for. `asked` are the members whose word it is."""

    answer: str
    verdict: str
    check: str
    text: str
    lines: list[str]
    voucher: VoucherReply | None
    replaced_ms: int | None
    height: int
    time_ms: int
    ledger: str
    strength: str
    offline: bool
    asked: list[str]


def voucher_reply(record: Record, contract: bytes) -> VoucherReply:
    """A record of contract `contract` as told."""
    revoked = record.revoked
    return VoucherReply(
        index=record.index,
        digest=record.digest.hex(),
        algorithm=record.algorithm,
        issuer=record.issuer.hex(),
        holder=record.holder.hex(),
        type=record.type,
        state=record.state,
        transaction=record.transaction.hex(),
        height=record.height,
        time_ms=record.time_ms,
        first=record.first,
        replaced=[ReplacedReply(old.digest.hex(), old.time_ms, old.height) for old in record.replaced],
        revoked=None if revoked is None else RevokedReply(revoked.reason, revoked.time_ms, revoked.height),
        acts=record.entries,
        proof_key=record_key(contract, record.index).hex(),
    )


def act_reply(act: Act) -> ActReply:
    """An entry of a history as told."""
    detail = act.detail

    def told(value: bytes | None) -> str | None:
        return None if value is None else value.hex()

    return ActReply(
        number=act.number,
        action=act.action,
        actor=act.actor.hex(),
        height=act.height,
        time_ms=act.time_ms,
        transaction=act.transaction.hex(),
        digest=told(detail.digest),
        giver=told(detail.giver),
        taker=told(detail.taker),
        old=told(detail.old),
        new=told(detail.new),
        reason=detail.reason,
    )


def answer_reply(answer: Answer, contract: bytes, language: str) -> AnswerReply:
    """An answer as told in `language` ("en", "zh")."""
    return AnswerReply(
        answer="yes" if answer.is_yes else "no",
        verdict=answer.verdict.value,
        check=answer.check,
        text=headline(answer, language),
        lines=explanation(answer, language),
        voucher=None if answer.record is None else voucher_reply(answer.record, contract),
        replaced_ms=answer.replaced_ms,
        height=answer.height,
        time_ms=answer.time_ms,
        ledger=answer.ledger,
        strength=answer.strength,
        offline=answer.offline,
        asked=list(answer.asked),
    )
