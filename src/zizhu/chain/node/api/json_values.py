"""Contract values as JSON and back, without loss.

Decides how the values that JSON lacks are written: bytes as `{"bytes": "HEX"}`, integers beyond ±(2**53 - 1) as
`{"int": "DECIMAL"}`, and dicts whose keys are not all text (or could be taken for one of these three) as
`{"map": [[key, value], ...]}`. Refuses floats, as values do.
"""

from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, SpokeWrongly
from zizhu.chain.model.value import INT_MAX, VALUE_DEPTH_MAX, Key, Value, decode_value

NOT_A_VALUE = ErrorCode(
    "http.not_a_value",
    "{found} is no contract value in JSON: {reason}",
    'use null, true, false, whole numbers, text, lists, objects, {{"bytes": "HEX"}}, {{"int": "DECIMAL"}} '
    'or {{"map": [[key, value]]}}',
    "{found} 不是以 JSON 表示的合约值:{reason}",
    '请使用 null、true、false、整数、文本、列表、对象、{{"bytes": "十六进制"}}、{{"int": "十进制"}} '
    '或 {{"map": [[键, 值]]}}',
)
SPECIAL = ("bytes", "int", "map")
DECIMAL_DIGITS_MAX = 79


def value_to_json(value: Value) -> object:
    """`value` as what a JSON encoder takes."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > limits.NUMBER_MAX:
        return {"int": str(value)}
    if isinstance(value, list):
        return [value_to_json(item) for item in value]
    if isinstance(value, dict):
        plain = all(isinstance(key, str) for key in value) and not (len(value) == 1 and next(iter(value)) in SPECIAL)
        if plain:
            return {key: value_to_json(item) for key, item in value.items()}
        return {"map": [[value_to_json(key), value_to_json(item)] for key, item in value.items()]}
    return value


def encoded_to_json(data: bytes) -> object:
    """The value whose canonical encoding is `data`, as JSON; None for what is no value (or for no bytes)."""
    if not data:
        return None
    try:
        return value_to_json(decode_value(data))
    except SpokeWrongly:
        return None


def json_to_value(found: object, depth: int = 0) -> Value:
    """The value that decoded JSON stands for; raises AskedWrongly (`http.not_a_value`)."""
    if depth > VALUE_DEPTH_MAX:
        raise _refused(found, f"nested more than {VALUE_DEPTH_MAX} deep")
    if found is None or isinstance(found, (bool, int, str)):
        return found
    if isinstance(found, list):
        return [json_to_value(item, depth + 1) for item in found]
    if isinstance(found, dict):
        if len(found) == 1 and (name := next(iter(found))) in SPECIAL:
            return _special(name, found[name], depth)
        return {key: json_to_value(item, depth + 1) for key, item in found.items()}
    raise _refused(found, "floats are no values")


def _special(name: str, found: object, depth: int) -> Value:
    if name == "map":
        return _map(found, depth)
    if not isinstance(found, str):
        raise _refused(found, f"{name} is written as text")
    try:
        if name == "bytes":
            return bytes.fromhex(found)
        digits = found.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= DECIMAL_DIGITS_MAX):
            raise _refused(found, "not a decimal number of 256 bits")
        number = int(found)
    except ValueError:
        raise _refused(found, "not hex digits") from None
    if abs(number) > INT_MAX:
        raise _refused(found, "not a decimal number of 256 bits")
    return number


def _map(found: object, depth: int) -> dict[Key, Value]:
    if not isinstance(found, list):
        raise _refused(found, "map is a list of pairs")
    made: dict[Key, Value] = {}
    for pair in found:
        if not isinstance(pair, list) or len(pair) != 2:
            raise _refused(pair, "a pair is a list of a key and a value")
        key = json_to_value(pair[0], depth + 1)
        if isinstance(key, bool) or not isinstance(key, (str, int, bytes)) or key in made:
            raise _refused(pair[0], "a key is text, bytes or a whole number, each once")
        made[key] = json_to_value(pair[1], depth + 1)
    return made


def _refused(found: object, reason: str) -> AskedWrongly:
    return AskedWrongly(NOT_A_VALUE, found=repr(found)[:80], reason=reason)
