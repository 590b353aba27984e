"""Operators: arithmetic, comparison, membership, subscripts, truth. Metered, and strict about types.

Decides what each operator means for each pair of types. Refuses to know the syntax. A bool is no number here,
values of two types are never equal, and only int, str and bytes have an order.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeGuard

from zizhu.chain.contracts.script import failures, prices
from zizhu.chain.contracts.script.failures import Failure
from zizhu.chain.contracts.script.run import Run
from zizhu.chain.model.value import INT_MAX, NATIVE_MAX, NATIVE_MIN, Key, Value

Binary: TypeAlias = Callable[[Run, Value, Value], Value]

INT_BITS = 256
SHORT = 1 << prices.COPY_SHIFT
"""Up to this length text and bytes are compared and hashed within the price of the operation."""


def type_name(value: Value) -> str:
    """The name of a value's type, as the language spells it."""
    return "None" if value is None else type(value).__name__


def wrong_types(operator: str, *values: Value) -> Failure:
    """A failure that names the operator and the types."""
    return Failure(failures.TYPE, f"{operator} does not take {', '.join(type_name(value) for value in values)}")


def bounded(value: int) -> int:
    """`value`, or overflow."""
    if -INT_MAX <= value <= INT_MAX:
        return value
    raise Failure(failures.OVERFLOW, "an int has at most 256 bits")


def add(run: Run, left: Value, right: Value) -> Value:
    """int + int; text, bytes and lists are concatenated to a new value."""
    if type(left) is int and type(right) is int:
        return bounded(left + right)
    if type(left) is str and type(right) is str:
        run.take(len(left) + len(right))
        return left + right
    if type(left) is bytes and type(right) is bytes:
        run.take(len(left) + len(right))
        return left + right
    if type(left) is list and type(right) is list:
        run.take_items(len(left) + len(right))
        return left + right
    raise wrong_types("+", left, right)


def add_in_place(run: Run, left: Value, right: Value) -> Value:
    """`left += right`: as `add`, but a list grows in place, as in Python."""
    if type(left) is list and type(right) is list:
        run.take_items(len(right))
        left += right
        return left
    return add(run, left, right)


def subtract(run: Run, left: Value, right: Value) -> Value:
    """int - int."""
    if type(left) is int and type(right) is int:
        return bounded(left - right)
    raise wrong_types("-", left, right)


def multiply(run: Run, left: Value, right: Value) -> Value:
    """int * int; text, bytes or list * int repeats, charged before it is made."""
    if type(left) is int:
        if type(right) is int:
            return bounded(left * right)
        left, right = right, left
    if type(right) is int:
        count = max(right, 0)
        if type(left) is str or type(left) is bytes:
            run.take(len(left) * count)
            return left * count if len(left) else left
        if type(left) is list:
            run.take_items(len(left) * count)
            return left * count if len(left) else []
    raise wrong_types("*", left, right)


def floor_divide(run: Run, left: Value, right: Value) -> Value:
    """int // int, rounded down."""
    if type(left) is int and type(right) is int:
        if right == 0:
            raise Failure(failures.ARITHMETIC, "division by zero")
        return left // right
    raise wrong_types("//", left, right)


def remainder(run: Run, left: Value, right: Value) -> Value:
    """int % int, with the sign of the right one. Text is not formatted."""
    if type(left) is int and type(right) is int:
        if right == 0:
            raise Failure(failures.ARITHMETIC, "division by zero")
        return left % right
    raise wrong_types("%", left, right)


def power(run: Run, left: Value, right: Value) -> Value:
    """int ** int ≥ 0; what would not fit is refused before it is computed."""
    if type(left) is int and type(right) is int:
        if right < 0:
            raise Failure(failures.ARITHMETIC, "negative exponent")
        if -1 <= left <= 1:
            return left if right % 2 or (left >= 0 and right) else 1
        if (left.bit_length() - 1) * right > INT_BITS:
            raise Failure(failures.OVERFLOW, "an int has at most 256 bits")
        return bounded(left**right)
    raise wrong_types("**", left, right)


def shift_left(run: Run, left: Value, right: Value) -> Value:
    """int << int ≥ 0; what would not fit is refused before it is computed."""
    if type(left) is int and type(right) is int:
        if right < 0:
            raise Failure(failures.ARITHMETIC, "negative shift")
        if left == 0:
            return 0
        if left.bit_length() + right > INT_BITS:
            raise Failure(failures.OVERFLOW, "an int has at most 256 bits")
        return left << right
    raise wrong_types("<<", left, right)


def shift_right(run: Run, left: Value, right: Value) -> Value:
    """int >> int ≥ 0, rounded down."""
    if type(left) is int and type(right) is int:
        if right < 0:
            raise Failure(failures.ARITHMETIC, "negative shift")
        return left >> min(right, INT_BITS)
    raise wrong_types(">>", left, right)


def bit_and(run: Run, left: Value, right: Value) -> Value:
    """int & int, two's complement."""
    if type(left) is int and type(right) is int:
        return bounded(left & right)
    raise wrong_types("&", left, right)


def bit_or(run: Run, left: Value, right: Value) -> Value:
    """int | int, two's complement."""
    if type(left) is int and type(right) is int:
        return bounded(left | right)
    raise wrong_types("|", left, right)


def bit_xor(run: Run, left: Value, right: Value) -> Value:
    """int ^ int, two's complement."""
    if type(left) is int and type(right) is int:
        return bounded(left ^ right)
    raise wrong_types("^", left, right)


def equal(run: Run, left: Value, right: Value, depth: int = 0) -> bool:
    """Whether two values are the same: same type, same content; the order of a dict does not count."""
    if type(left) is not type(right):
        return False
    if isinstance(left, str | bytes):
        if len(left) > SHORT:
            run.spend(len(left) >> prices.COPY_SHIFT)
        return left == right
    if isinstance(left, list) and isinstance(right, list):
        return left is right or (len(left) == len(right) and _equal_items(run, zip(left, right, strict=True), depth))
    if isinstance(left, dict) and isinstance(right, dict):
        if left is right:
            return True
        if len(left) != len(right):
            return False
        for key in left:
            run.spend(prices.EQUAL_ITEM)
            check_key(run, key)
            if key not in right:
                return False
        return _equal_items(run, ((value, right[key]) for key, value in left.items()), depth)
    return left == right


def _equal_items(run: Run, pairs: Iterable[tuple[Value, Value]], depth: int) -> bool:
    if depth >= prices.DATA_DEPTH_MAX:
        raise Failure(failures.DEPTH, f"comparing lists nested more than {prices.DATA_DEPTH_MAX} deep")
    run.spend(prices.VISIT)
    for one, other in pairs:
        run.spend(prices.EQUAL_ITEM)
        if not equal(run, one, other, depth + 1):
            return False
    return True


def less(run: Run, left: Value, right: Value) -> bool:
    """left < right, for two ints, two texts (by code point) or two bytes."""
    if type(left) is int and type(right) is int:
        return left < right
    if type(left) is str and type(right) is str:
        run.spend(min(len(left), len(right)) >> prices.COPY_SHIFT)
        return left < right
    if type(left) is bytes and type(right) is bytes:
        run.spend(min(len(left), len(right)) >> prices.COPY_SHIFT)
        return left < right
    raise wrong_types("an order", left, right)


def contains(run: Run, container: Value, item: Value) -> bool:
    """item in container: an element of a list, a key of a dict, a part of a text or bytes."""
    if type(container) is list:
        for element in container:
            run.spend(prices.EQUAL_ITEM)
            if equal(run, element, item):
                return True
        return False
    if type(container) is dict:
        return check_key(run, item) in container
    if type(container) is str and type(item) is str:
        spend_search(run, len(container), len(item))
        return item in container
    if type(container) is bytes and type(item) is bytes:
        spend_search(run, len(container), len(item))
        return item in container
    raise wrong_types("in", item, container)


def spend_search(run: Run, size: int, pattern_size: int) -> None:
    """Charges looking for a pattern; CPython's search of short patterns may take size * pattern_size."""
    run.spend((size >> prices.SCAN_SHIFT) + (size * min(pattern_size, prices.PATTERN_MAX) >> prices.COPY_SHIFT))


def check_key(run: Run, key: Value) -> Key:
    """`key`, when it may be one: text, bytes or an int of 64 bits; charges the hash of a long one."""
    if type(key) is str or type(key) is bytes:
        if len(key) > SHORT:
            run.spend(len(key) >> prices.COPY_SHIFT)
        return key
    if type(key) is int and NATIVE_MIN <= key <= NATIVE_MAX:
        return key
    raise Failure(failures.TYPE, f"a key is text, bytes or an int of 64 bits, not {type_name(key)}")


def subscript(run: Run, target: Value, key: Value) -> Value:
    """target[key]."""
    if type(target) is dict:
        try:
            return target[check_key(run, key)]
        except KeyError:
            raise Failure(failures.KEY, "no such key") from None
    if type(key) is int and (type(target) is list or type(target) is str or type(target) is bytes):
        try:
            return target[key]
        except IndexError:
            raise Failure(failures.INDEX, f"position {key} of {len(target)}") from None
    raise wrong_types("[ ]", target, key)


def assign_subscript(run: Run, target: Value, key: Value, value: Value) -> None:
    """target[key] = value, for a dict or an existing position of a list."""
    if type(target) is dict:
        checked = check_key(run, key)
        run.allocate(prices.ENTRY_BYTES)
        target[checked] = value
    elif type(target) is list and type(key) is int:
        try:
            target[key] = value
        except IndexError:
            raise Failure(failures.INDEX, f"position {key} of {len(target)}") from None
    else:
        raise wrong_types("[ ] =", target, key)


def slice_of(run: Run, target: Value, start: Value, stop: Value, step: Value) -> Value:
    """target[start:stop:step]: a new list, text or bytes; charged before it is made."""
    if not (_is_bound(start) and _is_bound(stop) and _is_bound(step)):
        raise wrong_types("[ : ]", target, start, stop, step)
    if step == 0:
        raise Failure(failures.INDEX, "a slice with step 0")
    if not isinstance(target, list | str | bytes):
        raise wrong_types("[ : ]", target)
    part = slice(start, stop, step)
    size = len(range(*part.indices(len(target))))
    if isinstance(target, list):
        run.take_items(size)
    elif step is None or step == 1:
        run.take(size)
    else:
        run.spend(size >> prices.ITEMS_SHIFT)
        run.allocate(size)
    return target[part]


def _is_bound(value: Value) -> TypeGuard[int | None]:
    return value is None or type(value) is int


def iterate(run: Run, value: Value) -> Iterable[Value]:
    """The elements of a list, characters of a text, ints of bytes; of a dict the keys it has now."""
    if isinstance(value, dict):
        run.take_items(len(value))
        return list(value)
    if isinstance(value, list | str | bytes):
        return value
    raise wrong_types("for", value)


def negate(run: Run, value: Value) -> Value:
    """-int."""
    if type(value) is int:
        return -value
    raise wrong_types("-", value)


def affirm(run: Run, value: Value) -> Value:
    """+int."""
    if type(value) is int:
        return value
    raise wrong_types("+", value)


def invert(run: Run, value: Value) -> Value:
    """~int: -int - 1."""
    if type(value) is int:
        return bounded(~value)
    raise wrong_types("~", value)
