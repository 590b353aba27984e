"""Compiles statements of a checked contract to closures.

Decides how control flows and when steps are charged: a block charges the static price of its statements when it
begins, a loop's body with each round. Refuses to check anything.
"""

import ast

from zizhu.chain.contracts.port import StepsExhausted
from zizhu.chain.contracts.script import failures, operations, prices
from zizhu.chain.contracts.script.expressions import OPERATIONS, Bind, Code, Each, ExpressionCompiler
from zizhu.chain.contracts.script.failures import Failure
from zizhu.chain.contracts.script.run import BREAK, CONTINUE, RETURN, UNBOUND, Evaluate, Execute, Frame, Run
from zizhu.chain.contracts.script.unit import Unit


def compile_unit(unit: Unit) -> dict[str, Code]:
    """All functions of a contract without problems."""
    assert not unit.problems, "checked before"
    codes = {name: Code(function) for name, function in unit.functions.items()}
    for code in codes.values():
        compiler = _StatementCompiler(ExpressionCompiler(unit, codes, code.function))
        code.body = compiler.block(code.function.body, 0)
        function = code.function
        required = len(function.parameters) - len(function.defaults)
        template: Frame = [None, *([UNBOUND] * required), *function.defaults]
        code.template = template + [UNBOUND] * (compiler.expressions.size - len(template))
    return codes


class _StatementCompiler:
    """Compiles the statements of one function."""

    def __init__(self, expressions: ExpressionCompiler) -> None:
        self.expressions = expressions

    def block(self, body: list[ast.stmt], extra: int) -> Execute:
        """The closure of a block, which charges its statements and `extra` when it begins."""
        before = self.expressions.cost
        self.expressions.cost = extra + prices.STATEMENT * len(body)
        statements = [self._statement(node) for node in body]
        cost = self.expressions.cost
        self.expressions.cost = before
        lines = [node.lineno for node in body]
        return _single(statements[0], lines[0], cost) if len(body) == 1 else _many(statements, lines, cost)

    def _statement(self, node: ast.stmt) -> Execute:
        compile_ = self.expressions.compile
        match node:
            case ast.Return(value=value):
                return _return(None if value is None else compile_(value))
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                return _pass
            case ast.Expr(value=value):
                return _evaluate(compile_(value))
            case ast.Assign(targets=[target], value=value):
                return self._assign(target, value)
            case ast.AugAssign(target=target, op=operator, value=value):
                return self._augmented(target, operator, value)
            case ast.Assert(test=test, msg=message):
                return self._assert(test, message)
            case ast.If():
                return self._branches(node)
            case ast.While(test=test, body=body):
                return self._while(test, body)
            case ast.For(target=target, iter=source, body=body):
                each = self.expressions.each(source)
                before = self.expressions.cost
                bind = self.expressions.bind(target)
                extra = prices.ITERATION + self.expressions.cost - before
                slot = self.expressions.slot(target.id) if isinstance(target, ast.Name) else 0
                inner = self.block(body, extra)
                return _for_name(each, slot, inner) if slot else _for(each, bind, inner)
            case ast.Break():
                return _break
            case ast.Continue():
                return _continue
        raise AssertionError(f"unchecked {type(node).__name__}")

    def _assign(self, target: ast.expr, value: ast.expr) -> Execute:
        if isinstance(value, ast.Tuple):
            value = ast.List(elts=value.elts, ctx=ast.Load())
        source = self.expressions.compile(value)
        bind = self.expressions.bind(target)
        if isinstance(target, ast.Name):
            return _assign_name(self.expressions.slot(target.id), source)

        def assign(run: Run, frame: Frame) -> int:
            bind(run, frame, source(run, frame))
            return 0

        return assign

    def _augmented(self, target: ast.expr, operator: ast.operator, value: ast.expr) -> Execute:
        compile_ = self.expressions.compile
        self.expressions.cost += prices.OPERATION
        operation = operations.add_in_place if isinstance(operator, ast.Add) else OPERATIONS[type(operator)]
        if isinstance(target, ast.Name):
            slot = self.expressions.slot(target.id)
            present = compile_(target)
            source = compile_(value)

            def change(run: Run, frame: Frame) -> int:
                frame[slot] = operation(run, present(run, frame), source(run, frame))
                return 0

            return change
        assert isinstance(target, ast.Subscript)
        whole, part, amount = compile_(target.value), compile_(target.slice), compile_(value)

        def change_element(run: Run, frame: Frame) -> int:
            container = whole(run, frame)
            key = part(run, frame)
            changed = operation(run, operations.subscript(run, container, key), amount(run, frame))
            operations.assign_subscript(run, container, key, changed)
            return 0

        return change_element

    def _assert(self, test: ast.expr, message: ast.expr | None) -> Execute:
        self.expressions.cost += prices.OPERATION
        condition = self.expressions.compile(test)
        words = None if message is None else self.expressions.compile(message)

        def check(run: Run, frame: Frame) -> int:
            if not condition(run, frame):
                text = "" if words is None else words(run, frame)
                raise Failure(failures.ASSERTION, text[: prices.TEXT_MAX] if type(text) is str else "")
            return 0

        return check

    def _branches(self, node: ast.If) -> Execute:
        """All tests are charged where the statement is, however far they get."""
        arms: list[tuple[Evaluate, Execute]] = []
        while True:
            test = self.expressions.compile(node.test)
            arms.append((test, self.block(node.body, 0)))
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                break
            node = node.orelse[0]
        otherwise = self.block(node.orelse, 0) if node.orelse else _pass
        return _if(*arms[0], otherwise) if len(arms) == 1 else _if_many(arms, otherwise)

    def _while(self, test: ast.expr, body: list[ast.stmt]) -> Execute:
        """The last test is charged where the statement is, the others with the round they begin."""
        before = self.expressions.cost
        condition = self.expressions.compile(test)
        inner = self.block(body, prices.ITERATION + self.expressions.cost - before)

        def loop(run: Run, frame: Frame) -> int:
            while condition(run, frame):
                signal = inner(run, frame)
                if signal == BREAK:
                    break
                if signal == RETURN:
                    return RETURN
            return 0

        return loop


def _single(statement: Execute, line: int, cost: int) -> Execute:
    def block(run: Run, frame: Frame) -> int:
        run.left -= cost
        if run.left < 0:
            raise StepsExhausted
        try:
            return statement(run, frame)
        except Failure as failure:
            failure.line = failure.line or line
            raise

    return block


def _many(statements: list[Execute], lines: list[int], cost: int) -> Execute:
    def block(run: Run, frame: Frame) -> int:
        run.left -= cost
        if run.left < 0:
            raise StepsExhausted
        statement: Execute = _pass
        try:
            for statement in statements:
                signal = statement(run, frame)
                if signal:
                    return signal
        except Failure as failure:
            failure.line = failure.line or lines[statements.index(statement)]
            raise
        return 0

    return block


def _pass(run: Run, frame: Frame) -> int:
    return 0


def _break(run: Run, frame: Frame) -> int:
    return BREAK


def _continue(run: Run, frame: Frame) -> int:
    return CONTINUE


def _evaluate(expression: Evaluate) -> Execute:
    def evaluate(run: Run, frame: Frame) -> int:
        expression(run, frame)
        return 0

    return evaluate


def _return(expression: Evaluate | None) -> Execute:
    if expression is None:
        return lambda run, frame: RETURN
    result = expression

    def leave(run: Run, frame: Frame) -> int:
        frame[0] = result(run, frame)
        return RETURN

    return leave


def _assign_name(slot: int, source: Evaluate) -> Execute:
    def assign(run: Run, frame: Frame) -> int:
        frame[slot] = source(run, frame)
        return 0

    return assign


def _if(test: Evaluate, body: Execute, otherwise: Execute) -> Execute:
    return lambda run, frame: body(run, frame) if test(run, frame) else otherwise(run, frame)


def _if_many(arms: list[tuple[Evaluate, Execute]], otherwise: Execute) -> Execute:
    def branch(run: Run, frame: Frame) -> int:
        for test, body in arms:
            if test(run, frame):
                return body(run, frame)
        return otherwise(run, frame)

    return branch


def _for(each: Each, bind: Bind, body: Execute) -> Execute:
    def loop(run: Run, frame: Frame) -> int:
        for item in each(run, frame):
            bind(run, frame, item)
            signal = body(run, frame)
            if signal == BREAK:
                break
            if signal == RETURN:
                return RETURN
        return 0

    return loop


def _for_name(each: Each, slot: int, body: Execute) -> Execute:
    def loop(run: Run, frame: Frame) -> int:
        for item in each(run, frame):
            frame[slot] = item
            signal = body(run, frame)
            if signal == BREAK:
                break
            if signal == RETURN:
                return RETURN
        return 0

    return loop
