"""Executing transactions: receipts, charges, and what a failure leaves behind."""

from collections.abc import Callable
from typing import cast

import msgspec
import pytest

from zizhu.chain.contracts.port import CallResult, Host, HostRefusal, Problem, Program
from zizhu.chain.crypto.hashing import deployed_contract_id
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.execute import SOURCE_STEPS_PER_BYTE, TRANSACTION_STEPS
from zizhu.chain.ledger.host import Caller, ContractHost, Setting
from zizhu.chain.ledger.keys import NonceUse, account_key
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.state import Overlay, State
from zizhu.chain.model import limits
from zizhu.chain.model.receipt import Receipt
from zizhu.chain.model.transaction import Deploy, Invoke, Single
from zizhu.chain.model.value import Value, decode_value, encode_arguments
from zizhu.framework.testkit.fakes import engine as native
from zizhu.framework.testkit.fakes.accounts import Asking, deploying, invoking
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, BANK, SUITES, Chain, genesis
from zizhu.framework.testkit.fakes.suite import suite

ALICE, BOB = ACCOUNTS[:2]


def outcome_of(method: str, *arguments: Value, **terms: int) -> Receipt:
    """The receipt of one call on a new ledger."""
    chain = Chain()
    (receipt,) = chain.commit(chain.call(ALICE, 1, method, *arguments, **terms)).executed.receipts
    return receipt


def deployment(chain: Chain, nonce: int, package: Deploy, **terms: int) -> Single:
    """ALICE deploys."""
    return ALICE.sign(deploying(ALICE, Asking(chain.ledger.ledger_id, nonce, **terms), package))


def test_a_call_that_succeeds_has_result_events_and_steps() -> None:
    """The receipt says what was returned, emitted and charged, and money has moved."""
    chain = Chain()
    (receipt,) = chain.commit(chain.call(ALICE, 1, "transfer", bytes(BOB.id), 30)).executed.receipts
    assert (receipt.status, receipt.code, receipt.height, receipt.index) == (0, "", 1, 0)
    assert [event.name for event in receipt.events] == ["transfer"] and receipt.steps > TRANSACTION_STEPS
    query = chain.ledger.query(Invoke(BANK, "balance", encode_arguments([bytes(BOB.id)])), caller=bytes(20))
    assert query.value == 1030


def test_a_call_that_fails_leaves_its_nonce_and_its_charge_only() -> None:
    """A failed call wrote and emitted before it failed; nothing of that stands, and the nonce is used up."""
    chain = Chain()
    done = chain.commit(chain.call(ALICE, 1, "fail", "native.no"))
    (receipt,) = done.executed.receipts
    assert (receipt.status, receipt.code, receipt.events, receipt.result) == (1, "native.no", [], b"")
    assert receipt.steps > TRANSACTION_STEPS
    assert list(done.changes) == [account_key(ALICE.id)]
    assert chain.ledger.nonce_state(ALICE.id).use_of(1) is NonceUse.USED


@pytest.mark.parametrize(
    ("method", "arguments", "code"),
    [
        ("unheard of", [], "contract.method"),
        ("init", [], "contract.method"),
        ("echo", [], "native.arguments"),
        ("echo", [bytes(limits.RECEIPT_RESULT_BYTES_MAX)], "contract.result"),
        ("put", [bytes(limits.STATE_KEY_BYTES_MAX + 1), b""], "contract.key_too_long"),
        ("put", [b"k", bytes(limits.STATE_VALUE_BYTES_MAX + 1)], "contract.value_too_long"),
        ("scan", [b"", None, 0], "contract.scan_limit"),
        ("scan", [b"", None, 1001], "contract.scan_limit"),
        ("emit", ["", b""], "contract.event_name"),
        ("emit", ["é" * 33, b""], "contract.event_name"),
        ("emit", ["e", bytes(limits.EVENT_BYTES_MAX + 1)], "contract.event_too_long"),
        ("hash", ["md5", b""], "contract.hash_algorithm"),
    ],
)
@pytest.mark.row("E-2")
def test_whatever_a_contract_does_to_the_host_is_charged_and_fails(
    method: str, arguments: list[Value], code: str
) -> None:
    """E-2: gas charged, tx failed, node alive."""
    receipt = outcome_of(method, *arguments, steps_max=100_000)
    assert (receipt.status, receipt.code) == (1, code)
    assert receipt.steps >= TRANSACTION_STEPS


class _RefusingHost:
    """A host of which one function refuses whatever it is given."""

    def __init__(self, host: Host, method: str) -> None:
        self._host = host
        self._method = method

    def __getattr__(self, name: str) -> object:
        return self._refuse if name == self._method else getattr(self._host, name)

    def _refuse(self, *_: object) -> None:
        raise HostRefusal("contract.refused")


class _RefusingEngine:
    """The native engine on such a host."""

    name = native.NAME
    methods: tuple[str, ...] = native.METHODS

    def __init__(self, method: str) -> None:
        self._method = method

    def check(self, source: bytes) -> list[Problem]:
        return native.engine.check(source)

    def load(self, source: bytes) -> Program:
        return self

    def call(self, method: str, arguments: list[Value], host: Host, *, steps_max: int) -> CallResult:
        refusing = cast("Host", _RefusingHost(host, self._method)) if host.height else host
        return native.NativeProgram().call(method, arguments, refusing, steps_max=steps_max)


HOST_CALLS: dict[str, list[Value]] = {
    "get": [b"k"],
    "put": [b"k", b"v"],
    "delete": [b"k"],
    "scan": [b"", None, 1],
    "emit": ["e", b""],
    "verify": [1, b"", b"", b""],
    "hash": ["sm3", b""],
}


@pytest.mark.parametrize("method", list(HOST_CALLS))
@pytest.mark.row("E-2")
def test_a_host_function_that_raises_costs_what_was_used(method: str) -> None:
    """E-2: given a contract that makes each host function raise: gas charged, tx failed, node alive."""
    engines = {native.NAME: _RefusingEngine(method)}
    chain = Chain(Ledger(genesis(), suite=suite, suites=SUITES, engines=engines))
    (receipt,) = chain.commit(chain.call(ALICE, 1, method, *HOST_CALLS[method])).executed.receipts
    assert (receipt.status, receipt.code) == (1, "contract.refused")
    assert receipt.steps >= TRANSACTION_STEPS + native.CALL_STEPS + native.HOST_STEPS
    assert chain.commit(chain.call(ALICE, 2, "echo", 1)).executed.receipts[0].status == 0


def test_malformed_arguments_fail_in_the_receipt() -> None:
    """Arguments that are no list of values fail the call; the transaction still has its receipt."""
    chain = Chain()
    asking = Asking(chain.ledger.ledger_id, 1)
    body = invoking(ALICE, asking, BANK, "echo", [])
    payload = b"\x93\xc4\x14" + BANK + b"\xa4echo\xc4\x01\xff"
    (receipt,) = chain.commit(ALICE.sign(msgspec.structs.replace(body, payload=payload))).executed.receipts
    assert receipt.code == "contract.arguments"


def test_a_contract_is_deployed_and_called() -> None:
    """The result of a deployment is the contract's id, which nobody else can take; its `init` ran."""
    chain = Chain()
    package = Deploy("shop", native.NAME, native.SOURCE + b" 2", encode_arguments([bytes(BOB.id), 7]))
    (receipt,) = chain.commit(deployment(chain, 1, package)).executed.receipts
    shop = deployed_contract_id(suite, sender=ALICE.id, nonce=1)
    assert receipt.code == "" and decode_value(receipt.result) == shop
    assert receipt.steps > SOURCE_STEPS_PER_BYTE * len(package.source)
    assert chain.ledger.contract_named("shop") == shop
    record = chain.ledger.contract(shop)
    assert record is not None and (record.creator, record.height) == (ALICE.id, 1)
    asked = chain.ledger.query(Invoke(shop, "balance", encode_arguments([bytes(BOB.id)])), caller=bytes(20))
    assert asked.value == 7


@pytest.mark.parametrize(
    ("package", "code"),
    [
        (Deploy("x", "cobol", b"", b"\x90"), "contract.engine_unknown"),
        (Deploy("x", native.NAME, b"gibberish", b"\x90"), "contract.source"),
        (Deploy("bank", native.NAME, native.SOURCE, b"\x90"), "contract.name_taken"),
        (Deploy("x", native.NAME, native.SOURCE, b"\xc0"), "contract.arguments"),
        (Deploy("x", native.NAME, native.SOURCE, b"\x91\x01"), "native.arguments"),
    ],
)
def test_a_deployment_that_fails_leaves_nothing(package: Deploy, code: str) -> None:
    """No name, no record, no source of a failed deployment stands."""
    chain = Chain()
    done = chain.commit(deployment(chain, 1, package))
    assert done.executed.receipts[0].code == code
    assert list(done.changes) == [account_key(ALICE.id)]


def test_an_unknown_contract_fails_in_the_receipt() -> None:
    """A call of nothing is charged its base price."""
    chain = Chain()
    body = invoking(ALICE, Asking(chain.ledger.ledger_id, 1), bytes(20), "echo", [1])
    (receipt,) = chain.commit(ALICE.sign(body)).executed.receipts
    assert (receipt.code, receipt.steps >= TRANSACTION_STEPS) == ("contract.unknown", True)


@pytest.mark.row("D-3")
def test_running_out_at_every_step_is_the_same_everywhere() -> None:
    """D-3: given tx that run out of gas at every possible step: gas, receipt, events equal on all nodes."""
    enough = outcome_of("burn", 40)
    assert enough.code == ""
    builder, follower = Chain(), Chain()
    calls = [builder.call(ALICE, steps, "burn", 40, steps_max=steps) for steps in range(1, enough.steps + 1)]
    executed = builder.build(*calls)
    copy = follower.ledger.execute(executed.block, executed.hash)
    assert isinstance(copy, Executed)
    assert (copy.outcome_hash, copy.receipts) == (executed.outcome_hash, executed.receipts)
    for receipt, steps in zip(executed.receipts, range(1, enough.steps + 1), strict=True):
        if steps < enough.steps:
            assert (receipt.code, receipt.steps, receipt.events) == ("contract.out_of_steps", steps, [])
    assert executed.receipts[-1].code == ""
    done = builder.ledger.commit(executed.hash)
    assert [key for key in done.changes if key[:1] == b"d"] == [b"d" + BANK + b"burnt"]


class _Talkative:
    """The native engine, saying other words about failures."""

    name = native.NAME

    def __init__(self, text: str) -> None:
        self._text = text

    def check(self, source: bytes) -> list[Problem]:
        return native.engine.check(source)

    def load(self, source: bytes) -> Program:
        return _TalkativeProgram(native.engine.load(source), self._text)


class _TalkativeProgram:
    methods: tuple[str, ...] = native.METHODS

    def __init__(self, program: Program, text: str) -> None:
        self._program = program
        self._text = text

    def call(self, method: str, arguments: list[Value], host: Host, *, steps_max: int) -> CallResult:
        result = self._program.call(method, arguments, host, steps_max=steps_max)
        return CallResult(result.code, result.steps, result.value, self._text)


@pytest.mark.row("D-5")
def test_no_text_of_an_error_reaches_receipts_or_roots() -> None:
    """D-5: receipts carry error **codes** only; equal roots."""
    hashes = []
    for text in ("", "Traceback (most recent call last): ..."):
        ledger = Ledger(genesis(), suite=suite, suites=SUITES, engines={native.NAME: _Talkative(text)})
        chain = Chain(ledger, step_ms=2000)
        calls = [chain.call(ALICE, 1, "fail", "native.no"), chain.call(ALICE, 2, "burn", 10**6)]
        chain.commit(*calls)
        done = chain.commit(chain.call(ALICE, 3, "echo"))
        assert done.is_root_height
        hashes.append((done.executed.outcome_hash, done.executed.receipts))
    assert hashes[0] == hashes[1]


def host() -> ContractHost:
    """A host over an empty overlay."""
    overlay = Overlay(State())
    return ContractHost(Setting(1, 2, SUITES), Caller(bytes(20), bytes(32)), bytes(20), reader=overlay, writer=overlay)


@pytest.mark.row("D-8")
def test_what_the_host_keeps_and_returns_are_copies() -> None:
    """D-8: values are copies (mutate after return, re-read)."""
    one = host()
    key, value = bytearray(b"key"), bytearray(b"value")
    one.put(bytes(key), value)  # type: ignore[arg-type]
    one.emit("event", value)  # type: ignore[arg-type]
    value[0] = 0
    assert one.get(b"key") == b"value" and one.emitted[0].data == b"value"
    found = one.scan(b"", None, 10)
    found.clear()
    assert one.scan(b"", None, 10) == [(b"key", b"value")]
    assert type(one.get(b"key")) is bytes


def test_contracts_do_not_see_each_others_keys() -> None:
    """Two contracts that use one key have two values, in scans too."""
    overlay = Overlay(State())
    setting, caller = Setting(1, 2, SUITES), Caller(bytes(20), bytes(32))
    one, two = (
        ContractHost(setting, caller, bytes([number]) * 20, reader=overlay, writer=overlay) for number in (1, 2)
    )
    one.put(b"k", b"1")
    two.put(b"k", b"2")
    assert one.get(b"k") == b"1" and one.scan(b"", None, 10) == [(b"k", b"1")]
    assert two.scan(b"", None, 10) == [(b"k", b"2")]


def test_an_event_name_without_bytes_is_refused() -> None:
    """A lone surrogate cannot be encoded, so it never reaches a receipt."""
    with pytest.raises(HostRefusal):
        host().emit("\ud800", b"")


def test_events_have_a_maximum() -> None:
    """The 256th event is kept, the next refused."""
    one = host()
    for _ in range(limits.EVENTS_PER_TRANSACTION_MAX):
        one.emit("e", b"")
    with pytest.raises(HostRefusal):
        one.emit("e", b"")


@pytest.mark.parametrize(
    "act",
    [lambda one: one.put(b"k", b"v"), lambda one: one.delete(b"k"), lambda one: one.emit("e", b"")],
)
def test_a_query_cannot_write(act: Callable[[ContractHost], None]) -> None:
    """In a query put, delete and emit are refused."""
    one = ContractHost(Setting(1, 2, SUITES), Caller(bytes(20), bytes(32)), bytes(20), reader=State(), writer=None)
    with pytest.raises(HostRefusal) as refused:
        act(one)
    assert refused.value.code == "contract.read_only"


def test_a_query_answers_whatever_it_is_asked() -> None:
    """Unknown contracts, methods, arguments and endless work are answers, not exceptions; state is untouched."""
    chain = Chain()
    root = chain.ledger.state_tree().root
    asked: list[tuple[Invoke, str]] = [
        (Invoke(bytes(20), "echo", b"\x90"), "contract.unknown"),
        (Invoke(BANK, "nothing", b"\x90"), "contract.method"),
        (Invoke(BANK, "init", b"\x90"), "contract.method"),
        (Invoke(BANK, "echo", b"\xff"), "contract.arguments"),
        (Invoke(BANK, "increment", encode_arguments([b"k"])), "contract.read_only"),
    ]
    for invoke, code in asked:
        assert chain.ledger.query(invoke, caller=bytes(20)).code == code
    assert chain.ledger.query(Invoke(BANK, "echo", b"\x91\x01"), caller=bytes(20), steps_max=5).code == (
        "contract.out_of_steps"
    )
    assert chain.ledger.state_tree().root == root


def test_a_contract_sees_the_block_and_the_signer() -> None:
    """Caller, origin, contract, transaction, height and block time are those of the transaction and its block."""
    chain = Chain()
    call = chain.call(ALICE, 1, "seen")
    executed = chain.build(call)
    seen = decode_value(executed.receipts[0].result)
    header = executed.block.header
    assert seen == [ALICE.id, ALICE.id, BANK, executed.transactions[0].id, 1, header.time_ms, False]
