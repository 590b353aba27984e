"""Transactions: a body that is hashed into the id, and a witness that proves who signed it.

Decides the fields and their limits. Refuses to know whether a signature is good (`crypto`), a nonce free
(`ledger`) or a method known (`contracts`).
"""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.encoding import Codec, Count, Hash32, Id20, Name, PublicKey, Signature

VERSION = 1

DEPLOY = 1
INVOKE = 2
"""Kinds of transaction (`TransactionBody.kind`); the payload is decoded by kind."""

Payload = Annotated[bytes, msgspec.Meta(max_length=limits.TRANSACTION_BYTES_MAX)]


class TransactionBody(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the sender signs. `nonce` from 1; `valid_until_height` inclusive; `steps_max` in contract steps."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    kind: Annotated[int, msgspec.Meta(ge=DEPLOY, le=INVOKE)]
    ledger: Hash32
    sender: Id20
    nonce: Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]
    valid_until_height: Count
    steps_max: Count
    payload: Payload


class Deploy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Payload of DEPLOY: install `source` under engine `engine`; `arguments` (model.value) go to its `init`."""

    name: Name
    engine: Name
    source: Payload
    arguments: Payload


class Invoke(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Payload of INVOKE: call `method` of `contract`; `arguments` is an encoded list of values (model.value)."""

    contract: Id20
    method: Name
    arguments: Payload


class Single(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """One transaction with its own signature over its id. `suite` is the account's crypto suite code."""

    body: Payload
    suite: Annotated[int, msgspec.Meta(ge=1, le=255)]
    public_key: PublicKey
    signature: Signature


class BundleHeader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One signature over the Merkle root of `count` transaction ids of one sender.

    The signature is over (domain `bundle`, ledger, signer, suite, count, root): `BundleStatement`.
    """

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    suite: Annotated[int, msgspec.Meta(ge=1, le=255)]
    public_key: PublicKey
    count: Annotated[int, msgspec.Meta(ge=1, le=limits.BUNDLE_COUNT_MAX)]
    root: Hash32
    signature: Signature


class BundleStatement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a bundle's signature covers."""

    ledger: Hash32
    signer: Id20
    suite: Count
    count: Count
    root: Hash32


class BundledWitness(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What stands for a bundled transaction's witness in the witness root and the verification memory."""

    header: Hash32
    index: Count


class Bundle(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """A signed header and its leaves in order: a leaf is a body or, inside a block, the 32-byte id of a body
    that stands elsewhere or is not taken. The root is always recomputed whole."""

    header: BundleHeader
    leaves: Annotated[list[Payload], msgspec.Meta(min_length=1, max_length=limits.BUNDLE_COUNT_MAX)]


Submission = Single | Bundle
"""What a client hands in, what is gossiped, and what a block is made of."""

body_codec: Codec[TransactionBody] = Codec(TransactionBody, what="transaction", bytes_max=limits.TRANSACTION_BYTES_MAX)
deploy_codec: Codec[Deploy] = Codec(Deploy, what="deploy payload", bytes_max=limits.TRANSACTION_BYTES_MAX)
invoke_codec: Codec[Invoke] = Codec(Invoke, what="invoke payload", bytes_max=limits.TRANSACTION_BYTES_MAX)
submission_codec: Codec[Submission] = Codec(Submission, what="submission", bytes_max=limits.BLOCK_BYTES_MAX)
