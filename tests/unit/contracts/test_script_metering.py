"""Steps, memory and depth of script calls: charged exactly, the same always, and never more than allowed."""

import sys
from types import FrameType

import pytest

from zizhu.chain.contracts.port import CallResult
from zizhu.chain.contracts.script import prices
from zizhu.chain.contracts.script.engine import engine
from zizhu.framework.testkit.fakes.host import MemoryHost

EVERYTHING = b"""
RATE = 3

@public
def f(n: int):
    total = 0
    log = []
    for i in range(n):
        if i % 2 and i > 1:
            total += RATE * i
        elif i == 0:
            total = total + g(i)
        else:
            continue
        log.append(f"{i}:{total}")
    while total > 5:
        total //= 2
    put("log", log)
    put("total", {"total": total, "squares": [x * x for x in range(3)]})
    emit("done", {"total": total})
    delete("old")
    pairs = {k: v for k, v in scan("", limit=5)}
    assert get("total")["total"] == total, "stored"
    h = hash("sha256", pack([total, caller(), height()]))
    emit("hash", h)
    return [h.hex(), ",".join(log), sorted([3, 1, 2]), len(pairs), verify(1, b"k", h, b"s")]

def g(x, y=4):
    if x < 1:
        return g(x + 1) + y
    return x
"""


def outcome(steps_max: int) -> tuple[CallResult, list[tuple[str, bytes]], dict[bytes, bytes]]:
    """One call of everything above on a fresh host."""
    host = MemoryHost(state={b"old": b"\x01"})
    result = host.call(engine.load(EVERYTHING), "f", 5, steps_max=steps_max)
    return result, host.events, host.state


@pytest.mark.row("D-3")
def test_out_of_steps_at_every_budget_gives_equal_outcomes() -> None:
    """A transaction that runs out of steps at any possible step has equal steps, receipt and events on all members.
    Here two members: one that keeps its program, one that loads it for this call."""
    full, events, state = outcome(1_000_000)
    assert full.code == "" and len(events) == 2 and sorted(state) == [b"log", b"total"]
    program = engine.load(EVERYTHING)
    for budget in range(full.steps):
        host = MemoryHost(state={b"old": b"\x01"})
        result = host.call(program, "f", 5, steps_max=budget)
        assert (result.code, result.steps, result.value) == ("contract.out_of_steps", budget, None)
        assert (host.events, host.state) == ([], {b"old": b"\x01"})
        if budget % 40 == 0:
            assert outcome(budget) == (result, host.events, host.state)
    assert outcome(full.steps) == (full, events, state)


def test_a_prefix_of_the_host_calls_whatever_the_budget() -> None:
    """With fewer steps a call does the same, only not to the end: the host sees a prefix of its calls."""
    program = engine.load(EVERYTHING)
    whole = MemoryHost()
    steps = program.call("f", [5], whole, steps_max=1_000_000).steps
    for budget in range(0, steps, 7):
        host = MemoryHost()
        program.call("f", [5], host, steps_max=budget)
        assert host.calls == whole.calls[: len(host.calls)]


RECURSIVE = """
def g():
    return g() + 1

def h(x):
    return k([x, h(x + 1)])

def k(x):
    return h(x)
"""
ATTACKS: list[tuple[str, str]] = [
    ("return 'a' * 10 ** 9", "out_of_steps"),
    ("return b'a' * 10 ** 70", "out_of_steps"),
    ("return [0] * 10 ** 9", "out_of_steps"),
    ("return 2 ** (2 ** 100)", "overflow"),
    ("return 1 << 10 ** 9", "overflow"),
    ("return int('9' * 10 ** 6)", "value"),
    ("return range(10 ** 18)", "out_of_steps"),
    ("return [x for x in range(10 ** 18)]", "out_of_steps"),
    ("for x in range(2 ** 200):\n    pass", "out_of_steps"),
    ("while True:\n    pass", "out_of_steps"),
    ("a = [1]\nwhile True:\n    a += a", "memory"),
    ("a = [1]\nwhile True:\n    a = a + a", "memory"),
    ("a = [1]\nfor x in a:\n    a.append(x)", "out_of_steps"),
    ("a = 'a'\nwhile True:\n    a = a + a", "out_of_steps"),
    ("a = 'a'\nwhile True:\n    a = f'{a}{a}'", "out_of_steps"),
    ("a = 'a' * 1000\nwhile True:\n    a = a.replace('a', a)", "out_of_steps"),
    ("a = ['a' * 10 ** 6] * 1000\nreturn ''.join(a)", "out_of_steps"),
    ("a = [1]\nfor i in range(60):\n    a = [a, a]\nreturn a == copy(a)", "depth"),
    ("a = [1]\nb = [1]\nfor i in range(30):\n    a = [a, a]\n    b = [b, b]\nreturn a == b", "out_of_steps"),
    ("a = [1]\nfor i in range(30):\n    a = [a, a]\nreturn copy(a)", "out_of_steps"),
    ("a = [1]\nfor i in range(30):\n    a = [a, a]\nput('a', a)", "value"),
    ("a = [1]\nfor i in range(30):\n    a = [a, a]\nreturn a", "result"),
    ("a = []\nfor i in range(100000):\n    a = [a]\nput('a', a)", "value"),
    ("a = []\nb = []\nfor i in range(50):\n    a = [a]\n    b = [b]\nreturn a == b", "depth"),
    ("a = []\na.append(a)\nb = []\nb.append(b)\nreturn a == b", "depth"),
    ("a = []\na.append(a)\nreturn copy(a)", "depth"),
    ("a = {}\na['a'] = a\nput('a', a)", "value"),
    ("a = 'ab' * 500000\nwhile True:\n    a.count('aab')", "out_of_steps"),
    ("a = 'a' * 30000\nb = 'a' * 49 + 'b' + 'a' * 49\nwhile True:\n    a.find(b)", "out_of_steps"),
    ("a = [0] * 200000\nwhile True:\n    a.insert(0, a.pop())", "out_of_steps"),
    ("a = list(range(200000))\nwhile True:\n    sorted(a)", "out_of_steps"),
    ("a = list(range(200000))\nwhile True:\n    x = -1 in a", "out_of_steps"),
    ("a = ['a' * 30000 + str(x) for x in range(500)]\nwhile True:\n    sorted(a)", "out_of_steps"),
    ("a = 'a' * 1000000\nb = 'a' * 1000000\nwhile a == b:\n    pass", "out_of_steps"),
    ("d = {}\nwhile True:\n    d[len(d)] = 1", "out_of_steps"),
    ("a = 'a,' * 500000\nwhile True:\n    a.split(',')", "memory"),
    ("while True:\n    hash('sm3', b'a' * 100000)", "out_of_steps"),
    ("while True:\n    verify(1, b'', b'', b'')", "out_of_steps"),
    ("while True:\n    x = 2 ** 255 // 3 * 2 % (2 ** 250 + 1)", "out_of_steps"),
    ("return h(h)", "script.construct"),
    ("g()", "depth"),
    ("h(1)", "depth"),
]


@pytest.mark.parametrize(("body", "code"), ATTACKS)
def test_resource_attacks_end_soon(body: str, code: str) -> None:
    """Every attack is stopped by a code of its own, before it makes what it asks for: 1,500,000 steps and 64 MiB
    are all it gets. (Time per step is measured by the bench, not here.)"""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    source = f"@public\ndef f():\n{lines}{RECURSIVE}"
    problems = engine.check(source.encode())
    if problems:
        assert problems[0].rule == code
        return
    result = MemoryHost().call(engine.load(source.encode()), "f", steps_max=1_500_000)
    assert result.code == f"contract.{code}"
    assert result.steps <= 1_500_000


def deepest() -> bytes:
    """A contract whose every call takes as many frames of Python as the static limits allow."""
    call = "g(n + 1)"
    for _ in range(prices.EXPRESSION_DEPTH_MAX // 2 - 2):
        call = f"[{call} for a in [0]]"
    lines = ["@public", "def f(n):", "    return g(n)", "def g(n):"]
    for depth in range(prices.BLOCKS_MAX - 1):
        indent = "    " * (depth + 1)
        lines.append(f"{indent}for i{depth} in [0]:" if depth % 2 else f"{indent}while True:")
    lines.append("    " * prices.BLOCKS_MAX + f"return len({call})")
    return "\n".join(lines).encode()


class Sounding(MemoryHost):
    """A host that notes how deep in Python's stack it was called."""

    depth = 0

    def get(self, key: bytes) -> bytes | None:
        """Notes the depth, and has nothing."""
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            self.depth += 1
            frame = frame.f_back
        return None


@pytest.mark.row("E-3")
def test_recursion_stops_at_its_own_depth_before_pythons() -> None:
    """Recursion within a contract ends at the stated depth with its steps charged; RecursionError and MemoryError
    never reach the consensus process. The contract nests its calls in the deepest expressions allowed."""
    result = MemoryHost().call(engine.load(deepest()), "f", 0)
    assert result.code == "contract.depth"
    assert result.steps > prices.CALL_DEPTH_MAX * prices.CALL_FUNCTION
    # And the deepest call sees how much of Python's own limit is left.
    source = deepest().replace(b"def g(n):", b"def g(n):\n    if n == 62:\n        get('x')\n        return 0")
    host = Sounding()
    result = host.call(engine.load(source), "f", 0)
    assert (result.code, result.text) == ("", "")
    assert prices.CALL_DEPTH_MAX * 30 < host.depth < prices.CALL_DEPTH_MAX * prices.FRAMES_PER_CALL


def test_depth_is_exact() -> None:
    """64 calls inside each other are allowed, 65 are not; depth is given back on return."""
    source = b"@public\ndef f(n):\n    if n > 1:\n        f(n - 1)\n        f(1)\n    return n\n"
    program = engine.load(source)
    assert MemoryHost().call(program, "f", 64).code == ""
    assert MemoryHost().call(program, "f", 65).code == "contract.depth"


def test_memory_is_counted_when_allocated_not_when_kept() -> None:
    """Garbage counts: 64 MiB in all, however little is alive."""
    source = b"@public\ndef f(n):\n    for i in range(n):\n        'a' * 1000000\n".replace(b"'a' * 1", b"x = 'a' * 1")
    program = engine.load(source)
    assert MemoryHost().call(program, "f", 67, steps_max=10**9).code == ""
    assert MemoryHost().call(program, "f", 68, steps_max=10**9).code == "contract.memory"


def test_price_grows_with_size() -> None:
    """Each operation on ten times as much costs more steps."""
    sized = [
        "len('a' * n)",
        "'a' * n == 'b' * n",
        "'a' * n < 'b' * n",
        "[0] * n",
        "[0] * n == [0] * n",
        "5 in [0] * n",
        "'ab' in 'a' * n",
        "('a' * n)[1:]",
        "f'{1}' + 'a' * n",
        "('a' * n).split('b')",
        "('a' * n).encode().hex()",
        "('a' * n).upper()",
        "sorted([0] * n)",
        "pack([0] * n)",
        "unpack(pack([0] * n))",
        "{'a' * n: 1}",
        "hash('sm3', b'a' * n)",
        "put('k', 'a' * n)",
        "emit('e', b'a' * n)",
        "[x for x in range(n)]",
        "copy([0] * n)",
        "range(n)",
        "reversed([0] * n)",
    ]
    for expression in sized:
        program = engine.load(f"@public\ndef f(n):\n    x = {expression}\n".encode())
        small = MemoryHost().call(program, "f", 1_000)
        large = MemoryHost().call(program, "f", 10_000)
        assert (small.code, large.code) == ("", ""), expression
        assert large.steps >= small.steps + 9_000 // 64, expression
