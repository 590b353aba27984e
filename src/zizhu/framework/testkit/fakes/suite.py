"""A counterfeit crypto suite: as fast as hashing, deterministic, and worth nothing.

Decides how the simulator and unit tests sign when they want no real curve. Anybody can forge its signatures,
because a signature is a hash of the public key and the message; so it stands in no entry point group, no node
can load it, and its name says what it is. Hashes are real (SHA-256).
"""

import hashlib
from collections.abc import Sequence

from zizhu.chain.crypto.port import Cipher, SignatureScheme, Signed, Suite

CODE = 200
NAME = "counterfeit"
SECRET_BYTES = 32
PUBLIC_KEY_BYTES = 33
TAG_BYTES = 16


class CounterfeitScheme:
    """Deterministic signatures that anybody can make; a keyed hash whose key is public."""

    name = NAME
    public_key_bytes = PUBLIC_KEY_BYTES

    def __init__(self) -> None:
        self._generated = 0

    def generate(self) -> bytes:
        """The next secret key of a fixed sequence: there is no randomness here."""
        self._generated += 1
        return hashlib.sha256(b"counterfeit secret" + self._generated.to_bytes(8, "big")).digest()

    def public_key(self, secret: bytes) -> bytes:
        """33 bytes."""
        assert len(secret) == SECRET_BYTES
        return b"\x02" + hashlib.sha256(secret).digest()

    def sign(self, secret: bytes, message: bytes) -> bytes:
        """64 bytes."""
        return _seal(self.public_key(secret), message)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is what `sign` makes; never raises."""
        return len(public_key) == PUBLIC_KEY_BYTES and signature == _seal(public_key, message)

    def verify_many(self, batch: Sequence[Signed]) -> list[bool]:
        """One verdict an item, in order."""
        return [self.verify(*item) for item in batch]


def _seal(public_key: bytes, message: bytes) -> bytes:
    return hashlib.sha256(public_key + message).digest() * 2


class CounterfeitCipher:
    """A keystream of hashes and a tag: reversible, deterministic, not encryption."""

    name = NAME
    key_bytes = 32
    nonce_bytes = 12

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        """Masked bytes with their 16-byte tag behind them."""
        return self._mask(key, nonce, plaintext) + self._tag(key, nonce, plaintext, associated)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes | None:
        """The plaintext, or None when the tag is wrong."""
        plaintext = self._mask(key, nonce, ciphertext[:-TAG_BYTES])
        return plaintext if ciphertext[-TAG_BYTES:] == self._tag(key, nonce, plaintext, associated) else None

    def _mask(self, key: bytes, nonce: bytes, data: bytes) -> bytes:
        stream = hashlib.shake_256(key + nonce).digest(len(data))
        return bytes(one ^ two for one, two in zip(data, stream, strict=True))

    def _tag(self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        sizes = len(nonce).to_bytes(8, "big") + len(associated).to_bytes(8, "big")
        return hashlib.sha256(key + sizes + nonce + associated + plaintext).digest()[:TAG_BYTES]


class CounterfeitSuite:
    """The suite; one value of it, `suite`, serves everybody."""

    name = NAME
    code = CODE

    def __init__(self) -> None:
        self.accounts: SignatureScheme = CounterfeitScheme()
        self.members: SignatureScheme = self.accounts
        self.cipher: Cipher = CounterfeitCipher()

    def hash(self, domain: bytes, data: bytes) -> bytes:
        """SHA-256 of (length of domain ‖ domain ‖ data)."""
        assert 0 < len(domain) <= 32
        return hashlib.sha256(bytes((len(domain),)) + domain + data).digest()

    def digest(self, data: bytes) -> bytes:
        """SHA-256."""
        return hashlib.sha256(data).digest()


suite: Suite = CounterfeitSuite()
