"""The port of a crypto suite: what a ledger needs of its hash, signatures and cipher.

Decides the shapes. Refuses to know an algorithm. A suite enters by the entry point group `zizhu.crypto`
and is done when it passes the conformance suite of `framework/testkit/conformance`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Signed(NamedTuple):
    """One signature to check: encoded public key, message, signature."""

    public_key: bytes
    message: bytes
    signature: bytes


class SignatureScheme(Protocol):
    """A signature algorithm. Malformed keys and signatures are refused with False, never with an exception.

    Signatures are 64 bytes in one accepted form (fixed length; low s where the curve has two).
    """

    name: str
    public_key_bytes: int

    def generate(self) -> bytes:
        """A fresh secret key, 32 bytes, from the operating system's generator."""
        ...

    def public_key(self, secret: bytes) -> bytes:
        """The encoded public key of `secret`; raises AskedWrongly (`crypto.secret_key`) for one out of range."""
        ...

    def sign(self, secret: bytes, message: bytes) -> bytes:
        """64 bytes."""
        ...

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature is good; never raises."""
        ...

    def verify_many(self, batch: Sequence[Signed]) -> list[bool]:
        """One verdict an item, in order; never raises."""
        ...


class Cipher(Protocol):
    """Authenticated encryption: AES-256-GCM or SM4-GCM."""

    name: str
    key_bytes: int
    nonce_bytes: int

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        """Ciphertext with its 16-byte tag behind it."""
        ...

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes | None:
        """The plaintext, or None when the tag is wrong."""
        ...


class Suite(Protocol):
    """A family of algorithms. `code` is what transactions carry: 1 guomi, 2 international."""

    name: str
    code: int
    accounts: SignatureScheme
    members: SignatureScheme
    cipher: Cipher

    def hash(self, domain: bytes, data: bytes) -> bytes:
        """32 bytes: H(len(domain) as one byte ‖ domain ‖ data). Domains are 1..32 bytes of ASCII."""
        ...

    def digest(self, data: bytes) -> bytes:
        """32 bytes: the plain standard hash (SM3, SHA-256), for digests that people compare with other tools."""
        ...
