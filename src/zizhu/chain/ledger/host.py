"""The host API of contracts over an overlay: what one call sees and may do.

Decides the limits of keys, values, scans and events, and that nothing of the host can be reached through what
it returns. Refuses to know a contract language, steps (the engine charges them), and what keys mean.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from zizhu.chain.contracts.port import HostRefusal
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.keys import data_key
from zizhu.chain.ledger.state import Overlay, StateReader
from zizhu.chain.model import limits
from zizhu.chain.model.receipt import Event

SCAN_MAX = 1000
"""Entries one scan may return."""

GUOMI = 1
INTERNATIONAL = 2
"""Suite codes whose plain digests contracts may use: SM3 and SHA-256."""

_CONTRACT_HEAD_BYTES = len(data_key(bytes(20), b""))


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for everybody in a block: height, block time, and the crypto a contract can use."""

    height: int
    time_ms: int
    suites: Mapping[int, Suite]


class Caller(msgspec.Struct, frozen=True):
    """Who calls: the account that signed (or asks, in a query), and under which transaction."""

    account: bytes
    transaction: bytes


class ContractHost:
    """Implements `contracts.port.Host`; one value a call. `emitted` are the events so far."""

    __slots__ = (
        "_head", "_reader", "_suites", "_writer", "caller", "contract", "emitted", "height", "origin", "read_only",
        "time_ms", "transaction",
    )  # fmt: skip

    def __init__(
        self, setting: Setting, caller: Caller, contract: bytes, *, reader: StateReader, writer: Overlay | None
    ) -> None:
        self.caller = caller.account
        self.origin = caller.account
        self.contract = contract
        self.transaction = caller.transaction
        self.height = setting.height
        self.time_ms = setting.time_ms
        self.read_only = writer is None
        self.emitted: list[Event] = []
        self._head = data_key(contract, b"")
        self._reader = reader
        self._writer = writer
        self._suites = setting.suites

    def get(self, key: bytes) -> bytes | None:
        """The value at `key` of this contract, or None."""
        return self._reader.get(self._full(key))

    def put(self, key: bytes, value: bytes) -> None:
        """Writes a copy of `value`."""
        writer = self._writing()
        full = self._full(key)
        if len(value) > limits.STATE_VALUE_BYTES_MAX:
            raise HostRefusal("contract.value_too_long")
        writer.put(full, bytes(value))

    def delete(self, key: bytes) -> None:
        """Removes `key`; one that is not there is no error."""
        self._writing().delete(self._full(key))

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` (1..1000) entries with `prefix`, ascending, behind key `after`."""
        if not 1 <= limit <= SCAN_MAX:
            raise HostRefusal("contract.scan_limit")
        behind = None if after is None else self._full(after)
        found = self._reader.scan(self._full(prefix), behind, limit)
        return [(key[_CONTRACT_HEAD_BYTES:], value) for key, value in found]

    def emit(self, name: str, data: bytes) -> None:
        """Adds an event to the receipt."""
        self._writing()
        if not _is_name(name):
            raise HostRefusal("contract.event_name")
        if len(data) > limits.EVENT_BYTES_MAX:
            raise HostRefusal("contract.event_too_long")
        if len(self.emitted) >= limits.EVENTS_PER_TRANSACTION_MAX:
            raise HostRefusal("contract.too_many_events")
        self.emitted.append(Event(self.contract, name, bytes(data)))

    def verify(self, suite: int, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether an account signature of suite `suite` is good; False for an unknown suite."""
        known = self._suites.get(suite)
        return known is not None and known.accounts.verify(public_key, message, signature)

    def hash(self, algorithm: str, data: bytes) -> bytes:
        """32 bytes of "sm3" or "sha256"."""
        return self._digest(algorithm)(data)

    def _digest(self, algorithm: str) -> Callable[[bytes], bytes]:
        code = {"sm3": GUOMI, "sha256": INTERNATIONAL}.get(algorithm)
        suite = None if code is None else self._suites.get(code)
        if suite is None:
            raise HostRefusal("contract.hash_algorithm")
        return suite.digest

    def _full(self, key: bytes) -> bytes:
        if len(key) > limits.STATE_KEY_BYTES_MAX:
            raise HostRefusal("contract.key_too_long")
        return self._head + key

    def _writing(self) -> Overlay:
        if self._writer is None:
            raise HostRefusal("contract.read_only")
        return self._writer


def _is_name(name: str) -> bool:
    """1 to 64 bytes of UTF-8; a lone surrogate has no bytes."""
    try:
        return 0 < len(name.encode()) <= limits.NAME_BYTES_MAX
    except UnicodeEncodeError:
        return False
