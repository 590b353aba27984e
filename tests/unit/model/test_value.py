"""Values and their one canonical encoding."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.model.errors import AskedWrongly, SpokeWrongly
from zizhu.chain.model.value import (
    INT_MAX,
    NATIVE_MAX,
    NATIVE_MIN,
    VALUE_DEPTH_MAX,
    Value,
    decode_arguments,
    decode_value,
    encode_arguments,
    encode_value,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEYS = TEXTS | st.binary(max_size=8) | st.integers(NATIVE_MIN, NATIVE_MAX)
SCALARS = st.none() | st.booleans() | st.integers(-INT_MAX, INT_MAX) | TEXTS | st.binary(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def same(left: Value, right: Value) -> bool:
    """Equality that tells True from 1 and one order of a dict from another."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return same([*left.keys()], [*right.keys()]) and same([*left.values()], [*right.values()])
    return left == right


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_round_trip(value: Value) -> None:
    """Every value decodes to itself: types, order of keys and big ints included."""
    assert same(decode_value(encode_value(value)), value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_bytes_decode_to_themselves_or_are_refused(data: bytes) -> None:
    """Whatever decodes encodes to the same bytes; nothing but SpokeWrongly is raised."""
    try:
        value = decode_value(data)
    except SpokeWrongly:
        return
    assert encode_value(value) == data


@settings(max_examples=200, deadline=None)
@given(VALUES, st.data())
def test_flipped_bit_never_gives_the_same_value(value: Value, data: st.DataObject) -> None:
    """No two encodings mean one value."""
    encoded = bytearray(encode_value(value))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        other = decode_value(bytes(encoded))
    except SpokeWrongly:
        return
    assert not same(value, other)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, "c0"),
        (True, "c3"),
        (1, "01"),
        (-1, "ff"),
        (NATIVE_MAX, "cfffffffffffffffff"),
        (NATIVE_MIN, "d38000000000000000"),
        (NATIVE_MAX + 1, "c70a0100010000000000000000"),
        (NATIVE_MIN - 1, "c70901018000000000000001"),
        (INT_MAX, "c7210100" + "ff" * 32),
        (-INT_MAX, "c7210101" + "ff" * 32),
        ("链", "a3e993be"),
        (b"\x00", "c40100"),
        ([1, [2]], "92019102"),
        ({"b": 1, "a": 2, 3: None, b"k": []}, "84a16201a1610203c0c4016b90"),
    ],
)
def test_known_encodings(value: Value, encoded: str) -> None:
    """The bytes are those of the protocol, for ever."""
    assert encode_value(value).hex() == encoded
    assert same(decode_value(bytes.fromhex(encoded)), value)


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "0101",
        "cc01",
        "d9016b",
        "dc000101",
        "cb3ff0000000000000",
        "ca3f800000",
        "d6ff00000000",
        "c7020100ff",
        "c70301000001",
        "c70a010001000000000000000000",
        "c70a0100000100000000000000",
        "c70a0102010000000000000000",
        "c7220100" + "ff" * 33,
        "c70a0200010000000000000000",
        "82016101a0",
        "8201010102",
        "81c301",
        "81c001",
        "81cb3ff000000000000001",
        "819001",
        "81c70a010001000000000000000001",
        "a1ff",
        "a3eda080",
        "c1",
        "ddffffffff",
        "dfffffffff",
        "91" * 33 + "01",
        "91" * 100_000 + "01",
    ],
)
def test_refuses_to_decode(encoded: str) -> None:
    """Non-minimal forms, floats, times, foreign extensions, duplicate or odd keys, bad text: SpokeWrongly."""
    with pytest.raises(SpokeWrongly):
        decode_value(bytes.fromhex(encoded))


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        (1,),
        {1},
        bytearray(b"a"),
        object(),
        {True: 1},
        {None: 1},
        {1.0: 1},
        {(1,): 1},
        {NATIVE_MAX + 1: 1},
        [INT_MAX + 1],
        -INT_MAX - 1,
        "\ud800",
        {"\udfff": 1},
        msgspec.msgpack.Ext(1, b"a"),
        type("Text", (str,), {})("a"),
    ],
)
def test_refuses_to_encode(value: object) -> None:
    """What is no value is refused with `value.not_encodable`, subclasses of our types too."""
    with pytest.raises(AskedWrongly) as refused:
        encode_value([value])  # type: ignore[list-item]
    assert refused.value.code.code == "value.not_encodable"


def nested(depth: int) -> Value:
    """A list `depth` deep."""
    value: Value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_depth_is_limited_in_both_directions() -> None:
    """The deepest value passes, one deeper does not."""
    assert same(decode_value(encode_value(nested(VALUE_DEPTH_MAX))), nested(VALUE_DEPTH_MAX))
    with pytest.raises(AskedWrongly):
        encode_value(nested(VALUE_DEPTH_MAX + 1))


def test_a_list_inside_itself_is_refused() -> None:
    """A cycle ends at the depth limit."""
    cycle: list[Value] = []
    cycle.append(cycle)
    with pytest.raises(AskedWrongly):
        encode_value(cycle)


def test_shared_parts_cannot_explode() -> None:
    """2**31 parts in 31 lists cost no more than the limit allows."""
    value: Value = [1]
    for _ in range(30):
        value = [value, value]
    with pytest.raises(AskedWrongly):
        encode_value(value, bytes_max=10_000)


def test_length_is_limited_in_both_directions() -> None:
    """The limit counts encoded bytes, so text of three-byte characters counts three."""
    assert encode_value("链" * 10, bytes_max=31)
    with pytest.raises(AskedWrongly):
        encode_value("链" * 10, bytes_max=30)
    with pytest.raises(SpokeWrongly):
        decode_value(encode_value(b"a" * 10), bytes_max=11)


def test_arguments_are_a_list() -> None:
    """Arguments round-trip; any other value is refused."""
    assert decode_arguments(encode_arguments([1, "a"])) == [1, "a"]
    with pytest.raises(SpokeWrongly):
        decode_arguments(encode_value({"a": 1}))
