"""What contracts get from the host: names, copies, charges, refusals."""

import pytest

from zizhu.chain.contracts.port import CallResult, HostRefusal, StepsExhausted
from zizhu.chain.contracts.script import prices
from zizhu.chain.contracts.script.engine import engine
from zizhu.chain.contracts.script.functions import PURE
from zizhu.chain.contracts.script.hosting import HOST
from zizhu.chain.model.value import decode_value, encode_value
from zizhu.framework.testkit.fakes.host import MemoryHost


def run(host: MemoryHost, body: str, *, steps_max: int = 1_000_000, kind: str = "public") -> CallResult:
    """Runs lines as the body of a method."""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return host.call(engine.load(f"@{kind}\ndef f():\n{lines}".encode()), "f", steps_max=steps_max)


@pytest.mark.row("D-6")
def test_host_functions_are_exactly_these() -> None:
    """Every host function is a function of (state at h, transaction, block header): an allow-list says so; clock,
    dice, environment and network are absent."""
    assert [(builtin.name, builtin.parameters) for builtin in HOST] == [
        ("get", ("key", "default")),
        ("put", ("key", "value")),
        ("delete", ("key",)),
        ("scan", ("prefix", "after", "limit")),
        ("emit", ("name", "value")),
        ("caller", ()),
        ("origin", ()),
        ("contract_id", ()),
        ("transaction_id", ()),
        ("height", ()),
        ("time_ms", ()),
        ("verify", ("suite", "public_key", "message", "signature")),
        ("hash", ("algorithm", "data")),
    ]
    assert [builtin.name for builtin in PURE] == [
        "len",
        "range",
        "min",
        "max",
        "sum",
        "abs",
        "sorted",
        "reversed",
        "enumerate",
        "zip",
        "list",
        "dict",
        "copy",
        "str",
        "int",
        "bool",
        "type_name",
        "to_bytes",
        "to_int",
        "from_hex",
        "pack",
        "unpack",
        "fail",
    ]


def test_facts_of_the_call() -> None:
    """A contract sees who called, the transaction and the block header, nothing else."""
    host = MemoryHost(
        caller=b"a" * 20, origin=b"o" * 20, contract=b"c" * 20, transaction=b"t" * 32, height=9, time_ms=5
    )
    result = run(host, "return [caller(), origin(), contract_id(), transaction_id(), height(), time_ms()]")
    assert result.value == [b"a" * 20, b"o" * 20, b"c" * 20, b"t" * 32, 9, 5]


def test_state_holds_values_under_keys_of_text_or_bytes() -> None:
    """A key is bytes, text means its UTF-8; any value can be kept; absence is None or the default."""
    host = MemoryHost()
    body = "put('链', {'a': [1, None]})\nput(b'b', 2)\ndelete('c')\n"
    body += "x = [get('链'.encode()), get('b'), get('c'), get('c', 5)]"
    assert run(host, body + "\ndelete(b'b')\nreturn x").value == [{"a": [1, None]}, 2, None, 5]
    assert host.state == {"链".encode(): encode_value({"a": [1, None]})}


def test_scan_is_ascending_bounded_and_continues() -> None:
    """Entries come by key, at most `limit`, behind `after`; keys are bytes."""
    host = MemoryHost(state={b"p%d" % number: encode_value(number) for number in range(5)} | {b"q": b"\x01"})
    assert run(host, "return scan('p', limit=2)").value == [[b"p0", 0], [b"p1", 1]]
    assert run(host, "return scan('p', after='p2')").value == [[b"p3", 3], [b"p4", 4]]
    assert run(host, "return len(scan(''))").value == 6


@pytest.mark.row("D-8")
def test_what_the_host_returns_are_copies() -> None:
    """What a host function returns is a copy: changing it changes nothing that is read again."""
    host = MemoryHost(state={b"k": encode_value([1])})
    assert run(host, "a = get('k')\na.append(2)\nb = scan('k')[0][1]\nb.append(3)\nreturn [a, b, get('k')]").value == [
        [1, 2],
        [1, 3],
        [1],
    ]
    assert run(host, "a = [1]\nput('k', a)\na.append(2)\nreturn get('k')").value == [1]
    assert run(host, "a = [1]\nemit('e', a)\na.append(2)").code == ""
    assert decode_value(host.events[0][1]) == [1]


def test_events_and_writes_of_a_call_are_encoded_values() -> None:
    """The host gets names as text and values as canonical bytes."""
    host = MemoryHost()
    assert run(host, "emit('paid', {'to': caller(), 'amount': 2 ** 100})").code == ""
    assert host.events == [("paid", encode_value({"to": host.caller, "amount": 2**100}))]


def test_verify_and_hash() -> None:
    """Signatures and hashes are the host's; an unknown algorithm is its refusal."""
    host = MemoryHost(good_signatures=[(1, b"k", b"m", b"s")])
    assert run(host, "return [verify(1, b'k', b'm', b's'), verify(9, b'k', b'm', b's')]").value == [True, False]
    assert run(host, "return len(hash('sm3', b'a'))").value == 32
    assert run(host, "return hash('md5', b'a')").code == "contract.hash_algorithm"


CALLS = {
    "get": "get('a')",
    "put": "put('a', 1)",
    "delete": "delete('a')",
    "scan": "scan('a')",
    "emit": "emit('a', 1)",
    "verify": "verify(1, b'', b'', b'')",
    "hash": "hash('sm3', b'')",
}


@pytest.mark.row("E-2")
@pytest.mark.parametrize("name", CALLS)
def test_refusal_of_each_host_function_is_charged(name: str) -> None:
    """A host function that raises costs its steps, fails its transaction, and leaves the member alive."""
    host = MemoryHost(refuse={name: "host.refused"})
    result = run(host, f"x = [1, 2, 3]\n{CALLS[name]}\nput('never', 1)")
    assert (result.code, result.value, host.calls) == ("host.refused", None, [name])
    assert result.steps > prices.CALL + prices.HOST_HASH
    good = run(MemoryHost(), f"x = [1, 2, 3]\n{CALLS[name]}\n{CALLS[name]}")
    assert good.code == "" and result.steps < good.steps


class Exhausted(MemoryHost):
    """A host that says itself that the steps are used up."""

    def get(self, key: bytes) -> bytes | None:
        """Ends the call."""
        raise StepsExhausted


def test_a_host_may_end_the_steps() -> None:
    """StepsExhausted from the host charges the whole budget."""
    result = run(Exhausted(), "get('a')", steps_max=5_000)
    assert (result.code, result.steps) == ("contract.out_of_steps", 5_000)


@pytest.mark.parametrize("name", ["put", "delete", "emit"])
def test_views_and_queries_write_nothing(name: str) -> None:
    """A view writes nothing even in a transaction, and no method writes in a query; the host is not even asked."""
    for host, kind in ((MemoryHost(), "view"), (MemoryHost(read_only=True), "public")):
        result = run(host, CALLS[name], kind=kind)
        assert (result.code, host.calls) == ("contract.read_only", [])
    assert run(MemoryHost(read_only=True), "return get('a', 7)").value == 7


def test_stored_bytes_that_are_no_value_fail_by_name() -> None:
    """A contract that finds what another engine wrote fails with `contract.value`."""
    assert run(MemoryHost(state={b"a": b"\xcc\x01"}), "return get('a')").code == "contract.value"
    assert run(MemoryHost(state={b"a": b"\x81\xc3\x01"}), "return scan('a')").code == "contract.value"


def test_limits_of_state_and_events() -> None:
    """A value above its limit is refused before the host sees it; a key's length is the host's business."""
    host = MemoryHost()
    assert run(host, "put('a', 'a' * 1048577)").code == "contract.value"
    assert run(host, "emit('a', b'a' * 65537)").code == "contract.value"
    assert host.calls == []
    assert run(host, "put('', 1)").code == "contract.key_length"
    assert run(host, "for i in range(257):\n    emit('e', i)").code == "contract.events"
    assert (host.state, host.events) == ({}, [])


def test_refusal_names_the_fake_as_the_ledger_would() -> None:
    """The fake refuses what the ledger refuses, with the port's exception."""
    with pytest.raises(HostRefusal):
        MemoryHost(read_only=True).put(b"a", b"b")
