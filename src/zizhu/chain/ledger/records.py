"""What the block log holds: blocks, and what made them final.

Decides the two records. Refuses to know files. A block is written once, before this member prepares it, when
it is still tentative; a commit record adopts it, and a block that loses stays behind as an orphan.
"""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.block import Outcome
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.encoding import Codec, encode
from zizhu.chain.model.receipt import Receipt

VERSION = 1


class BlockRecord(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """A block in its canonical bytes; tentative until a commit record names its hash."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    block: Annotated[bytes, msgspec.Meta(max_length=limits.BLOCK_BYTES_MAX)]


class CommitRecord(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """The certificate of a block whose record stands before this one, its outcome, and its receipts in order."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    certificate: Certificate
    outcome: Outcome
    receipts: Annotated[list[Receipt], msgspec.Meta(max_length=limits.BLOCK_TRANSACTIONS_MAX)]


BlockLogRecord = BlockRecord | CommitRecord

RECORD_BYTES_MAX = 1 << 32
"""No limit of its own: a block is bounded, and its receipts by what its steps can write."""
record_codec: Codec[BlockLogRecord] = Codec(BlockLogRecord, what="block log record", bytes_max=RECORD_BYTES_MAX)


def encode_block_record(block: bytes) -> bytes:
    """The record of a block, from its canonical bytes."""
    return encode(BlockRecord(VERSION, block))


def encode_commit_record(certificate: Certificate, outcome: Outcome, receipts: list[Receipt]) -> bytes:
    """The record that adopts a block."""
    return encode(CommitRecord(VERSION, certificate, outcome, receipts))


def decode_record(data: bytes) -> BlockLogRecord:
    """A record of our own log; raises SpokeWrongly (`encoding.malformed`)."""
    return record_codec.decode(data)
