"""How accounts and members get their ids from their public keys.

Decides what the ids commit to. Refuses to know what an account may do. Pure.
"""

from zizhu.chain.crypto.hashing import member_id
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.ids import AccountId

__all__ = ["ACCOUNT_DOMAIN", "ACCOUNT_ID_BYTES", "account_id", "member_id"]

ACCOUNT_DOMAIN = b"account"
ACCOUNT_ID_BYTES = 20


def account_id(suite: Suite, public_key: bytes) -> AccountId:
    """20 bytes: the head of H("account", suite code ‖ public key), hashed with the account's own suite.

    The code is inside, so one key under two suites is two accounts.
    """
    return AccountId(suite.hash(ACCOUNT_DOMAIN, bytes([suite.code]) + public_key)[:ACCOUNT_ID_BYTES])
