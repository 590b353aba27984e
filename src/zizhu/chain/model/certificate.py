"""Votes and certificates as data. Whether one is valid is decided by one function: `consensus.certificate`."""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.encoding import Codec, Count, Hash32, Signature

VERSION = 1
PREPARE = 1
COMMIT = 2
"""Phases of a vote."""


class VoteStatement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a vote signs, under the domain `vote`: everything that must not be mixed up."""

    ledger: Hash32
    epoch: Count
    view: Count
    phase: Annotated[int, msgspec.Meta(ge=PREPARE, le=COMMIT)]
    height: Count
    block: Hash32
    outcome: Hash32


class SignedBy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One member's signature; the signer is looked up by its id, never by a position."""

    member: Hash32
    signature: Signature


class Certificate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Signatures of distinct members of one epoch over one statement, in ascending order of member id.

    `phase` COMMIT certifies the block; PREPARE is a prepared certificate. The check refuses a mixture.
    """

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    phase: Annotated[int, msgspec.Meta(ge=PREPARE, le=COMMIT)]
    epoch: Count
    view: Count
    height: Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]
    block: Hash32
    outcome: Hash32
    signatures: Annotated[list[SignedBy], msgspec.Meta(min_length=1, max_length=limits.MEMBERS_MAX)]


certificate_codec: Codec[Certificate] = Codec(Certificate, what="certificate", bytes_max=64 * 1024)
