"""What a machine asks of the world, as values. One driver in production, one in the simulator.

Decides the vocabulary that consensus, gossip, sync and the whole node share. Effects happen in order, and
nothing after a `Persist` leaves the node until it is durable (docs/protocol/effects.md).
"""

from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from zizhu.chain.model.ids import MemberId

Message = msgspec.Struct
"""A message between members: a tagged, array-like frozen struct of the room that speaks it."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send `message` to each of `peers` (in that order). Held while an earlier Persist is not durable."""

    peers: tuple[MemberId, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire `TimerFired(name)` after `after_ms`; replaces a timer of that name. None cancels it."""

    name: str
    after_ms: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """Bytes for the log named `log` ("votes" or "blocks")."""

    log: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Persist:
    """A barrier: append the records in order and make them durable before anything behind it leaves."""

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign `message` (32 bytes) with this member's voting key; answered by `Signed(purpose, signature)`.

    Held like a Send: a signature is not made before the vote record in front of it is durable.
    """

    purpose: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """A fact for logs, metrics and the doctor: a stable name and its values."""

    fact: str
    values: dict[str, object] = field(default_factory=dict)


class PeerFault(Protocol):
    """Shape of the values of a `peer_fault` report: which link peer, which rule, which value broke it."""

    peer: MemberId
    rule: str
