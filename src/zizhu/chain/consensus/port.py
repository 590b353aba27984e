"""The port of a consensus engine: events in, effects out.

Decides what an engine is told and what it may ask for. Refuses to know transactions: an engine agrees on
pairs (block, outcome) that the node builds, assembles and executes for it. An engine enters by the entry
point group `zizhu.consensus`; its factory is `build(setting: Setting) -> ConsensusEngine`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from zizhu.chain.consensus.certificate import Electorate
from zizhu.chain.model.block import BlockHeader
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.compact import Entry
from zizhu.chain.model.effects import Persist, Report, Send, SetTimer, Sign
from zizhu.chain.model.ids import BlockHash, Instant, MemberId, OutcomeHash


@dataclass(frozen=True, slots=True)
class Ready:
    """A block this node holds whole and has executed. `has_root`: its height is a root height."""

    height: int
    block: BlockHash
    parent: BlockHash
    outcome: OutcomeHash
    time_ms: int
    has_root: bool
    count: int


# -- events: the node tells ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The node runs; the engine may begin. Told once, before any other event."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message of this engine came over the authenticated link of member `peer`."""

    peer: MemberId
    message: msgspec.Struct


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that this engine set."""

    name: str


@dataclass(frozen=True, slots=True)
class Signed:
    """Answer to `Sign`: 64 bytes by this member's voting key."""

    purpose: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Executed:
    """Answer to `Execute` (one for the block, and one for each ancestor that had to be executed for it)."""

    ready: Ready
    header: BlockHeader
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Answer to `Execute`: the block breaks the rule `code` (a header field, a root, a transaction)."""

    block: BlockHash
    code: str


@dataclass(frozen=True, slots=True)
class Built:
    """Answer to `Build`: a new block on the parent asked for, executed; None if there was nothing to put in."""

    executed: Executed | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pool changed. `free` transactions wait for a proposal (they stand in no block in flight), the oldest
    for `oldest_ms`; `unfinished` of them wait for a commit."""

    free: int
    oldest_ms: int
    unfinished: int


@dataclass(frozen=True, slots=True)
class Synced:
    """The node committed this block on the strength of its certificate, fetched from others."""

    ready: Ready
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What a peer says of itself: its view, whether it takes part in it, its certified height."""

    peer: MemberId
    view: int
    active: bool
    height: int


@dataclass(frozen=True, slots=True)
class PassedOver:
    """The pool watched the leader pass over a transaction twice as long as the rules allow."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The node is about to stop in good order: last words, such as who is to lead from now on."""


Event = (
    Started
    | Received
    | TimerFired
    | Signed
    | Executed
    | Refused
    | Built
    | Waiting
    | Synced
    | PeerStatus
    | PassedOver
    | Stopping
)

# -- effects: the engine asks ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Build:
    """Build and execute a block on `parent` from the pool. `empty` allows a block without transactions."""

    parent: BlockHash
    empty: bool


@dataclass(frozen=True, slots=True)
class Execute:
    """Hold the block whole, check it and execute it (its ancestors first); answered by Executed or Refused.

    `header` and `entries` are what a proposal carried, or None and () when only the hash is known. `sources`
    are members that hold it. `fresh`: check the header's time against this node's clock as it was when the
    proposal arrived, `arrived_ms` (wall, ms).
    """

    block: BlockHash
    header: BlockHeader | None
    entries: tuple[Entry, ...]
    sources: tuple[MemberId, ...]
    fresh: bool
    arrived_ms: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """This executed block, child of the head, is certified: adopt it, make it durable, answer its clients."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Drop:
    """Executed blocks that are neither committed nor `keep` nor ancestors of them lost: drop their overlays."""

    keep: tuple[BlockHash, ...]


@dataclass(frozen=True, slots=True)
class Behind:
    """Evidence that the chain is certified up to `height` at `peer`, above this node's head: fetch it."""

    peer: MemberId
    height: int


Effect = Send | SetTimer | Persist | Sign | Report | Build | Execute | Commit | Drop | Behind


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What `zizhu status` shows: `view` is the view, or the term under Raft; `leader` is None while none is known.
    `voting` is False for a member that lost its memory or still asks for it."""

    engine: str
    view: int
    active: bool
    leader: MemberId | None
    voting: bool
    reason: str


@dataclass(frozen=True)
class Setting:
    """What an engine starts from. `head` is the last committed block (height 0: the genesis) and
    `head_certificate` its certificate; `epoch_start` the height of the epoch's starting block; `votes` what the
    vote log holds, in order; `tentative` the head's block and the executed blocks above it; `recent` the
    certificates of the last blocks, ascending; `seed` a number drawn once by the driver."""

    me: MemberId
    voters: Electorate
    head: Ready
    head_certificate: Certificate | None
    epoch_start: int
    votes: tuple[bytes, ...] = ()
    tentative: tuple[Executed, ...] = ()
    recent: tuple[Certificate, ...] = ()
    disk_was_used: bool = False
    seed: int = 0
    options: dict[str, str] = field(default_factory=dict)


class ConsensusEngine(Protocol):
    """A pure machine. `messages` are the struct types it speaks, each with its own tag."""

    messages: tuple[type[msgspec.Struct], ...]

    def step(self, now: Instant, event: Event) -> Sequence[Effect]:
        """Never raises for anything a peer does; an exception is our bug and stops the node."""
        ...

    def status(self) -> EngineStatus: ...

    def remembered(self) -> tuple[bytes, ...]:
        """Those records of `Setting.votes` that the vote log must go on holding, in order; the rest may be
        forgotten. Asked at the start, before the first step."""
        ...
