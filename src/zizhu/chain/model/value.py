"""Values: what contracts take, return, store and emit, and their one canonical encoding.

Decides which values exist and that each has exactly one encoding. Refuses to know a contract language, a
schema or where a value is kept.

The encoding is MessagePack with these rules:

* None, bool, int, str (UTF-8), bytes, list, dict; no floats, no timestamps;
* an int from -2**63 to 2**64 - 1 is a MessagePack integer of least width; any other with |x| < 2**256 is
  extension 1: one byte sign (0 plus, 1 minus), then the magnitude, big-endian, without leading zeros;
* a dict keeps the order it was built in, and the order is part of the value's bytes; its keys are str, bytes
  or int (an int of 64 bits), each at most once. bool is no key: to Python True and 1 are the same key;
* lists and dicts are nested at most `VALUE_DEPTH_MAX` deep.
"""

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.encoding import MALFORMED, encode
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, SpokeWrongly

Key: TypeAlias = str | int | bytes
"""What may be a key of a dict. bool is not, though it is a subclass of int; int keys are of 64 bits."""
Value: TypeAlias = "bool | int | str | bytes | list[Value] | dict[Key, Value] | None"
"""A value; ints with |x| < 2**256, lists and dicts at most `VALUE_DEPTH_MAX` deep."""

VALUE_DEPTH_MAX = 32
"""Lists and dicts inside each other; a scalar has depth 0, `[]` has depth 1."""
VALUE_BYTES_MAX = limits.TRANSACTION_BYTES_MAX
"""Wall of one encoded value, bytes; where a value is kept a lower limit may stand."""
INT_MAX = (1 << 256) - 1
"""Largest int; the smallest is -INT_MAX."""

NATIVE_MIN = -(1 << 63)
NATIVE_MAX = (1 << 64) - 1
BIG_INT_EXTENSION = 1
PLAIN_MAX = 256
"""Characters or bytes of a scalar that is encoded before its length is looked at."""

NOT_A_VALUE = ErrorCode(
    "value.not_encodable",
    "{what} cannot be encoded: {reason}",
    "use None, bool, int below 2**256, str, bytes, lists, and dicts with str, bytes or 64-bit int keys",
    "{what} 无法编码:{reason}",
    "请只使用 None、布尔、绝对值小于 2**256 的整数、文本、字节串、列表,以及键为文本、字节串或 64 位整数的字典",
)


class _Refused(Exception):
    """A value breaks a rule; the text says which. Never leaves this module."""


def encode_value(value: Value, *, bytes_max: int = VALUE_BYTES_MAX) -> bytes:
    """The canonical bytes of `value`, at most `bytes_max` of them.

    Raises AskedWrongly (`value.not_encodable`) for anything that is no value, nested too deep (a list inside
    itself too) or too long; the error's value `walked` counts the bytes that were looked at, for who charges for the
    attempt. The work is bounded by `bytes_max`, also where a list shares its parts.
    """
    walk = _Walk(bytes_max)
    try:
        if _is_plain(value):
            data = encode(value)
        else:
            walk.visit((value,), 0)
            data = encode(_lowered(value) if walk.big else value)
    except (_Refused, UnicodeEncodeError) as error:
        walked = bytes_max - max(walk.room, 0)
        raise AskedWrongly(NOT_A_VALUE, what="value", reason=str(error), walked=walked) from None
    if len(data) > bytes_max:
        raise AskedWrongly(NOT_A_VALUE, what="value", reason=f"longer than {bytes_max} bytes", walked=bytes_max)
    return data


def decode_value(data: bytes, *, bytes_max: int = VALUE_BYTES_MAX) -> Value:
    """The value whose canonical encoding is `data`; raises SpokeWrongly (`encoding.malformed`) otherwise."""
    if len(data) > bytes_max:
        raise _malformed(f"{len(data)} bytes, at most {bytes_max} allowed")
    try:
        value = _decoder.decode(data)
        if _is_plain(value):
            again = encode(value)
        else:
            walk = _Walk(bytes_max)
            walk.visit((value,), 0)
            again = encode(_lowered(value) if walk.big else value)
    except (_Refused, UnicodeError, RecursionError, OverflowError, ValueError, TypeError) as error:
        # msgspec's own errors are ValueErrors; RecursionError is its answer to arrays nested very deep.
        raise _malformed(str(error)) from None
    if again != data:
        raise _malformed("not in canonical form")
    return value


def encode_arguments(arguments: list[Value], *, bytes_max: int = VALUE_BYTES_MAX) -> bytes:
    """The canonical bytes of a call's arguments: those of the list. Raises as `encode_value`."""
    return encode_value(arguments, bytes_max=bytes_max)


def decode_arguments(data: bytes, *, bytes_max: int = VALUE_BYTES_MAX) -> list[Value]:
    """The arguments of a call; raises SpokeWrongly (`encoding.malformed`), also when it is no list."""
    value = decode_value(data, bytes_max=bytes_max)
    if not isinstance(value, list):
        raise _malformed("arguments are a list")
    return value


def _malformed(reason: str) -> SpokeWrongly:
    return SpokeWrongly(MALFORMED, what="value", reason=reason)


def _is_plain(value: object) -> bool:
    """Whether a value is a scalar that breaks no rule and is short: most of what contracts keep, and not walked."""
    kind = type(value)
    if kind is int:
        return NATIVE_MIN <= value <= NATIVE_MAX  # type: ignore[operator]
    if kind is bytes or kind is str:
        return len(value) <= PLAIN_MAX  # type: ignore[arg-type]
    return value is None or kind is bool


class _Walk:
    """One pass over a value: checks every rule and notes whether an int needs the extension.

    `room` is what is left of the limit; every part costs at least the bytes its encoding takes at least,
    so a value that shares its parts exponentially is refused after `room` parts.
    """

    __slots__ = ("big", "room")

    def __init__(self, bytes_max: int) -> None:
        self.room = bytes_max
        self.big = False

    def visit(self, items: Iterable[object], depth: int) -> None:
        """Checks values found inside `depth` lists and dicts; raises _Refused.

        One loop without a call for each scalar: half of a cheap contract's time is spent here.
        """
        room = self.room
        for item in items:
            room -= 1
            kind = type(item)
            if kind is str or kind is bytes:
                room -= len(item)  # type: ignore[arg-type]
            elif kind is int:
                if not NATIVE_MIN <= item <= NATIVE_MAX:  # type: ignore[operator]
                    if not -INT_MAX <= item <= INT_MAX:  # type: ignore[operator]
                        raise self._refuse(room, "an int of more than 256 bits")
                    self.big = True
            elif kind is list or kind is dict:
                if depth >= VALUE_DEPTH_MAX:
                    raise self._refuse(room, f"nested more than {VALUE_DEPTH_MAX} deep")
                if item:
                    self.room = room
                    self._visit_parts(item, depth + 1)
                    room = self.room
            elif item is not None and kind is not bool:
                raise self._refuse(room, f"{kind.__name__} is no type of value")
            if room < 0:
                raise self._refuse(room, "too long")
        self.room = room

    def _visit_parts(self, item: object, depth: int) -> None:
        if isinstance(item, dict):
            for key in item:
                self.room -= 1
                kind = type(key)
                if kind is str or kind is bytes:
                    self.room -= len(key)
                elif kind is not int or not NATIVE_MIN <= key <= NATIVE_MAX:
                    raise _Refused("a key is str, bytes or an int of 64 bits")
            self.visit(item.values(), depth)
        else:
            assert isinstance(item, list)
            self.visit(item, depth)

    def _refuse(self, room: int, reason: str) -> _Refused:
        self.room = room
        return _Refused(reason)


def _lowered(value: object) -> object:
    """`value` with its big ints as extensions; `value` has been checked."""
    if type(value) is int and not NATIVE_MIN <= value <= NATIVE_MAX:
        magnitude = abs(value)
        digits = magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "big")
        return msgspec.msgpack.Ext(BIG_INT_EXTENSION, (b"\x01" if value < 0 else b"\x00") + digits)
    if isinstance(value, list):
        return [_lowered(item) for item in value]
    if isinstance(value, dict):
        return {key: _lowered(item) for key, item in value.items()}
    return value


def _raised(code: int, data: memoryview) -> int:
    """The int of an extension. What is not minimal is refused afterwards, when it is encoded again."""
    if code != BIG_INT_EXTENSION or not 2 <= len(data) <= 33:
        raise ValueError(f"unknown extension {code} of {len(data)} bytes")
    magnitude = int.from_bytes(data[1:], "big")
    return -magnitude if data[0] else magnitude


_decoder: msgspec.msgpack.Decoder[Value] = msgspec.msgpack.Decoder(object, ext_hook=_raised)
