"""AES-256-GCM (NIST SP 800-38D), by `cryptography`: authenticated encryption of the international suite.

Decides lengths: key 32, nonce 12, tag 16 behind the ciphertext. Refuses to choose nonces.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TAG_BYTES = 16


class Aes256Gcm:
    """AES-256 in Galois/Counter mode. A wrong key or nonce length is the caller's fault and asserted."""

    name = "AES-256-GCM"
    key_bytes = 32
    nonce_bytes = 12

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        """Ciphertext ‖ 16-byte tag."""
        assert (len(key), len(nonce)) == (self.key_bytes, self.nonce_bytes), "key 32, nonce 12 bytes"
        return AESGCM(key).encrypt(nonce, plaintext, associated)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes | None:
        """The plaintext, or None when the tag is wrong or missing."""
        assert (len(key), len(nonce)) == (self.key_bytes, self.nonce_bytes), "key 32, nonce 12 bytes"
        if len(ciphertext) < TAG_BYTES:
            return None
        try:
            return AESGCM(key).decrypt(nonce, ciphertext, associated)
        except InvalidTag:
            return None
