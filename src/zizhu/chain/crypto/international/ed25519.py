"""Ed25519 (RFC 8032), by `cryptography`: votes of international members.

Decides the strict rules on top of the library's, so that no two libraries can disagree on a vote: s below the
group's order, public key and R canonical and not of small order. The equation is checked without cofactor.
"""

from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from zizhu.chain.crypto.port import Signed
from zizhu.chain.crypto.secret import SECRET_BYTES, SECRET_KEY, draw_seed
from zizhu.chain.model.errors import AskedWrongly

FIELD = (1 << 255) - 19
ORDER = (1 << 252) + 27742317777372353535851937790883648493
KEYS_MAX = 4096

_ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER_Y = frozenset({0, 1, FIELD - 1, _ORDER_8_Y, FIELD - _ORDER_8_Y})
"""y of the eight points whose order divides 8: orders 4, 1, 2 and 8; the sign of x is immaterial."""


def acceptable_point(encoded: bytes) -> bool:
    """Whether 32 bytes name y canonically (below the field's prime) and not a point of small order."""
    y = int.from_bytes(encoded, "little") & ((1 << 255) - 1)
    return y < FIELD and y not in SMALL_ORDER_Y


@lru_cache(maxsize=KEYS_MAX)
def _parsed(public_key: bytes) -> Ed25519PublicKey | None:
    if len(public_key) != 32 or not acceptable_point(public_key):
        return None
    try:
        return Ed25519PublicKey.from_public_bytes(public_key)
    except ValueError:
        return None


@lru_cache(maxsize=16)
def _signer(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret)


class Ed25519:
    """Ed25519; secrets are the 32-byte seeds of RFC 8032."""

    name = "Ed25519"
    public_key_bytes = 32
    rung = "cryptography"

    def generate(self) -> bytes:
        """A fresh seed, 32 bytes, from the operating system's generator."""
        return draw_seed()

    def public_key(self, secret: bytes) -> bytes:
        """32 bytes; raises AskedWrongly (`crypto.secret_key`)."""
        return self._own(secret).public_key().public_bytes_raw()

    def sign(self, secret: bytes, message: bytes) -> bytes:
        """64 bytes R ‖ s; raises AskedWrongly (`crypto.secret_key`)."""
        return self._own(secret).sign(message)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is good; never raises."""
        if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= ORDER:
            return False
        key = _parsed(public_key)
        if key is None or not acceptable_point(signature[:32]):
            return False
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def verify_many(self, batch: Sequence[Signed]) -> list[bool]:
        """One verdict an item, in order; never raises."""
        verify = self.verify
        return [verify(public_key, message, signature) for public_key, message, signature in batch]

    def _own(self, secret: bytes) -> Ed25519PrivateKey:
        if len(secret) != SECRET_BYTES:
            raise AskedWrongly(SECRET_KEY, scheme=self.name, reason=f"{len(secret)} bytes instead of {SECRET_BYTES}")
        return _signer(secret)
