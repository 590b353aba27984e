"""Compiles expressions of a checked contract to closures, and adds up their static price.

Decides the order of evaluation, which is Python's. Refuses to check anything: `checking` has. A closure takes the
run and the frame; the price of all nodes that stand outside of comprehensions goes into `cost` and is charged by
the block, so a closure charges only what depends on sizes.
"""

import ast
from collections.abc import Callable, Iterable
from typing import TypeAlias

from zizhu.chain.contracts.port import StepsExhausted
from zizhu.chain.contracts.script import failures, operations, prices
from zizhu.chain.contracts.script.comparisons import compile_comparison
from zizhu.chain.contracts.script.failures import Failure
from zizhu.chain.contracts.script.functions import span, to_text
from zizhu.chain.contracts.script.methods import find_method
from zizhu.chain.contracts.script.operands import BUILTINS
from zizhu.chain.contracts.script.run import UNBOUND, Evaluate, Execute, Frame, Run
from zizhu.chain.contracts.script.unit import Function, Unit
from zizhu.chain.model.value import INT_MAX, Key, Value

Each: TypeAlias = Callable[[Run, Frame], Iterable[Value]]
"""A compiled iterable."""
Bind: TypeAlias = Callable[[Run, Frame, Value], None]
"""A compiled target of an assignment."""

OPERATIONS: dict[type[ast.operator], operations.Binary] = {
    ast.Add: operations.add,
    ast.Sub: operations.subtract,
    ast.Mult: operations.multiply,
    ast.FloorDiv: operations.floor_divide,
    ast.Mod: operations.remainder,
    ast.Pow: operations.power,
    ast.LShift: operations.shift_left,
    ast.RShift: operations.shift_right,
    ast.BitAnd: operations.bit_and,
    ast.BitOr: operations.bit_or,
    ast.BitXor: operations.bit_xor,
}


class Code:
    """A function while it is compiled and after: callers hold it, so functions may call what is below them."""

    __slots__ = ("body", "function", "template")

    def __init__(self, function: Function) -> None:
        self.function = function
        self.body: Execute = _nothing
        self.template: Frame = []


def _nothing(run: Run, frame: Frame) -> int:
    return 0


class ExpressionCompiler:
    """Compiles the expressions of one function. `slots` maps variables to places in the frame."""

    def __init__(self, unit: Unit, codes: dict[str, Code], function: Function) -> None:
        self._constants = unit.constants
        self._codes = codes
        self._bound = dict.fromkeys(function.parameters, True)
        self._slots = {name: place + 1 for place, name in enumerate(function.variables)}
        self.size = len(self._slots) + 1
        self.cost = 0

    def compile(self, node: ast.expr) -> Evaluate:
        """The closure of an expression; its price goes into `cost`."""
        match node:
            case ast.Constant(value=value):
                return self._constant(value)
            case ast.Name(id=name):
                return self._name(name)
            case ast.Call(func=ast.Attribute(value=target, attr=method), args=arguments):
                return self._method(target, method, arguments)
            case ast.Call():
                return self._call(node)
            case ast.Compare(left=left, ops=operators, comparators=operands):
                self.cost += prices.OPERATION * len(operators)
                return compile_comparison(self.compile(left), operators, [self.compile(part) for part in operands])
            case ast.BinOp(left=left, op=operator, right=right):
                self.cost += prices.OPERATION
                return _binary(type(operator), self.compile(left), self.compile(right))
            case ast.UnaryOp(op=sign, operand=operand):
                self.cost += prices.OPERATION
                return _unary(type(sign), self.compile(operand))
            case ast.BoolOp(op=joint, values=values):
                self.cost += prices.OPERATION
                return _junction([self.compile(part) for part in values], stop_at=isinstance(joint, ast.Or))
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                self.cost += prices.OPERATION
                return _choice(self.compile(test), self.compile(body), self.compile(otherwise))
            case ast.Subscript(value=target, slice=part):
                return self._subscript(target, part)
            case ast.List(elts=elements):
                return self._list([self.compile(element) for element in elements])
            case ast.Dict():
                return self._dict(node)
            case ast.JoinedStr(values=parts):
                return self._joined(parts)
            case ast.ListComp() | ast.DictComp():
                return self._comprehension(node)
        raise AssertionError(f"unchecked {type(node).__name__}")

    def slot(self, name: str) -> int:
        """The place of a variable."""
        return self._slots[name]

    def bind(self, node: ast.expr) -> Bind:
        """The closure that assigns to a variable, an element, or several of a list of the right length."""
        self.cost += prices.NAME
        if isinstance(node, ast.Name):
            return _bind_name(self._slots[node.id])
        if isinstance(node, ast.Subscript):
            return _bind_element(self.compile(node.value), self.compile(node.slice))
        assert isinstance(node, ast.Tuple | ast.List)
        return _bind_each([self.bind(part) for part in node.elts])

    def each(self, node: ast.expr) -> Each:
        """The closure of what a loop goes through; a range is not made into a list."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            self.cost += prices.CALL_BUILTIN
            bounds = [self.compile(bound) for bound in node.args]

            def numbers(run: Run, frame: Frame) -> Iterable[Value]:
                return span(run, [bound(run, frame) for bound in bounds])

            return numbers
        source = self.compile(node)

        def elements(run: Run, frame: Frame) -> Iterable[Value]:
            return operations.iterate(run, source(run, frame))

        return elements

    def _constant(self, value: object) -> Evaluate:
        self.cost += prices.CONSTANT
        assert value is None or isinstance(value, bool | int | str | bytes)
        constant: Value = value
        return lambda run, frame: constant

    def _name(self, name: str) -> Evaluate:
        self.cost += prices.NAME
        slot = self._slots.get(name)
        if slot is None:
            constant = self._constants[name]
            return lambda run, frame: constant
        place = slot
        if name in self._bound:
            return lambda run, frame: frame[place]

        def load(run: Run, frame: Frame) -> Value:
            value = frame[place]
            if value is UNBOUND:
                raise Failure(failures.UNBOUND, f"{name} is not assigned yet")
            return value

        return load

    def _call(self, node: ast.Call) -> Evaluate:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        arguments = [self.compile(argument) for argument in given]
        code = self._codes.get(name)
        builtin = BUILTINS.get(name)
        if builtin is not None and builtin.variadic:
            self.cost += prices.CALL_BUILTIN
            return _builtin_call(builtin.run, arguments)
        known = code.function if code is not None else builtin
        assert known is not None
        places = [*range(len(node.args))]
        places += [known.parameters.index(keyword.arg) for keyword in node.keywords if keyword.arg is not None]
        if code is not None:
            self.cost += prices.CALL_FUNCTION
            return _function_call(code, [(place + 1, part) for place, part in zip(places, arguments, strict=True)])
        assert builtin is not None
        self.cost += prices.CALL_BUILTIN
        missing = len(builtin.parameters) - len(builtin.defaults)
        if places == [*range(len(places))]:
            arguments.extend(_fixed(value) for value in builtin.defaults[len(places) - missing :])
            return _builtin_call(builtin.run, arguments)
        template: Frame = [*([None] * missing), *builtin.defaults]
        return _builtin_by_name(builtin.run, [*zip(places, arguments, strict=True)], template)

    def _method(self, source: ast.expr, name: str, given: list[ast.expr]) -> Evaluate:
        self.cost += prices.CALL_BUILTIN
        count = len(given)
        target = self.compile(source)
        arguments = [self.compile(argument) for argument in given]
        if count == 1:
            only = arguments[0]

            def call_one(run: Run, frame: Frame) -> Value:
                value = target(run, frame)
                return find_method(value, name, 1).run(run, value, only(run, frame))

            return call_one

        def call(run: Run, frame: Frame) -> Value:
            value = target(run, frame)
            method = find_method(value, name, count)
            return method.run(run, value, *[argument(run, frame) for argument in arguments])

        return call

    def _subscript(self, target: ast.expr, part: ast.expr) -> Evaluate:
        self.cost += prices.OPERATION
        whole = self.compile(target)
        if isinstance(part, ast.Slice):
            start, stop, step = (
                _fixed(None) if bound is None else self.compile(bound) for bound in (part.lower, part.upper, part.step)
            )
            cut = operations.slice_of
            return lambda run, frame: cut(run, whole(run, frame), start(run, frame), stop(run, frame), step(run, frame))
        key = self.compile(part)
        pick = operations.subscript
        return lambda run, frame: pick(run, whole(run, frame), key(run, frame))

    def _list(self, elements: list[Evaluate]) -> Evaluate:
        self.cost += prices.OPERATION + prices.ITEM * len(elements)
        size = prices.CONTAINER_BYTES + prices.SLOT_BYTES * len(elements)

        def build(run: Run, frame: Frame) -> Value:
            run.allocate(size)
            return [element(run, frame) for element in elements]

        return build

    def _dict(self, node: ast.Dict) -> Evaluate:
        self.cost += prices.OPERATION + 2 * prices.ITEM * len(node.values)
        size = prices.CONTAINER_BYTES + prices.ENTRY_BYTES * len(node.values)
        entries: list[tuple[Evaluate, Evaluate]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            assert key is not None
            entries.append((self.compile(key), self.compile(value)))
        check = operations.check_key

        def build(run: Run, frame: Frame) -> Value:
            run.allocate(size)
            result: dict[Key, Value] = {}
            for key, value in entries:
                checked = check(run, key(run, frame))
                result[checked] = value(run, frame)
            return result

        return build

    def _joined(self, parts: list[ast.expr]) -> Evaluate:
        self.cost += prices.OPERATION
        pieces: list[Evaluate] = []
        for part in parts:
            if isinstance(part, ast.FormattedValue):
                self.cost += prices.CALL_BUILTIN
                pieces.append(self.compile(part.value))
            else:
                # Not priced: Pythons differ in how they cut the fixed text of an f-string.
                assert isinstance(part, ast.Constant) and isinstance(part.value, str)
                pieces.append(_fixed(part.value))

        def join(run: Run, frame: Frame) -> Value:
            texts = [to_text(run, piece(run, frame)) for piece in pieces]
            run.take(sum(len(text) for text in texts))
            return "".join(texts)

        return join

    def _comprehension(self, node: ast.ListComp | ast.DictComp) -> Evaluate:
        """Nested loops that fill one list or dict; variables are new ones, so nothing leaks out."""
        outer = self._slots
        self._slots = dict(outer)
        loops: list[tuple[Each, Bind, list[Evaluate], int]] = []
        cost_before = self.cost
        start_cost = 0
        for generator in node.generators:
            self.cost = 0
            each = self.each(generator.iter)
            if not loops:
                start_cost = self.cost
                self.cost = 0
            names = generator.target.elts if isinstance(generator.target, ast.Tuple) else [generator.target]
            for name in names:
                assert isinstance(name, ast.Name)
                self._slots[name.id] = self.size
                self._bound.pop(name.id, None)
                self.size += 1
            bind = self.bind(generator.target)
            tests = [self.compile(test) for test in generator.ifs]
            loops.append((each, bind, tests, self.cost + prices.ITERATION))
        self.cost = 0
        fill = self._filler(node)
        inner_cost = self.cost + prices.ITEM
        if loops[-1][2]:
            fill = _charged(fill, inner_cost)
            inner_cost = 0
        for each, bind, tests, cost in reversed(loops):
            fill = _loop(each, bind, tests, cost + inner_cost, fill)
            inner_cost = 0
        self._slots = outer
        self.cost = cost_before + start_cost + prices.OPERATION
        return _collect(fill, is_list=isinstance(node, ast.ListComp))

    def _filler(self, node: ast.ListComp | ast.DictComp) -> "Fill":
        """The innermost step: one element or entry more."""
        if isinstance(node, ast.ListComp):
            element = self.compile(node.elt)

            def append(run: Run, frame: Frame, result: Value) -> None:
                assert type(result) is list
                value = element(run, frame)
                run.allocate(prices.SLOT_BYTES)
                result.append(value)

            return append
        key = self.compile(node.key)
        item = self.compile(node.value)

        def enter(run: Run, frame: Frame, result: Value) -> None:
            operations.assign_subscript(run, result, key(run, frame), item(run, frame))

        return enter


Fill: TypeAlias = Callable[[Run, Frame, Value], None]
"""A compiled part of a comprehension that adds to the list or dict it is given."""


def _charged(fill: Fill, cost: int) -> Fill:
    def charge(run: Run, frame: Frame, result: Value) -> None:
        run.left -= cost
        if run.left < 0:
            raise StepsExhausted
        fill(run, frame, result)

    return charge


def _loop(each: Each, bind: Bind, tests: list[Evaluate], cost: int, fill: Fill) -> Fill:
    def loop(run: Run, frame: Frame, result: Value) -> None:
        for item in each(run, frame):
            run.left -= cost
            if run.left < 0:
                raise StepsExhausted
            bind(run, frame, item)
            for test in tests:
                if not test(run, frame):
                    break
            else:
                fill(run, frame, result)

    def loop_all(run: Run, frame: Frame, result: Value) -> None:
        for item in each(run, frame):
            run.left -= cost
            if run.left < 0:
                raise StepsExhausted
            bind(run, frame, item)
            fill(run, frame, result)

    return loop if tests else loop_all


def _collect(fill: Fill, *, is_list: bool) -> Evaluate:
    def collect(run: Run, frame: Frame) -> Value:
        run.allocate(prices.CONTAINER_BYTES)
        result: Value = [] if is_list else {}
        fill(run, frame, result)
        return result

    return collect


def _fixed(value: Value) -> Evaluate:
    return lambda run, frame: value


def _bind_name(slot: int) -> Bind:
    def bind(run: Run, frame: Frame, value: Value) -> None:
        frame[slot] = value

    return bind


def _bind_element(target: Evaluate, key: Evaluate) -> Bind:
    def bind(run: Run, frame: Frame, value: Value) -> None:
        operations.assign_subscript(run, target(run, frame), key(run, frame), value)

    return bind


def _bind_each(binds: list[Bind]) -> Bind:
    def bind_each(run: Run, frame: Frame, value: Value) -> None:
        if type(value) is not list or len(value) != len(binds):
            raise Failure(failures.TYPE, f"a list of {len(binds)} is needed to assign {len(binds)} variables")
        for bind, item in zip(binds, [*value], strict=True):
            bind(run, frame, item)

    return bind_each


def _builtin_call(function: Callable[..., Value], arguments: list[Evaluate]) -> Evaluate:
    if not arguments:
        return lambda run, frame: function(run)
    if len(arguments) == 1:
        only = arguments[0]
        return lambda run, frame: function(run, only(run, frame))
    if len(arguments) == 2:
        first, second = arguments
        return lambda run, frame: function(run, first(run, frame), second(run, frame))

    def call(run: Run, frame: Frame) -> Value:
        return function(run, *[argument(run, frame) for argument in arguments])

    return call


def _builtin_by_name(function: Callable[..., Value], places: list[tuple[int, Evaluate]], template: Frame) -> Evaluate:
    """Arguments out of order are evaluated as they are written, as in Python."""

    def call(run: Run, frame: Frame) -> Value:
        values = template.copy()
        for place, argument in places:
            values[place] = argument(run, frame)
        return function(run, *values)

    return call


def _function_call(code: Code, places: list[tuple[int, Evaluate]]) -> Evaluate:
    def call(run: Run, frame: Frame) -> Value:
        inner = code.template.copy()
        for place, argument in places:
            inner[place] = argument(run, frame)
        run.depth += 1
        if run.depth > prices.CALL_DEPTH_MAX:
            raise Failure(failures.DEPTH, f"more than {prices.CALL_DEPTH_MAX} calls inside each other")
        code.body(run, inner)
        run.depth -= 1
        return inner[0]

    return call


def _binary(operator: type[ast.operator], left: Evaluate, right: Evaluate) -> Evaluate:
    operation = OPERATIONS[operator]
    if operator is ast.Add:

        def plus(run: Run, frame: Frame) -> Value:
            one = left(run, frame)
            other = right(run, frame)
            if type(one) is int and type(other) is int:
                total = one + other
                if -INT_MAX <= total <= INT_MAX:
                    return total
            return operation(run, one, other)

        return plus
    return lambda run, frame: operation(run, left(run, frame), right(run, frame))


def _unary(operator: type[ast.unaryop], operand: Evaluate) -> Evaluate:
    if operator is ast.Not:
        return lambda run, frame: not operand(run, frame)
    signs = {ast.USub: operations.negate, ast.UAdd: operations.affirm, ast.Invert: operations.invert}
    sign: Callable[[Run, Value], Value] = signs[operator]
    return lambda run, frame: sign(run, operand(run, frame))


def _junction(parts: list[Evaluate], *, stop_at: bool) -> Evaluate:
    """`or` stops at the first true operand, `and` at the first false one; the operand is the result."""

    def join(run: Run, frame: Frame) -> Value:
        value: Value = None
        for part in parts:
            value = part(run, frame)
            if bool(value) is stop_at:
                break
        return value

    return join


def _choice(test: Evaluate, body: Evaluate, otherwise: Evaluate) -> Evaluate:
    return lambda run, frame: body(run, frame) if test(run, frame) else otherwise(run, frame)
