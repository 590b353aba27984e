"""Messages changed in one place, generated from their own schema: every field of every struct, however deep.

Decides what the neighbours of a value are. Refuses to know what a message means. Source of the idea: rows A-1,
A-3 and A-18 of docs/protocol/failures.md.
"""

import random
from collections.abc import Iterator

import msgspec

from zizhu.chain.model import limits

Path = tuple[str | int, ...]


def places(value: object, path: Path = ()) -> Iterator[Path]:
    """The path of every leaf, list and optional part of a message: field names and positions."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from places(getattr(value, name), (*path, name))
    elif isinstance(value, list):
        yield path
        for index, item in enumerate(value):
            yield from places(item, (*path, index))
    else:
        yield path


def at(value: object, path: Path) -> object:
    """What stands at `path`."""
    for step in path:
        value = value[step] if isinstance(step, int) else getattr(value, step)  # type: ignore[index]
    return value


def neighbours(value: object) -> list[object]:
    """Values beside `value`, of the same type, some of them outside any limit."""
    if value is None:
        return []
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, max(0, value - 1), 0, (1 << 31) - 1, limits.NUMBER_MAX, limits.NUMBER_MAX + 1, -1]
    if isinstance(value, bytes):
        if not value:
            return [b"\x00"]
        return [
            bytes([value[0] ^ 1]) + value[1:],
            value[:-1] + bytes([value[-1] ^ 0x80]),
            bytes(len(value)),
            value[:-1],
        ]
    if isinstance(value, str):
        return [value + "x", ""]
    if isinstance(value, list):
        return [value[:-1], value + value[-1:], value[::-1]] if value else []
    raise AssertionError(f"no neighbours of {type(value).__name__}")


def put(message: object, path: Path, value: object) -> object:
    """`message` with `value` at `path`."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        assert isinstance(message, list)
        return [put(item, rest, value) if index == step else item for index, item in enumerate(message)]
    assert isinstance(message, msgspec.Struct)
    return msgspec.structs.replace(message, **{step: put(getattr(message, step), rest, value)})


def variants(message: msgspec.Struct) -> Iterator[tuple[Path, msgspec.Struct]]:
    """Every message that differs from `message` in one place."""
    for path in places(message):
        old = at(message, path)
        for value in neighbours(old):
            if value != old:
                made = put(message, path, value)
                assert isinstance(made, msgspec.Struct)
                yield path, made


def changed_somewhere(message: msgspec.Struct, draw: random.Random) -> msgspec.Struct:
    """One of them, by the generator."""
    paths = list(places(message))
    for _ in range(8):
        path = draw.choice(paths)
        choices = [value for value in neighbours(at(message, path)) if value != at(message, path)]
        if choices:
            made = put(message, path, draw.choice(choices))
            assert isinstance(made, msgspec.Struct)
            return made
    return message
