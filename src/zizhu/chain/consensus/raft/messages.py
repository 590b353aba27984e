"""What Raft members say to each other, and what they write down before they say it.

Decides fields and limits; docs/protocol/raft.md has every rule, docs/protocol/README.md the table of every message.
No message names its sender: the authenticated link says whose it is, and none is passed on.
"""

from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.block import BlockHeader
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.compact import Entries
from zizhu.chain.model.encoding import Codec, Count, Hash32, Name, Signature

ENTRIES_MAX = 16
"""Most log entries in one append."""
CERTIFICATES_MAX = 64
"""Most certificates in one append, and most endorsements in one reply."""

Index = Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]
Term = Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A log entry: of a block, or (`block` None) the empty one with which a leader opens its term.

    `height` is that of the newest block at or below the entry. `header` and `entries` are absent for a block that
    the receiver fetches by its hash.
    """

    term: Term
    height: Count
    block: Hash32 | None
    header: BlockHeader | None
    entries: Entries


class Ballot(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=17):
    """Vote for the sender in `term`? `pre`: would you? The sender's log ends with (`last_index`, `last_term`).
    `called`: the leader itself called this election, so that nobody waits to hear from it."""

    epoch: Count
    term: Term
    last_index: Count
    last_term: Count
    pre: bool
    called: bool


class BallotReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=18):
    """The answer to a ballot of `term`; of a refusal, `term` is the newest term the sender knows."""

    epoch: Count
    term: Count
    pre: bool
    granted: bool


class Append(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=19):
    """The leader of `term` sends entries behind (`previous_index`, `previous_term`), none for a heartbeat.

    `head`: the leader's certified height. `certificates`: those it has put together since its last append, ascending.
    """

    epoch: Count
    term: Term
    previous_index: Count
    previous_term: Count
    entries: Annotated[list[Entry], msgspec.Meta(max_length=ENTRIES_MAX)]
    commit_index: Count
    head: Count
    certificates: Annotated[list[Certificate], msgspec.Meta(max_length=CERTIFICATES_MAX)]


class Endorsement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The sender's signature of a committed block, for the certificate of `height`."""

    height: Index
    block: Hash32
    outcome: Hash32
    signature: Signature


class AppendReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=20):
    """Everything up to `match` is durable here and agrees with the leader's log; of a refusal (`agreed` false),
    `match` is the last index at which it may agree, and `match_term` that entry's term.

    `endorsements`: this member's signatures above the leader's certified height, ascending.
    """

    epoch: Count
    term: Term
    agreed: bool
    match: Count
    match_term: Count
    endorsements: Annotated[list[Endorsement], msgspec.Meta(max_length=CERTIFICATES_MAX)]


class Install(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=21):
    """The entries up to `index` are gone from the leader's log: they are the certified chain up to `height`."""

    epoch: Count
    term: Term
    index: Index
    entry_term: Count
    height: Count


class Take(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=24):
    """The leader of `term` leaves, and the receiver's log is whole: call an election at once."""

    epoch: Count
    term: Term


class RaftMemoryQuery(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=22):
    """A member that starts asks what the others know of it."""

    epoch: Count


class RaftMemoryAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=23):
    """What the asker has shown the sender: its newest endorsement; the newest term in which it voted, led or followed,
    and how far its log was durable then. The sender's own log ends with (`last_term`, `last_index`), and it is in term
    `current`."""

    epoch: Count
    endorsement: Endorsement | None
    term: Count
    index: Count
    last_term: Count
    last_index: Count
    current: Count


Message = Ballot | BallotReply | Append | AppendReply | Install | Take | RaftMemoryQuery | RaftMemoryAnswer
MESSAGES: tuple[type[msgspec.Struct], ...] = (
    Ballot,
    BallotReply,
    Append,
    AppendReply,
    Install,
    Take,
    RaftMemoryQuery,
    RaftMemoryAnswer,
)


# -- the vote log ----------------------------------------------------------------------------------------------


class RaftOpened(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=20):
    """First record of a vote log: a folder with blocks and without it has lost its memory."""

    ledger: Hash32


class Turned(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=21):
    """This member is in `term` and has given its vote in it to `voted`, or to nobody yet."""

    epoch: Count
    term: Term
    voted: Hash32 | None


class Appended(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=22):
    """The entry at `index`; whatever stood at it and behind it is cut off. The block's bytes are in the block log."""

    epoch: Count
    index: Index
    term: Term
    height: Count
    block: Hash32 | None


class Installed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=23):
    """The log begins behind `index`: up to there it is the certified chain up to `height`."""

    epoch: Count
    index: Index
    term: Count
    height: Count


class Barred(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=26):
    """This member began with an empty log, and may have forgotten one that ended with (`term`, `index`): until its own
    is as new, it takes part only in the election of who has that much. The newest such record holds."""

    epoch: Count
    term: Count
    index: Count


class Endorsed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=24):
    """This member is about to sign this block, and never another at its height."""

    epoch: Count
    height: Index
    block: Hash32
    outcome: Hash32


class Forgotten(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=25):
    """This key's memory is lost: it never votes, acknowledges or signs again."""

    reason: Name


RaftRecord = RaftOpened | Turned | Appended | Installed | Barred | Endorsed | Forgotten
record_codec: Codec[RaftRecord] = Codec(RaftRecord, what="vote log record", bytes_max=4096)
