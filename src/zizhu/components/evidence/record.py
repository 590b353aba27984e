"""What the evidence contract keeps and returns, as types; and where in the state a record stands.

Decides how values of the contract become records, and refuses those that are none. Refuses to know how a value was
come by: from a query, a receipt or a proof. The shapes are those of contract/evidence.zs.
"""

from typing import Annotated, Literal, TypeVar

import msgspec

from zizhu.chain.ledger.keys import data_key
from zizhu.chain.model import limits
from zizhu.chain.model.encoding import Count, Hash32, Id20, Name
from zizhu.chain.model.errors import ErrorCode, SpokeWrongly
from zizhu.chain.model.value import Value, decode_value

Index = Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]
Algorithm = Literal["sm3", "sha256"]
T = TypeVar("T")

NO_RECORD = ErrorCode(
    "evidence.record",
    "this is not a record of the evidence contract: {reason}",
    "look it up again, at another member",
    "这不是存证合约的记录:{reason}",
    "请改向其他成员重新查询",
)


class Replaced(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A digest the voucher once had, and when another took its place (block time, ms)."""

    digest: Hash32
    time_ms: Count
    height: Count


class Revoked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That, why and when (block time, ms) the voucher was revoked."""

    reason: Annotated[str, msgspec.Meta(max_length=200)]
    time_ms: Count
    height: Count


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds of a voucher now. `height`, `time_ms` and `transaction` are those of its registration.

    `first` is the index of the first voucher of another issuer with the same digest, if there was one.
    """

    version: Annotated[int, msgspec.Meta(ge=1, le=1)]
    index: Index
    type: Name
    algorithm: Algorithm
    digest: Hash32
    issuer: Id20
    holder: Id20
    state: Literal["authentic", "revoked"]
    first: Index | None
    height: Count
    time_ms: Count
    transaction: Hash32
    salt: Hash32
    replaced: Annotated[list[Replaced], msgspec.Meta(max_length=32)]
    revoked: Revoked | None
    entries: Count


class Detail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an act was about: register has `digest`, transfer `giver` and `taker` (accounts), replace the `old` and
    the `new` digest, revoke the `reason`."""

    digest: Hash32 | None = None
    giver: Id20 | None = None
    taker: Id20 | None = None
    old: Hash32 | None = None
    new: Hash32 | None = None
    reason: str | None = None


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a history: act `number` (from 1) of account `actor`."""

    number: Count
    action: Literal["register", "transfer", "replace", "revoke"]
    actor: Id20
    height: Count
    time_ms: Count
    transaction: Hash32
    detail: Detail


class Registered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `register` returns: `created` is False when the issuer had registered the digest before."""

    index: Index
    created: bool
    first: Index | None


def read_record(value: Value) -> Record:
    """The record that `value` is; raises SpokeWrongly (`evidence.record`)."""
    return _converted(value, Record)


def read_records(value: Value) -> list[Record]:
    """The records of a page; raises SpokeWrongly (`evidence.record`)."""
    return _converted(value, list[Record])


def read_history(value: Value) -> list[Act]:
    """The entries of a page of a history; raises SpokeWrongly (`evidence.record`)."""
    return _converted(value, list[Act])


def read_registered(value: Value) -> Registered:
    """What `register` returned; raises SpokeWrongly (`evidence.record`)."""
    return _converted(value, Registered)


def read_types(value: Value) -> dict[str, Algorithm]:
    """The types, each with its algorithm; raises SpokeWrongly (`evidence.record`)."""
    return _converted(value, dict[str, Algorithm])


def record_at(stored: bytes) -> Record:
    """The record of the state value `stored`; raises SpokeWrongly (`evidence.record`, `encoding.malformed`)."""
    return read_record(decode_value(stored))


def record_key(contract: bytes, index: int) -> bytes:
    """The state key under which contract `contract` (20 bytes) keeps the record of `index`."""
    return data_key(contract, b"v" + index.to_bytes(8, "big"))


def _converted(value: Value, shape: type[T]) -> T:
    try:
        return msgspec.convert(value, shape, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise SpokeWrongly(NO_RECORD, reason=str(error)) from None
