"""Static checks of modules and statements: the allow-list of the language, and its static limits.

Decides which syntax trees are contracts. Refuses to know how they run. Whatever is not allowed by name is refused,
so a new node of a later Python is refused too. `operands` does the same for expressions.
"""

import ast
from collections.abc import Iterator

from zizhu.chain.contracts.port import Problem
from zizhu.chain.contracts.script import prices
from zizhu.chain.contracts.script.functions import PURE
from zizhu.chain.contracts.script.hosting import HOST
from zizhu.chain.contracts.script.operands import ExpressionChecker
from zizhu.chain.contracts.script.scanning import scan
from zizhu.chain.contracts.script.unit import INIT, PUBLIC, TYPES, VIEW, Function, Unit
from zizhu.chain.model.value import INT_MAX, Value

TAKEN = {builtin.name: True for builtin in (*PURE, *HOST)}
"""Names a contract cannot give to anything of its own."""


def check_source(source: bytes) -> Unit:
    """The contract in `source`, or its problems in the order of the source."""
    unit = Unit()
    if len(source) > prices.SOURCE_BYTES_MAX:
        unit.problems.append(Problem(1, 0, "script.size", f"more than {prices.SOURCE_BYTES_MAX} bytes of source"))
        return unit
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        unit.problems.append(Problem(line, 0, "script.character", "the source is not UTF-8"))
        return unit
    unit.problems.extend(scan(text))
    if unit.problems:
        return unit
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        unit.problems.append(Problem(error.lineno or 1, error.offset or 0, "script.syntax", error.msg))
    except (RecursionError, MemoryError, ValueError):
        # What CPython's parser answers to nesting it cannot take; our own limits refuse all of that too.
        unit.problems.append(Problem(1, 0, "script.nesting", "nested too deep"))
    else:
        _check_module(unit, tree)
        unit.problems.sort(key=lambda problem: (problem.line, problem.column))
    return unit


def literal(node: ast.expr | None) -> Value:
    """The value of a literal: None, bool, int, text, bytes or a negative int. Raises ValueError."""
    if isinstance(node, ast.Constant):
        value = node.value
        if value is None or isinstance(value, bool | str | bytes):
            return value
        if type(value) is int and value <= INT_MAX:
            return value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = literal(node.operand)
        if type(number) is int:
            return -number
    raise ValueError("not a literal")


def _is_words(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _check_module(unit: Unit, tree: ast.Module) -> None:
    """Constants and signatures first, so that bodies may use what stands below them."""
    bodies: list[Function] = []
    for position, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef):
            bodies.append(_signature(unit, node))
        elif isinstance(node, ast.Assign):
            _constant(unit, node)
        elif not (position == 0 and _is_words(node)):
            unit.report(node, "script.construct", "outside of functions only NAME = literal is allowed")
    if len(unit.functions) > prices.FUNCTIONS_MAX:
        unit.report(tree, "script.size", f"more than {prices.FUNCTIONS_MAX} functions")
    if len(unit.constants) > prices.CONSTANTS_MAX:
        unit.report(tree, "script.size", f"more than {prices.CONSTANTS_MAX} constants")
    if not unit.problems:
        for function in bodies:
            _StatementChecker(unit, function).block(function.body, 0)


def _name(unit: Unit, node: ast.AST, name: str) -> None:
    """Refuses names that mean something already, or could to Python."""
    if name.startswith("__"):
        unit.report(node, "script.name", "a name does not start with two underscores")
    elif name in TAKEN or name in unit.functions or name in unit.constants:
        unit.report(node, "script.name_taken", f"{name} is taken")


def _constant(unit: Unit, node: ast.Assign) -> None:
    target = node.targets[0]
    if len(node.targets) != 1 or not isinstance(target, ast.Name):
        unit.report(node, "script.construct", "outside of functions only NAME = literal is allowed")
        return
    _name(unit, node, target.id)
    try:
        unit.constants[target.id] = literal(node.value)
    except ValueError:
        unit.report(node.value, "script.constant", "a constant is None, a bool, int, text or bytes")


def _signature(unit: Unit, node: ast.FunctionDef) -> Function:
    """A function without its body checked; registered under its name."""
    kind = INIT if node.name == "init" else ""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Name) and decorator.id in (PUBLIC, VIEW) and not kind:
            kind = decorator.id
        else:
            unit.report(decorator, "script.decorator", "a function has at most one of @public, @view; init has none")
    arguments = node.args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs:
        unit.report(node, "script.parameters", "only plain parameters, without * and /")
    if len(arguments.args) > prices.PARAMETERS_MAX:
        unit.report(node, "script.parameters", f"more than {prices.PARAMETERS_MAX} parameters")
    if node.returns is not None or getattr(node, "type_params", []):
        unit.report(node, "script.construct", "no type of the result, no type parameters")
    defaults: list[Value] = []
    for default in arguments.defaults:
        try:
            defaults.append(literal(default))
        except ValueError:
            unit.report(default, "script.constant", "a default is None, a bool, int, text or bytes")
    types: list[type | None] = []
    for argument in arguments.args:
        annotation = argument.annotation
        known = TYPES.get(annotation.id) if isinstance(annotation, ast.Name) else None
        if annotation is not None and known is None:
            unit.report(annotation, "script.parameters", f"a parameter's type is one of {', '.join(TYPES)}")
        types.append(known)
    parameters = tuple(argument.arg for argument in arguments.args)
    variables = dict.fromkeys(parameters, True)
    if len(variables) < len(parameters):
        # CPython notices this only when it compiles, which never happens here.
        unit.report(node, "script.parameters", "two parameters of one name")
    for target in _assigned(node.body, 0):
        variables[target] = True
    if len(variables) > prices.LOCALS_MAX:
        unit.report(node, "script.size", f"more than {prices.LOCALS_MAX} variables")
    _name(unit, node, node.name)
    function = Function(
        node.name, kind, parameters, tuple(defaults), tuple(types), tuple(variables), node.body, node.lineno
    )
    unit.functions[node.name] = function
    return function


def _assigned(body: list[ast.stmt], depth: int) -> Iterator[str]:
    """Names that statements assign. What stands deeper than the limit is refused later, so not visited."""
    if depth > prices.BLOCKS_MAX:
        return
    for node in body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.For):
            targets = [node.target]
        for target in targets:
            parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            yield from (part.id for part in parts if isinstance(part, ast.Name))
        blocks: list[list[ast.stmt]] = []
        if isinstance(node, ast.If):
            blocks = _arms(node)[1]
        elif isinstance(node, ast.For | ast.While):
            blocks = [node.body]
        for block in blocks:
            yield from _assigned(block, depth + 1)


def _arms(node: ast.If) -> tuple[list[ast.expr], list[list[ast.stmt]]]:
    """The tests of an if/elif/else and its blocks; to the parser an elif is an if inside of an else."""
    tests = [node.test]
    blocks = [node.body]
    while len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        node = node.orelse[0]
        tests.append(node.test)
        blocks.append(node.body)
    return tests, [*blocks, node.orelse] if node.orelse else blocks


class _StatementChecker:
    """Checks the statements of one function."""

    __slots__ = ("_expressions", "_loops", "_unit")

    def __init__(self, unit: Unit, function: Function) -> None:
        self._unit = unit
        self._loops = 0
        for name in function.variables:
            if name.startswith("__") or name in TAKEN or name in unit.functions or name in unit.constants:
                self._report_name(function, name)
        self._expressions = ExpressionChecker(unit, function.variables)

    def _report_name(self, function: Function, name: str) -> None:
        words = f"{name} is taken or starts with two underscores; name the variable of {function.name} otherwise"
        self._unit.problems.append(Problem(function.line, 0, "script.name_taken", words))

    def block(self, body: list[ast.stmt], depth: int) -> None:
        """Checks statements that stand inside `depth` others."""
        if depth > prices.BLOCKS_MAX:
            self._unit.report(body[0], "script.nesting", f"more than {prices.BLOCKS_MAX} blocks inside each other")
            return
        for position, node in enumerate(body):
            self._unit.nodes += 1
            if not (depth == 0 and position == 0 and _is_words(node)):
                self._statement(node, depth)
        if self._unit.nodes > prices.NODES_MAX:
            self._unit.report(body[0], "script.size", f"more than {prices.NODES_MAX} nodes in the syntax tree")

    def _statement(self, node: ast.stmt, depth: int) -> None:
        check = self._expressions.check
        if isinstance(node, ast.Pass):
            return
        if isinstance(node, ast.Return):
            if node.value is not None:
                check(node.value)
        elif isinstance(node, ast.Expr):
            if not isinstance(node.value, ast.Call):
                self._unit.report(node, "script.construct", "an expression that stands alone is a call")
            check(node.value)
        elif isinstance(node, ast.Assign):
            self._assign(node)
        elif isinstance(node, ast.AugAssign):
            self._augmented(node)
        elif isinstance(node, ast.Assert):
            check(node.test)
            if node.msg is not None:
                check(node.msg)
        elif isinstance(node, ast.If):
            self._branches(node, depth)
        elif isinstance(node, ast.For | ast.While):
            self._loop(node, depth)
        elif isinstance(node, ast.Break | ast.Continue):
            if not self._loops:
                self._unit.report(node, "script.syntax", "break and continue stand in a loop")
        else:
            self._unit.report(node, "script.construct", f"{type(node).__name__} is not in the language")

    def _assign(self, node: ast.Assign) -> None:
        if len(node.targets) != 1:
            self._unit.report(node, "script.construct", "one assignment at a time")
        target = node.targets[0]
        self._expressions.target(target)
        value = node.value
        if isinstance(value, ast.Tuple) and isinstance(target, ast.Tuple | ast.List):
            for part in value.elts:
                self._expressions.check(part)
        else:
            self._expressions.check(value)

    def _augmented(self, node: ast.AugAssign) -> None:
        self._expressions.operator(node, node.op)
        if isinstance(node.target, ast.Name | ast.Subscript):
            self._expressions.target(node.target)
        else:
            self._unit.report(node, "script.construct", "only a variable or an element can be changed")
        self._expressions.check(node.value)

    def _branches(self, node: ast.If, depth: int) -> None:
        tests, blocks = _arms(node)
        if len(tests) > prices.ARMS_MAX:
            self._unit.report(node, "script.size", f"more than {prices.ARMS_MAX} branches")
        for test in tests:
            self._expressions.check(test)
        for block in blocks:
            self.block(block, depth + 1)

    def _loop(self, node: ast.For | ast.While, depth: int) -> None:
        if node.orelse:
            self._unit.report(node, "script.construct", "a loop has no else")
        if isinstance(node, ast.For):
            self._expressions.target(node.target)
            self._expressions.check(node.iter)
        else:
            self._expressions.check(node.test)
        self._loops += 1
        self.block(node.body, depth + 1)
        self._loops -= 1
