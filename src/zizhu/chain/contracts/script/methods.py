"""Methods of values: the only thing a dot may stand before.

Decides which there are for each type and what they mean. Refuses to know attributes: a method is looked up in
this table by type and name, never on the object.
"""

from collections.abc import Callable
from dataclasses import dataclass

from zizhu.chain.contracts.script import failures, operations, prices
from zizhu.chain.contracts.script.failures import Failure
from zizhu.chain.contracts.script.operations import check_key, spend_search, wrong_types
from zizhu.chain.contracts.script.run import Run
from zizhu.chain.model.value import Key, Value

SPACES = " \t\n\r"
"""What `strip` takes off when it is not told: ASCII only."""
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


@dataclass(frozen=True, slots=True)
class Method:
    """A method: `run` takes the run, the value and from `least` to `most` more values."""

    run: Callable[..., Value]
    least: int
    most: int


def _append(run: Run, target: list[Value], item: Value) -> Value:
    run.allocate(prices.SLOT_BYTES)
    target.append(item)
    return None


def _extend(run: Run, target: list[Value], items: Value) -> Value:
    if type(items) is not list:
        raise wrong_types("extend", items)
    run.take_items(len(items))
    target.extend(items)
    return None


def _insert(run: Run, target: list[Value], position: Value, item: Value) -> Value:
    if type(position) is not int:
        raise wrong_types("insert", position)
    run.spend(len(target) >> prices.SHIFTED_SHIFT)
    run.allocate(prices.SLOT_BYTES)
    target.insert(max(-len(target), min(position, len(target))), item)
    return None


def _pop(run: Run, target: list[Value], position: Value = -1) -> Value:
    if type(position) is not int:
        raise wrong_types("pop", position)
    if position != -1:
        run.spend(len(target) >> prices.SHIFTED_SHIFT)
    if not -len(target) <= position < len(target):
        raise Failure(failures.INDEX, f"pop({position}) of {len(target)}")
    return target.pop(position)


def _clear(run: Run, target: list[Value] | dict[Key, Value]) -> Value:
    target.clear()
    return None


def _index(run: Run, target: list[Value], item: Value) -> Value:
    for position, element in enumerate(target):
        run.spend(prices.EQUAL_ITEM)
        if operations.equal(run, element, item):
            return position
    raise Failure(failures.INDEX, "index: no such element")


def _count(run: Run, target: list[Value], item: Value) -> Value:
    found = 0
    for element in target:
        run.spend(prices.EQUAL_ITEM)
        if operations.equal(run, element, item):
            found += 1
    return found


def _remove(run: Run, target: list[Value], item: Value) -> Value:
    position = _index(run, target, item)
    return _pop(run, target, position) and None


def _reverse(run: Run, target: list[Value]) -> Value:
    run.spend(len(target) >> prices.ITEMS_SHIFT)
    target.reverse()
    return None


def _get(run: Run, target: dict[Key, Value], key: Value, default: Value = None) -> Value:
    return target.get(check_key(run, key), default)


def _keys(run: Run, target: dict[Key, Value]) -> Value:
    run.take_items(len(target))
    return list(target)


def _values(run: Run, target: dict[Key, Value]) -> Value:
    run.take_items(len(target))
    return list(target.values())


def _items(run: Run, target: dict[Key, Value]) -> Value:
    run.spend(len(target))
    run.take_items(len(target) * 4)
    return [[key, value] for key, value in target.items()]


def _pop_key(run: Run, target: dict[Key, Value], key: Value, *default: Value) -> Value:
    checked = check_key(run, key)
    if checked in target:
        return target.pop(checked)
    if default:
        return default[0]
    raise Failure(failures.KEY, "pop: no such key")


def _set_default(run: Run, target: dict[Key, Value], key: Value, default: Value) -> Value:
    run.allocate(prices.ENTRY_BYTES)
    return target.setdefault(check_key(run, key), default)


def _update(run: Run, target: dict[Key, Value], other: Value) -> Value:
    if type(other) is not dict:
        raise wrong_types("update", other)
    run.spend(len(other))
    run.allocate(len(other) * prices.ENTRY_BYTES)
    target.update(other)
    return None


def _same_kind(run: Run, name: str, target: str | bytes, pattern: Value) -> None:
    """Refuses a pattern of another type; charges the search."""
    if type(pattern) is not type(target) or not isinstance(pattern, str | bytes):
        raise wrong_types(name, target, pattern)
    spend_search(run, len(target), len(pattern))


def _split(run: Run, target: str | bytes, separator: Value) -> Value:
    _same_kind(run, "split", target, separator)
    if not separator:
        raise Failure(failures.VALUE, "split by nothing")
    pieces = target.count(separator) + 1  # type: ignore[arg-type]
    run.take_items(pieces)
    run.take(len(target) + pieces * prices.CONTAINER_BYTES)
    return target.split(separator)  # type: ignore[arg-type, return-value]


def _join(run: Run, target: str | bytes, items: Value) -> Value:
    if type(items) is not list:
        raise wrong_types("join", items)
    run.spend(len(items) * 2)
    size = len(target) * len(items)
    for item in items:
        if type(item) is not type(target) or not isinstance(item, str | bytes):
            raise wrong_types("join", item)
        size += len(item)
    run.take(size)
    return target.join(items)  # type: ignore[arg-type]


def _strip(run: Run, target: str, characters: Value = SPACES) -> Value:
    _same_kind(run, "strip", target, characters)
    run.take(len(target))
    return target.strip(characters)  # type: ignore[arg-type]


def _starts(run: Run, target: str | bytes, start: Value) -> Value:
    if type(start) is not type(target) or not isinstance(start, str | bytes):
        raise wrong_types("startswith", target, start)
    run.spend(len(start) >> prices.COPY_SHIFT)
    return target.startswith(start)  # type: ignore[arg-type]


def _ends(run: Run, target: str | bytes, end: Value) -> Value:
    if type(end) is not type(target) or not isinstance(end, str | bytes):
        raise wrong_types("endswith", target, end)
    run.spend(len(end) >> prices.COPY_SHIFT)
    return target.endswith(end)  # type: ignore[arg-type]


def _find(run: Run, target: str | bytes, pattern: Value) -> Value:
    _same_kind(run, "find", target, pattern)
    return target.find(pattern)  # type: ignore[arg-type]


def _count_parts(run: Run, target: str | bytes, pattern: Value) -> Value:
    _same_kind(run, "count", target, pattern)
    return target.count(pattern)  # type: ignore[arg-type]


def _replace(run: Run, target: str | bytes, old: Value, new: Value) -> Value:
    _same_kind(run, "replace", target, old)
    if type(new) is not type(old) or not isinstance(old, str | bytes) or not isinstance(new, str | bytes):
        raise wrong_types("replace", new)
    if not old:
        raise Failure(failures.VALUE, "replace nothing")
    found = target.count(old)  # type: ignore[arg-type]
    run.spend(found)
    run.take(len(target) + found * max(0, len(new) - len(old)))
    return target.replace(old, new)  # type: ignore[arg-type]


def _translated(run: Run, target: str, table: dict[int, int]) -> Value:
    run.spend(len(target) >> 1)
    run.allocate(len(target))
    return target.translate(table)


def _lower(run: Run, target: str) -> Value:
    return _translated(run, target, _LOWER)


def _upper(run: Run, target: str) -> Value:
    return _translated(run, target, _UPPER)


def _is_digits(run: Run, target: str) -> Value:
    run.spend(len(target) >> prices.CODEC_SHIFT)
    return target.isascii() and target.isdigit()


def _is_alphabetic(run: Run, target: str) -> Value:
    run.spend(len(target) >> prices.CODEC_SHIFT)
    return target.isascii() and target.isalpha()


def _is_alphanumeric(run: Run, target: str) -> Value:
    run.spend(len(target) >> prices.CODEC_SHIFT)
    return target.isascii() and target.isalnum()


def _encode(run: Run, target: str) -> Value:
    run.spend(len(target) >> prices.CODEC_SHIFT)
    run.allocate(len(target) * 4)
    return target.encode("utf-8")


def _decode(run: Run, target: bytes) -> Value:
    run.spend(len(target) >> prices.CODEC_SHIFT)
    run.allocate(len(target) * 4)
    try:
        return target.decode("utf-8")
    except UnicodeDecodeError:
        raise Failure(failures.VALUE, "decode: not UTF-8") from None


def _hex(run: Run, target: bytes) -> Value:
    run.spend(len(target) >> prices.SCAN_SHIFT)
    run.take(len(target) * 2)
    return target.hex()


_SEQUENCE: dict[str, Method] = {
    "split": Method(_split, 1, 1),
    "join": Method(_join, 1, 1),
    "startswith": Method(_starts, 1, 1),
    "endswith": Method(_ends, 1, 1),
    "find": Method(_find, 1, 1),
    "count": Method(_count_parts, 1, 1),
    "replace": Method(_replace, 2, 2),
}

METHODS: dict[type, dict[str, Method]] = {
    list: {
        "append": Method(_append, 1, 1),
        "extend": Method(_extend, 1, 1),
        "insert": Method(_insert, 2, 2),
        "pop": Method(_pop, 0, 1),
        "clear": Method(_clear, 0, 0),
        "index": Method(_index, 1, 1),
        "count": Method(_count, 1, 1),
        "remove": Method(_remove, 1, 1),
        "reverse": Method(_reverse, 0, 0),
    },
    dict: {
        "get": Method(_get, 1, 2),
        "keys": Method(_keys, 0, 0),
        "values": Method(_values, 0, 0),
        "items": Method(_items, 0, 0),
        "pop": Method(_pop_key, 1, 2),
        "setdefault": Method(_set_default, 2, 2),
        "update": Method(_update, 1, 1),
        "clear": Method(_clear, 0, 0),
    },
    str: {
        **_SEQUENCE,
        "strip": Method(_strip, 0, 1),
        "lower": Method(_lower, 0, 0),
        "upper": Method(_upper, 0, 0),
        "isdigit": Method(_is_digits, 0, 0),
        "isalpha": Method(_is_alphabetic, 0, 0),
        "isalnum": Method(_is_alphanumeric, 0, 0),
        "encode": Method(_encode, 0, 0),
    },
    bytes: {
        **_SEQUENCE,
        "decode": Method(_decode, 0, 0),
        "hex": Method(_hex, 0, 0),
    },
}
"""By type of the value, by name."""

METHOD_NAMES: dict[str, bool] = {name: True for table in METHODS.values() for name in table}
"""Every name that may stand behind a dot."""


def find_method(target: Value, name: str, count: int) -> Method:
    """The method of a value; raises Failure (`contract.type`) when it has none, or not with `count` arguments."""
    table = METHODS.get(type(target))
    method = table.get(name) if table is not None else None
    if method is None:
        raise Failure(failures.TYPE, f"{operations.type_name(target)} has no method {name}")
    if not method.least <= count <= method.most:
        raise Failure(failures.TYPE, f"{name} takes {method.least} to {method.most} arguments, not {count}")
    return method
