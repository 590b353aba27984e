"""Names for the numbers and byte strings that must not be swapped.

Decides their width. Refuses to know how they are computed: `crypto` hashes.
"""

from typing import NamedTuple, NewType

Height = NewType("Height", int)
"""Position of a block; genesis is 0 and has no block, the first block is 1."""
View = NewType("View", int)
"""PBFT view, from 0 in each epoch."""
Epoch = NewType("Epoch", int)
"""Number of an epoch, from 0."""
Nonce = NewType("Nonce", int)
"""A transaction's number among those of its sender; from 1."""

LedgerId = NewType("LedgerId", bytes)
"""32 bytes: hash of the genesis."""
BlockHash = NewType("BlockHash", bytes)
"""32 bytes: hash of a block header; for height 0 the ledger id."""
OutcomeHash = NewType("OutcomeHash", bytes)
"""32 bytes: hash of an outcome."""
TransactionId = NewType("TransactionId", bytes)
"""32 bytes: hash of a transaction's body."""
WitnessHash = NewType("WitnessHash", bytes)
"""32 bytes: hash of a transaction's witness."""
MemberId = NewType("MemberId", bytes)
"""32 bytes: hash of a member's voting key."""
AccountId = NewType("AccountId", bytes)
"""20 bytes: head of the hash of an account's suite and public key."""
ContractId = NewType("ContractId", bytes)
"""20 bytes."""

ZERO_HASH = bytes(32)


class Instant(NamedTuple):
    """A moment as the driver sees it; both in milliseconds. Durations are differences of `monotonic_ms`."""

    monotonic_ms: int
    wall_ms: int
