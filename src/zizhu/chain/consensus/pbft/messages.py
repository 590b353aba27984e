"""What PBFT members say to each other, and what they write down before they say it.

Decides fields and limits; docs/protocol/pbft.md has the table of every message. Votes carry no member: the
authenticated link says whose they are, and they are never relayed. View changes are relayed inside NEW-VIEW,
so they name their member.
"""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.block import BlockHeader
from zizhu.chain.model.certificate import COMMIT, PREPARE, Certificate
from zizhu.chain.model.compact import Entries
from zizhu.chain.model.encoding import Codec, Count, Hash32, Name, Signature


class Proposal(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=10):
    """The leader proposes a block; `signature` is the leader's own PREPARE vote for (block, outcome)."""

    epoch: Count
    view: Count
    header: BlockHeader
    entries: Entries
    outcome: Hash32
    signature: Signature


class Vote(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=11):
    """A PREPARE or COMMIT vote of the link's peer."""

    epoch: Count
    view: Count
    phase: Annotated[int, msgspec.Meta(ge=PREPARE, le=COMMIT)]
    height: Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]
    block: Hash32
    outcome: Hash32
    signature: Signature


class ViewChange(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=12):
    """Ends the sender's votes below `view`; carries its own certificate of greatest (view, height)."""

    epoch: Count
    view: Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]
    certificate: Certificate | None
    member: Hash32
    signature: Signature


class NewView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=13):
    """The leader of `view` opens it with a quorum of VIEW-CHANGEs, ascending by member; all recompute the tip."""

    epoch: Count
    view: Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]
    changes: Annotated[list[ViewChange], msgspec.Meta(min_length=1, max_length=limits.MEMBERS_MAX)]
    signature: Signature


class ViewRequest(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=14):
    """The peer finds the leader of `view` bad (slow, deaf, refused proposal) and goes on voting meanwhile."""

    epoch: Count
    view: Count
    reason: Name


class MemoryQuery(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=15):
    """A member that starts asks for the newest vote and view change signed by its own key."""

    epoch: Count


class MemoryAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=16):
    """The newest vote and view change of the asker that this member has seen."""

    epoch: Count
    vote: Vote | None
    change: ViewChange | None


Message = Proposal | Vote | ViewChange | NewView | ViewRequest | MemoryQuery | MemoryAnswer
MESSAGES: tuple[type[msgspec.Struct], ...] = (
    Proposal,
    Vote,
    ViewChange,
    NewView,
    ViewRequest,
    MemoryQuery,
    MemoryAnswer,
)


class ViewChangeStatement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a VIEW-CHANGE signs; `certificate` is the hash of the one it carries, or 32 zero bytes."""

    ledger: Hash32
    epoch: Count
    view: Count
    certificate: Hash32


class NewViewStatement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a NEW-VIEW signs; `changes` is the hash of its list of VIEW-CHANGEs."""

    ledger: Hash32
    epoch: Count
    view: Count
    changes: Hash32


# -- the vote log ----------------------------------------------------------------------------------------------


class Opened(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """First record of a vote log: a folder with blocks and without it has lost its memory."""

    ledger: Hash32


class Voted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """This member is about to sign this vote; it never signs another for (epoch, view, phase, height)."""

    epoch: Count
    view: Count
    phase: int
    height: int
    block: Hash32
    outcome: Hash32


class Prepared(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """A prepared certificate this member holds; durable before the commit vote that rests on it."""

    certificate: Certificate


class Changed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """This member is about to sign VIEW-CHANGE(view) with this certificate."""

    epoch: Count
    view: Count
    certificate: Certificate | None


class Entered(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """This member opens or enters `view` on these VIEW-CHANGEs; `signature` is zero in the leader's own."""

    epoch: Count
    view: Count
    changes: list[ViewChange]
    signature: Signature


class Lost(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """This key's memory is lost: it never votes again."""

    reason: Name


VoteRecord = Opened | Voted | Prepared | Changed | Entered | Lost
vote_record_codec: Codec[VoteRecord] = Codec(VoteRecord, what="vote log record", bytes_max=limits.MESSAGE_BYTES_MAX)
