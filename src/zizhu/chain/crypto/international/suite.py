"""The international suite: secp256k1 accounts, Ed25519 members, SHA-256, AES-256-GCM.

Decides what belongs together under code 2. Refuses to know how each is computed.
"""

import hashlib

from zizhu.chain.crypto.domain_hash import DomainHash
from zizhu.chain.crypto.international.aes import Aes256Gcm
from zizhu.chain.crypto.international.ed25519 import Ed25519
from zizhu.chain.crypto.international.secp256k1 import Secp256k1
from zizhu.chain.crypto.port import Cipher, SignatureScheme, Suite


class International:
    """The algorithms that most of the world's chains use."""

    name = "international"
    code = 2

    def __init__(self) -> None:
        sha256 = DomainHash(hashlib.sha256)
        self.accounts: SignatureScheme = Secp256k1()
        self.members: SignatureScheme = Ed25519()
        self.cipher: Cipher = Aes256Gcm()
        # Bound methods of the hash itself: one call less in the hottest function of the ledger.
        self.hash = sha256.hash
        self.digest = sha256.digest


suite: Suite = International()
