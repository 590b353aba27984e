"""What a contract cannot say, and what it cannot reach."""

import gc

import pytest

from zizhu.chain.contracts.script.engine import engine
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


@pytest.mark.parametrize("attempt", EXPRESSIONS)
def test_expression_is_refused(attempt: str) -> None:
    """No escape succeeds: attributes, formats, scopes, builtins, syntax that Pythons read differently. Each is
    refused before anything runs, or fails with a code."""
    for source in (in_function(f"y = {attempt}"), in_function(f"return {attempt}"), in_function(f"g({attempt})")):
        assert refused(source), source


@pytest.mark.parametrize("attempt", [line for line in STATEMENTS if line != "x = 1"])
def test_statement_is_refused(attempt: str) -> None:
    """No escape succeeds: statements that are not in the language are refused before anything runs."""
    assert problems(in_function(attempt)), attempt


@pytest.mark.parametrize("source", MODULES)
def test_module_is_refused(source: str) -> None:
    """No escape succeeds: decorators, parameters, defaults, top-level code, characters that hide something."""
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


def test_only_values_are_in_reach_of_a_contract() -> None:
    """The second layer behind the language: from every value a contract can hold, a walk through all objects it
    refers to finds only our types of value."""
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
