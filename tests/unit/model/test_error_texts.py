"""The tree of errors: every code of the product says in both languages what happened and what to do."""

import ast
import importlib
import pkgutil
import string
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import zizhu
from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode, OperatingFault, SpokeWrongly, ZizhuError

ENTRY_POINTS = ("zizhu.__main__",)
"""Modules that act when they are imported."""
PRODUCT = tuple(
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(zizhu.__path__, "zizhu.")
    if found.name not in ENTRY_POINTS and not found.name.startswith("zizhu.framework.testkit")
)


class Given:
    """A value that stands in a text whatever the text asks of its form."""

    def __format__(self, form: str) -> str:
        return "given"


class Site(NamedTuple):
    """A place that makes an error of a code: its class and the names of the values it gives."""

    place: str
    kind: type[ZizhuError]
    code: ErrorCode
    values: tuple[str, ...]


def _codes() -> dict[str, tuple[str, ErrorCode]]:
    """(module and name, code) of every code that a module of the product holds, by code."""
    found: dict[str, tuple[str, ErrorCode]] = {}
    for module in PRODUCT:
        for name, value in vars(module).items():
            if isinstance(value, ErrorCode):
                found.setdefault(value.code, (f"{module.__name__}.{name}", value))
    return found


def _named(module: ModuleType, node: ast.expr) -> object:
    """What a name or dotted name means at the top of a module; None for anything else."""
    if isinstance(node, ast.Name):
        return vars(module).get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_named(module, node.value), node.attr, None)
    return None


def _sites() -> Iterator[Site]:
    """Every call `Kind(CODE, name=value, …)` in the product whose class and code stand there by name."""
    for module in PRODUCT:
        assert module.__file__ is not None
        with open(module.__file__, encoding="utf-8") as source:
            tree = ast.parse(source.read())
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            kind, code = _named(module, call.func), _named(module, call.args[0])
            names = [keyword.arg for keyword in call.keywords]
            if isinstance(kind, type) and issubclass(kind, ZizhuError) and isinstance(code, ErrorCode):
                if None not in names:
                    values = tuple(name for name in names if name is not None)
                    yield Site(f"{module.__name__}:{call.lineno}", kind, code, values)


def _fields(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


CODES = _codes()
SITES = list(_sites())


def test_codes_and_places_are_found() -> None:
    """The tests below look at the whole product: hundreds of codes, and nearly all of them where they are raised."""
    assert len(CODES) > 150
    raised = {site.code.code for site in SITES}
    assert len(raised) > 0.7 * len(CODES)


def _faults(declared: ErrorCode) -> Iterator[str]:
    """What is wrong with the texts of a code."""
    room, _, what = declared.code.partition(".")
    if not (room.replace("_", "").isalnum() and what):
        yield "the code is room.what_happened"
    english, chinese = (declared.cause, declared.fix), (declared.cause_zh, declared.fix_zh)
    if not all(text and text.strip() == text for text in english + chinese):
        yield "a text is empty or has blanks around it"
    if any(_is_chinese(text) for text in english) or not all(_is_chinese(text) for text in chinese):
        yield "English is English and Chinese is Chinese"
    names = [_fields("".join(texts)) for texts in (english, chinese)]
    if names[0] != {name.removesuffix("_zh") for name in names[1]}:
        yield f"the languages name different values: {sorted(names[0])} and {sorted(names[1])}"
    if not all(name.isidentifier() for name in names[0] | names[1]):
        yield "a value has no name"


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def test_a_code_says_the_same_in_both_languages() -> None:
    """Code, cause and fix are there in English and Chinese, with the same values in them, each by its name (a value
    that is a text itself comes in both languages: `reason` and `reason_zh`)."""
    assert [(code, fault) for code, (_, declared) in sorted(CODES.items()) for fault in _faults(declared)] == []


def test_whoever_raises_a_code_gives_its_values() -> None:
    """Cause and fix can be told in both languages from what the place gives: no error hides behind a KeyError."""
    silent = []
    for site in SITES:
        values: dict[str, object] = dict.fromkeys(site.values, Given())
        if issubclass(site.kind, Busy):
            values["retry_after_ms"] = 1
        try:
            error = site.kind(site.code, **values)
            texts = [text(language) for text in (error.cause, error.fix) for language in ("en", "zh")]
        except (KeyError, TypeError) as missing:
            silent.append((site.place, site.code.code, str(missing)))
            continue
        assert all(texts)
        assert str(error).startswith(site.code.code)
    assert silent == []


def test_no_code_is_declared_twice() -> None:
    """A stable code means one thing: two declarations of one code are the same object."""
    for module in PRODUCT:
        for name, value in vars(module).items():
            if isinstance(value, ErrorCode):
                assert CODES[value.code][1] is value, f"{module.__name__}.{name}"


def test_the_tree_has_three_kinds_and_busy_says_when() -> None:
    """Asked wrongly, spoke wrongly, the machine failed; busy is asked wrongly and carries the time to come back."""
    assert set(ZizhuError.__subclasses__()) >= {AskedWrongly, SpokeWrongly, OperatingFault}
    code = ErrorCode(
        "room.busy", "so much: {much}", "again after {retry_after_ms} ms", "太忙:{much}", "{retry_after_ms}"
    )
    busy = Busy(code, retry_after_ms=7, much=3)
    assert isinstance(busy, AskedWrongly)
    assert (busy.retry_after_ms, busy.fix(), busy.cause("zh")) == (7, "again after 7 ms", "太忙:3")
    assert busy.cause("fr") == busy.cause("en")
