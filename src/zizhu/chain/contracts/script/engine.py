"""The contract engine `script`: a deterministic, metered dialect of Python, run by our own interpreter.

Decides how a call begins and ends: arguments in, result out, every failure a code, every step charged. Refuses to
know the ledger (`Host`) and, of Python, uses only the syntax: a contract holds nothing but values, so there is
nothing of the host for it to reach. The language: docs/reference/script.md.
"""

import sys
from dataclasses import dataclass

from zizhu.chain.contracts.port import CallResult, Host, HostRefusal, Problem, StepsExhausted
from zizhu.chain.contracts.script import failures, prices
from zizhu.chain.contracts.script.checking import check_source
from zizhu.chain.contracts.script.expressions import Code
from zizhu.chain.contracts.script.failures import Failure
from zizhu.chain.contracts.script.functions import encode_metered
from zizhu.chain.contracts.script.run import Run
from zizhu.chain.contracts.script.statements import compile_unit
from zizhu.chain.contracts.script.unit import INIT, PUBLIC, VIEW
from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.value import INT_MAX, VALUE_BYTES_MAX, Value, decode_value

SOURCE = ErrorCode(
    "contract.source",
    "the contract's source breaks rule {rule} in line {line}, column {column}: {text}",
    "change the source as docs/reference/script.md says; `zizhu contract check` lists all problems",
    "合约源代码第 {line} 行第 {column} 列违反规则 {rule}:{text}",
    "请按 docs/reference/script.zh.md 修改源代码;`zizhu contract check` 会列出所有问题",
)


@dataclass(slots=True)
class ScriptProgram:
    """A compiled contract; nobody changes it (it is not frozen only because the port has plain attributes).

    `methods` are the functions marked public or view, and `init`, in the order of the source; `views` are those
    that only read. `init` is the ledger's to call, once, when the contract is deployed; it must refuse it to
    everybody else.
    """

    methods: tuple[str, ...]
    views: tuple[str, ...]
    codes: dict[str, Code]

    def call(self, method: str, arguments: list[Value], host: Host, *, steps_max: int) -> CallResult:
        """Runs one method with at most `steps_max` ≥ 0 steps. See the port."""
        if sys.getrecursionlimit() < prices.RECURSION_LIMIT:
            # Python-to-Python calls take no C stack; CALL_DEPTH_MAX must be met before Python's own limit.
            sys.setrecursionlimit(prices.RECURSION_LIMIT)
        run = Run(host, steps_max=steps_max, read_only=host.read_only)
        try:
            value = self._enter(run, method, arguments)
        except StepsExhausted:
            return CallResult(failures.OUT_OF_STEPS, steps_max, None, f"more than {steps_max} steps")
        except Failure as failure:
            where = f"line {failure.line}: " if failure.line else ""
            return CallResult(failure.code, steps_max - run.left, None, where + failure.text)
        except HostRefusal as refusal:
            return CallResult(refusal.code, steps_max - run.left, None, "the host refused")
        return CallResult("", steps_max - run.left, value, "")

    def _enter(self, run: Run, method: str, arguments: list[Value]) -> Value:
        run.spend(prices.CALL)
        code = self.codes.get(method)
        if code is None or not code.function.kind:
            raise Failure(failures.METHOD, f"no public method {method!r}")
        function = code.function
        required = len(function.parameters) - len(function.defaults)
        if not required <= len(arguments) <= len(function.parameters):
            raise Failure(failures.ARGUMENTS, f"{method} takes {required} to {len(function.parameters)} arguments")
        if function.kind == VIEW:
            run.read_only = True
        frame = code.template.copy()
        for position, argument in enumerate(arguments):
            expected = function.types[position]
            if expected is not None and type(argument) is not expected:
                words = f"{function.parameters[position]} of {method} is {expected.__name__}"
                raise Failure(failures.ARGUMENTS, words)
            frame[position + 1] = _admitted(run, argument)
        run.depth = 1
        code.body(run, frame)
        return _returned(run, frame[0])


def _admitted(run: Run, argument: Value) -> Value:
    """An argument as the contract's own copy; nothing that is no value gets in."""
    kind = type(argument)
    if argument is None or kind is bool:
        return argument
    if type(argument) is int and -INT_MAX <= argument <= INT_MAX:
        return argument
    if kind is bytes or (type(argument) is str and argument.isascii()):
        run.take(len(argument))  # type: ignore[arg-type]
        return argument
    try:
        return decode_value(encode_metered(run, argument, VALUE_BYTES_MAX))
    except Failure as failure:
        raise Failure(failures.ARGUMENTS, failure.text) from None


def _returned(run: Run, value: Value) -> Value:
    """What a method returns, when a receipt can hold it."""
    if value is None or type(value) is bool or type(value) is int:
        return value
    try:
        encode_metered(run, value, limits.RECEIPT_RESULT_BYTES_MAX)
    except Failure as failure:
        raise Failure(failures.RESULT, failure.text) from None
    return value


class ScriptEngine:
    """The engine; see the port. Source is UTF-8, at most `prices.SOURCE_BYTES_MAX` bytes."""

    name = "script"

    def check(self, source: bytes) -> list[Problem]:
        """All static errors, in the order of the source (only the first, when it cannot even be parsed)."""
        return check_source(source).problems

    def load(self, source: bytes) -> ScriptProgram:
        """The compiled contract; raises AskedWrongly (`contract.source`) naming the first problem."""
        unit = check_source(source)
        for problem in unit.problems:
            raise AskedWrongly(SOURCE, line=problem.line, column=problem.column, rule=problem.rule, text=problem.text)
        functions = unit.functions.values()
        methods = tuple(function.name for function in functions if function.kind in (PUBLIC, VIEW, INIT))
        views = tuple(function.name for function in functions if function.kind == VIEW)
        return ScriptProgram(methods, views, compile_unit(unit))


engine = ScriptEngine()
"""What the entry point names."""
