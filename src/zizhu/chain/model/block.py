"""Blocks and outcomes. What is agreed is the pair (block hash, outcome hash).

The block hash contains no view, so a block can be proposed again unchanged. The certificate stands beside
the block and enters no hash.
"""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.encoding import Codec, Count, Hash32
from zizhu.chain.model.transaction import Submission

VERSION = 1


class BlockHeader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Hashed into the block hash. `time_ms` is block time (wall, ms); `proposer` is who first proposed it.

    `transaction_root` commits to the ids in order, `witness_root` to the witness hashes in the same order.
    `parent` of height 1 is the ledger id; `parent_outcome` of height 1 is the outcome hash of the genesis.
    """

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    ledger: Hash32
    epoch: Count
    epoch_record: Hash32
    height: Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]
    parent: Hash32
    parent_outcome: Hash32
    time_ms: Count
    proposer: Hash32
    count: Annotated[int, msgspec.Meta(ge=0, le=limits.BLOCK_TRANSACTIONS_MAX)]
    transaction_root: Hash32
    witness_root: Hash32


Items = Annotated[list[Submission], msgspec.Meta(max_length=limits.BLOCK_TRANSACTIONS_MAX)]


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A header and the submissions that carry its transactions, in order."""

    header: BlockHeader
    items: Items


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What executing a block did; its hash is voted on.

    State part: `root` is the state root at `root_height` (the last root height ≤ h) and `running` is D(h),
    the running hash of the write sets since; D(root height) = H(root). `next_epoch` is the hash of the
    next epoch record, or 32 zero bytes.
    """

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    root_height: Count
    root: Hash32
    running: Hash32
    receipts_root: Hash32
    events_root: Hash32
    next_epoch: Hash32


header_codec: Codec[BlockHeader] = Codec(BlockHeader, what="block header", bytes_max=4096)
block_codec: Codec[Block] = Codec(Block, what="block", bytes_max=limits.BLOCK_BYTES_MAX)
outcome_codec: Codec[Outcome] = Codec(Outcome, what="outcome", bytes_max=1024)
