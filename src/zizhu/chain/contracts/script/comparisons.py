"""Compiles comparisons, also chained ones, to closures.

Decides how a chain is evaluated: each operand once, left to right, no further than the first false one.
"""

import ast
import operator
from collections.abc import Callable
from typing import TypeAlias

from zizhu.chain.contracts.script.operations import contains, equal, less
from zizhu.chain.contracts.script.run import Evaluate, Frame, Run
from zizhu.chain.model.value import Value

Test: TypeAlias = Callable[[Run, Value, Value], bool]

TESTS: dict[type[ast.cmpop], Test] = {
    ast.Eq: equal,
    ast.NotEq: lambda run, left, right: not equal(run, left, right),
    ast.Lt: less,
    ast.LtE: lambda run, left, right: not less(run, right, left),
    ast.Gt: lambda run, left, right: less(run, right, left),
    ast.GtE: lambda run, left, right: not less(run, left, right),
    ast.In: lambda run, left, right: contains(run, right, left),
    ast.NotIn: lambda run, left, right: not contains(run, right, left),
    ast.Is: lambda run, left, right: left is None,
    ast.IsNot: lambda run, left, right: left is not None,
}

_QUICK: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
"""The same for two ints."""


def compile_comparison(left: Evaluate, operators: list[ast.cmpop], operands: list[Evaluate]) -> Evaluate:
    """The closure of `left operator operand …`."""
    if len(operators) == 1:
        return _single(type(operators[0]), left, operands[0])
    links = [(TESTS[type(operator)], operand) for operator, operand in zip(operators, operands, strict=True)]

    def chain(run: Run, frame: Frame) -> Value:
        one = left(run, frame)
        for test, operand in links:
            other = operand(run, frame)
            if not test(run, one, other):
                return False
            one = other
        return True

    return chain


def _single(kind: type[ast.cmpop], left: Evaluate, right: Evaluate) -> Evaluate:
    """The commonest comparisons without the detour through the table."""
    if kind is ast.Is:
        return lambda run, frame: left(run, frame) is None
    if kind is ast.IsNot:
        return lambda run, frame: left(run, frame) is not None
    test = TESTS[kind]
    quick = _QUICK.get(kind)
    if quick is None:
        return lambda run, frame: test(run, left(run, frame), right(run, frame))

    def compare(run: Run, frame: Frame) -> Value:
        one = left(run, frame)
        other = right(run, frame)
        if type(one) is int and type(other) is int:
            return quick(one, other)
        return test(run, one, other)

    return compare
