"""The one way a transaction acts on state: live, replayed, built by a leader, or installed by the genesis.

Decides what a transaction costs beside its contract's steps, what it leaves behind when it fails (its nonce used
up and its steps charged, nothing else), and which codes enter receipts. Refuses to know whether it may stand in
the block (`validate`), and a contract language.

Receipts carry codes and never texts: a text may differ between versions and machines, a code may not.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from zizhu.chain.contracts.port import CallResult, ContractEngine, Program
from zizhu.chain.crypto.hashing import deployed_contract_id
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.host import Caller, ContractHost, Setting
from zizhu.chain.ledger.keys import VERSION as RECORD_VERSION
from zizhu.chain.ledger.keys import (
    ContractRecord,
    account_key,
    account_record,
    contract_key,
    contract_record,
    encode_record,
    name_key,
    source_key,
)
from zizhu.chain.ledger.state import Overlay, StateReader
from zizhu.chain.ledger.transactions import Parsed
from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly, SpokeWrongly
from zizhu.chain.model.receipt import FAILED, SUCCEEDED, VERSION, Event, Receipt
from zizhu.chain.model.transaction import Deploy, Invoke
from zizhu.chain.model.value import Value, decode_arguments, encode_value

TRANSACTION_STEPS = 50
"""Every transaction costs this much before its contract runs: signature, nonce, receipt."""
BODY_BYTES_PER_STEP = 64
"""And a step for so many bytes of its body, rounded down."""
SOURCE_STEPS_PER_BYTE = 5
"""What checking and compiling a byte of deployed source costs."""
PROGRAMS_MAX = 256
"""Compiled contracts kept in memory."""
INIT = "init"
"""The method that runs once, when a contract is installed, whether the source has one or not (the engine then
takes no arguments); it cannot be invoked."""

OUT_OF_STEPS = "contract.out_of_steps"
UNKNOWN_CONTRACT = "contract.unknown"
UNKNOWN_METHOD = "contract.method"
BAD_ARGUMENTS = "contract.arguments"
BAD_RESULT = "contract.result"
BAD_SOURCE = "contract.source"
NAME_TAKEN = "contract.name_taken"
UNKNOWN_ENGINE = "contract.engine_unknown"


class Failure(Exception):
    """A call ends with `code`; `steps` are charged. `text` is for developers and enters no receipt."""

    def __init__(self, code: str, steps: int, text: str = "") -> None:
        self.code = code
        self.steps = steps
        self.text = text
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class Installation:
    """What makes a contract: from a deploy, or from the genesis."""

    contract: bytes
    package: Deploy
    creator: bytes


class Done(msgspec.Struct, frozen=True):
    """How a call that succeeded ended."""

    value: Value
    steps: int
    events: list[Event]


@dataclass(frozen=True)
class Executor:
    """Runs transactions. Holds no state but a bounded memory of compiled contracts."""

    suite: Suite
    suites: Mapping[int, Suite]
    engines: Mapping[str, ContractEngine]
    _programs: OrderedDict[tuple[str, bytes], Program] = field(default_factory=OrderedDict)

    def setting(self, height: int, time_ms: int) -> Setting:
        """What all calls of one block share."""
        return Setting(height, time_ms, self.suites)

    def run(self, parsed: Parsed, overlay: Overlay, setting: Setting, *, index: int) -> Receipt:
        """Executes a transaction whose nonce is free, as number `index` of the block, and returns its receipt."""
        fields = parsed.fields
        place = account_key(parsed.sender)
        overlay.put(place, encode_record(account_record(overlay.get(place)).using(fields.nonce)))
        overlay.begin()
        try:
            done = self._act(parsed, overlay, setting)
            result = _encoded_result(done)
        except Failure as failure:
            overlay.undo()
            assert 0 <= failure.steps <= fields.steps_max and 0 < len(failure.code) <= limits.NAME_BYTES_MAX
            return Receipt(VERSION, parsed.id, setting.height, index, FAILED, failure.code, failure.steps, b"", [])
        overlay.keep()
        assert 0 <= done.steps <= fields.steps_max
        return Receipt(VERSION, parsed.id, setting.height, index, SUCCEEDED, "", done.steps, result, done.events)

    def _act(self, parsed: Parsed, overlay: Overlay, setting: Setting) -> Done:
        steps_max = parsed.fields.steps_max
        base = TRANSACTION_STEPS + len(parsed.body) // BODY_BYTES_PER_STEP
        if base > steps_max:
            raise Failure(OUT_OF_STEPS, steps_max)
        caller = Caller(parsed.sender, parsed.id)
        match parsed.payload:
            case Invoke() as invoke:
                return self._invoke(invoke, overlay, setting, caller, budget=_Budget(base, steps_max))
            case Deploy() as deploy:
                base += SOURCE_STEPS_PER_BYTE * len(deploy.source)
                if base > steps_max:
                    raise Failure(OUT_OF_STEPS, steps_max)
                contract = deployed_contract_id(self.suite, sender=parsed.sender, nonce=parsed.fields.nonce)
                installation = Installation(contract, deploy, parsed.sender)
                done = self.install(installation, overlay, setting, caller, budget=_Budget(base, steps_max))
                return Done(bytes(contract), done.steps, done.events)

    def _invoke(self, invoke: Invoke, overlay: Overlay, setting: Setting, caller: Caller, *, budget: "_Budget") -> Done:
        program = self.program(invoke.contract, overlay)
        if program is None:
            raise Failure(UNKNOWN_CONTRACT, budget.spent)
        if invoke.method == INIT or invoke.method not in program.methods:
            raise Failure(UNKNOWN_METHOD, budget.spent)
        host = ContractHost(setting, caller, invoke.contract, reader=overlay, writer=overlay)
        return _called(program, invoke.method, _arguments(invoke.arguments, budget), host, budget)

    def install(
        self, new: Installation, overlay: Overlay, setting: Setting, caller: Caller, *, budget: "_Budget"
    ) -> Done:
        """Makes a contract and runs its `init`; its source has been paid for. Raises Failure."""
        package = new.package
        engine = self.engines.get(package.engine)
        if engine is None:
            raise Failure(UNKNOWN_ENGINE, budget.spent, f"engine {package.engine}")
        if overlay.get(name_key(package.name)) is not None:
            raise Failure(NAME_TAKEN, budget.spent, f"name {package.name}")
        digest = self.suite.hash(b"source", package.source)
        try:
            program = self._loaded(engine, digest, package.source)
        except AskedWrongly as error:
            raise Failure(BAD_SOURCE, budget.spent, str(error)) from None
        arguments = _arguments(package.arguments, budget)
        record = ContractRecord(RECORD_VERSION, package.engine, digest, package.name, new.creator, setting.height)
        overlay.put(contract_key(new.contract), encode_record(record))
        overlay.put(name_key(package.name), bytes(new.contract))
        if overlay.get(source_key(digest)) is None:
            overlay.put(source_key(digest), package.source)
        host = ContractHost(setting, caller, new.contract, reader=overlay, writer=overlay)
        return _called(program, INIT, arguments, host, budget)

    def query(
        self, invoke: Invoke, reader: StateReader, setting: Setting, *, caller: bytes, steps_max: int
    ) -> CallResult:
        """Calls a method that may only read. Never raises for what the contract or the asker does."""
        budget = _Budget(0, steps_max)
        program = self.program(invoke.contract, reader)
        if program is None:
            return CallResult(UNKNOWN_CONTRACT, 0, None, "no contract has this id")
        if invoke.method == INIT or invoke.method not in program.methods:
            return CallResult(UNKNOWN_METHOD, 0, None, f"its methods are {', '.join(program.methods)}")
        try:
            arguments = _arguments(invoke.arguments, budget)
        except Failure as failure:
            return CallResult(failure.code, failure.steps, None, failure.text)
        host = ContractHost(setting, Caller(caller, bytes(32)), invoke.contract, reader=reader, writer=None)
        return program.call(invoke.method, arguments, host, steps_max=steps_max)

    def program(self, contract: bytes, reader: StateReader) -> Program | None:
        """The compiled contract of this id, or None when there is none."""
        stored = reader.get(contract_key(contract))
        if stored is None:
            return None
        record = contract_record(stored)
        known = self._programs.get((record.engine, record.source))
        if known is not None:
            return known
        source = reader.get(source_key(record.source))
        assert source is not None, "a contract stands in the state without its source"
        return self._loaded(self.engines[record.engine], record.source, source)

    def _loaded(self, engine: ContractEngine, digest: bytes, source: bytes) -> Program:
        key = (engine.name, digest)
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = engine.load(source)
            if len(self._programs) > PROGRAMS_MAX:
                self._programs.popitem(last=False)
        return program


class _Budget(msgspec.Struct, frozen=True):
    """Steps spent before the contract runs, and the limit of the transaction."""

    spent: int
    steps_max: int


def unpriced(steps_max: int) -> _Budget:
    """A budget of which nothing is spent: for the genesis."""
    return _Budget(0, steps_max)


def _arguments(encoded: bytes, budget: _Budget) -> list[Value]:
    try:
        return decode_arguments(encoded)
    except SpokeWrongly as error:
        raise Failure(BAD_ARGUMENTS, budget.spent, str(error)) from None


def _called(program: Program, method: str, arguments: list[Value], host: ContractHost, budget: _Budget) -> Done:
    left = budget.steps_max - budget.spent
    result = program.call(method, arguments, host, steps_max=left)
    assert 0 <= result.steps <= left, "an engine charges at most its budget"
    steps = budget.spent + result.steps
    if result.code:
        raise Failure(result.code, steps, result.text)
    return Done(result.value, steps, host.emitted)


def _encoded_result(done: Done) -> bytes:
    try:
        return encode_value(done.value, bytes_max=limits.RECEIPT_RESULT_BYTES_MAX)
    except AskedWrongly as error:
        raise Failure(BAD_RESULT, done.steps, str(error)) from None
