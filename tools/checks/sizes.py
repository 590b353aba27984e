"""Limits on tails: the longest function, file and class, the widest signature.

Good and bad code bases have the same median function; what separates them is the largest. So only tails are
limited, and the limits are these constants.
"""

import ast
from collections.abc import Iterator

from checks.tree import Problem, Source, Tree, functions

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500
CLASS_METHODS_MAX = 20
PARAMETERS_MAX = 6

COUNTED = (".py", ".js", ".mjs", ".css", ".html", ".zs")


def check(tree: Tree) -> Iterator[Problem]:
    """Every tail that is too long."""
    for source in tree.sources:
        if source.path.endswith(COUNTED):
            yield from _file(source)
        if source.is_python:
            yield from _functions(source)
            yield from _classes(source)


def _file(source: Source) -> Iterator[Problem]:
    lines = len(source.text.splitlines())
    if lines > FILE_LINES_MAX:
        text = f"{lines} lines, at most {FILE_LINES_MAX}: split by what changes together"
        yield Problem("file-lines", source.path, 1, text)


def _functions(source: Source) -> Iterator[Problem]:
    for name, node in functions(source.syntax):
        where = f"{source.path}:{name}"
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            text = f"{lines} lines, at most {FUNCTION_LINES_MAX}: keep the branches, move the work into leaves"
            yield Problem("function-lines", where, node.lineno, text)
        arguments = node.args
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        count = len(names) - (1 if names[:1] in (["self"], ["cls"]) else 0)
        if count > PARAMETERS_MAX and not _is_command(node):
            text = f"{count} parameters, at most {PARAMETERS_MAX}: what travels together is a frozen dataclass"
            yield Problem("parameters", where, node.lineno, text)


def _is_command(node: "ast.FunctionDef | ast.AsyncFunctionDef") -> bool:
    """Whether it is a command of the terminal: its parameters are the command's options, declared nowhere else."""
    called = [each.func for each in node.decorator_list if isinstance(each, ast.Call)]
    return any(isinstance(each, ast.Attribute) and each.attr in ("command", "callback") for each in called)


def _classes(source: Source) -> Iterator[Problem]:
    for node in ast.walk(source.syntax):
        if not isinstance(node, ast.ClassDef):
            continue
        methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        if len(methods) > CLASS_METHODS_MAX:
            text = f"{len(methods)} methods, at most {CLASS_METHODS_MAX}: it holds more than one thing"
            yield Problem("class-methods", f"{source.path}:{node.name}", node.lineno, text)
