"""A contract host in memory, for tests of engines and contracts.

Decides nothing a ledger decides: no isolation, no receipts. Writes are kept in `state` at once, so a test that
cares for failed calls uses `call`, which takes them back as the ledger does.
"""

import hashlib
from dataclasses import dataclass, field

from zizhu.chain.contracts.port import CallResult, HostRefusal, Program
from zizhu.chain.model import limits
from zizhu.chain.model.value import Value

ALICE = b"A" * 20
CONTRACT = b"C" * 20


@dataclass
class MemoryHost:
    """State, events and the facts of one transaction. `refuse` names host functions that shall raise
    HostRefusal with their code; `good_signatures` are the (suite, key, message, signature) that verify."""

    caller: bytes = ALICE
    origin: bytes = ALICE
    contract: bytes = CONTRACT
    transaction: bytes = b"T" * 32
    height: int = 7
    time_ms: int = 1_700_000_000_000
    read_only: bool = False
    state: dict[bytes, bytes] = field(default_factory=dict)
    events: list[tuple[str, bytes]] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    good_signatures: list[tuple[int, bytes, bytes, bytes]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        if name in self.refuse:
            raise HostRefusal(self.refuse[name])

    def _check_key(self, key: bytes) -> None:
        if not 1 <= len(key) <= limits.STATE_KEY_BYTES_MAX:
            raise HostRefusal("contract.key_length")

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        self._enter("get")
        self._check_key(key)
        return self.state.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Keeps a value."""
        self._enter("put")
        self._check_key(key)
        self._writable()
        self.state[key] = value

    def delete(self, key: bytes) -> None:
        """Forgets a value; nothing happens when there is none."""
        self._enter("delete")
        self._check_key(key)
        self._writable()
        self.state.pop(key, None)

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Entries with `prefix`, ascending, behind `after`."""
        self._enter("scan")
        found = sorted(key for key in self.state if key.startswith(prefix) and (after is None or key > after))
        return [(key, self.state[key]) for key in found[:limit]]

    def emit(self, name: str, data: bytes) -> None:
        """Notes an event."""
        self._enter("emit")
        self._writable()
        if len(self.events) >= limits.EVENTS_PER_TRANSACTION_MAX:
            raise HostRefusal("contract.events")
        self.events.append((name, data))

    def verify(self, suite: int, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether it is one of `good_signatures`."""
        self._enter("verify")
        return (suite, public_key, message, signature) in self.good_signatures

    def hash(self, algorithm: str, data: bytes) -> bytes:
        """SHA-256 for both names: the tests of an engine do not depend on SM3."""
        self._enter("hash")
        if algorithm not in ("sm3", "sha256"):
            raise HostRefusal("contract.hash_algorithm")
        return hashlib.sha256(data).digest()

    def _writable(self) -> None:
        if self.read_only:
            raise HostRefusal("contract.read_only")

    def call(self, program: Program, method: str, *arguments: Value, steps_max: int = 1_000_000) -> CallResult:
        """Calls a method; a failed call leaves neither writes nor events behind."""
        state, events = dict(self.state), list(self.events)
        result = program.call(method, list(arguments), self, steps_max=steps_max)
        if result.code:
            self.state, self.events = state, events
        return result
