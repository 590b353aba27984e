"""A checked contract, as the compiler gets it: its constants and functions.

Decides nothing; these are the nouns between checking and compiling.
"""

import ast
from dataclasses import dataclass, field

from zizhu.chain.contracts.port import Problem
from zizhu.chain.model.value import Value

PUBLIC = "public"
VIEW = "view"
INIT = "init"
"""Kinds of functions that can be called from outside; others have kind ""."""

TYPES: dict[str, type] = {"bool": bool, "int": int, "str": str, "bytes": bytes, "list": list, "dict": dict}
"""Annotations of parameters."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the source. `defaults` stand for the last parameters; `types` has None where a parameter
    is not annotated; `variables` are the names it assigns, in order of appearance, parameters first."""

    name: str
    kind: str
    parameters: tuple[str, ...]
    defaults: tuple[Value, ...]
    types: tuple[type | None, ...]
    variables: tuple[str, ...]
    body: list[ast.stmt]
    line: int


@dataclass(slots=True)
class Unit:
    """All of a contract, and what is wrong with it; to be compiled only when `problems` is empty."""

    constants: dict[str, Value] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def report(self, node: ast.AST, rule: str, text: str) -> None:
        """Notes a problem at a node."""
        line = getattr(node, "lineno", 1)
        column = getattr(node, "col_offset", 0)
        self.problems.append(Problem(line, column, rule, text))
