"""Every named maximum is reached: what stands at it passes, what stands above it is refused."""

from collections.abc import Iterator

import msgspec
import pytest
from msgspec import inspect

from zizhu.chain.consensus.pbft import messages as pbft
from zizhu.chain.ledger import records
from zizhu.chain.model import block, certificate, compact, epoch, genesis, limits, receipt, transaction, value
from zizhu.chain.model.block import BlockHeader
from zizhu.chain.model.encoding import Codec, encode
from zizhu.chain.model.errors import AskedWrongly, SpokeWrongly
from zizhu.chain.model.transaction import Single
from zizhu.chain.network import messages
from zizhu.framework.testkit.malformed import Plain, sample

ROOMS = (block, certificate, compact, epoch, genesis, receipt, transaction, messages, pbft, records)

ELSEWHERE = {
    "BLOCK_BYTES_MAX": "test_a_codec_has_a_wall, and the records of the block log below",
    "MESSAGE_BYTES_MAX": "test_wire.test_a_frame_longer_than_the_limit_is_refused",
    "GENESIS_BYTES_MAX": "test_a_codec_has_a_wall",
    "NONCE_MAP": "test_nonce_map",
    "NONCE_AHEAD_MAX": "test_nonce_map",
    "STATE_KEY_BYTES_MAX": "test_host_limits, and a field of a proof",
    "STATE_VALUE_BYTES_MAX": "test_host_limits, and a field of a proof",
}
"""Limits that no field of a structure carries, and the test that reaches each."""


def _structs() -> list[type[msgspec.Struct]]:
    return [
        each
        for room in ROOMS
        for each in vars(room).values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == room.__name__
    ]


def _most(info: inspect.Type) -> int | None:
    """The maximum that a field's type carries: of a number its value, of a text, byte string or list its length."""
    match info:
        case inspect.IntType():
            return info.le
        case inspect.BytesType() | inspect.StrType() | inspect.ListType():
            return info.max_length
        case inspect.UnionType():
            return next((most for member in info.types if (most := _most(member)) is not None), None)
        case _:
            return None


def _of_size(info: inspect.Type, size: int) -> Plain:
    """A plain value of the type with that value or length."""
    match info:
        case inspect.IntType():
            return size
        case inspect.BytesType():
            return bytes(size)
        case inspect.StrType():
            return "a" * size
        case inspect.ListType():
            return [sample(info.item_type)] * size
        case inspect.UnionType():
            return _of_size(next(member for member in info.types if _most(member) is not None), size)
        case _:
            raise AssertionError(f"{info!r} has no maximum")


def _bounded() -> Iterator[tuple[type[msgspec.Struct], str, int]]:
    """(structure, field, maximum) of every field that has one."""
    for struct in _structs():
        info = inspect.type_info(struct)
        assert isinstance(info, inspect.StructType)
        for field in info.fields:
            most = _most(field.type)
            if most is not None:
                yield struct, field.name, most


BOUNDED = list(_bounded())


def _with(struct: type[msgspec.Struct], name: str, size: int) -> bytes:
    """The sample of a structure, with one field of this size."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    plain = sample(info)
    assert isinstance(plain, list)
    at = [field.name for field in info.fields].index(name)
    behind_tag = len(plain) - len(info.fields)
    plain[behind_tag + at] = _of_size(info.fields[at].type, size)
    return msgspec.msgpack.encode(plain)


@pytest.mark.parametrize(
    ("struct", "field", "most"), BOUNDED, ids=lambda each: each.__name__ if isinstance(each, type) else str(each)
)
def test_every_field_has_a_wall(struct: type[msgspec.Struct], field: str, most: int) -> None:
    """At its maximum a field is taken and comes back; one above, it is refused."""
    codec = Codec[msgspec.Struct](struct, what=struct.__name__, bytes_max=limits.MESSAGE_BYTES_MAX)
    longest = _with(struct, field, most)
    assert encode(codec.decode(longest)) == longest
    with pytest.raises(SpokeWrongly):
        codec.decode(_with(struct, field, most + 1))


def test_every_named_maximum_is_reached_somewhere() -> None:
    """A limit of `model.limits` is the wall of a field above, or has the test that is named here."""
    walls = {most for _, _, most in BOUNDED}
    named = {name: size for name, size in vars(limits).items() if name.isupper() and isinstance(size, int)}
    assert set(ELSEWHERE) <= set(named)
    assert {name for name, size in named.items() if size not in walls} <= set(ELSEWHERE)


def test_every_length_and_number_has_a_maximum() -> None:
    """Nothing that comes from outside is unbounded: no int, text, byte string or list of a message or a structure."""
    open_ended = {
        f"{struct.__name__}.{field.name}"
        for struct in _structs()
        for field in inspect.type_info(struct).fields  # type: ignore[attr-defined]
        if isinstance(field.type, inspect.IntType | inspect.BytesType | inspect.StrType | inspect.ListType)
        and _most(field.type) is None
    }
    # A member's own vote log, written by itself after the messages were bounded.
    assert open_ended == {"Voted.phase", "Voted.height", "Entered.changes"}


@pytest.mark.parametrize(
    ("codec", "most"),
    [
        (transaction.body_codec, limits.TRANSACTION_BYTES_MAX),
        (transaction.deploy_codec, limits.TRANSACTION_BYTES_MAX),
        (transaction.invoke_codec, limits.TRANSACTION_BYTES_MAX),
        (transaction.submission_codec, limits.BLOCK_BYTES_MAX),
        (block.block_codec, limits.BLOCK_BYTES_MAX),
        (receipt.receipt_codec, limits.BLOCK_BYTES_MAX),
        (genesis.genesis_codec, limits.GENESIS_BYTES_MAX),
        (pbft.vote_record_codec, limits.MESSAGE_BYTES_MAX),
    ],
    ids=lambda each: each.what if isinstance(each, Codec) else str(each),
)
def test_a_codec_has_a_wall(codec: Codec[object], most: int) -> None:
    """Bytes above the maximum are refused for their length; at the maximum it is what stands in them that counts."""
    assert codec.bytes_max == most
    with pytest.raises(SpokeWrongly, match="at most"):
        codec.decode(bytes(most + 1))
    with pytest.raises(SpokeWrongly) as refused:
        codec.decode(bytes(most))
    assert "at most" not in str(refused.value)


def test_the_longest_transaction() -> None:
    """A body of TRANSACTION_BYTES_MAX bytes stands in a submission; one byte more does not."""
    plain = msgspec.msgpack.decode(_with(Single, "suite", 1))
    body = bytes(limits.TRANSACTION_BYTES_MAX)
    whole = msgspec.msgpack.encode([plain[0], body, *plain[2:]])
    decoded = transaction.submission_codec.decode(whole)
    assert isinstance(decoded, Single) and decoded.body == body
    with pytest.raises(SpokeWrongly):
        transaction.submission_codec.decode(msgspec.msgpack.encode([plain[0], body + b"\0", *plain[2:]]))


def test_the_longest_value() -> None:
    """A value of VALUE_BYTES_MAX bytes is encoded and decoded; one byte more is refused both ways."""
    room = value.VALUE_BYTES_MAX - 5
    longest = value.encode_value(bytes(room))
    assert len(longest) == value.VALUE_BYTES_MAX
    assert value.decode_value(longest) == bytes(room)
    with pytest.raises(AskedWrongly):
        value.encode_value(bytes(room + 1))
    with pytest.raises(SpokeWrongly):
        value.decode_value(encode(bytes(room + 1)))


def test_a_full_header_is_far_below_its_wall() -> None:
    """The walls of small structures are no limits that a valid one could meet: a header of greatest numbers fits."""
    info = inspect.type_info(BlockHeader)
    assert isinstance(info, inspect.StructType)
    greatest = [
        _of_size(field.type, most) if (most := _most(field.type)) is not None else sample(field.type)
        for field in info.fields
    ]
    data = msgspec.msgpack.encode(greatest)
    assert encode(block.header_codec.decode(data)) == data
    assert len(data) < block.header_codec.bytes_max // 8
