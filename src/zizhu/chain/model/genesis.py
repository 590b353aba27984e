"""The genesis: a file all first members sign. Its hash is the ledger id."""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.certificate import SignedBy
from zizhu.chain.model.encoding import Codec, Count, Name
from zizhu.chain.model.epoch import EpochRecord
from zizhu.chain.model.transaction import Payload

VERSION = 1


class GenesisContract(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A contract that exists from height 0; its id is the hash of its name (`ledger.keys.genesis_contract_id`)."""

    name: Name
    engine: Name
    source: Payload
    arguments: Payload


class Rule(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A governed act and the rule it needs, in the grammar of docs/protocol (ALL, MAJORITY, a/b, ...)."""

    act: Name
    rule: Name


class Genesis(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Hashed under the domain `genesis` with the suite the record names; the hash is the ledger id."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    name: Name
    time_ms: Count
    record: EpochRecord
    contracts: Annotated[list[GenesisContract], msgspec.Meta(max_length=64)]
    rules: Annotated[list[Rule], msgspec.Meta(max_length=64)]


class SignedGenesis(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The file: the genesis and the signature of every member over the ledger id (domain `genesis-consent`)."""

    genesis: Genesis
    signatures: Annotated[list[SignedBy], msgspec.Meta(min_length=1, max_length=limits.MEMBERS_MAX)]


genesis_codec: Codec[SignedGenesis] = Codec(SignedGenesis, what="genesis", bytes_max=limits.GENESIS_BYTES_MAX)
