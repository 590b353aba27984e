"""The interpreter against CPython, on generated programs of the part of the language both understand."""

from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.contracts.script.engine import engine
from zizhu.chain.model.value import INT_MAX, Value
from zizhu.framework.testkit.fakes.host import MemoryHost

INTS = st.integers(-9, 9) | st.integers(-INT_MAX, INT_MAX) | st.sampled_from([2**255, 2**63, 2**128 - 1])
TEXTS = st.sampled_from(['""', '"a"', '"ab"', '"链"', '"b,a"'])
INT_NAMES = st.sampled_from(["i", "j"])
TEXT_NAMES = st.sampled_from(["s", "t"])
LIST_NAMES = st.sampled_from(["a", "b"])


def ints(depth: int) -> st.SearchStrategy[str]:
    """An expression that is an int, in both languages, or fails in both."""
    flat = INTS.map(lambda number: f"({number})") | INT_NAMES
    if depth == 0:
        return flat
    inner = ints(depth - 1)
    operators = st.sampled_from(["+", "-", "*", "//", "%", "&", "|", "^"])
    return st.one_of(
        flat,
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["**", "<<", ">>"]), st.integers(-1, 300)),
        st.builds("({}{})".format, st.sampled_from(["-", "~", "+"]), inner),
        st.builds("({} if {} else {})".format, inner, bools(depth - 1), inner),
        st.builds("len({})".format, texts(depth - 1)),
        st.builds("{}[{}]".format, LIST_NAMES, inner),
        st.builds("sum({})".format, lists(depth - 1)),
        st.builds("max({}, {})".format, inner, inner),
        st.builds("min({})".format, lists(depth - 1)),
        st.builds("abs({})".format, inner),
        st.builds("{}.find({})".format, texts(depth - 1), texts(0)),
        st.builds("{}.count({})".format, LIST_NAMES, inner),
    )


def texts(depth: int) -> st.SearchStrategy[str]:
    """An expression that is a text."""
    flat = TEXTS | TEXT_NAMES
    if depth == 0:
        return flat
    inner = texts(depth - 1)
    return st.one_of(
        flat,
        st.builds("({} + {})".format, inner, inner),
        st.builds("({} * {})".format, inner, st.integers(-1, 3)),
        st.builds("{}[{}]".format, inner, ints(depth - 1)),
        st.builds("{}[{}:{}]".format, inner, ints(0), ints(0)),
        st.builds("str({})".format, ints(depth - 1)),
        st.builds("f'<{{{}}}>'".format, INT_NAMES | TEXT_NAMES),
        st.builds("{}.join([{}, {}])".format, inner, inner, inner),
        st.builds("{}.replace('a', {})".format, inner, inner),
    )


def bools(depth: int) -> st.SearchStrategy[str]:
    """An expression that is a bool."""
    flat = st.sampled_from(["True", "False", "(i < j)", "(s == t)"])
    if depth == 0:
        return flat
    inner, number, text = bools(depth - 1), ints(depth - 1), texts(depth - 1)
    comparison = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    return st.one_of(
        flat,
        st.builds("(not {})".format, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("({} {} {})".format, number, comparison, number),
        st.builds("({} {} {} {} {})".format, number, comparison, number, comparison, number),
        st.builds("({} {} {})".format, text, comparison, text),
        st.builds("({} in {})".format, text, text),
        st.builds("({} not in {})".format, number, lists(depth - 1)),
        st.builds("({} == {})".format, lists(depth - 1), lists(depth - 1)),
    )


def lists(depth: int) -> st.SearchStrategy[str]:
    """An expression that is a list of ints."""
    if depth == 0:
        return LIST_NAMES | st.just("[]")
    inner = lists(depth - 1)
    return st.one_of(
        LIST_NAMES,
        st.builds("[{}, {}]".format, ints(depth - 1), ints(depth - 1)),
        st.builds("({} + {})".format, inner, inner),
        st.builds("{}[{}:{}:{}]".format, inner, ints(0), ints(0), st.sampled_from(["1", "-1", "2", "0"])),
        st.builds("[i for i in {} if {}]".format, inner, bools(0)),
        st.builds("[j * x for x in {}]".format, inner),
        st.builds("sorted({})".format, inner),
        st.builds("list({{x: j for x in {}}})".format, inner),
    )


def indented(lines: list[str]) -> list[str]:
    """Lines one block deeper."""
    return [f"    {line}" for line in lines]


def blocks(depth: int) -> st.SearchStrategy[list[str]]:
    """Lines of statements."""
    simple = st.one_of(
        st.builds("{} = {}".format, INT_NAMES, ints(2)),
        st.builds("{} {}= {}".format, INT_NAMES, st.sampled_from(["+", "-", "*", "//", "%"]), ints(1)),
        st.builds("{} = {}".format, TEXT_NAMES, texts(2)),
        st.builds("{} = {}".format, LIST_NAMES, lists(2)),
        st.builds("{}.append({})".format, LIST_NAMES, ints(1)),
        st.builds("{} += {}".format, LIST_NAMES, lists(1)),
        st.builds("{}[{}] = {}".format, LIST_NAMES, INT_NAMES, ints(1)),
        st.builds("{}[{}] += {}".format, LIST_NAMES, INT_NAMES, ints(1)),
        st.builds("i, j = {}, {}".format, ints(1), ints(1)),
        st.builds("d[{}] = {}".format, ints(0) | texts(0), ints(1)),
        st.builds("i = d[{}]".format, texts(0)),
        st.builds("j = d.get({}, {})".format, texts(0), ints(0)),
        st.builds("i = b.pop({})".format, ints(0)),
        st.builds("i = g({}, j={})".format, ints(1), ints(1)),
        st.builds("return {}".format, ints(1) | texts(1) | lists(1) | bools(1)),
        st.builds("assert {}".format, bools(1)),
    ).map(lambda line: [line])
    if depth == 0:
        return st.lists(simple, min_size=1, max_size=3).map(lambda parts: [*chain(*parts)])
    inner = blocks(depth - 1).map(indented)
    branch = st.builds(
        lambda test, body, other, otherwise: [f"if {test}:", *body, f"elif {other}:", *otherwise, "else:", *body],
        bools(1), inner, bools(1), inner,
    )  # fmt: skip
    leave = st.sampled_from(["break", "continue", "pass"])
    loop = st.builds(
        lambda name, count, body, test, end: [
            f"for {name} in range({count}):", *body, f"    if {test}:", f"        {end}"
        ],
        INT_NAMES, st.integers(0, 3), inner, bools(1), leave,
    )  # fmt: skip
    walk = st.builds(lambda source, body: [f"for i in {source}[:3]:", *body], LIST_NAMES, inner)
    repeat = st.builds(
        lambda body, test: ["k = 0", "while k < 2:", "    k += 1", *body, f"    if {test}:", "        break"],
        inner,
        bools(1),
    )
    part = simple | simple | branch | loop | walk | repeat
    return st.lists(part, min_size=1, max_size=4).map(lambda parts: [*chain(*parts)])


FAILURES: dict[type[Exception], tuple[str, ...]] = {
    IndexError: ("contract.index",),
    OverflowError: ("contract.index", "contract.arithmetic"),
    KeyError: ("contract.key",),
    ZeroDivisionError: ("contract.arithmetic",),
    AssertionError: ("contract.assertion",),
    TypeError: ("contract.type", "contract.arithmetic"),
    ValueError: ("contract.arithmetic", "contract.index"),
    UnboundLocalError: ("contract.unbound",),
}


def by_cpython(source: str, arguments: list[Value]) -> tuple[str, object]:
    """What CPython makes of the same program: ("value", value) or ("failure", type of the exception)."""
    names: dict[str, object] = {"public": lambda function: function}
    exec(compile(source, "program", "exec"), names)
    function = names["f"]
    assert callable(function)
    try:
        return "value", function(*arguments)
    except (ArithmeticError, LookupError, AssertionError, TypeError, ValueError, UnboundLocalError) as error:
        return "failure", type(error)


@settings(max_examples=250, deadline=None)
@given(blocks(2), st.lists(st.integers(-3, 9), min_size=2, max_size=2), st.lists(st.integers(-9, 9), max_size=4))
def test_same_results_and_failures_as_cpython(lines: list[str], numbers: list[int], items: list[int]) -> None:
    """Whatever both understand, both do alike: equal results, or failures of one kind. What is ours alone:
    ints end at 256 bits, and keys at 64."""
    body = [*lines, "return [i, j, s, t, a, b, [[x, d[x]] for x in d]]"]
    source = "\n".join(
        ["def g(i, j=2):", "    if i > j:", "        return i - j", "    return j", "", "@public", "def f(i, j, a):"]
        + ["    s = 'a'", "    t = ''", "    b = [1, 2, 3]", "    d = {'a': 1}", *indented(body), ""]
    )
    arguments: list[Value] = [*numbers, [*items]]
    result = MemoryHost().call(engine.load(source.encode()), "f", *numbers, [*items], steps_max=200_000)
    if result.code in ("contract.overflow", "contract.out_of_steps", "contract.result"):
        return
    if result.code == "contract.type" and "a key is" in result.text:
        return
    kind, expected = by_cpython(source, arguments)
    if kind == "value":
        assert (result.code, repr(result.value)) == ("", repr(expected)), source
    else:
        assert isinstance(expected, type)
        codes = next(codes for error, codes in FAILURES.items() if issubclass(expected, error))
        assert result.code in codes, source
