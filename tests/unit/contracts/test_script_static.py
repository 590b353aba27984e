"""Sources that are refused before they are compiled, limits that can be used up, and equal runs everywhere."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.contracts.port import CallResult
from zizhu.chain.contracts.script import prices
from zizhu.chain.contracts.script.engine import engine
from zizhu.chain.model.errors import AskedWrongly
from zizhu.framework.testkit.fakes.host import MemoryHost


def problems(source: str) -> list[str]:
    """Rules that a source breaks."""
    return [problem.rule for problem in engine.check(source.encode("utf-8", "surrogatepass"))]


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


@pytest.mark.parametrize("source", [source for _, source in E4], ids=[name for name, _ in E4])
def test_hostile_sources_are_refused_before_they_are_compiled(source: str) -> None:
    """Absurd numbers of functions, parameters, variables, constants, and absurd nesting are refused by static
    limits, before anything is compiled."""
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
    """Results, writes, events and steps are byte-equal under any hash seed, locale and time zone."""
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


TOKENS = """
def f ( ) : = == x y 1 2.5 'a' f'{x}' if elif else for in while return not and or is None lambda
yield await [ ] { } , . * ** + - // @public @view assert pass break del import class try é # f'{ }' b'
"""
WORDS = [
    *TOKENS.split(),
    "\n",
    "\n    ",
    "\n        ",
    "'" * 3,
    '"',
    "\\",
    "{x",
    "@public\ndef f(x):\n    return ",
    "\t",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join) | st.text(max_size=40) | st.binary(max_size=40))
def test_any_source_is_answered_with_problems_or_a_program(source: str | bytes) -> None:
    """Whatever is checked has problems or loads; nothing else is raised."""
    data = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if engine.check(data):
        with pytest.raises(AskedWrongly):
            engine.load(data)
    else:
        engine.load(data)


def test_variables_are_found_in_the_last_of_many_branches() -> None:
    """A variable that only the last of many branches inside many branches assigns is a variable."""
    branches = "".join(f"    elif x == {number}:\n        pass\n" for number in range(60))
    deeper = branches.replace("        pass", "            pass").replace("    elif", "        elif")
    source = (
        f"@public\ndef f(x):\n    if x == -1:\n        pass\n{branches}    else:\n        pass\n"
        f"        if x == -3:\n            pass\n{deeper}        else:\n            y = 5\n            return y\n"
    )
    assert MemoryHost().call(engine.load(source.encode()), "f", 99).value == 5
