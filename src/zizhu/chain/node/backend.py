"""What the faces of a node (HTTP API, pages, scenario routes) may ask of the node process they run in.

Decides the small surface between a running node and everything that serves people. `node.runtime` implements it.
Everything readable is certified and durable: nothing above `visible_height` is shown.
"""

from typing import Protocol

import msgspec

from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.model.ids import LedgerId, MemberId, TransactionId
from zizhu.chain.node.events import Accepted, Expired, Final, Rejected


class PeerStatus(msgspec.Struct, frozen=True):
    """A peer as this member sees it. `height` is what it last said."""

    name: str
    organisation: str
    member: str
    up: bool
    height: int


class NodeStatus(msgspec.Struct, frozen=True):
    """What `zizhu status` and the page show of one member. Ids are hex. `state` is one word: "starting", "syncing",
    "voting", "changing view" (under Raft "electing"), "silent" (lost memory), "stopping"; `reason` says why when it is
    not voting. `view` is the term under Raft; `leader` is "" while none is known. `signatures_verified` counts clients'
    signatures checked since the start, good and bad."""

    name: str
    organisation: str
    member: str
    pid: int
    ledger: str
    ledger_name: str
    suite: str
    engine: str
    version: str
    state: str
    reason: str
    view: int
    leader: str
    leader_name: str
    height: int
    block: str
    outcome: str
    time_ms: int
    root_height: int
    pool_transactions: int
    pool_bytes: int
    uptime_ms: int
    p2p_port: int
    http_port: int
    peers: list[PeerStatus]
    signatures_verified: int = 0


class Backend(Protocol):
    """A running node, for the event loop it runs in."""

    suite: Suite
    suites: dict[int, Suite]

    @property
    def ledger_id(self) -> LedgerId:
        """32 bytes: the trust anchor."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The node's ledger; faces read it and never write it."""
        ...

    @property
    def archive(self) -> BlockArchive:
        """Certified, durable blocks."""
        ...

    @property
    def me(self) -> MemberId:
        """This member."""
        ...

    @property
    def visible_height(self) -> int:
        """The highest certified and durable height."""
        ...

    def status(self) -> NodeStatus: ...

    async def submit(self, raws: tuple[bytes, ...]) -> tuple[Accepted | Rejected, ...]:
        """Hand in submissions; one outcome each. Accepted is not final."""
        ...

    async def receipt(self, transaction: TransactionId, *, timeout_ms: int) -> Final | Expired | None:
        """The final receipt, waiting at most `timeout_ms`; None if it has not come."""
        ...

    async def published(self, above: int, *, timeout_ms: int) -> int:
        """Waits until the visible height is above `above`; returns it (or the old one after `timeout_ms`)."""
        ...
