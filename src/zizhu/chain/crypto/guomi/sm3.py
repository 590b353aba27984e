"""SM3 (GB/T 32905, ISO/IEC 10118-3): the hash of the guomi suite.

Decides which library computes it: the interpreter's own OpenSSL if it has SM3, else `cryptography`'s.
"""

import hashlib

from cryptography.hazmat.primitives import hashes

from zizhu.chain.crypto.domain_hash import DomainHash, HashState


class CryptographySm3:
    """SM3 of the `cryptography` package in the shape of `hashlib`, for interpreters built without it."""

    __slots__ = ("_state",)

    def __init__(self, state: hashes.Hash | None = None) -> None:
        self._state = hashes.Hash(hashes.SM3()) if state is None else state

    def update(self, data: bytes, /) -> None:
        """Absorb `data`."""
        self._state.update(data)

    def digest(self) -> bytes:
        """The 32-byte hash of what was absorbed; the state goes on."""
        return self._state.copy().finalize()

    def copy(self) -> "CryptographySm3":
        """An independent state that has absorbed the same."""
        return CryptographySm3(self._state.copy())


def start_sm3() -> HashState:
    """A fresh SM3 state, of the quicker library that has it."""
    try:
        return hashlib.new("sm3")
    except ValueError:
        return CryptographySm3()


sm3 = DomainHash(start_sm3)
