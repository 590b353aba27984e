"""Finds every error code that the product declares.

Decides by reading the sources, not by importing them, so that a half-written room cannot hide its codes. It
follows constants of the module, and functions of it that do nothing but return an `ErrorCode`; nothing cleverer.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from checks.tree import Problem, Source, Tree, dotted

FIELDS = ("code", "cause", "fix", "cause_zh", "fix_zh")
ACTORS = ("src/zizhu/framework/testkit/fakes",)
"""Rooms that play others and may say what the others say; no user meets their errors."""

Names = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Declared:
    """One `ErrorCode(…)` of the sources, with its texts in both languages and where it is declared."""

    code: str
    cause: str
    fix: str
    cause_zh: str
    fix_zh: str
    path: str
    line: int


def declared(tree: Tree) -> tuple[list[Declared], list[Problem]]:
    """The codes in alphabetical order, and what is wrong with declarations."""
    codes: list[Declared] = []
    wrong: list[Problem] = []
    for source in tree.python("src"):
        if "ErrorCode" not in source.text or source.under(*ACTORS):
            continue
        for line, texts in _declarations(source):
            if texts is None:
                text = "write the five texts as plain strings or constants: the reference is made from the source"
                wrong.append(Problem("error-code", source.path, line, text))
            else:
                codes.append(Declared(**texts, path=source.path, line=line))
    return sorted(codes, key=lambda each: (each.code, each.path)), wrong


def _declarations(source: Source) -> Iterator[tuple[int, dict[str, str] | None]]:
    """(line, texts) of each declaration; texts are None where they cannot be read."""
    constants = _constants(source.syntax)
    makers = {node.name: node for node in source.syntax.body if isinstance(node, ast.FunctionDef) and _made_by(node)}
    inside = {call for node in makers.values() for call in ast.walk(node)}
    for call in ast.walk(source.syntax):
        if not isinstance(call, ast.Call) or call in inside:
            continue
        name = dotted(call.func).rsplit(".", 1)[-1]
        if name == "ErrorCode":
            yield call.lineno, _texts(call, constants)
        elif name in makers:
            maker = makers[name]
            made = _made_by(maker)
            assert made is not None
            yield call.lineno, _texts(made, {**constants, **_bound(call, maker, constants)})


def _made_by(function: ast.FunctionDef) -> ast.Call | None:
    """The `ErrorCode(…)` that a function returns, if returning it is all it does."""
    body = [node for node in function.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    if len(body) == 1 and isinstance(body[0], ast.Return) and isinstance(body[0].value, ast.Call):
        call = body[0].value
        return call if dotted(call.func).rsplit(".", 1)[-1] == "ErrorCode" else None
    return None


def _bound(call: ast.Call, maker: ast.FunctionDef, names: Names) -> dict[str, str]:
    """What the arguments of a call give to the parameters of the function; unreadable ones are left out."""
    parameters = [each.arg for each in (*maker.args.posonlyargs, *maker.args.args)]
    given = dict(zip(parameters, call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    values = {name: _value(node, names) for name, node in given.items()}
    return {name: value for name, value in values.items() if value is not None}


def _texts(call: ast.Call, names: Names) -> dict[str, str] | None:
    given = dict(zip(FIELDS, call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    values = {name: _value(node, names) for name, node in given.items()}
    texts = {name: value for name, value in values.items() if value is not None}
    return texts if set(texts) == set(FIELDS) else None


def _constants(module: ast.Module) -> dict[str, str]:
    """Names that the module sets to a text at its top level."""
    found: dict[str, str] = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = _value(node.value, found)
            if value is not None:
                found[node.targets[0].id] = value
    return found


def _value(node: ast.expr, names: Names) -> str | None:
    """The text that an expression stands for, or None."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _joined([node.left, node.right], names)
    if isinstance(node, ast.JoinedStr):
        return _joined(node.values, names)
    if isinstance(node, ast.FormattedValue) and node.format_spec is None:
        return _value(node.value, names)
    return None


def _joined(parts: list[ast.expr], names: Names) -> str | None:
    values = [_value(part, names) for part in parts]
    return None if None in values else "".join(value for value in values if value is not None)
