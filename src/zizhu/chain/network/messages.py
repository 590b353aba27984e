"""What members say to each other about submissions and blocks. docs/protocol/network.md has the table."""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.block import Block
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.encoding import Count, Hash32
from zizhu.chain.model.transaction import Submission

GOSSIP_SUBMISSIONS_MAX = 1024
FETCH_ITEMS_MAX = limits.BLOCK_TRANSACTIONS_MAX
SYNC_BLOCKS_MAX = 64
"""Most blocks in one answer; it also ends at SYNC_BYTES_MAX."""
SYNC_BYTES_MAX = 4 * 1024 * 1024


class Gossip(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=30):
    """Submissions that clients handed to the sender, each sent once per link."""

    submissions: Annotated[list[Submission], msgspec.Meta(min_length=1, max_length=GOSSIP_SUBMISSIONS_MAX)]


class FetchItems(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=31):
    """Send the items at these positions (ascending) of a block that was proposed."""

    block: Hash32
    positions: Annotated[list[Count], msgspec.Meta(min_length=1, max_length=FETCH_ITEMS_MAX)]


class Items(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=32):
    """The items asked for, in the order asked; empty if the sender does not hold the block."""

    block: Hash32
    items: Annotated[list[Submission], msgspec.Meta(max_length=FETCH_ITEMS_MAX)]


class FetchBlock(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=33):
    """Send a whole block, certified or not."""

    block: Hash32


class WholeBlock(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=34):
    """The block asked for, or None if the sender does not hold it."""

    block: Hash32
    body: Block | None


class Status(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=40):
    """What a member says of itself, at every change of its links and twice a second."""

    epoch: Count
    view: Count
    active: bool
    height: Count
    block: Hash32


class FetchCertified(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=41):
    """Send certified blocks from height `start` on, at most `count`."""

    start: Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]
    count: Annotated[int, msgspec.Meta(ge=1, le=SYNC_BLOCKS_MAX)]


class Certified(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A block and a certificate of it."""

    block: Block
    certificate: Certificate


class CertifiedBlocks(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=42):
    """Consecutive certified blocks from `start` on; empty if the sender has none."""

    start: Count
    blocks: Annotated[list[Certified], msgspec.Meta(max_length=SYNC_BLOCKS_MAX)]


Message = Gossip | FetchItems | Items | FetchBlock | WholeBlock | Status | FetchCertified | CertifiedBlocks
MESSAGES: tuple[type[msgspec.Struct], ...] = (
    Gossip,
    FetchItems,
    Items,
    FetchBlock,
    WholeBlock,
    Status,
    FetchCertified,
    CertifiedBlocks,
)
