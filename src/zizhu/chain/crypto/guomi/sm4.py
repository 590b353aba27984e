"""SM4-GCM (GB/T 32907, RFC 8998): authenticated encryption of the guomi suite, by `cryptography`.

Decides lengths: key 16, nonce 12, tag 16 behind the ciphertext. Refuses to choose nonces.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

TAG_BYTES = 16


class Sm4Gcm:
    """SM4 in Galois/Counter mode. A wrong key or nonce length is the caller's fault and asserted."""

    name = "SM4-GCM"
    key_bytes = 16
    nonce_bytes = 12

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        """Ciphertext ‖ 16-byte tag."""
        assert (len(key), len(nonce)) == (self.key_bytes, self.nonce_bytes), "key 16, nonce 12 bytes"
        encryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated)
        ciphertext = encryptor.update(plaintext) + encryptor.finalize()
        return ciphertext + encryptor.tag

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes | None:
        """The plaintext, or None when the tag is wrong or missing."""
        assert (len(key), len(nonce)) == (self.key_bytes, self.nonce_bytes), "key 16, nonce 12 bytes"
        if len(ciphertext) < TAG_BYTES:
            return None
        body, tag = ciphertext[:-TAG_BYTES], ciphertext[-TAG_BYTES:]
        decryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce, tag)).decryptor()
        decryptor.authenticate_additional_data(associated)
        try:
            return decryptor.update(body) + decryptor.finalize()
        except InvalidTag:
            return None
