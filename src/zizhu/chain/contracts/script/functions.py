"""Builtin functions that look at nothing but their arguments.

Decides which there are, their parameters and meaning. Refuses to know the host. Whatever CPython would do by
its Unicode tables or locale is done for ASCII only, so that every version of Python agrees.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zizhu.chain.contracts.script import failures, operations, prices
from zizhu.chain.contracts.script.failures import Failure
from zizhu.chain.contracts.script.operations import wrong_types
from zizhu.chain.contracts.script.run import Run
from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly, SpokeWrongly
from zizhu.chain.model.value import Key, Value, decode_value, encode_value

CODEC_BYTES_MAX = limits.STATE_VALUE_BYTES_MAX
_NUMBER = re.compile(r"-?[0-9]{1,78}", re.ASCII)
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*", re.ASCII)
_CODE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*", re.ASCII)
CODE_CHARACTERS_MAX = 48
_CONTAINERS = {bytes([head]): True for head in [*range(0x80, 0xA0), *range(0xDC, 0xE0)]}
"""First bytes of MessagePack arrays and maps."""


@dataclass(frozen=True, slots=True)
class Builtin:
    """A builtin: `run` takes the run and as many values as there are parameters; missing ones come from
    `defaults`, which stand for the last parameters. A variadic one takes one or more values."""

    name: str
    run: Callable[..., Value]
    parameters: tuple[str, ...]
    defaults: tuple[Value, ...] = ()
    variadic: bool = False


def encode_metered(run: Run, value: Value, bytes_max: int) -> bytes:
    """The encoding of a value, charged by its length; with few steps left, no more is encoded than they pay."""
    shift = 0 if isinstance(value, list | dict) else prices.SCAN_SHIFT
    room = min(bytes_max, (run.left + 1) << shift)
    try:
        data = encode_value(value, bytes_max=room)
    except AskedWrongly as error:
        walked = error.values["walked"]
        assert type(walked) is int
        run.spend(walked * prices.CODEC_PART >> shift)
        raise Failure(failures.VALUE, str(error)) from None
    run.spend(len(data) * prices.CODEC_PART >> shift)
    run.allocate(len(data))
    return data


def decode_metered(run: Run, data: bytes) -> Value:
    """The value of an encoding, charged by its length."""
    if data[:1] in _CONTAINERS:
        run.spend(len(data) * prices.CODEC_PART * 2)
        run.allocate(len(data) * prices.DECODED_BYTES)
    else:
        run.spend(len(data) >> prices.SCAN_SHIFT)
        run.allocate(len(data))
    try:
        return decode_value(data, bytes_max=CODEC_BYTES_MAX)
    except SpokeWrongly as error:
        raise Failure(failures.VALUE, str(error)) from None


def to_text(run: Run, value: Value) -> str:
    """str(int | text | bool | None)."""
    if type(value) is str:
        return value
    if type(value) is int:
        run.spend(prices.NUMBER_TEXT)
        return str(value)
    if value is None or type(value) is bool:
        return str(value)
    raise wrong_types("str", value)


def _str(run: Run, value: Value) -> Value:
    return to_text(run, value)


def _int(run: Run, value: Value) -> Value:
    """int(text | int | bool): text is an optional minus and at most 78 ASCII digits."""
    if type(value) is str:
        run.spend(prices.NUMBER_TEXT)
        if _NUMBER.fullmatch(value) is None:
            raise Failure(failures.VALUE, "int takes an optional minus and 1 to 78 digits")
        return operations.bounded(int(value))
    if type(value) is int or type(value) is bool:
        return int(value)
    raise wrong_types("int", value)


def _bool(run: Run, value: Value) -> Value:
    return bool(value)


def _len(run: Run, value: Value) -> Value:
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise wrong_types("len", value)


def _abs(run: Run, value: Value) -> Value:
    if type(value) is int:
        return abs(value)
    raise wrong_types("abs", value)


def span(run: Run, bounds: Sequence[Value]) -> range:
    """The numbers of range(stop), range(start, stop) or range(start, stop, step); nothing is made yet."""
    numbers: list[int] = []
    for bound in bounds:
        if type(bound) is not int:
            raise wrong_types("range", bound)
        numbers.append(bound)
    if not 1 <= len(numbers) <= 3:
        raise Failure(failures.TYPE, "range takes 1 to 3 ints")
    if len(numbers) == 3 and numbers[2] == 0:
        raise Failure(failures.ARITHMETIC, "range with step 0")
    return range(*numbers)


def _range(run: Run, *bounds: Value) -> Value:
    numbers = span(run, bounds)
    step = numbers.step
    # Not len(): it refuses what does not fit a machine word.
    distance = numbers.stop - numbers.start if step > 0 else numbers.start - numbers.stop
    run.take_items(max(0, -(-distance // abs(step))))
    return list(numbers)


def _ordered(run: Run, name: str, values: tuple[Value, ...]) -> Sequence[Value]:
    """The values to choose from: the arguments, or the elements of the only one. At least one."""
    items: Sequence[Value] = values
    if len(values) == 1:
        if type(values[0]) is not list:
            raise wrong_types(name, values[0])
        items = values[0]
    if not items:
        raise Failure(failures.INDEX, f"{name} of nothing")
    if type(items[0]) not in (int, str, bytes):
        raise wrong_types(name, items[0])
    return items


def _min(run: Run, *values: Value) -> Value:
    items = _ordered(run, "min", values)
    best = items[0]
    for item in items:
        run.spend(prices.EQUAL_ITEM)
        if operations.less(run, item, best):
            best = item
    return best


def _max(run: Run, *values: Value) -> Value:
    items = _ordered(run, "max", values)
    best = items[0]
    for item in items:
        run.spend(prices.EQUAL_ITEM)
        if operations.less(run, best, item):
            best = item
    return best


def _sum(run: Run, values: Value) -> Value:
    if type(values) is not list:
        raise wrong_types("sum", values)
    total = 0
    run.spend(len(values) * prices.EQUAL_ITEM)
    for value in values:
        if type(value) is not int:
            raise wrong_types("sum", value)
        total = operations.bounded(total + value)
    return total


def _sorted(run: Run, values: Value, reverse: Value) -> Value:
    """A new list of ints, texts or bytes (all of one type) in order; equal ones keep theirs."""
    if type(values) is not list or type(reverse) is not bool:
        raise wrong_types("sorted", values, reverse)
    run.take_items(len(values))
    kinds = {type(value): True for value in values}
    if len(kinds) > 1 or not all(kind in (int, str, bytes) for kind in kinds):
        raise Failure(failures.TYPE, "sorted takes a list of ints, of texts or of bytes")
    longest = 0
    if str in kinds or bytes in kinds:
        longest = max(len(value) for value in values if isinstance(value, str | bytes))
    comparisons = len(values) * len(values).bit_length()
    run.spend(comparisons * (prices.SORT_COMPARISON + (longest >> prices.COPY_SHIFT)))
    return sorted(values, reverse=reverse)  # type: ignore[type-var]


def _reversed(run: Run, values: Value) -> Value:
    if type(values) is not list:
        raise wrong_types("reversed", values)
    run.take_items(len(values))
    return values[::-1]


def _list(run: Run, value: Value) -> Value:
    if isinstance(value, str | bytes | list | dict):
        run.take_items(len(value))
        return [*value]
    raise wrong_types("list", value)


def _dict(run: Run, value: Value) -> Value:
    if type(value) is not dict:
        raise wrong_types("dict", value)
    run.take_items(len(value) * 2)
    return dict(value)


def _enumerate(run: Run, values: Value) -> Value:
    if type(values) is not list:
        raise wrong_types("enumerate", values)
    _take_pairs(run, len(values), 2)
    return [[index, value] for index, value in enumerate(values)]


def _zip(run: Run, *values: Value) -> Value:
    lists: list[list[Value]] = []
    for value in values:
        if type(value) is not list:
            raise wrong_types("zip", value)
        lists.append(value)
    _take_pairs(run, min(len(items) for items in lists), len(lists))
    return [[*row] for row in zip(*lists, strict=False)]


def _take_pairs(run: Run, count: int, width: int) -> None:
    """Charges a list of `count` lists of `width`."""
    run.spend(count * (width + 2))
    run.take_items(count * (width + 2))


def _type_name(run: Run, value: Value) -> Value:
    return operations.type_name(value)


def _to_bytes(run: Run, number: Value, length: Value) -> Value:
    """An int ≥ 0 as `length` (0..32) bytes, big-endian."""
    if type(number) is not int or type(length) is not int:
        raise wrong_types("to_bytes", number, length)
    if not 0 <= length <= 32 or number < 0 or number.bit_length() > 8 * length:
        raise Failure(failures.OVERFLOW, "to_bytes takes an int from 0 that fits a length of 0 to 32 bytes")
    return number.to_bytes(length, "big")


def _to_int(run: Run, data: Value) -> Value:
    """At most 32 bytes, big-endian, as an int."""
    if type(data) is not bytes:
        raise wrong_types("to_int", data)
    if len(data) > 32:
        raise Failure(failures.OVERFLOW, "to_int takes at most 32 bytes")
    return int.from_bytes(data, "big")


def _from_hex(run: Run, digits: Value) -> Value:
    if type(digits) is not str:
        raise wrong_types("from_hex", digits)
    run.spend(len(digits) >> prices.CODEC_SHIFT)
    if _HEX.fullmatch(digits) is None:
        raise Failure(failures.VALUE, "from_hex takes pairs of hexadecimal digits")
    run.take(len(digits) >> 1)
    return bytes.fromhex(digits)


def _pack(run: Run, value: Value) -> Value:
    return encode_metered(run, value, CODEC_BYTES_MAX)


def _unpack(run: Run, data: Value) -> Value:
    if type(data) is not bytes:
        raise wrong_types("unpack", data)
    return decode_metered(run, data)


def _copy(run: Run, value: Value) -> Value:
    """A deep copy."""
    if isinstance(value, list | dict):
        return copied(run, value, 0)
    return value


def copied(run: Run, value: Value, depth: int) -> Value:
    """A deep copy of a value, charged element by element."""
    if isinstance(value, list | dict):
        if depth >= prices.DATA_DEPTH_MAX:
            raise Failure(failures.DEPTH, f"copying lists nested more than {prices.DATA_DEPTH_MAX} deep")
        run.spend(prices.VISIT + len(value) * prices.EQUAL_ITEM)
        if isinstance(value, list):
            run.allocate(prices.CONTAINER_BYTES + len(value) * prices.SLOT_BYTES)
            return [copied(run, item, depth + 1) for item in value]
        run.allocate(prices.CONTAINER_BYTES + len(value) * prices.ENTRY_BYTES)
        entries: dict[Key, Value] = {}
        for key, item in value.items():
            entries[key] = copied(run, item, depth + 1)
        return entries
    return value


def _fail(run: Run, code: Value, text: Value) -> Value:
    """Ends the call with code `app.` + `code`, a dotted lower-case name of at most 48 characters."""
    if type(code) is not str:
        raise wrong_types("fail", code)
    words = text if type(text) is str else code
    if len(code) > CODE_CHARACTERS_MAX or _CODE.fullmatch(code) is None:
        raise Failure(failures.FAILED, words[: prices.TEXT_MAX])
    raise Failure(failures.APP + code, words[: prices.TEXT_MAX])


PURE: tuple[Builtin, ...] = (
    Builtin("len", _len, ("value",)),
    Builtin("range", _range, (), variadic=True),
    Builtin("min", _min, (), variadic=True),
    Builtin("max", _max, (), variadic=True),
    Builtin("sum", _sum, ("values",)),
    Builtin("abs", _abs, ("number",)),
    Builtin("sorted", _sorted, ("values", "reverse"), (False,)),
    Builtin("reversed", _reversed, ("values",)),
    Builtin("enumerate", _enumerate, ("values",)),
    Builtin("zip", _zip, (), variadic=True),
    Builtin("list", _list, ("value",)),
    Builtin("dict", _dict, ("value",)),
    Builtin("copy", _copy, ("value",)),
    Builtin("str", _str, ("value",)),
    Builtin("int", _int, ("value",)),
    Builtin("bool", _bool, ("value",)),
    Builtin("type_name", _type_name, ("value",)),
    Builtin("to_bytes", _to_bytes, ("number", "length")),
    Builtin("to_int", _to_int, ("data",)),
    Builtin("from_hex", _from_hex, ("digits",)),
    Builtin("pack", _pack, ("value",)),
    Builtin("unpack", _unpack, ("data",)),
    Builtin("fail", _fail, ("code", "text"), (None,)),
)
"""Every function that needs no host, in the order of the reference."""
