"""A block as a proposal carries it: the header and, for each item, what identifies it.

Decides how a block is named without its bodies: a member that holds them in its pool rebuilds the block,
and fetches what it lacks. Refuses to know a pool.
"""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.encoding import Hash32
from zizhu.chain.model.transaction import BundleHeader


class SingleEntry(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """A transaction with its own signature: its id and the hash of the witness that stands in the block."""

    transaction: Hash32
    witness: Hash32


class BundleEntry(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """A bundle: its signed header, the ids of all its leaves, and which of them are taken.

    `taken` is a bitmap of ceil(count / 8) bytes, least significant bit first.
    """

    header: BundleHeader
    transactions: Annotated[list[Hash32], msgspec.Meta(min_length=1, max_length=limits.BUNDLE_COUNT_MAX)]
    taken: Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.BUNDLE_COUNT_MAX // 8)]


Entry = SingleEntry | BundleEntry
Entries = Annotated[list[Entry], msgspec.Meta(max_length=limits.BLOCK_TRANSACTIONS_MAX)]
