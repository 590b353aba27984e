"""Receipts and events: what one transaction did. Codes only, never texts, so that no log level forks a chain."""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.encoding import Codec, Count, Hash32, Id20, Name

VERSION = 1
SUCCEEDED = 0
FAILED = 1


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Emitted by a contract; `data` is an encoded value (model.value)."""

    contract: Id20
    name: Name
    data: Annotated[bytes, msgspec.Meta(max_length=limits.EVENT_BYTES_MAX)]


class Receipt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Every transaction in a block has one, failed ones too.

    `status` is SUCCEEDED or FAILED; `code` is "" or a stable error code; `steps` are those charged;
    `result` is the encoded value the method returned (empty when it failed); a failed one has no events.
    """

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    transaction: Hash32
    height: Count
    index: Count
    status: Annotated[int, msgspec.Meta(ge=SUCCEEDED, le=FAILED)]
    code: Annotated[str, msgspec.Meta(max_length=limits.NAME_BYTES_MAX)]
    steps: Count
    result: Annotated[bytes, msgspec.Meta(max_length=limits.RECEIPT_RESULT_BYTES_MAX)]
    events: Annotated[list[Event], msgspec.Meta(max_length=limits.EVENTS_PER_TRANSACTION_MAX)]


class EventLeaf(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A leaf of the events tree: an event and where it stands."""

    transaction: Hash32
    index: Count
    event: Event


receipt_codec: Codec[Receipt] = Codec(Receipt, what="receipt", bytes_max=limits.BLOCK_BYTES_MAX)
