"""The SM2 curve (GB/T 32918.5): its numbers, the two encodings, and the hash of a signer's identity.

Decides what a well-formed key and a well-formed signature are. Refuses to know how signatures are computed.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from zizhu.chain.crypto.domain_hash import HashState
from zizhu.chain.crypto.guomi.sm3 import sm3

USER_ID = b"1234567812345678"
"""The signer id that GB/T 35276 and RFC 8998 name as default."""
PUBLIC_KEY_BYTES = 33
SIGNATURE_BYTES = 64


class Point(NamedTuple):
    """An affine point, never the one at infinity."""

    x: int
    y: int


@dataclass(frozen=True)
class Curve:
    """y² = x³ + ax + b over the integers modulo p (p ≡ 3 mod 4), with `base` of prime order n, cofactor 1."""

    p: int
    a: int
    b: int
    n: int
    base: Point

    @cached_property
    def order_bytes(self) -> bytes:
        """n as 32 bytes."""
        return self.n.to_bytes(32, "big")

    def holds(self, point: Point) -> bool:
        """Whether `point` lies on the curve, with both coordinates in range."""
        x, y = point
        in_range = 0 <= x < self.p and 0 <= y < self.p
        return in_range and (y * y - (x * x * x + self.a * x + self.b)) % self.p == 0


SM2 = Curve(
    p=0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF,
    a=0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC,
    b=0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93,
    n=0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123,
    base=Point(
        0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
        0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
    ),
)


def decompress(public_key: bytes) -> Point | None:
    """The point that the 33 bytes 02/03 ‖ x name; None for any other length, form, or an x off the curve."""
    if len(public_key) != PUBLIC_KEY_BYTES or public_key[0] not in (2, 3):
        return None
    x = int.from_bytes(public_key[1:], "big")
    if x >= SM2.p:
        return None
    square = (x * x * x + SM2.a * x + SM2.b) % SM2.p
    y = pow(square, (SM2.p + 1) // 4, SM2.p)
    if y * y % SM2.p != square:
        return None
    # y is never 0: the order of the curve is an odd prime, so no point is its own negative.
    return Point(x, y if y & 1 == public_key[0] & 1 else SM2.p - y)


def compress(point: Point) -> bytes:
    """The 33 bytes 02/03 ‖ x."""
    return bytes([2 + (point.y & 1)]) + point.x.to_bytes(32, "big")


def uncompressed(point: Point) -> bytes:
    """The 65 bytes 04 ‖ x ‖ y."""
    return b"\x04" + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")


def well_formed(signature: bytes) -> bool:
    """Whether `signature` is r ‖ s of 64 bytes with both numbers in 1..n-1 (GB/T 32918.2, 7.1, B1 and B2)."""
    zero, order = bytes(32), SM2.order_bytes
    # Big-endian byte strings of one length compare as their numbers do.
    return len(signature) == SIGNATURE_BYTES and zero < signature[:32] < order and zero < signature[32:] < order


def identity_state(point: Point, user_id: bytes = USER_ID, curve: Curve = SM2) -> HashState:
    """An SM3 state that has absorbed Z_A = SM3(ENTL ‖ ID ‖ a ‖ b ‖ G ‖ P_A) (GB/T 32918.2, 5.5).

    Absorb the message and the digest is e, the number that is signed.
    """
    numbers = (curve.a, curve.b, *curve.base, *point)
    identity = (8 * len(user_id)).to_bytes(2, "big") + user_id + b"".join(v.to_bytes(32, "big") for v in numbers)
    state = sm3.start()
    state.update(sm3.digest(identity))
    return state
