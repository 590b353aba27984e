"""Each rule of the project's own linter finds what it is for, and lets pass what it is not for."""

from pathlib import Path

import pytest

import tidy
from checks import purity, requirements, rooms, sizes, tables, words
from checks.codes import declared
from checks.tree import Problem, Source, Tree

ROOM = "src/zizhu/chain/ledger/part.py"


@pytest.fixture
def tree(tmp_path: Path) -> "Shelf":
    """An empty tree to put files on."""
    return Shelf(tmp_path)


class Shelf:
    """A tree that a test writes itself."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: str, text: str) -> "Shelf":
        """Write a file."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return self

    def rules(self, check: "object") -> list[str]:
        """The names of the rules that a check finds broken."""
        return [problem.rule for problem in check(Tree(self.root))]  # type: ignore[operator]


def function(lines: int) -> str:
    """A function of that many lines."""
    return "def long() -> None:\n" + "    pass\n" * (lines - 1)


@pytest.mark.parametrize(("lines", "expected"), [(60, []), (61, ["function-lines"])])
def test_function_length_has_a_limit(tree: Shelf, lines: int, expected: list[str]) -> None:
    """Sixty lines pass, sixty-one do not."""
    assert tree.put(ROOM, function(lines)).rules(sizes.check) == expected


@pytest.mark.parametrize("ending", ["py", "js", "css", "html"])
def test_file_length_has_a_limit_in_every_language(tree: Shelf, ending: str) -> None:
    """501 lines are too many, 500 are not."""
    assert tree.put(f"src/a.{ending}", "\n" * 500).rules(sizes.check) == []
    assert tree.put(f"src/a.{ending}", "\n" * 501).rules(sizes.check) == ["file-lines"]


def test_parameters_are_counted_without_self(tree: Shelf) -> None:
    """Six pass beside self; seven do not, however they are passed."""
    six = "class A:\n    def f(self, a, b, c, *, d, e, f): ...\n"
    assert tree.put(ROOM, six).rules(sizes.check) == []
    assert tree.put(ROOM, "def f(a, b, c, d, e, *, f, g): ...\n").rules(sizes.check) == ["parameters"]


def test_the_options_of_a_command_are_not_counted(tree: Shelf) -> None:
    """A command of the terminal has the options it needs; the same function without the decorator has too many."""
    command = "@app.command()\ndef up(a, b, c, d, e, f, g): ...\n"
    assert tree.put(ROOM, command).rules(sizes.check) == []
    assert tree.put(ROOM, command.removeprefix("@app.command()\n")).rules(sizes.check) == ["parameters"]


def test_methods_of_a_class_are_counted(tree: Shelf) -> None:
    """Twenty methods pass, twenty-one do not."""
    methods = [f"    def m{number}(self): ...\n" for number in range(21)]
    assert tree.put(ROOM, "class A:\n" + "".join(methods[:20])).rules(sizes.check) == []
    assert tree.put(ROOM, "class A:\n" + "".join(methods)).rules(sizes.check) == ["class-methods"]


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("src/zizhu/utils/a.py", "", "room-name"),
        ("src/zizhu/chain/common.py", "", "room-name"),
        (ROOM, "# " + "TO" + "DO later\n", "unfinished"),
        ("docs/a.md", "see " + "/wo" + "rk/main/x\n", "outside-path"),
        ("Makefile", "cp ../sha" + "red/x .\n", "outside-path"),
        ("constraints.txt", "--index-u" + "rl x\n", "index-address"),
        (ROOM, "class PoolManager: ...\n", "class-name"),
        ("uv.lock", "", "lock-file"),
    ],
)
def test_banned_words(tree: Shelf, path: str, text: str, rule: str) -> None:
    """Each banned word, room and file is found."""
    assert tree.put(path, text).rules(words.check) == [rule]


@pytest.mark.parametrize(
    "text", ["the work is done", "frame/work/x", "shared by two", "https://a.example/work/", "todos"]
)
def test_ordinary_words_pass(tree: Shelf, text: str) -> None:
    """A word that merely looks like a banned one is left alone."""
    assert tree.put("docs/a.md", text + "\n").rules(words.check) == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("x = hash(b'')", "call-hash"),
        ("x = id(object)", "call-id"),
        ("x = float('1')", "call-float"),
        ("x = 0.5", "float"),
        ("x = 1 / 2", "float"),
        ("for x in {1, 2}: print(x)", "set-order"),
        ("x = list(set([1]))", "set-order"),
        ("x = [y for y in frozenset([1])]", "set-order"),
        ("s = set()\nx = tuple(s)", "set-order"),
        ("def f(votes: set[int]):\n    for v in votes: print(v)", "set-order"),
        ("class A:\n    s: set[int]\n    def f(self):\n        return [*self.s]", "set-order"),
        ("s = {1}\nt = {2}\nfor x in s | t: print(x)", "set-order"),
        ("s = {1}\ns.pop()", "set-order"),
        ("x = b''.join({b'a'})", "set-order"),
    ],
)
def test_what_breaks_determinism_is_found(tree: Shelf, line: str, rule: str) -> None:
    """In a pure room each of these is a problem; elsewhere in the product it is not."""
    assert tree.put(ROOM, line + "\n").rules(purity.check) == [rule]
    (tree.root / ROOM).unlink()
    assert tree.put("src/zizhu/cli/part.py", line + "\n").rules(purity.check) == []


@pytest.mark.parametrize(
    "line",
    [
        "x = sorted({1, 2})",
        "x = len({1}) + sum(y for y in {1})",
        "s = {1}\nx = 1 in s",
        "s = {1}\nx = {y for y in s}",
        "for x in [1]: print(x)",
        "d = {1: 2}\nfor x in d: print(x)",
        "x = 7 // 2",
        "s = [1]\ns.pop()",
    ],
)
def test_order_free_uses_pass(tree: Shelf, line: str) -> None:
    """A set may be asked, measured and sorted; dicts and lists have an order."""
    assert tree.put(ROOM, line + "\n").rules(purity.check) == []


def test_the_room_with_the_sockets_is_not_pure(tree: Shelf) -> None:
    """network.tcp is the one room of the network that may use floats, for the clock."""
    assert tree.put("src/zizhu/chain/network/tcp/link.py", "x = 0.5\n").rules(purity.check) == []
    assert tree.put("src/zizhu/chain/network/wire.py", "x = 0.5\n").rules(purity.check) == ["float"]


@pytest.mark.parametrize("caught", ["", " Exception", " BaseException as e", " (ValueError, Exception)"])
def test_broad_handlers_belong_to_drivers(tree: Shelf, caught: str) -> None:
    """Only the named drivers catch everything."""
    text = f"try:\n    print()\nexcept{caught}:\n    raise\n"
    assert tree.put(ROOM, text).rules(purity.check) == ["broad-except"]
    (tree.root / ROOM).unlink()
    assert tree.put("src/zizhu/chain/node/runtime/loop.py", text).rules(purity.check) == []


def test_keys_are_not_drawn_from_the_seeded_generator(tree: Shelf) -> None:
    """`random` is not importable by the suites, in any spelling."""
    path = "src/zizhu/chain/crypto/guomi/keys.py"
    assert tree.put(path, "import random\n").rules(purity.check) == ["dice"]
    assert "dice" in tree.put(path, "from random import choice\n").rules(purity.check)
    assert tree.put(path, "import secrets\n").rules(purity.check) == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("import time\ntime.sleep(1)", "sleep"),
        ("import asyncio\nasyncio.sleep(0.1)", "sleep"),
        ("from unittest import mock", "mock"),
        ("def test_a(monkeypatch):\n    monkeypatch.setattr('a.b', 1)", "mock"),
        ("def test_a():\n    x = 1", "empty-test"),
        ("def test_a():\n    assert f()", "test-docstring"),
    ],
)
def test_habits_of_tests(tree: Shelf, line: str, rule: str) -> None:
    """No fixed sleeps, no mocks, no test that cannot fail."""
    assert rule in tree.put("tests/unit/test_a.py", line + "\n").rules(purity.check)


def test_another_machine_may_be_pretended(tree: Shelf) -> None:
    """The standard library may be patched: no terminal, no clock; our own code may not."""
    text = "import sys\ndef test_a(monkeypatch):\n    'Kept.'\n    monkeypatch.setattr(sys, 'stdin', None)\n"
    assert tree.put("tests/unit/test_a.py", text).rules(purity.check) == []


def test_yielding_to_the_loop_is_no_sleep(tree: Shelf) -> None:
    """asyncio.sleep(0) waits for nothing, and a pause between two questions waits for the answer."""
    assert tree.put("tests/unit/test_a.py", "import asyncio\nasyncio.sleep(0)\n").rules(purity.check) == []
    poll = "import time\nwhile not ready():\n    time.sleep(0.01)\n"
    assert tree.put("tests/unit/test_a.py", poll).rules(purity.check) == []


def test_packages_stay_empty_and_modules_introduce_themselves(tree: Shelf) -> None:
    """`__init__.py` imports nothing; every other module opens with a docstring."""
    tree.put("src/zizhu/__init__.py", "import os\n").put("src/zizhu/a.py", "x = 1\n")
    assert sorted(tree.rules(rooms.check)) == ["init-not-empty", "module-docstring"]


def test_test_modules_have_names_of_their_own(tree: Shelf) -> None:
    """Two test modules of one name would hide each other; folders of tests are no packages."""
    tree.put("tests/unit/a/test_x.py", "").put("tests/unit/b/test_x.py", "").put("tests/unit/__init__.py", "")
    assert sorted(tree.rules(rooms.check)) == ["test-name", "tests-package"]


CODE = 'X = ErrorCode("{code}", "bad {{x}}", "fix it", "{zh} {{x}}", "改正")\n'


def codes_found(tree: Shelf) -> list[str]:
    """Problems with error codes alone."""
    return [rule for rule in tree.rules(tables.check) if rule == "error-code"]


def test_error_codes_are_unique_and_bilingual(tree: Shelf) -> None:
    """One declaration a code, in the agreed form, with Chinese that names the same values."""
    tree.put("src/a.py", CODE.format(code="a.b", zh="错"))
    assert codes_found(tree) == []
    assert codes_found(tree.put("src/b.py", CODE.format(code="a.b", zh="错"))) == ["error-code"]
    assert codes_found(tree.put("src/b.py", CODE.format(code="Bad", zh="错"))) == ["error-code"]
    assert codes_found(tree.put("src/b.py", CODE.format(code="b.c", zh="wrong"))) == ["error-code"]
    assert codes_found(tree.put("src/b.py", CODE.format(code="b.c", zh="错 {y}"))) == ["error-code"]
    assert codes_found(tree.put("src/b.py", "X = ErrorCode(name, cause, fix, cause_zh, fix_zh)\n")) == ["error-code"]


def test_error_codes_are_read_through_constants_and_makers(tree: Shelf) -> None:
    """A module may keep a common fix in a constant, and a function that only returns a code."""
    text = (
        '_FIX = "fix it"\n_FIX_ZH = "改" + "正"\n'
        "def _rule(name: str, cause: str, cause_zh: str) -> ErrorCode:\n"
        '    return ErrorCode(f"block.{name}", cause, _FIX, cause_zh, _FIX_ZH)\n'
        'A = _rule("hash", "bad", cause_zh="错")\nB = _rule(name="time", cause="late", cause_zh="迟")\n'
    )
    codes, wrong = declared(Tree(tree.put("src/a.py", text).root))
    assert wrong == []
    assert [(each.code, each.cause, each.fix_zh) for each in codes] == [
        ("block.hash", "bad", "改正"),
        ("block.time", "late", "改正"),
    ]
    _, wrong = declared(Tree(tree.put("src/a.py", text + 'C = _rule(other(), "x", "错")\n').root))
    assert [problem.rule for problem in wrong] == ["error-code"]


def test_rows_and_tests_are_checked_both_ways(tree: Shelf) -> None:
    """An owed row needs a marked test; a mark needs its row; an open row may wait."""
    row = '[{}]\ntext = "holds"\npackage = 1\nstate = "{}"\n'
    tree.put("tests/rows.toml", row.format("A-1", "owed") + row.format("A-2", "open"))
    found = [rule for rule in tree.rules(tables.check) if rule.startswith("row")]
    assert found == ["row-untested"]
    tree.put("tests/unit/test_a.py", '@pytest.mark.row("A-1", "Z-9")\ndef test_a(): assert True\n')
    found = [rule for rule in tree.rules(tables.check) if rule.startswith("row")]
    assert found == ["row-unknown"]


def map_page(state: str = "not yet", where: str = "`src`", test: str = "") -> str:
    """A map with every requirement, all lines alike."""
    return "".join(f"| {each} | words | {where} | {test} | {state} |\n" for each in requirements.ids())


def map_problems(tree: Shelf, page: str) -> list[Problem]:
    """Problems with the map alone."""
    tree.put(tables.MAP, page)
    return [problem for problem in tables.check(Tree(tree.root)) if problem.rule == "map"]


def test_the_map_has_each_requirement_once(tree: Shelf) -> None:
    """A missing, doubled or invented id is a problem; a span stands for its lines."""
    page = map_page()
    assert map_problems(tree, page) == []
    assert len(map_problems(tree, page.replace("| T5 |", "| T55 |"))) == 2
    assert len(map_problems(tree, page + "| T5 | words | | | not yet |\n")) == 1
    lines = [line for line in page.splitlines(keepends=True) if not line.startswith("| S2.")]
    assert len(map_problems(tree, "".join(lines))) == 15
    assert map_problems(tree, "".join(lines) + "| S2.1–S2.15 | words | | | not yet |\n") == []


def test_a_line_that_works_names_its_test(tree: Shelf) -> None:
    """`works` and `partly` need folders and tests that exist; other states are unknown."""
    tree.put("src/a.py", '"""A."""\n').put("tests/unit/test_a.py", "")
    count = len(requirements.ids())
    assert len(map_problems(tree, map_page("works"))) == count
    assert map_problems(tree, map_page("partly", test="`tests/unit/test_a.py`")) == []
    assert len(map_problems(tree, map_page("works", test="`tests/unit/test_b.py`"))) == count
    assert len(map_problems(tree, map_page("done"))) >= count


def test_allowed_skips_name_their_condition(tree: Shelf) -> None:
    """An entry without a condition is a silence."""
    tree.put("tests/allowed_skips.toml", '[[skip]]\ntest = "*"\nreason = "x"\n')
    assert "skip-entry" in tree.rules(tables.check)


def test_an_exemption_is_one_line_that_is_used() -> None:
    """It hides exactly its problem, must give a reason, and is a problem once it hides nothing."""
    problem = Problem("function-lines", "a.py:f", 1, "long")
    other = Problem("function-lines", "a.py:g", 9, "long")
    line = {"rule": "function-lines", "where": "a.py:f", "reason": "a table"}
    assert list(tidy.without_exempt([problem, other], [line])) == [other]
    assert [each.rule for each in tidy.without_exempt([], [line])] == ["exemption-unused"]
    assert [each.rule for each in tidy.without_exempt([problem], [line | {"reason": ""}])] == ["exemption-reason"]


def test_a_problem_says_where() -> None:
    """Path and line first, so that editors jump there."""
    assert str(Problem("float", "a.py:f", 3, "use //")) == "a.py:3: float: f: use //"
    assert Source("src/a.py", "").under("src")
    assert not Source("src2/a.py", "").under("src")
