"""What the code of a deterministic core, and its tests, must not call, each with the replacement.

Decides which rooms are pure and what breaks determinism there: an order nobody chose (sets, `hash`, `id`) and
numbers that differ between machines (floats). Imports are import-linter's business.
"""

import ast
import sys
from collections.abc import Iterator

from checks.sets import set_uses
from checks.tree import Problem, Source, Tree, dotted, functions

PURE = (
    "src/zizhu/chain/model",
    "src/zizhu/chain/access",
    "src/zizhu/chain/ledger",
    "src/zizhu/chain/consensus",
    "src/zizhu/chain/network",
    "src/zizhu/chain/crosschain/protocol",
    "src/zizhu/chain/crosschain/protocol.py",
    "src/zizhu/chain/contracts/lifecycle",
    "src/zizhu/chain/contracts/lifecycle.py",
    "src/zizhu/chain/contracts/script",
    "src/zizhu/chain/node/machine",
    "src/zizhu/chain/node/machine.py",
)
IMPURE_INSIDE = ("src/zizhu/chain/network/tcp", "src/zizhu/chain/network/tcp.py")

DRIVERS = (
    "src/zizhu/chain/node/runtime",
    "src/zizhu/chain/node/runtime.py",
    "src/zizhu/cli/main.py",
)
"""The only places that may catch everything: they stop the node, or end the program, and say why."""

BANNED_CALLS = {
    "hash": "hash() differs from process to process: use Suite.hash(domain, data)",
    "id": "id() is an address: give the thing a name of its own",
    "float": "no floats in what is hashed or agreed on: integers with the unit in the name",
}


def check(tree: Tree) -> Iterator[Problem]:
    """Every banned call."""
    for source in tree.python("src"):
        if is_pure(source):
            yield from _determinism(source)
    for source in tree.python("src", "tools", "tests"):
        if not source.under(*DRIVERS):
            yield from _broad_handlers(source)
    for source in tree.python("src/zizhu/chain/crypto"):
        yield from _dice(source)
    for source in tree.python("tests"):
        yield from _tests(source)


def is_pure(source: Source) -> bool:
    """Whether the file belongs to a pure room."""
    return source.under(*PURE) and not source.under(*IMPURE_INSIDE)


def _determinism(source: Source) -> Iterator[Problem]:
    for node in ast.walk(source.syntax):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
            yield Problem(f"call-{node.func.id}", source.path, node.lineno, BANNED_CALLS[node.func.id])
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield Problem("float", source.path, node.lineno, BANNED_CALLS["float"])
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield Problem("float", source.path, node.lineno, "/ makes a float: use //")
    for line, what in set_uses(source.syntax):
        text = f"{what} takes the order of a set: use sorted(…) or a dict"
        yield Problem("set-order", source.path, line, text)


def _broad_handlers(source: Source) -> Iterator[Problem]:
    for node in ast.walk(source.syntax):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if any(each is None or dotted(each) in {"Exception", "BaseException"} for each in caught):
            text = (
                "catch the narrowest thing, once, at a boundary; only the drivers named in tools/checks may catch all"
            )
            yield Problem("broad-except", source.path, node.lineno, text)


def _dice(source: Source) -> Iterator[Problem]:
    for node, name in imports(source.syntax):
        if name.split(".")[0] in {"random", "numpy"}:
            yield Problem("dice", source.path, node.lineno, "keys and nonces come from `secrets` or OpenSSL")


def _tests(source: Source) -> Iterator[Problem]:
    for statement, name in imports(source.syntax):
        if name in {"unittest.mock", "unittest", "mock", "pytest_mock"}:
            yield Problem(
                "mock", source.path, statement.lineno, "use the fakes of the test kit: they pass the conformance suites"
            )
    polls = _polls(source)
    for node in ast.walk(source.syntax):
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func)
        zero = bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
        if node not in polls and (called == "time.sleep" or (called == "asyncio.sleep" and not zero)):
            yield Problem("sleep", source.path, node.lineno, "wait for an event with a deadline, never for a time")
        if called == "monkeypatch.setattr" and not _is_standard(node):
            yield Problem(
                "mock", source.path, node.lineno, "pass the neighbour in: code that must be patched hides one"
            )
    for name, function in functions(source.syntax):
        if name.rsplit(".", 1)[-1].startswith("test_") and not _can_fail(function):
            text = "nothing in this test can fail: assert what the docstring promises"
            yield Problem("empty-test", f"{source.path}:{name}", function.lineno, text)
        if name.rsplit(".", 1)[-1].startswith("test_") and ast.get_docstring(function) is None:
            yield Problem(
                "test-docstring", f"{source.path}:{name}", function.lineno, "its docstring is the promise it keeps"
            )


def _polls(source: Source) -> set[ast.AST]:
    """Calls inside a loop that asks for a condition: a pause there is no waiting for a time."""
    loops = [node for node in ast.walk(source.syntax) if isinstance(node, ast.While)]
    return {node for loop in loops for node in ast.walk(loop)}


def _is_standard(patch: ast.Call) -> bool:
    """Whether a patch replaces something of the standard library: a test's way to be another machine."""
    return bool(patch.args) and dotted(patch.args[0]).split(".")[0] in sys.stdlib_module_names


def _can_fail(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the test asserts, expects an error, or hands its work to something that may."""
    return any(isinstance(node, ast.Assert | ast.Call | ast.Raise) for node in ast.walk(function))


def imports(tree: ast.AST) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """(statement, full module name) of every import; `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node, node.module
            for alias in node.names:
                yield node, f"{node.module}.{alias.name}"
