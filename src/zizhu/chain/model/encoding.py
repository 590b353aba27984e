"""The one canonical encoding: MessagePack arrays of typed, bounded fields. It alone is hashed, signed, sent, stored.

Decides what a valid encoding is: `decode(encode(x)) == x`, and `encode(decode(b)) == b` or refusal.
Refuses to know what the structures mean, and hashes nothing: `crypto` does, with a domain in front.

Source of the choice: docs/decisions (msgspec). The decoder accepts non-minimal forms, so every decode
re-encodes and compares.
"""

from typing import Annotated, Generic, TypeVar

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.errors import ErrorCode, SpokeWrongly

MALFORMED = ErrorCode(
    "encoding.malformed",
    "{what} cannot be decoded: {reason}",
    "send {what} in the canonical encoding of docs/protocol/encoding.md",
    "{what} 无法解码:{reason}",
    "请按 docs/protocol/encoding.md 的规范编码发送 {what}",
)

Hash32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Id20 = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Count = Annotated[int, msgspec.Meta(ge=0, le=limits.NUMBER_MAX)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_BYTES_MAX)]
PublicKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=65)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()


def encode(value: object) -> bytes:
    """The canonical bytes of a structure of `model`, or of a message."""
    return _encoder.encode(value)


class Codec(Generic[T]):
    """Decoder of one type: refuses what is too long, malformed, out of range or not canonical."""

    __slots__ = ("_decoder", "bytes_max", "what")

    def __init__(self, type_: object, *, what: str, bytes_max: int) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(type_)
        self.what = what
        self.bytes_max = bytes_max

    def decode(self, data: bytes) -> T:
        """The value whose canonical encoding is `data`.

        Raises SpokeWrongly (`encoding.malformed`) for anything else; no other exception escapes.
        """
        if len(data) > self.bytes_max:
            raise SpokeWrongly(MALFORMED, what=self.what, reason=f"{len(data)} bytes, at most {self.bytes_max} allowed")
        try:
            value = self._decoder.decode(data)
            again = _encoder.encode(value)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError, ValueError, TypeError) as error:
            raise SpokeWrongly(MALFORMED, what=self.what, reason=str(error)) from None
        if again != data:
            raise SpokeWrongly(MALFORMED, what=self.what, reason="not in canonical form")
        return value
