"""Where a program depends on the order of a set.

Decides by names and annotations inside one module: a variable, parameter or attribute that is annotated or
assigned as a set is one everywhere in that module. It can be deceived, and the runs under two hash seeds are
the proof; this finds the mistake while it is written.
"""

import ast
from collections.abc import Iterator

SET_TYPES = {"set", "frozenset", "AbstractSet", "MutableSet", "Set", "FrozenSet"}
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
ORDER_FREE = {"sorted", "set", "frozenset", "len", "sum", "any", "all", "min", "max"}
ORDERED = {"list", "tuple", "iter", "next", "enumerate", "zip", "map", "filter", "dict"}


def set_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, what) of every place where a set's order leaks."""
    known = _known_sets(tree)
    harmless = set(_harmless(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor) and _is_set(node.iter, known):
            yield node.lineno, "this loop"
        elif isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp) and node not in harmless:
            for part in node.generators:
                if _is_set(part.iter, known):
                    yield node.lineno, "this comprehension"
        elif isinstance(node, ast.Call):
            yield from _call(node, known)
        elif isinstance(node, ast.Starred) and _is_set(node.value, known):
            yield node.lineno, "this unpacking"


def _call(node: ast.Call, known: set[str]) -> Iterator[tuple[int, str]]:
    if isinstance(node.func, ast.Name) and node.func.id in ORDERED:
        if any(_is_set(argument, known) for argument in node.args):
            yield node.lineno, f"{node.func.id}()"
    elif isinstance(node.func, ast.Attribute):
        if node.func.attr == "join" and any(_is_set(argument, known) for argument in node.args):
            yield node.lineno, "join()"
        if node.func.attr == "pop" and not node.args and _is_set(node.func.value, known):
            yield node.lineno, "pop()"


def _harmless(tree: ast.Module) -> Iterator[ast.AST]:
    """Generators and lists that something without regard for order consumes at once."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDER_FREE:
            yield from node.args


def _known_sets(tree: ast.Module) -> set[str]:
    """Names (`votes`, `.votes` for attributes) that hold a set wherever they occur in the module."""
    sets: set[str] = {f".{name}" for name in _fields_of_classes(tree)}
    others: set[str] = set()
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        value: ast.expr | None = None
        is_set = False
        if isinstance(node, ast.AnnAssign):
            targets, is_set = [node.target], _is_set_type(node.annotation)
        elif isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
            is_set = _is_set(value, set())
        elif isinstance(node, ast.arg):
            name = node.arg
            (sets if node.annotation is not None and _is_set_type(node.annotation) else others).add(name)
        for target in targets:
            name = _name(target)
            if name:
                (sets if is_set else others).add(name)
    # A name used for both kinds is judged by neither: better silent than wrong.
    return sets - others


def _fields_of_classes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for each in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(each, ast.AnnAssign) and _is_set_type(each.annotation):
                yield _name(each.target)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f".{node.attr}" if isinstance(node, ast.Attribute) else ""


def _is_set_type(node: ast.expr) -> bool:
    base = node.value if isinstance(node, ast.Subscript) else node
    return _name(base).lstrip(".") in SET_TYPES


def _is_set(node: ast.expr, known: set[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Name | ast.Attribute):
        return _name(node) in known
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left, known) or _is_set(node.right, known)
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            return node.func.id in {"set", "frozenset"}
        return isinstance(node.func, ast.Attribute) and node.func.attr in SET_METHODS
    return False
