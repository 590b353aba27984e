"""ECDSA on secp256k1 over SHA-256 (SEC 1, SEC 2), by libsecp256k1 through coincurve: international accounts.

Decides the one accepted form: 33-byte compressed keys, 64-byte r ‖ s with s in the lower half.
Nonces are deterministic (RFC 6979).
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from coincurve import PrivateKey, PublicKey
from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from zizhu.chain.crypto.port import Signed
from zizhu.chain.crypto.secret import checked_secret, draw_secret

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_ORDER_BYTES = ORDER.to_bytes(32, "big")
_HALF_BYTES = (ORDER // 2).to_bytes(32, "big")
_ZERO = bytes(32)
KEYS_MAX = 8192
"""Public keys kept parsed: about 400 bytes each."""


@lru_cache(maxsize=KEYS_MAX)
def _parsed(public_key: bytes) -> PublicKey | None:
    if len(public_key) != 33 or public_key[0] not in (2, 3):
        return None
    try:
        return PublicKey(public_key)
    except ValueError:
        return None


@lru_cache(maxsize=16)
def _signer(secret: bytes) -> PrivateKey:
    return PrivateKey(secret)


def well_formed(signature: bytes) -> bool:
    """Whether `signature` is r ‖ s of 64 bytes, r in 1..n-1, s in 1..n/2."""
    # Big-endian byte strings of one length compare as their numbers do.
    return len(signature) == 64 and _ZERO < signature[:32] < _ORDER_BYTES and _ZERO < signature[32:] <= _HALF_BYTES


class Secp256k1:
    """ECDSA on secp256k1 with SHA-256."""

    name = "ECDSA-secp256k1-SHA256"
    public_key_bytes = 33
    rung = "libsecp256k1"

    def generate(self) -> bytes:
        """A fresh secret in 1..n-1, 32 bytes, from the operating system's generator."""
        return draw_secret(below=ORDER)

    def public_key(self, secret: bytes) -> bytes:
        """33 bytes; raises AskedWrongly (`crypto.secret_key`)."""
        checked_secret(secret, scheme=self.name, below=ORDER)
        return _signer(secret).public_key.format(compressed=True)

    def sign(self, secret: bytes, message: bytes) -> bytes:
        """64 bytes r ‖ s, low s; raises AskedWrongly (`crypto.secret_key`)."""
        checked_secret(secret, scheme=self.name, below=ORDER)
        # The recoverable form is r ‖ s ‖ recovery id: the only fixed-length one coincurve gives.
        return _signer(secret).sign_recoverable(message)[:64]

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is good; never raises."""
        return self.verify_many((Signed(public_key, message, signature),))[0]

    def verify_many(self, batch: Sequence[Signed]) -> list[bool]:
        """One verdict an item, in order; never raises."""
        # The library's own calls: coincurve's `verify` takes DER only, which costs a tenth of the verification to make.
        parsed = ffi.new("secp256k1_ecdsa_signature *")
        context = GLOBAL_CONTEXT.ctx
        verdicts = []
        for public_key, message, signature in batch:
            key = _parsed(public_key) if well_formed(signature) else None
            good = (
                key is not None
                and lib.secp256k1_ecdsa_signature_parse_compact(context, parsed, signature) == 1
                and lib.secp256k1_ecdsa_verify(context, parsed, sha256(message).digest(), key.public_key) == 1
            )
            verdicts.append(good)
        return verdicts
