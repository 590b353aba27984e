"""Every construct of the language script: what it gives, and how it fails."""

import pytest

from zizhu.chain.contracts.port import CallResult
from zizhu.chain.contracts.script.engine import engine
from zizhu.chain.model.value import INT_MAX, Value
from zizhu.framework.testkit.fakes.host import MemoryHost


def run(source: str, *arguments: Value, steps_max: int = 1_000_000) -> CallResult:
    """Calls method `f` of a source."""
    return MemoryHost().call(engine.load(source.encode()), "f", *arguments, steps_max=steps_max)


def evaluate(expression: str) -> CallResult:
    """Returns an expression from a method."""
    return run(f"@public\ndef f():\n    return {expression}\n")


def strictly(value: Value) -> str:
    """A form in which True and 1 differ, and so do two orders of a dict."""
    return repr(value)


EXPRESSIONS: list[tuple[str, Value]] = [
    ("None", None),
    ("True", True),
    ("0x_ff", 255),
    ("1_000", 1000),
    ('"a" "b"', "ab"),
    ('"\\n\\t\\\\\\x41\\u94fe"', "\n\t\\A链"),
    ('b"\\x00a"', b"\x00a"),
    ('"""a\n"b" c"""', 'a\n"b" c'),
    ("[1, [2], {}]", [1, [2], {}]),
    ('{"b": 1, "a": 2, 3: None, b"c": []}', {"b": 1, "a": 2, 3: None, b"c": []}),
    ("1 + 2 * 3 - 4", 3),
    ("-7 // 2", -4),
    ("-7 % 3", 2),
    ("7 % -3", -2),
    ("2 ** 10", 1024),
    ("0 ** 0", 1),
    ("0 ** 5", 0),
    ("(-1) ** (2 ** 200 + 1)", -1),
    ("1 ** 2 ** 250", 1),
    ("2 ** 255 + (2 ** 255 - 1)", INT_MAX),
    ("1 << 255", 1 << 255),
    ("0 << 2 ** 200", 0),
    ("-1 >> 2 ** 200", -1),
    ("6 & 3 | 8 ^ 1", 11),
    ("~5", -6),
    ("+5", 5),
    ('"ab" + "cd"', "abcd"),
    ('b"ab" + b"c"', b"abc"),
    ("[1] + [2]", [1, 2]),
    ('"ab" * 3', "ababab"),
    ('3 * b"a"', b"aaa"),
    ("[0] * 3", [0, 0, 0]),
    ('"a" * -1', ""),
    ('"" * 2 ** 200', ""),
    ("[] * 2 ** 200", []),
    ("1 < 2 < 3", True),
    ("1 < 2 > 3", False),
    ("3 >= 3 >= 2", True),
    ("2 <= 1", False),
    ("2 > 1", True),
    ('"a" < "b"', True),
    ('b"a" >= b"b"', False),
    ("1 == True", False),
    ("0 == False", False),
    ("[1] == [True]", False),
    ('"a" == b"a"', False),
    ("1 != 2", True),
    ("{1: 2, 3: 4} == {3: 4, 1: 2}", True),
    ("{1: 2} == {1: 3}", False),
    ("{1: 2} == {2: 2}", False),
    ("[1, [2]] == [1, [2]]", True),
    ("[1] == [1, 2]", False),
    ("None is None", True),
    ("0 is not None", True),
    ("2 in [1, 2]", True),
    ("True in [1, 2]", False),
    ('"b" in "abc"', True),
    ('b"b" not in b"abc"', False),
    ("1 in {1: 2}", True),
    ("not []", True),
    ("0 or 5", 5),
    ("[] and 5", []),
    ("1 and 2 and 3", 3),
    ("1 if 2 > 1 else fail('x')", 1),
    ("[1, 2, 3][-1]", 3),
    ('"abc"[1]', "b"),
    ('b"abc"[1]', 98),
    ('{"a": 1}["a"]', 1),
    ("[1, 2, 3, 4][1:3]", [2, 3]),
    ("[1, 2, 3, 4][::-1]", [4, 3, 2, 1]),
    ('"abcdef"[:-2:2]', "ac"),
    ('b"abc"[5:]', b""),
    ("[1, 2][2 ** 200:]", []),
    ('f"a{1 + 1}{{}}{True}{None}"', "a2{}TrueNone"),
    ('f""', ""),
    ('f"a" "b"', "ab"),
    ("[x * x for x in range(4) if x % 2 if x]", [1, 9]),
    ("[x + y for x in [1, 2] for y in [x, 10]]", [2, 11, 4, 12]),
    ("{k: v for k, v in zip([1, 2], ['a', 'b'])}", {1: "a", 2: "b"}),
    ("[[y for y in range(x)] for x in range(3)]", [[], [0], [0, 1]]),
    ("len('abc') + len([1]) + len({}) + len(b'a')", 5),
    ("range(3)", [0, 1, 2]),
    ("range(5, 0, -2)", [5, 3, 1]),
    ("range(0)", []),
    ("range(2 ** 100, 2 ** 100 + 1)", [1 << 100]),
    ("min(3, 1, 2)", 1),
    ("max([1, 3, 2])", 3),
    ('min("b", "a")', "a"),
    ("sum([1, 2])", 3),
    ("sum([])", 0),
    ("abs(-3)", 3),
    ("sorted([3, 1, 2])", [1, 2, 3]),
    ('sorted(["b", "a"], reverse=True)', ["b", "a"]),
    ("sorted([])", []),
    ("reversed([1, 2])", [2, 1]),
    ("enumerate(['a'])", [[0, "a"]]),
    ("zip([1, 2], [3])", [[1, 3]]),
    ('list("ab")', ["a", "b"]),
    ('list(b"ab")', [97, 98]),
    ("list({1: 2})", [1]),
    ("dict({1: 2})", {1: 2}),
    ("copy([[1]])", [[1]]),
    ("str(-5)", "-5"),
    ('int("-12")', -12),
    ("int(True)", 1),
    ("bool([])", False),
    (
        "[type_name(x) for x in [None, True, 1, '', b'', [], {}]]",
        ["None", "bool", "int", "str", "bytes", "list", "dict"],
    ),
    ("to_bytes(258, 4)", b"\0\0\1\2"),
    ('to_int(b"\\x01\\x02")', 258),
    ('from_hex("00fF")', b"\x00\xff"),
    ("unpack(pack({'a': [1, None]}))", {"a": [1, None]}),
    ('"a,b".split(",")', ["a", "b"]),
    ('"-".join(["a", "b"])', "a-b"),
    ('b"".join([b"a", b"b"])', b"ab"),
    ('" a\\n".strip()', "a"),
    ('"\\u00a0a".strip()', "\u00a0a"),
    ('"xax".strip("x")', "a"),
    ('"abc".startswith("ab")', True),
    ('b"abc".endswith(b"c")', True),
    ('"abcb".find("b")', 1),
    ('"abcb".find("x")', -1),
    ('"abcb".count("b")', 2),
    ('"abcb".replace("b", "xx")', "axxcxx"),
    ('"aÄ".upper()', "AÄ"),
    ('"AÄ".lower()', "aÄ"),
    ('"12".isdigit()', True),
    ('"\\u0662".isdigit()', False),
    ('"ab".isalpha() and not "ä".isalpha()', True),
    ('"a1".isalnum()', True),
    ('"链".encode()', "链".encode()),
    ('b"\\xe9\\x93\\xbe".decode()', "链"),
    ('b"\\xff".hex()', "ff"),
    ('{"a": 1}.get("b")', None),
    ('{"a": 1}.get("b", 2)', 2),
    ('{"a": 1}.keys()', ["a"]),
    ('{"a": 1}.values()', [1]),
    ('{"a": 1}.items()', [["a", 1]]),
    ('{"a": 1}.pop("a")', 1),
    ('{"a": 1}.pop("b", 3)', 3),
    ('{"a": 1}.setdefault("b", 3)', 3),
    ("[1, 2, 1].count(1)", 2),
    ("[1, 2].index(2)", 1),
    ("[1, 2].pop()", 2),
    ("[1, 2].pop(0)", 1),
]


@pytest.mark.parametrize(("expression", "value"), EXPRESSIONS)
def test_expression(expression: str, value: Value) -> None:
    """An expression gives exactly this value, of exactly this type."""
    result = evaluate(expression)
    assert (result.code, result.text) == ("", "")
    assert strictly(result.value) == strictly(value)


FAILURES: list[tuple[str, str]] = [
    ("1 + '1'", "type"),
    ("True + 1", "type"),
    ("-True", "type"),
    ("~True", "type"),
    ("+None", "type"),
    ("1 - None", "type"),
    ("[1] * True", "type"),
    ("'%s' % 1", "type"),
    ("[] // 1", "type"),
    ("{} ** {}", "type"),
    ("'a' << 1", "type"),
    ("'a' >> 1", "type"),
    ("'a' & 1", "type"),
    ("'a' | 1", "type"),
    ("'a' ^ 1", "type"),
    ("1 < True", "type"),
    ("[1] < [2]", "type"),
    ("None < None", "type"),
    ("1 in 5", "type"),
    ("1 in 'a'", "type"),
    ("97 in b'a'", "type"),
    ("[] in {}", "type"),
    ("{True: 1}", "type"),
    ("{None: 1}", "type"),
    ("{2 ** 64: 1}", "type"),
    ("{[]: 1}", "type"),
    ("{}[True]", "type"),
    ("[1][True]", "type"),
    ("[1]['a']", "type"),
    ("5[0]", "type"),
    ("[1]['a':]", "type"),
    ("5[1:]", "type"),
    ("{}[1:]", "type"),
    ("[x for x in 5]", "type"),
    ("[x for x, y in [[1]]]", "type"),
    ("[x for x, y in ['ab']]", "type"),
    ("len(1)", "type"),
    ("abs(True)", "type"),
    ("range('a')", "type"),
    ("range(1, 2, 3, 4)", "type"),
    ("min(1, 'a')", "type"),
    ("min(5)", "type"),
    ("max([True])", "type"),
    ("sum([1, True])", "type"),
    ("sum(1)", "type"),
    ("sorted([1, 'a'])", "type"),
    ("sorted([True, False])", "type"),
    ("sorted([[1], [2]])", "type"),
    ("sorted([1], 1)", "type"),
    ("reversed('a')", "type"),
    ("enumerate('a')", "type"),
    ("zip(1)", "type"),
    ("list(1)", "type"),
    ("dict([])", "type"),
    ("str([])", "type"),
    ("f'{[]}'", "type"),
    ("int([])", "type"),
    ("to_bytes('a', 1)", "type"),
    ("to_int('a')", "type"),
    ("from_hex(b'')", "type"),
    ("unpack('')", "type"),
    ("'a'.append(1)", "type"),
    ("None.get(1)", "type"),
    ("[].pop('a')", "type"),
    ("[].append()", "type"),
    ("[].append(1, 2)", "type"),
    ("[].extend('ab')", "type"),
    ("[].insert('a', 1)", "type"),
    ("{}.update([])", "type"),
    ("'a'.split(b'a')", "type"),
    ("'a'.join('ab')", "type"),
    ("'a'.join([1])", "type"),
    ("'a'.startswith(['a'])", "type"),
    ("b'a'.endswith('a')", "type"),
    ("'a'.replace('a', b'b')", "type"),
    ("fail(1)", "type"),
    ("hash('sm3', 'text')", "type"),
    ("hash(1, b'')", "type"),
    ("get(1)", "type"),
    ("put(None, 1)", "type"),
    ("emit(1, 1)", "type"),
    ("scan('a', None, 'b')", "type"),
    ("verify(1, b'', 'a', b'')", "type"),
    ("verify(True, b'', b'', b'')", "type"),
    ("2 ** 256", "overflow"),
    ("2 ** 255 * 2", "overflow"),
    ("2 ** 2 ** 100", "overflow"),
    ("(-2) ** 257", "overflow"),
    ("1 << 256", "overflow"),
    ("1 << 2 ** 255", "overflow"),
    ("2 ** 255 + 2 ** 255", "overflow"),
    ("-(2 ** 255) - 2 ** 255", "overflow"),
    ("~(2 ** 255 + (2 ** 255 - 1))", "overflow"),
    ("sum([2 ** 255, 2 ** 255])", "overflow"),
    ("int('9' * 78)", "overflow"),
    ("to_bytes(256, 1)", "overflow"),
    ("to_bytes(-1, 4)", "overflow"),
    ("to_bytes(1, 33)", "overflow"),
    ("to_int(b'a' * 33)", "overflow"),
    ("1 // 0", "arithmetic"),
    ("1 % 0", "arithmetic"),
    ("2 ** -1", "arithmetic"),
    ("1 << -1", "arithmetic"),
    ("1 >> -1", "arithmetic"),
    ("range(1, 2, 0)", "arithmetic"),
    ("[1][1]", "index"),
    ("[1][-2]", "index"),
    ("[1][2 ** 200]", "index"),
    ("'a'[1]", "index"),
    ("b''[0]", "index"),
    ("[1][::0]", "index"),
    ("[].pop()", "index"),
    ("[1].index(True)", "index"),
    ("[1].remove(2)", "index"),
    ("min([])", "index"),
    ("{}['a']", "key"),
    ("{}.pop('a')", "key"),
    ("int('')", "value"),
    ("int(' 1')", "value"),
    ("int('1_0')", "value"),
    ("int('\\u0661')", "value"),
    ("int('+1')", "value"),
    ("from_hex('0')", "value"),
    ("from_hex('0g')", "value"),
    ("from_hex('00 00')", "value"),
    ("b'\\xff'.decode()", "value"),
    ("'a'.split('')", "value"),
    ("'a'.replace('', 'b')", "value"),
    ("unpack(b'\\xcc\\x01')", "value"),
    ("scan('a', limit=0)", "value"),
    ("scan('a', limit=1001)", "value"),
    ("emit('', 1)", "value"),
    ("emit('a' * 65, 1)", "value"),
    ("get('a' * 513)", "value"),
    ("fail('no code!')", "failed"),
    ("fail('Upper')", "failed"),
    ("fail('a' * 49)", "failed"),
    ("fail('a..b')", "failed"),
]


@pytest.mark.parametrize(("expression", "code"), FAILURES)
def test_failing_expression(expression: str, code: str) -> None:
    """An expression fails with exactly this code, in the line where it stands, and returns nothing."""
    result = evaluate(expression)
    assert (result.code, result.value) == (f"contract.{code}", None)
    assert result.text.startswith("line 3: ")


BODIES: list[tuple[str, Value]] = [
    ("x = 1\nx += 2\nx *= 5\nx -= 1\nx //= 2\nx %= 4\nx **= 2\nx <<= 3\nx >>= 1\nx |= 1\nx &= 7\nx ^= 2\nreturn x", 7),
    ("x, y = 1, 2\nx, y = y, x\nreturn [x, y]", [2, 1]),
    ("[x, y] = [1, 2]\nreturn x", 1),
    ("a = [0, 0]\na[0], a[1] = 5, 6\nreturn a", [5, 6]),
    ("a = [1]\nb = a\nb += [2]\nb.append(3)\nreturn a", [1, 2, 3]),
    ("a = {}\na['x'] = 1\na['x'] += 4\nreturn a", {"x": 5}),
    ("a = [1, 2]\na[-1] = 7\na.insert(0, 9)\na.insert(99, 8)\na.reverse()\nreturn a", [8, 7, 1, 9]),
    ("a = [1, 2]\na.extend([3])\na.remove(1)\nreturn a", [2, 3]),
    ("a = {1: 1}\na.update({2: 2})\nb = dict(a)\na.clear()\nreturn [a, b]", [{}, {1: 1, 2: 2}]),
    ("a = [[1]]\nb = copy(a)\nb[0].append(2)\nreturn [a, b]", [[[1]], [[1, 2]]]),
    ("if False:\n    return 1\nelif 0:\n    return 2\nelif 1:\n    return 3\nelse:\n    return 4", 3),
    ("if 0:\n    return 1\nelse:\n    return 4", 4),
    ("if 0:\n    return 1", None),
    (
        "s = 0\nfor i in range(10):\n    if i == 2:\n        continue\n"
        "    if i == 5:\n        break\n    s += i\nreturn s",
        8,
    ),
    ("s = ''\nfor c in 'abc':\n    s = c + s\nreturn s", "cba"),
    ("s = 0\nfor b in b'ab':\n    s += b\nreturn s", 195),
    ("d = {1: 1}\nfor k in d:\n    d[k + 1] = 0\nreturn d", {1: 1, 2: 0}),
    ("a = [1, 2]\nfor x in a:\n    if len(a) < 5:\n        a.append(x)\nreturn a", [1, 2, 1, 2, 1]),
    ("for i, x in enumerate(['a', 'b']):\n    if x == 'b':\n        return i", 1),
    ("a = [0, 0]\nfor a[1] in [5, 6]:\n    pass\nreturn a", [0, 6]),
    ("n = 0\nwhile n < 5:\n    n += 1\n    if n == 4:\n        break\nreturn n", 4),
    ("while True:\n    while True:\n        return 9", 9),
    ("assert True, 'fine'\npass\nreturn 1", 1),
    ("'words'\nreturn 2", 2),
    ("x = 5\ny = [x for x in [1]]\nreturn x", 5),
    ("x = [1]\nreturn [x for x in x]", [1]),
    (
        "x = 0\nwhile True:\n    x += 1\n"
        "    for i in range(3):\n        break\n    if x < 3:\n        continue\n    return x",
        3,
    ),
]


@pytest.mark.parametrize(("body", "value"), BODIES)
def test_statements(body: str, value: Value) -> None:
    """A body returns exactly this."""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    result = run("@public\ndef f():\n" + lines)
    assert (result.code, result.text) == ("", "")
    assert strictly(result.value) == strictly(value)


def test_functions_constants_and_defaults() -> None:
    """Functions call what stands below them, with names and defaults; constants are seen everywhere."""
    source = (
        "LIMIT = -5\n@public\ndef f(x, y=2):\n    return [g(x), g(y, b=3), g(b=1, a=0), LIMIT]\n\n"
        "def g(a, b=10):\n    return a * b\n"
    )
    assert run(source, 7).value == [70, 6, 0, -5]
    assert run(source, 7, 1).value == [70, 3, 0, -5]


def test_arguments_are_evaluated_as_they_are_written() -> None:
    """Named arguments out of order keep the order of their effects."""
    source = (
        "@public\ndef f():\n    a = []\n    g(y=a.append(1), x=a.append(2))\n"
        "    scan(limit=h(a, 5), prefix='p')\n    return a\n"
        "def g(x, y):\n    pass\ndef h(a, x):\n    a.append(x)\n    return x\n"
    )
    assert run(source).value == [1, 2, 5]


def test_unassigned_variable_is_a_failure() -> None:
    """A variable that no path has assigned fails by name."""
    result = run("@public\ndef f(x):\n    if x:\n        y = 1\n    return y\n", False)
    assert (result.code, result.text) == ("contract.unbound", "line 5: y is not assigned yet")


def test_assert_and_fail_end_the_call_with_codes_only_in_the_code() -> None:
    """The words of a contract go to the developer's text, a dotted code goes behind `app.`."""
    result = run("@public\ndef f():\n    assert 1 > 2, f'no {1}'\n")
    assert (result.code, result.text) == ("contract.assertion", "line 3: no 1")
    result = run("@public\ndef f():\n    fail('voucher.not_found', 'which?')\n")
    assert (result.code, result.text) == ("app.voucher.not_found", "line 3: which?")
    assert run("@public\ndef f():\n    assert 0\n").code == "contract.assertion"
    assert run("@public\ndef f():\n    assert 0, [1]\n").text == "line 3: "
    assert len(run("@public\ndef f():\n    assert 0, 'a' * 100000\n").text) < 1000


def test_method_must_be_public() -> None:
    """Private functions and unknown names cannot be called; the list of methods has the public ones in order."""
    source = (
        b"@view\ndef b():\n    return 1\ndef hidden():\n    pass\n"
        b"@public\ndef a():\n    pass\ndef init(x):\n    put('x', x)\n"
    )
    program = engine.load(source)
    assert (program.methods, program.views) == (("b", "a", "init"), ("b",))
    host = MemoryHost()
    assert [host.call(program, name).code for name in ("hidden", "x", "__class__", "b")] == [
        "contract.method",
        "contract.method",
        "contract.method",
        "",
    ]


def test_init_runs_once_at_deployment_by_its_name() -> None:
    """`init` is one of the methods when there is one, for the ledger to call; without one there is none."""
    host = MemoryHost()
    assert host.call(engine.load(b"def init(x):\n    put('x', x)\n"), "init", 5).code == ""
    assert host.state == {b"x": b"\x05"}
    empty = engine.load(b"@public\ndef f():\n    pass\n")
    assert empty.methods == ("f",)
    assert host.call(empty, "init").code == "contract.method"


@pytest.mark.parametrize(
    "arguments",
    [[], [1, 2, 3], ["1"], [True], [None], [1, 1.5], [1, object()], [1, {True: 1}], [1, "\ud800"], [1, INT_MAX + 1]],
)
def test_wrong_arguments(arguments: list[Value]) -> None:
    """Too few, too many, of a wrong type, or no values at all: `contract.arguments`."""
    result = run("@public\ndef f(x: int, y=None):\n    return 1\n", *arguments)
    assert result.code == "contract.arguments"


def test_arguments_are_the_contracts_own_copy() -> None:
    """What a contract does to its arguments, the caller does not see."""
    given: list[Value] = [1]
    assert run("@public\ndef f(x: list):\n    x.append(2)\n    return x\n", given).value == [1, 2]
    assert given == [1]


def test_result_must_fit_a_receipt() -> None:
    """A result that is too long, too deep or inside itself fails as `contract.result`."""
    assert run("@public\ndef f():\n    return 'a' * 70000\n").code == "contract.result"
    assert run("@public\ndef f():\n    a = []\n    a.append(a)\n    return a\n").code == "contract.result"
    deep = "@public\ndef f():\n    a = []\n    for i in range(40):\n        a = [a]\n    return a\n"
    assert run(deep).code == "contract.result"


def test_failure_names_the_innermost_line() -> None:
    """The developer's text names the line that failed, not the one that called it."""
    result = run(
        "@public\ndef f():\n    if 1:\n        pass\n        g()\n\ndef g():\n    x = 1\n    y = x // 0\n    return y\n"
    )
    assert result.text == "line 9: division by zero"
