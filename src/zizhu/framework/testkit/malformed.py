"""Malformed encodings of a message type, generated from its schema: what a decoder must refuse.

Decides, from the type alone and by an oracle of its own (`admits`, which shares nothing with the decoder), which
bytes are no encoding of it. Refuses to know what a message means: what is well-formed and wrong is the receiver's
business.

Sources of the cases: failures F-3 (each field absent, null, empty), A-3 (numbers at and beyond their bounds) and
A-19 (lengths and counts that do not fit the payload) of tests/rows.toml.
"""

from collections.abc import Iterator, Sequence
from typing import Final, cast

import msgspec
from msgspec import inspect

Plain = None | bool | int | float | str | bytes | list["Plain"] | dict[str, "Plain"]

DEPTH_MAX: Final = 8
"""Recursive types are filled this deep in samples."""
LONG_BYTES_MAX: Final = 2 * 1024 * 1024
"""No case is longer: lists whose maximum is beyond it are not overfilled."""
FOREIGN: Final[tuple[Plain, ...]] = (
    None, True, False, 0, 1, -1, 127, 128, 255, 256, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 53) - 1,
    1 << 53, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 63), 0.0, 1.5, float("nan"), float("inf"),
    "", "a", "\x00", b"", b"\x00", bytes(31), bytes(32), bytes(33), bytes(64), [], [[]], [None], {}, {"a": 1},
)  # fmt: skip
"""Put in the place of every field."""


def malformed(type_: type[msgspec.Struct]) -> Iterator[tuple[str, bytes]]:
    """Pairs (what is wrong, bytes), none of which is a canonical encoding of `type_` (an array-like struct)."""
    info = inspect.type_info(type_)
    whole = sample(info)
    assert admits(info, whole), f"no sample of {type_.__name__}: {whole!r}"
    for what, changed in _changes(info, whole, type_.__name__):
        if not admits(info, changed):
            yield what, msgspec.msgpack.encode(changed)
    yield from _lies(type_.__name__, whole)
    yield from _broken(type_.__name__, whole)


def well_formed(type_: type[msgspec.Struct]) -> bytes:
    """The encoding of the sample that the malformed ones are made from."""
    return msgspec.msgpack.encode(sample(inspect.type_info(type_)))


def sample(info: inspect.Type, depth: int = 0) -> Plain:
    """A small value that `info` admits, as the plain value its encoding holds."""
    match info:
        case inspect.IntType():
            return info.ge if info.ge is not None else min(0, info.le or 0)
        case inspect.BytesType():
            return bytes(info.min_length or 0)
        case inspect.StrType():
            return "a" * max(1, info.min_length or 0)
        case inspect.ListType() | inspect.VarTupleType():
            count = info.min_length or (0 if depth >= DEPTH_MAX else 1)
            return [sample(info.item_type, depth + 1) for _ in range(count)]
        case inspect.TupleType():
            return [sample(item, depth + 1) for item in info.item_types]
        case inspect.UnionType():
            return sample(_shallowest(info) if depth >= DEPTH_MAX else _most_telling(info), depth + 1)
        case inspect.StructType():
            return [*_tag(info), *(sample(field.type, depth + 1) for field in info.fields)]
        case inspect.BoolType():
            return True
        case inspect.NoneType():
            return None
        case _:
            raise AssertionError(f"messages do not use {info!r}")


def admits(info: inspect.Type, value: Plain) -> bool:
    """Whether `value` is the plain form of something of this type."""
    match info:
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.NoneType():
            return value is None
        case inspect.IntType():
            return (
                isinstance(value, int)
                and not isinstance(value, bool)
                and (info.ge or 0) <= value <= (info.le if info.le is not None else 1 << 64)
            )
        case inspect.BytesType():
            return isinstance(value, bytes) and _fits(len(value), info.min_length, info.max_length)
        case inspect.StrType():
            return isinstance(value, str) and _fits(len(value), info.min_length, info.max_length)
        case inspect.ListType() | inspect.VarTupleType():
            return (
                isinstance(value, list)
                and _fits(len(value), info.min_length, info.max_length)
                and all(admits(info.item_type, item) for item in value)
            )
        case inspect.TupleType():
            return isinstance(value, list) and _all_admit(info.item_types, value)
        case inspect.UnionType():
            return any(admits(member, value) for member in info.types)
        case inspect.StructType():
            tag = _tag(info)
            return (
                isinstance(value, list)
                and [(type(mark), mark) for mark in value[: len(tag)]] == [(type(mark), mark) for mark in tag]
                and _all_admit([field.type for field in info.fields], value[len(tag) :])
            )
        case _:
            raise AssertionError(f"messages do not use {info!r}")


def _fits(length: int, least: int | None, most: int | None) -> bool:
    return (least or 0) <= length and (most is None or length <= most)


def _all_admit(types: Sequence[inspect.Type], values: list[Plain]) -> bool:
    return len(types) == len(values) and all(admits(info, value) for info, value in zip(types, values, strict=True))


def _tag(info: inspect.StructType) -> list[Plain]:
    mark = cast(Plain, info.tag)  # None for an untagged struct, whatever the stub says
    return [] if mark is None else [mark]


def _most_telling(info: inspect.UnionType) -> inspect.Type:
    """The member of a union with most structure, so that samples reach deep."""
    ranks: tuple[type[inspect.Type], ...] = (
        inspect.StructType,
        inspect.ListType,
        inspect.BytesType,
        inspect.StrType,
        inspect.IntType,
    )
    return min(info.types, key=lambda member: next((i for i, kind in enumerate(ranks) if isinstance(member, kind)), 9))


def _shallowest(info: inspect.UnionType) -> inspect.Type:
    """A member of a union that ends the recursion, if there is one."""
    deep = (inspect.StructType, inspect.ListType, inspect.VarTupleType, inspect.TupleType)
    return next((member for member in info.types if not isinstance(member, deep)), info.types[0])


def _changes(info: inspect.Type, value: Plain, where: str) -> Iterator[tuple[str, Plain]]:
    """Each way to spoil `value` in one place; some of them are admitted and are for the caller to drop."""
    for foreign in FOREIGN:
        yield f"{where} = {foreign!r:.40}", foreign
    if isinstance(info, inspect.UnionType):
        info = next(member for member in info.types if admits(member, value))
    match info:
        case inspect.IntType():
            yield f"{where} below its least", (info.ge or 0) - 1
            yield f"{where} above its most", (info.le + 1 if info.le is not None else 1 << 63)
        case inspect.BytesType():
            yield from ((f"{where} of {n} bytes", bytes(n)) for n in _lengths(info.min_length, info.max_length, 1))
        case inspect.StrType():
            yield from ((f"{where} of {n} characters", "a" * n) for n in _lengths(info.min_length, info.max_length, 1))
        case inspect.ListType() | inspect.VarTupleType():
            yield from _changes_of_list(info, value, where)
        case inspect.StructType():
            yield from _changes_of_struct(info, value, where)
        case _:
            return


def _lengths(least: int | None, most: int | None, item_bytes: int) -> Iterator[int]:
    """Lengths on both sides of each bound."""
    for length in ((least or 0) - 1, least or 0, most or 0, (most or 0) + 1):
        if 0 <= length <= LONG_BYTES_MAX // max(1, item_bytes):
            yield length


def _changes_of_list(
    info: inspect.ListType | inspect.VarTupleType, value: Plain, where: str
) -> Iterator[tuple[str, Plain]]:
    assert isinstance(value, list)
    item = value[0] if value else sample(info.item_type)
    for length in _lengths(info.min_length, info.max_length, len(msgspec.msgpack.encode(item))):
        yield f"{where} of {length} items", [item] * length
    if value:
        for what, changed in _changes(info.item_type, item, f"{where}[0]"):
            yield what, [changed, *value[1:]]


def _changes_of_struct(info: inspect.StructType, value: Plain, where: str) -> Iterator[tuple[str, Plain]]:
    assert isinstance(value, list)
    offset = len(_tag(info))
    names = [*(["tag"] if offset else []), *(field.name for field in info.fields)]
    for index, name in enumerate(names):
        yield f"{where} without {name}", [*value[:index], *value[index + 1 :]]
        yield f"{where} cut before {name}", value[:index]
        yield f"{where} with {name} twice", [*value[:index], value[index], *value[index:]]
    yield f"{where} with a field too many", [*value, None]
    yield f"{where} as a map", dict(zip(names, value, strict=True))
    for tag in FOREIGN if offset else ():
        yield f"{where} with tag {tag!r:.40}", [tag, *value[1:]]
    for index, field in enumerate(info.fields, start=offset):
        for what, changed in _changes(field.type, value[index], f"{where}.{field.name}"):
            yield what, [*value[:index], changed, *value[index + 1 :]]


def _lies(where: str, whole: Plain) -> Iterator[tuple[str, bytes]]:
    """The sample with the length of one array, byte or character string in it announced wrongly."""
    counted = _Liar(place=-1, claim=0)
    counted.encode(whole)
    for place in range(counted.met):
        for claim in (-1, 1, 255, (1 << 31), (1 << 32) - 1):
            liar = _Liar(place=place, claim=claim)
            data = liar.encode(whole)
            if liar.lied:
                yield f"{where}, length {place} of its encoding off by or set to {claim}", data


class _Liar:
    """Encodes with 32-bit lengths where it lies, canonically elsewhere. `claim` -1 and 1 are added to the truth."""

    def __init__(self, *, place: int, claim: int) -> None:
        self.met = 0
        self.lied = False
        self._place = place
        self._claim = claim

    def encode(self, value: Plain) -> bytes:
        if not isinstance(value, list | bytes | str):
            return msgspec.msgpack.encode(value)
        here = self.met == self._place
        self.met += 1
        if isinstance(value, list):
            inner = b"".join(self.encode(item) for item in value)
            head = msgspec.msgpack.encode([None] * len(value))[: -len(value) or None]
        else:
            whole = msgspec.msgpack.encode(value)
            inner = value if isinstance(value, bytes) else value.encode()
            head = whole[: len(whole) - len(inner)]
        claimed = len(value) + self._claim if abs(self._claim) == 1 else self._claim
        if here and 0 <= claimed != len(value):
            self.lied = True
            mark = b"\xdd" if isinstance(value, list) else b"\xc6" if isinstance(value, bytes) else b"\xdb"
            head = mark + claimed.to_bytes(4, "big")
        return head + inner


def _broken(where: str, whole: Plain) -> Iterator[tuple[str, bytes]]:
    """Bytes that are no encoding of anything, or not the canonical one."""
    data = msgspec.msgpack.encode(whole)
    for length in sorted({*range(min(len(data), 64)), *range(0, len(data), max(1, len(data) // 256))}):
        yield f"{where} cut after {length} bytes", data[:length]
    yield f"{where} with a byte behind", data + b"\x00"
    yield f"{where} twice", data + data
    assert isinstance(whole, list)
    count = len(whole)
    inner = data[1:] if count < 16 else data[3:]
    yield (
        f"{where} with a 16-bit count",
        (b"\xdc" + count.to_bytes(2, "big") if count < 16 else b"\xdd\0\0\0\x10") + inner,
    )
    yield f"{where} with a 32-bit count", b"\xdd" + count.to_bytes(4, "big") + inner
    yield f"{where} nested 100,000 deep", b"\x91" * 100_000 + data
    yield f"{where} in an array", b"\x91" + data
    yield "an array that announces 2^32-1 items", b"\xdd\xff\xff\xff\xff"
    yield "bytes that announce 2^32-1", b"\xc6\xff\xff\xff\xff\x00"
    yield "text that is not UTF-8", b"\x92\xa2\xff\xfe\xa1a"
    yield "an extension", b"\xc7\x01\x05\x00"
    yield "a byte that MessagePack never uses", b"\xc1"
