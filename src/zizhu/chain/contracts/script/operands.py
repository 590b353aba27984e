"""Static checks of expressions: the allow-list of nodes, names that are known, calls that fit.

Decides which expressions are in the language. Refuses to know statements (`checking`) and how anything runs.
"""

import ast

from zizhu.chain.contracts.script import prices
from zizhu.chain.contracts.script.functions import PURE, Builtin
from zizhu.chain.contracts.script.hosting import HOST
from zizhu.chain.contracts.script.methods import METHOD_NAMES
from zizhu.chain.contracts.script.unit import Unit
from zizhu.chain.model.value import INT_MAX

BUILTINS: dict[str, Builtin] = {builtin.name: builtin for builtin in (*PURE, *HOST)}
"""Every function a contract does not define itself, by name."""

_OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.Pow,
    ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor,
)  # fmt: skip
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)


class ExpressionChecker:
    """Checks expressions of one function; comprehensions add their names while inside."""

    __slots__ = ("_names", "_slots", "_unit")

    def __init__(self, unit: Unit, variables: tuple[str, ...]) -> None:
        self._unit = unit
        self._names = [*variables]
        self._slots = len(variables)

    def check(self, node: ast.expr, depth: int = 0) -> None:
        """Reports what is wrong with an expression that stands inside `depth` others."""
        self._unit.nodes += 1
        if depth > prices.EXPRESSION_DEPTH_MAX:
            words = f"more than {prices.EXPRESSION_DEPTH_MAX} expressions inside each other"
            self._unit.report(node, "script.nesting", words)
            return
        depth += 1
        if isinstance(node, ast.Constant):
            self._constant(node)
        elif isinstance(node, ast.Name):
            self._name(node)
        elif isinstance(node, ast.Call):
            self._call(node, depth)
        elif isinstance(node, ast.Compare):
            self._compare(node, depth)
        elif isinstance(node, ast.BinOp):
            self.operator(node, node.op)
            self._all([node.left, node.right], depth)
        elif isinstance(node, ast.UnaryOp):
            self.check(node.operand, depth)
        elif isinstance(node, ast.BoolOp):
            self._all(node.values, depth)
        elif isinstance(node, ast.IfExp):
            self._all([node.test, node.body, node.orelse], depth)
        elif isinstance(node, ast.Subscript):
            self._subscript(node, depth)
        elif isinstance(node, ast.List):
            self._all(node.elts, depth)
        elif isinstance(node, ast.Dict):
            self._dict(node, depth)
        elif isinstance(node, ast.JoinedStr):
            self._joined(node, depth)
        elif isinstance(node, ast.ListComp | ast.DictComp):
            self._comprehension(node, depth)
        else:
            self._refuse(node, f"{type(node).__name__} is not in the language")

    def operator(self, node: ast.AST, operator: ast.operator) -> None:
        """Reports an operator that is not in the language."""
        if not isinstance(operator, _OPERATORS):
            words = "no / (use //)" if isinstance(operator, ast.Div) else f"no {type(operator).__name__}"
            self._refuse(node, words)

    def target(self, node: ast.expr) -> None:
        """Reports what cannot be assigned to: variables and elements can, and one level of a, b."""
        for part in node.elts if isinstance(node, ast.Tuple | ast.List) else [node]:
            self._unit.nodes += 1
            if isinstance(part, ast.Subscript) and not isinstance(part.slice, ast.Slice):
                self._all([part.value, part.slice], 1)
            elif not isinstance(part, ast.Name):
                self._refuse(part, "only variables and elements can be assigned, and one level of a, b")

    def _refuse(self, node: ast.AST, text: str) -> None:
        self._unit.report(node, "script.construct", text)

    def _all(self, nodes: list[ast.expr], depth: int) -> None:
        for node in nodes:
            self.check(node, depth)

    def _constant(self, node: ast.Constant) -> None:
        value = node.value
        if type(value) is int:
            if value > INT_MAX:
                self._unit.report(node, "script.number", "an int has at most 256 bits")
        elif type(value) is str:
            if any("\ud800" <= character <= "\udfff" for character in value):
                self._unit.report(node, "script.string", "text has no surrogates")
        elif value is not None and type(value) not in (bool, bytes):
            self._refuse(node, f"{type(value).__name__} is not in the language")

    def _name(self, node: ast.Name) -> None:
        if node.id in self._names or node.id in self._unit.constants:
            return
        if node.id in BUILTINS or node.id in self._unit.functions:
            self._unit.report(node, "script.construct", f"{node.id} is a function; it can only be called")
        else:
            self._unit.report(node, "script.unknown_name", f"{node.id} is not known")

    def _call(self, node: ast.Call, depth: int) -> None:
        for keyword in node.keywords:
            if keyword.arg is None:
                self._refuse(node, "no **")
        self._all([*node.args, *(keyword.value for keyword in node.keywords)], depth)
        if isinstance(node.func, ast.Attribute):
            if node.func.attr not in METHOD_NAMES:
                self._unit.report(node, "script.unknown_name", f"no type has a method {node.func.attr}")
            if node.keywords:
                self._refuse(node, "methods take no named arguments")
            self.check(node.func.value, depth)
        elif isinstance(node.func, ast.Name):
            self._known_call(node, node.func.id)
        else:
            self._refuse(node, "only functions and methods can be called, by name")
        if len(node.args) > prices.PARAMETERS_MAX:
            self._unit.report(node, "script.parameters", f"more than {prices.PARAMETERS_MAX} arguments")

    def _known_call(self, node: ast.Call, name: str) -> None:
        """Checks the arguments of a function of the contract or of the language."""
        builtin = BUILTINS.get(name)
        function = self._unit.functions.get(name)
        if builtin is not None and builtin.variadic:
            if node.keywords or not node.args:
                self._unit.report(node, "script.parameters", f"{name} takes one or more arguments, without names")
            return
        known = function or builtin
        if known is None:
            self._unit.report(node, "script.unknown_name", f"there is no function {name}")
            return
        given = [*known.parameters[: len(node.args)], *(keyword.arg for keyword in node.keywords)]
        if len(node.args) > len(known.parameters):
            self._unit.report(node, "script.parameters", f"{name} takes {len(known.parameters)} arguments")
        for position, parameter in enumerate(known.parameters):
            optional = position >= len(known.parameters) - len(known.defaults)
            if given.count(parameter) > 1 or (parameter not in given and not optional):
                self._unit.report(node, "script.parameters", f"{name} takes {parameter} once")
        for keyword in node.keywords:
            if keyword.arg not in known.parameters:
                self._unit.report(node, "script.parameters", f"{name} has no parameter {keyword.arg}")

    def _compare(self, node: ast.Compare, depth: int) -> None:
        self._all([node.left, *node.comparators], depth)
        for operator, operand in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.Is | ast.IsNot):
                if not (isinstance(operand, ast.Constant) and operand.value is None):
                    self._refuse(node, "`is` is only for `is None` and `is not None`")
            elif not isinstance(operator, _COMPARISONS):
                self._refuse(node, f"no {type(operator).__name__}")

    def _subscript(self, node: ast.Subscript, depth: int) -> None:
        self.check(node.value, depth)
        if isinstance(node.slice, ast.Slice):
            bounds = [node.slice.lower, node.slice.upper, node.slice.step]
            self._all([bound for bound in bounds if bound is not None], depth)
        else:
            self.check(node.slice, depth)

    def _dict(self, node: ast.Dict, depth: int) -> None:
        for key in node.keys:
            if key is None:
                self._refuse(node, "no **")
            else:
                self.check(key, depth)
        self._all(node.values, depth)

    def _joined(self, node: ast.JoinedStr, depth: int) -> None:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                if part.conversion != -1 or part.format_spec is not None:
                    self._refuse(node, "no conversions or formats in f-strings")
                self.check(part.value, depth)
            elif isinstance(part, ast.Constant):
                # Not counted: Pythons differ in how they cut the fixed text of an f-string.
                self._constant(part)
            else:
                self.check(part, depth)

    def _comprehension(self, node: ast.ListComp | ast.DictComp, depth: int) -> None:
        before = len(self._names)
        for generator in node.generators:
            depth += 1
            self.check(generator.iter, depth)
            if generator.is_async:
                self._refuse(node, "nothing is async")
            parts = generator.target.elts if isinstance(generator.target, ast.Tuple) else [generator.target]
            for part in parts:
                if isinstance(part, ast.Name):
                    self._comprehension_name(part)
                else:
                    self._refuse(part, "a comprehension assigns variables, one level of a, b")
            self._all(generator.ifs, depth)
        self._all([node.elt] if isinstance(node, ast.ListComp) else [node.key, node.value], depth)
        del self._names[before:]

    def _comprehension_name(self, node: ast.Name) -> None:
        name = node.id
        if name.startswith("__") or name in BUILTINS or name in self._unit.functions or name in self._unit.constants:
            self._unit.report(node, "script.name_taken", f"{name} is taken or starts with two underscores")
        self._names.append(name)
        self._slots += 1
        if self._slots > prices.LOCALS_MAX:
            self._unit.report(node, "script.size", f"more than {prices.LOCALS_MAX} variables")
