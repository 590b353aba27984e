"""Finds every error code that the product declares.

Decides by reading the sources, not by importing them, so that a half-written room cannot hide its codes.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from checks.tree import Problem, Source, Tree, dotted

FIELDS = ("code", "cause", "fix", "cause_zh", "fix_zh")


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
        for call in _calls(source):
            texts = _texts(call)
            if texts is None:
                text = "write all five texts out as plain strings: the reference is made from the source"
                wrong.append(Problem("error-code", source.path, call.lineno, text))
            else:
                codes.append(Declared(**texts, path=source.path, line=call.lineno))
    return sorted(codes, key=lambda each: (each.code, each.path)), wrong


def _calls(source: Source) -> Iterator[ast.Call]:
    for node in ast.walk(source.syntax):
        if isinstance(node, ast.Call) and dotted(node.func).rsplit(".", 1)[-1] == "ErrorCode":
            yield node


def _texts(call: ast.Call) -> dict[str, str] | None:
    given = dict(zip(FIELDS, call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    texts = {
        name: node.value
        for name, node in given.items()
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return texts if set(texts) == set(FIELDS) else None
