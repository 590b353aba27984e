"""The guomi suite: SM2 with SM3 for accounts and members, SM3, SM4-GCM.

Decides what belongs together under code 1. Refuses to know how each is computed.
"""

from zizhu.chain.crypto.guomi.sm2 import Sm2
from zizhu.chain.crypto.guomi.sm3 import sm3
from zizhu.chain.crypto.guomi.sm4 import Sm4Gcm
from zizhu.chain.crypto.port import Cipher, SignatureScheme, Suite


class Guomi:
    """GB/T 32918 (SM2), 32905 (SM3), 32907 (SM4)."""

    name = "guomi"
    code = 1

    def __init__(self) -> None:
        sm2 = Sm2()
        self.accounts: SignatureScheme = sm2
        self.members: SignatureScheme = sm2
        self.cipher: Cipher = Sm4Gcm()
        # Bound methods of the hash itself: one call less in the hottest function of the ledger.
        self.hash = sm3.hash
        self.digest = sm3.digest


suite: Suite = Guomi()
