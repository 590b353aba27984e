"""The port of a contract engine, and the host API that is identical for every engine.

Decides what a contract can see and do. Refuses to know a language. An engine enters by the entry point group
`zizhu.contracts`. Everything a contract can learn is a function of (state at h, transaction, block header).
"""

from dataclasses import dataclass
from typing import Protocol

import msgspec

from zizhu.chain.model.value import Value


@dataclass(frozen=True, slots=True)
class Problem:
    """A static error: where in the source, which rule (stable code), and what it says in words."""

    line: int
    column: int
    rule: str
    text: str


class StepsExhausted(Exception):
    """The step budget is used up; the call fails and all its steps are charged."""


class HostRefusal(Exception):
    """A host function refuses its arguments (key too long, too many events, ...); `code` enters the receipt."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Host(Protocol):
    """What an engine offers to contracts, on behalf of one call. All keys are the contract's own.

    The ledger implements it; the engine charges steps for each call by the size of what goes in and out.
    Values returned are copies.
    """

    caller: bytes
    """20 bytes: who called (the account, or later another contract)."""
    origin: bytes
    """20 bytes: the account that signed the transaction."""
    contract: bytes
    """20 bytes: this contract's id."""
    transaction: bytes
    """32 bytes: id of the transaction."""
    height: int
    time_ms: int
    """Height and block time (wall clock, ms) of the block."""
    read_only: bool
    """In a query: put, delete and emit are refused (`contract.read_only`)."""

    def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes) -> None: ...

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` (1..1000) entries with `prefix`, ascending, behind key `after`."""
        ...

    def emit(self, name: str, data: bytes) -> None: ...

    def verify(self, suite: int, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether an account signature of suite `suite` is good; False for an unknown suite."""
        ...

    def hash(self, algorithm: str, data: bytes) -> bytes:
        """32 bytes; `algorithm` is "sm3" or "sha256"."""
        ...


class CallResult(msgspec.Struct, frozen=True):
    """How a call ended. `code` is "" for success, else a stable error code; `steps` are those charged
    (≤ the budget); `value` is what the method returned (None when it failed); `text` explains a failure to
    a developer and never enters a receipt."""

    code: str
    steps: int
    value: Value
    text: str


class Program(Protocol):
    """A checked and compiled contract; immutable, shared by calls."""

    methods: tuple[str, ...]
    """Public methods, in the order of the source."""

    def call(self, method: str, arguments: list[Value], host: Host, *, steps_max: int) -> CallResult:
        """Runs one method. Never raises for anything the contract or its arguments do."""
        ...


class ContractEngine(Protocol):
    """A contract language."""

    name: str

    def check(self, source: bytes) -> list[Problem]:
        """Static errors, in the order of the source; empty when the source is good."""
        ...

    def load(self, source: bytes) -> Program:
        """Raises AskedWrongly (`contract.source`) naming the first problem. Same source, same program."""
        ...
