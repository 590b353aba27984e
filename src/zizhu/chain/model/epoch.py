"""Epoch records: who the voting members are, under which engine, parameters and suite."""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.encoding import Codec, Count, Hash32, Name, PublicKey

VERSION = 1


class Member(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A voting member. `vote_key` signs votes; `tls_pin` is SHA-256 of its TLS certificate's SPKI (DER)."""

    name: Name
    organisation: Name
    vote_key: PublicKey
    tls_pin: Hash32


class Parameters(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """What the members agreed on; units in the names. Defaults are those of docs/protocol."""

    transaction_bytes_max: Annotated[int, msgspec.Meta(ge=1024, le=limits.TRANSACTION_BYTES_MAX)] = (
        limits.TRANSACTION_BYTES_MAX
    )
    transaction_steps_max: Annotated[int, msgspec.Meta(ge=1000, le=limits.NUMBER_MAX)] = 1_000_000
    block_bytes_max: Annotated[int, msgspec.Meta(ge=4096, le=limits.BLOCK_BYTES_MAX)] = 8 * 1024 * 1024
    block_steps_max: Annotated[int, msgspec.Meta(ge=1000, le=limits.NUMBER_MAX)] = 1_000_000
    block_transactions_max: Annotated[int, msgspec.Meta(ge=1, le=limits.BLOCK_TRANSACTIONS_MAX)] = 2_048
    window: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    batch_transactions: Annotated[int, msgspec.Meta(ge=1, le=limits.BLOCK_TRANSACTIONS_MAX)] = 500
    batch_wait_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 10
    root_every: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    root_wait_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000)] = 1_000
    idle_block_ms: Annotated[int, msgspec.Meta(ge=1_000, le=3_600_000)] = 60_000
    view_timeout_ms: Annotated[int, msgspec.Meta(ge=50, le=60_000)] = 500
    view_timeout_cap_ms: Annotated[int, msgspec.Meta(ge=50, le=600_000)] = 8_000
    rotation_blocks: Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)] = 1_000
    rotation_load_ms: Annotated[int, msgspec.Meta(ge=100, le=limits.NUMBER_MAX)] = 10_000
    passed_over_ms: Annotated[int, msgspec.Meta(ge=100, le=600_000)] = 2_000
    clock_tolerance_ms: Annotated[int, msgspec.Meta(ge=100, le=600_000)] = 2_000


class EpochRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Members stand in the order of their ids' positions; `suite` is a crypto suite name, `engine` an engine name."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    number: Count
    engine: Name
    suite: Name
    members: Annotated[list[Member], msgspec.Meta(min_length=1, max_length=limits.MEMBERS_MAX)]
    parameters: Parameters


record_codec: Codec[EpochRecord] = Codec(EpochRecord, what="epoch record", bytes_max=1024 * 1024)
