"""Secret keys of 32 bytes: where they come from and the one error for those that are none.

Decides that every secret is drawn by the operating system's generator. Refuses to know an algorithm.
"""

import secrets

from zizhu.chain.model.errors import AskedWrongly, ErrorCode

SECRET_BYTES = 32

SECRET_KEY = ErrorCode(
    "crypto.secret_key",
    "this is not a secret key of {scheme}: {reason}",
    "use a key made by `zizhu account new` or by the scheme's generate()",
    "这不是 {scheme} 的私钥:{reason}",
    "请使用 `zizhu account new` 或该算法 generate() 生成的密钥",
)


def draw_secret(*, below: int) -> bytes:
    """A secret in 1..below-1, 32 bytes big-endian, evenly distributed."""
    return (1 + secrets.randbelow(below - 1)).to_bytes(SECRET_BYTES, "big")


def draw_seed() -> bytes:
    """32 evenly distributed bytes."""
    return secrets.token_bytes(SECRET_BYTES)


def checked_secret(secret: bytes, *, scheme: str, below: int) -> int:
    """`secret` as an integer in 1..below-1; raises AskedWrongly (`crypto.secret_key`) for anything else."""
    if len(secret) != SECRET_BYTES:
        raise AskedWrongly(SECRET_KEY, scheme=scheme, reason=f"{len(secret)} bytes instead of {SECRET_BYTES}")
    number = int.from_bytes(secret, "big")
    if not 1 <= number < below:
        raise AskedWrongly(SECRET_KEY, scheme=scheme, reason="the number is out of range")
    return number
