"""What a contract cannot say, and what it cannot reach."""

import gc
import os
import subprocess
import sys

import pytest

from zizhu.chain.contracts.port import CallResult
from zizhu.chain.contracts.script import prices
from zizhu.chain.contracts.script.engine import engine
from zizhu.chain.model.errors import AskedWrongly
from zizhu.framework.testkit.fakes.host import MemoryHost

EXPRESSIONS = r'''
x.__class__
x.__class__()
().__class__.__bases__[0].__subclasses__()
"".__class__.__mro__
[].__len__()
"a".__add__("b")
x.__getattribute__("y")
(1).real
(1).bit_length()
"{0.__class__}".format(x)
"{}".format_map({})
"a".format("b")
"%s" .__mod__(1)
f"{x.__class__}"
f"{x!r}"
f"{x!s}"
f"{x!a}"
f"{x:>10}"
f"{x:{x}}"
f"{x=}"
f"{'a'}"
f"{"a"}"
f"{x:"
f"{x}}"
f"{{x}"
f"{lambda: 1}"
f"{(yield)}"
f"{x\n}"
f"\N{DIGIT ONE}"
"\N{DIGIT ONE}"
"\d"
"\0"
"\777"
r"a"
u"a"
rb"a"
fr"{x}"
t"{x}"
F"{x}"
B"a"
"\ud800"
b"\u0041"
b"é"
(lambda: 1)()
lambda a: a
(x := 5)
[y := 1, y]
[z for z in (y := [1])]
(y for y in [1])
sum(y for y in [1])
{1, 2}
{y for y in [1]}
{**{}}
{"a": 1, **x}
[*x]
g(*x)
g(**x)
g(*[1])
max(*[1, 2])
(1, 2)
1,
()
(*x,)
await x
[y async for y in x]
(yield)
(yield from x)
1.5
.5
1.
1e5
1j
5 / 2
x @ x
...
Ellipsis
NotImplemented
__name__
__builtins__
__import__("os")
__debug__
_x.__dict__
eval("1")
exec("1")
compile("1", "", "eval")
open("/etc/passwd")
input()
print(1)
globals()
locals()
vars()
dir()
id(x)
hash(x)
repr(x)
type(x)
isinstance(x, int)
getattr(x, "__class__")
setattr(x, "a", 1)
hasattr(x, "a")
delattr(x, "a")
callable(x)
object()
super()
property(x)
staticmethod(x)
classmethod(x)
memoryview(b"")
bytearray(b"")
bytes(5)
bytes.fromhex("00")
str.join
str.format("a")
int.from_bytes(b"")
dict.fromkeys([1])
frozenset()
set()
tuple()
float(1)
complex(1)
round(1)
pow(2, 3)
divmod(1, 2)
chr(65)
ord("a")
bin(1)
hex(1)
oct(1)
ascii("a")
format(1, "x")
map(g, x)
filter(g, x)
iter(x)
next(x)
slice(1)
any(x)
all(x)
breakpoint()
exit()
quit()
help()
license()
g
g.__globals__
g.__code__
g().__class__
g()()
[g][0]()
(g if x else g)()
len
len.__self__
put.__globals__
[].append
x.append
x.sort()
x.sort(key=g)
sorted(x, key=g)
x.copy()
x.translate({})
x.maketrans("a", "b")
x.casefold()
x.title()
x.isnumeric()
x.zfill(5)
x.center(5)
x.ljust(5)
x.expandtabs()
x.partition("a")
x.rsplit("a")
x.rfind("a")
x.splitlines()
x.encode("idna")
x.decode("unicode_escape")
x.split()
x.isspace()
x.isidentifier()
x.popitem()
x.fromkeys([])
x.gi_frame
x.cr_frame
x.f_back
x.tb_frame
x.mro()
x.func_globals
x is x
x is 1
x is not True
x[1:2, 3]
x[...]
x[1, 2]
x[*x]
x <> 1
x if x
not
1 if x else
x++
`x`
x ? 1 : 2
x && x
!x
$x
x; x
0777
0o17
0b11
0xg
1__0
1_
1if x else 2
0x1for y in x
é
ｘ
x\
'abc
"""abc
[for y in x]
[y for y, *z in x]
[y for x[0] in x]
[y for y.a in x]
{y for y in x for z in x}
self
cls
init()
exc
'''.strip().split("\n")

STATEMENTS = r"""
from os import path
from __future__ import annotations
global x
nonlocal x
del x
del x[0]
del x.a
raise x
raise ValueError("a")
try:~    pass~except:~    pass
try:~    pass~finally:~    pass
try:~    pass~except* ValueError:~    pass
with x:~    pass
async with x:~    pass
async for y in x:~    pass
async def h():~    pass
def h():~    pass
class A:~    pass
match x:~    case 1:~        pass
match x:~    case {"__class__": y}:~        pass
for y in x:~    pass~else:~    pass
while x:~    pass~else:~    pass
x: int = 5
x: int
x = y = 1
x = *y, 1
*x, y = [1, 2]
(x, (y, z)) = [1, [2, 3]]
x.a = 1
x.a += 1
x[0:1] = [1]
x[0:1] += [1]
x, y += 1
g() = 1
g().a = 1
x = 1, 2
return 1, 2
yield x
x
1
"a" + "b"
x if x else x
lambda: x
(x := 1)
break
continue
type X = int
print x
exec "1"
len = 5
get = 5
g = 5
f = 5
LIMIT = 5
__x = 5
__builtins__ = 5
for __y in x:~    pass
for len in x:~    pass
[len for len in x]
x = [g for g in x]
x = [__y for __y in x]
x /= 2
x @= 2
x := 1
x = 1;
if x: pass; pass
return return
g(1)
g(a=1)
h()
get()
get("a", "b", "c")
get(key="a", key="b")
get("a", key="b")
get("a", nothing=1)
scan("a", **x)
max()
max(1, key=g)
zip()
x.append(item=1)
assert (x, "a")
assert
pass pass
	x = 1
x = 1
""".strip("\n").split("\n")

MODULES = [
    "@public\nclass A:\n    pass",
    "@eval\ndef f():\n    pass",
    "@public()\ndef f():\n    pass",
    "@public\n@view\ndef f():\n    pass",
    "@public\ndef init():\n    pass",
    "@public.x\ndef f():\n    pass",
    "@(lambda f: f)\ndef f():\n    pass",
    "def f(*a):\n    pass",
    "def f(**a):\n    pass",
    "def f(a, /):\n    pass",
    "def f(*, a):\n    pass",
    "def f(a, a):\n    pass",
    "def f(len):\n    pass",
    "def f(__a):\n    pass",
    "def f(f):\n    pass",
    "def f(a=[]):\n    pass",
    "def f(a={}):\n    pass",
    "def f(a=g()):\n    pass",
    "def f(a=A):\n    pass",
    "def f(a: A):\n    pass",
    "def f(a: eval('1')):\n    pass",
    "def f(a: 'int'):\n    pass",
    "def f(a: list[int]):\n    pass",
    "def f() -> int:\n    pass",
    "def f[T]():\n    pass",
    "def len():\n    pass",
    "def put():\n    pass",
    "def __init__():\n    pass",
    "def f():\n    pass\ndef f():\n    pass",
    "f = 1\ndef f():\n    pass",
    "a = 1\na = 2",
    "a = []",
    "a = {}",
    "a = 1 + 1",
    "a = g()",
    "a = b = 1",
    "a, b = 1, 2",
    "a = b'a'[0]",
    "a = f'{1}'",
    "a = --1.5",
    "a += 1",
    "len(5)",
    "import os",
    "if 1:\n    pass",
    "for x in [1]:\n    pass",
    "while 1:\n    pass",
    "async def f():\n    pass",
    "'words'\n'more words'",
    "return 1",
    "x = 1\r\n",
    "x = 1\x0c",
    "x = 1\x00",
    "\ufeffx = 1",
    "# \u202e reversed",
    "x = '\u2066'",
    "x = 'a\u200f'",
    "x = \u00a01",
    "x = 1 \\\n",
    "def f():\n  pass\n   pass",
    "x = (1",
    "x = 1)",
    "x = [1)",
    "é = 1",
    "x = 0x" + "f" * 65,
    "x = " + "9" * 78,
    "x = " + "9" * 5000,
    "a" * 65 + " = 1",
]


def problems(source: str) -> list[str]:
    """Rules that a source breaks."""
    return [problem.rule for problem in engine.check(source.encode("utf-8", "surrogatepass"))]


def in_function(lines: str) -> str:
    """Statements as the body of a method, with names to play with."""
    body = "".join(f"    {line}\n" for line in lines.split("~"))
    return f"LIMIT = 1\n@public\ndef f(x, y=0, _x=0):\n{body}\ndef g():\n    return 1\n"


@pytest.mark.row("E-9")
@pytest.mark.parametrize("attempt", EXPRESSIONS)
def test_expression_is_refused(attempt: str) -> None:
    """Given a corpus of known escapes; Then 0 succeed: attributes, formats, scopes, builtins, syntax that
    Pythons read differently. Each is refused before anything runs, or fails with a code of its own."""
    for source in (in_function(f"y = {attempt}"), in_function(f"return {attempt}"), in_function(f"g({attempt})")):
        assert refused(source), source


@pytest.mark.row("E-9")
@pytest.mark.parametrize("attempt", [line for line in STATEMENTS if line != "x = 1"])
def test_statement_is_refused(attempt: str) -> None:
    """Then 0 succeed: statements that are not in the language are refused before anything runs."""
    assert problems(in_function(attempt)), attempt


@pytest.mark.row("E-9")
@pytest.mark.parametrize("source", MODULES)
def test_module_is_refused(source: str) -> None:
    """Then 0 succeed: decorators, parameters, defaults, top-level code, characters that hide something."""
    rules = problems(source)
    assert rules and all(rule.startswith("script.") for rule in rules)


def refused(source: str) -> bool:
    """Whether a source has problems, or its method `f` fails."""
    if problems(source):
        return True
    result = MemoryHost().call(engine.load(source.encode()), "f", ["a"])
    return result.code.startswith("contract.")


def test_the_frame_of_the_corpus_is_good() -> None:
    """What stands around the attempts is a contract, so it is the attempt that is refused."""
    assert problems(in_function("y = x")) == []
    assert problems("x = 1\n\n@public\ndef f(a: int, b=-1):\n    'words'\n    return a\n") == []


def test_corpus_is_large() -> None:
    """At least 300 attempts, no two the same."""
    attempts = [*EXPRESSIONS, *STATEMENTS, *MODULES]
    assert len(attempts) == len(dict.fromkeys(attempts, True)) >= 300


REACH = b"""
@public
def f(argument):
    values = [argument, caller(), origin(), contract_id(), transaction_id(), height(), time_ms(), None, True]
    values.extend([get("k"), scan("", limit=5), hash("sm3", b""), verify(1, b"", b"", b""), put("p", 1), delete("q")])
    values.extend([emit("e", 1), range(3), sorted([2, 1]), enumerate(["a"]), zip([1], [2]), reversed([1]), list("ab")])
    values.extend(["a,b".split(","), {"a": 1}.items(), {"a": 1}.keys(), {1: 2}.values(), [1].append(2), {}.get(1)])
    values.extend([pack([1]), unpack(pack({"a": [1]})), copy([[1]]), f"{1}", "a" * 2, [x for x in range(2)]])
    values.extend([{k: [v] for k, v in [[1, 2]]}, 2 ** 255, b"a"[0], "abc"[::2], min(1, 2), 1 == 1, not 1, g(), h([])])
    for i, x in enumerate(values):
        values[i] = [i, x]
    return values

def g():
    pass

def h(x):
    y = x
    y += [1]
    return y
"""


@pytest.mark.row("E-9")
def test_only_values_are_in_reach_of_a_contract() -> None:
    """For `script` the second layer is reachability: from every value a contract can hold, a walk of the object
    graph finds only our value types."""
    host = MemoryHost(state={b"k": b"\x81\xa1a\x91\x01"})
    result = host.call(engine.load(REACH), "f", {"a": [1, b"x", None], b"k": {1: 1 << 200}})
    assert result.code == ""
    seen: dict[int, object] = {}
    waiting: list[object] = [result.value]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        assert type(item) in (type(None), bool, int, str, bytes, list, dict), item
        waiting.extend(gc.get_referents(item))
    assert len(seen) > 50


E4 = [
    ("functions", "".join(f"def f{i}():\n    pass\n" for i in range(300))),
    ("hundred thousand functions", "def f():\n pass\n" * 100_000),
    ("parameters", f"def f({', '.join(f'a{i}' for i in range(17))}):\n    pass\n"),
    ("thousands of parameters", f"def f({', '.join(f'a{i}' for i in range(20_000))}):\n    pass\n"),
    ("variables", "def f():\n" + "".join(f"    a{i} = 1\n" for i in range(129))),
    ("comprehension variables", "def f():\n" + "    x = [a for a in [1] for b in [2]]\n" * 65),
    ("constants", "".join(f"a{i} = 1\n" for i in range(257))),
    ("brackets", "a = " + "(" * 33 + "1" + ")" * 33),
    ("ten thousand brackets", "a = " + "[" * 10_000),
    ("unary", "def f():\n    return " + "-" * 1_900 + "1"),
    ("not", "def f():\n    return " + "not " * 1_900 + "1"),
    ("sum", "def f():\n    return " + "+".join("1" * 900)),
    ("long sum", "def f():\n    return " + "+".join("1" * 30_000)),
    ("power", "def f():\n    return " + "**".join("1" * 900)),
    ("choice", "def f():\n    return " + "1 if 1 else " * 400 + "1"),
    ("methods", "def f(x):\n    return x" + ".strip()" * 300),
    ("subscripts", "def f(x):\n    return x" + "[0]" * 400),
    ("elif", "def f(x):\n    if x:\n        pass\n" + "    elif x:\n        pass\n" * 70),
    ("ten thousand elif", "def f(x):\n    if x:\n        pass\n" + "    elif x:\n        pass\n" * 5_000),
    ("blocks", "def f(x):\n" + "".join("  " * i + " if x:\n" for i in range(1, 13)) + " " * 40 + "pass\n"),
    ("hundred blocks", "def f(x):\n" + "".join(" " * i + "if x:\n" for i in range(1, 100)) + " " * 100 + "pass\n"),
    (
        "else if",
        "def f(x):\n"
        + "".join(" " * i + "if x:\n" + " " * i + " pass\n" + " " * i + "else:\n" for i in range(1, 70))
        + " " * 70
        + "pass\n",
    ),
    ("nodes", "def f():\n" + "    x = [" + "1," * 900 + "]\n" + ("    x = [" + "1," * 900 + "]\n") * 35),
    ("line", "def f():\n    return [" + "1," * 5_000 + "]\n"),
    ("source", "#" * (prices.SOURCE_BYTES_MAX + 1)),
    ("arguments", "def f():\n    return max(" + "1," * 17 + ")\n"),
    ("named arguments", "def f():\n    return f(" + ",".join(f"a{i}=1" for i in range(300)) + ")\n"),
    ("f-string field", "def f(x):\n    return f'{" + "(" * 150 + "x" + ")" * 150 + "}'"),
    ("long f-string field", "def f(x):\n    return f'{" + "x+" * 150 + "x}'"),
    ("comparisons", "def f(x):\n    return " + "(x < " * 30 + "x" + ")" * 30),
    ("comprehensions", "def f(x):\n    return " + "[" * 13 + "y" + " for y in x]" * 13),
    ("quotes", "a = " + "'''" * 10_001),
    ("not UTF-8", "a = '\udcff'"),
]


@pytest.mark.row("E-4")
@pytest.mark.parametrize("source", [source for _, source in E4], ids=[name for name, _ in E4])
def test_hostile_sources_are_refused_before_they_are_compiled(source: str) -> None:
    """Given hostile sources (functions, params, locals, nesting, constants); Then validation refuses by static
    limits before compile."""
    data = source.encode("utf-8", "surrogateescape")
    found = engine.check(data)
    assert found and all(problem.rule.startswith("script.") for problem in found)
    with pytest.raises(AskedWrongly) as refusal:
        engine.load(data)
    assert refusal.value.code.code == "contract.source"
    assert refusal.value.values["line"] == found[0].line


GOOD = [
    f"def f({', '.join(f'a{i}' for i in range(16))}):\n    pass\n",
    "def f():\n" + "".join(f"    a{i} = 1\n" for i in range(128)),
    "def f(x):\n    if x:\n        pass\n" + "    elif x:\n        pass\n" * 63,
    "def f(x):\n" + "".join("  " * i + " if x:\n" for i in range(1, 11)) + " " * 40 + "pass\n",
    "".join(f"def f{i}():\n    pass\n" for i in range(256)),
    "".join(f"a{i} = 1\n" for i in range(256)),
    "def f():\n    return " + "-" * 24 + "1",
    "def f():\n    return [" + "1," * 900 + "]\n",
    "# " + "链" * 40_000,
    f"a = {(1 << 256) - 1}\nb = -{(1 << 256) - 1}\n",
]


@pytest.mark.parametrize("source", GOOD)
def test_static_limits_are_reached(source: str) -> None:
    """Each limit can be used up."""
    assert problems(source) == []


def test_all_problems_are_listed_in_order() -> None:
    """A check names every broken rule with its line and column."""
    source = "@public\ndef f(x):\n    y = x.__class__\n    del x\n    return z / 2\n"
    found = [(problem.line, problem.column, problem.rule) for problem in engine.check(source.encode())]
    assert found == [
        (3, 8, "script.construct"),
        (4, 4, "script.construct"),
        (5, 11, "script.construct"),
        (5, 11, "script.unknown_name"),
    ]


DETERMINISM = """
import sys
sys.path[:0] = {path!r}
from zizhu.chain.contracts.script.engine import engine
from zizhu.framework.testkit.fakes.host import MemoryHost
source = '''
@public
def f():
    d = {{}}
    for word in ["one", "two", "three", "four", "five", "six", "seven"]:
        d[word] = len(word)
        d[word.encode()] = d
    put("k", [d.keys(), "one" in d, sorted(["b", "a"]), {{k: 1 for k in d}}])
    for k in d:
        d[k] = 0
    emit("e", d)
    return [d, d == copy(d), hash("sm3", pack(d))]
'''
host = MemoryHost()
print(host.call(engine.load(source.encode()), "f"), host.state, host.events)
"""


@pytest.mark.row("D-1")
def test_hash_seed_locale_and_zone_change_nothing() -> None:
    """Given the same block; When executed under PYTHONHASHSEED 0, 1, random, different locale/TZ; Then roots,
    receipts, gas byte-equal."""
    script = DETERMINISM.format(path=sys.path)
    outputs: list[bytes] = []
    for seed, locale, zone in (("0", "C", "UTC"), ("1", "tr_TR.UTF-8", "Asia/Shanghai"), ("random", "C.UTF-8", "")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": zone}
        outputs.append(
            subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True).stdout
        )
    assert outputs[0] == outputs[1] == outputs[2]
    assert b"code=''" in outputs[0]


def test_program_keeps_nothing_between_calls() -> None:
    """Two calls of one program are strangers: only the host's state is between them."""
    source = b"A = 'a'\n@public\ndef f(x=1):\n    y = [x]\n    y.append(A)\n    x = 5\n    return y\n"
    program = engine.load(source)
    results: list[CallResult] = [MemoryHost().call(program, "f") for _ in range(2)]
    assert results[0] == results[1] and results[0].value == [1, "a"]
