"""Tables that must agree with the tree, checked both ways: error codes, rows of failures, requirements, skips.

Decides what "agrees" means. The tables themselves are data for people: docs/reference/errors.md,
tests/rows.toml, docs/whitepaper-map.md, tests/allowed_skips.toml.
"""

import ast
import re
import string
import tomllib
from collections import Counter
from collections.abc import Iterator

import errors_reference
from checks import requirements
from checks.codes import declared
from checks.tree import Problem, Source, Tree, dotted

ROWS = "tests/rows.toml"
MAP = "docs/whitepaper-map.md"
SKIPS = "tests/allowed_skips.toml"
ROW_STATES = ("open", "owed", "later")
MAP_STATES = ("works", "partly", "not yet")


def check(tree: Tree) -> Iterator[Problem]:
    """Every disagreement."""
    yield from _codes(tree)
    yield from _rows(tree)
    yield from _requirements(tree)
    yield from _skips(tree)


def _codes(tree: Tree) -> Iterator[Problem]:
    codes, wrong = declared(tree)
    yield from wrong
    seen: dict[str, str] = {}
    for each in codes:
        if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", each.code):
            yield Problem("error-code", each.path, each.line, f"{each.code!r} is not of the form room.what_happened")
        if each.code in seen:
            yield Problem("error-code", each.path, each.line, f"{each.code!r} is declared in {seen[each.code]} too")
        seen.setdefault(each.code, each.path)
        for english, chinese in ((each.cause, each.cause_zh), (each.fix, each.fix_zh)):
            if not re.search(r"[\u4e00-\u9fff]", chinese):
                yield Problem("error-code", each.path, each.line, f"{each.code}: {chinese!r} is not Chinese")
            if _fields(english) != _fields(chinese):
                yield Problem(
                    "error-code", each.path, each.line, f"{each.code}: the two languages name different values"
                )
    page = tree.find(errors_reference.PAGE)
    if page is None or page.text != errors_reference.render(codes):
        yield Problem("errors-reference", errors_reference.PAGE, 1, "is not what the sources say: run make docs")


def _fields(text: str) -> set[str]:
    """The values that a text names; `{reason_zh}` is the Chinese form of `{reason}`."""
    return {name.removesuffix("_zh") for _, name, _, _ in string.Formatter().parse(text) if name}


def _rows(tree: Tree) -> Iterator[Problem]:
    table = tree.find(ROWS)
    if table is None:
        return
    rows = tomllib.loads(table.text)
    shown: Counter[str] = Counter()
    for source in tree.python("tests"):
        for row, line in _marked(source):
            shown[row] += 1
            if row not in rows:
                yield Problem("row-unknown", source.path, line, f"{row} is not in {ROWS}")
    for row, entry in rows.items():
        line = _line_of(table, f"[{row}]")
        if entry.get("state") not in ROW_STATES:
            yield Problem("row-state", ROWS, line, f"{row}: the state is one of {', '.join(ROW_STATES)}")
        if not entry.get("text") or not isinstance(entry.get("package"), int):
            yield Problem("row-entry", ROWS, line, f"{row}: says what must hold (text) and which package owes it")
        if entry.get("state") == "owed" and not shown[row]:
            yield Problem("row-untested", ROWS, line, f'{row} is owed: no test is marked @pytest.mark.row("{row}")')


def _marked(source: Source) -> Iterator[tuple[str, int]]:
    for node in ast.walk(source.syntax):
        if isinstance(node, ast.Call) and dotted(node.func).endswith("mark.row"):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value, node.lineno


def _line_of(source: Source, text: str) -> int:
    lines = source.text.splitlines()
    return lines.index(text) + 1 if text in lines else 1


def _requirements(tree: Tree) -> Iterator[Problem]:
    page = tree.find(MAP)
    if page is None:
        yield Problem("map", MAP, 1, "is missing: every requirement has a line there")
        return
    expected = requirements.ids()
    found: list[str] = []
    for number, line in enumerate(page.text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) < 5 or not re.fullmatch(r"[LTCDBSG]\d+(\.\d+)?(–[LTCDBSG]\d+\.\d+)?", cells[0]):
            continue
        identifier, folders, tests, state = cells[0], cells[2], cells[3], cells[4]
        covered = _span(identifier, expected)
        found.extend(covered)
        if not covered:
            yield Problem("map", MAP, number, f"{identifier} is no requirement")
        if state not in MAP_STATES:
            yield Problem("map", MAP, number, f"{identifier}: {state!r} is none of {', '.join(MAP_STATES)}")
        if state == "not yet":
            continue
        if not re.search(r"`tests/", tests):
            yield Problem("map", MAP, number, f"{identifier}: {state!r} needs the test that shows it")
        for path in re.findall(r"`([^`]+)`", f"{folders} {tests}"):
            if not (tree.root / path).exists():
                yield Problem("map", MAP, number, f"{identifier}: {path} does not exist")
    for identifier in expected:
        if found.count(identifier) != 1:
            yield Problem("map", MAP, 1, f"{identifier} has {found.count(identifier)} lines, not one")


def _span(identifier: str, expected: tuple[str, ...]) -> tuple[str, ...]:
    """The requirements that a line speaks for: one id, or `S2.1–S2.15`; empty when there is no such thing."""
    first, _, last = identifier.partition("–")
    if first not in expected or (last and last not in expected):
        return ()
    start = expected.index(first)
    return expected[start : expected.index(last) + 1 if last else start + 1]


def _skips(tree: Tree) -> Iterator[Problem]:
    table = tree.find(SKIPS)
    entries = tomllib.loads(table.text).get("skip", []) if table else []
    for entry in entries:
        if not all(isinstance(entry.get(key), str) and entry[key] for key in ("test", "reason", "condition")):
            yield Problem("skip-entry", SKIPS, 1, f"{entry}: needs test, reason and condition")
