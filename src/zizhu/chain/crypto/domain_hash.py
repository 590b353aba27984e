"""Domain-separated hashing over any standard hash that can be copied in mid-stream.

Decides the input: length of the domain as one byte, the domain, the data. Refuses to know an algorithm.
"""

from collections.abc import Callable
from typing import Protocol

DOMAIN_BYTES_MAX = 32
DOMAINS_KEPT_MAX = 256
"""Prepared states kept; the product has a few dozen domains, all of them constants in the source."""


class HashState(Protocol):
    """A hash in mid-stream, as `hashlib` gives it."""

    def update(self, data: bytes, /) -> None:
        """Absorb `data`."""
        ...

    def digest(self) -> bytes:
        """The hash of what was absorbed so far."""
        ...

    def copy(self) -> "HashState":
        """An independent state that has absorbed the same."""
        ...


class DomainHash:
    """H(len(domain) ‖ domain ‖ data), with the state behind each domain prepared once.

    Copying a prepared state is twice as quick as starting over: the start looks the algorithm up by name.
    """

    __slots__ = ("_empty", "_states")

    def __init__(self, start: Callable[[], HashState]) -> None:
        self._empty = start()
        self._states: dict[bytes, HashState] = {}

    def start(self) -> HashState:
        """A fresh state of the plain hash."""
        return self._empty.copy()

    def digest(self, data: bytes) -> bytes:
        """The plain hash of `data`, without a domain."""
        state = self._empty.copy()
        state.update(data)
        return state.digest()

    def hash(self, domain: bytes, data: bytes) -> bytes:
        """The hash of `data` in `domain`, 1..32 bytes of ASCII (asserted)."""
        prepared = self._states.get(domain)
        if prepared is None:
            prepared = self._prepare(domain)
        state = prepared.copy()
        state.update(data)
        return state.digest()

    def _prepare(self, domain: bytes) -> HashState:
        assert 1 <= len(domain) <= DOMAIN_BYTES_MAX, f"a hash domain of {len(domain)} bytes"
        assert domain.isascii(), f"a hash domain beyond ASCII: {domain!r}"
        state = self._empty.copy()
        state.update(bytes([len(domain)]) + domain)
        if len(self._states) < DOMAINS_KEPT_MAX:
            self._states[domain] = state
        return state
