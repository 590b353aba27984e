"""A running node as its faces see it: the runtime, with names put to ids.

Decides how a node describes itself in one status. Refuses to know HTTP.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from zizhu.chain.crypto.hashing import member_id
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.ledger import Head, Ledger
from zizhu.chain.model.ids import LedgerId, MemberId, OutcomeHash, TransactionId
from zizhu.chain.node.backend import NodeStatus, PeerStatus
from zizhu.chain.node.events import Accepted, Expired, Final, Rejected
from zizhu.chain.node.runtime import Runtime

PRODUCT_VERSION = metadata.version("zizhu")


@dataclass
class RunningNode:
    """Implements `Backend`. Ports are those really listened on; 0 until they are."""

    name: str
    runtime: Runtime
    suite: Suite
    suites: dict[int, Suite]
    p2p_port: int = 0
    http_port: int = 0
    stopping: bool = False

    def __post_init__(self) -> None:
        self._started = time.monotonic()
        record = self.runtime.machine.ledger.record
        self._names: Mapping[MemberId, tuple[str, str]] = {
            member_id(self.suite, member.vote_key): (member.name, member.organisation) for member in record.members
        }

    @property
    def ledger(self) -> Ledger:
        """The node's ledger; read it, never write it."""
        return self.runtime.machine.ledger

    @property
    def ledger_id(self) -> LedgerId:
        """32 bytes."""
        return self.ledger.ledger_id

    @property
    def archive(self) -> BlockArchive:
        """Certified, durable blocks."""
        return self.runtime.machine.archive

    @property
    def me(self) -> MemberId:
        """This member."""
        return self.runtime.machine.me

    @property
    def visible_height(self) -> int:
        """The highest certified and durable height."""
        return self.runtime.desk.visible_height

    def status(self) -> NodeStatus:
        """See `NodeStatus`."""
        machine = self.runtime.machine
        said, seen = machine.status(), self._seen()
        record, genesis = machine.ledger.record, machine.ledger.genesis.genesis
        name, organisation = self._names[machine.me]
        state, reason = self._state()
        return NodeStatus(
            name=name,
            organisation=organisation,
            member=machine.me.hex(),
            pid=os.getpid(),
            ledger=self.ledger_id.hex(),
            ledger_name=genesis.name,
            suite=record.suite,
            engine=said.engine,
            version=PRODUCT_VERSION,
            state=state,
            reason=reason,
            view=said.view,
            leader="" if said.leader is None else said.leader.hex(),
            leader_name="" if said.leader is None else self._names[said.leader][0],
            height=seen.height,
            block=seen.block.hex(),
            outcome=seen.outcome_hash.hex(),
            time_ms=seen.time_ms,
            root_height=seen.outcome.root_height,
            pool_transactions=machine.pool.waiting,
            pool_bytes=machine.pool.bytes,
            uptime_ms=int((time.monotonic() - self._started) * 1000),
            p2p_port=self.p2p_port,
            http_port=self.http_port,
            peers=[self._peer(member, up=up) for member, up in machine.links.items()],
            signatures_verified=self.runtime.verifying.verified,
        )

    def _seen(self) -> Head:
        """The newest block that is certified and durable: nothing above it is shown, its hash neither."""
        ledger, height = self.ledger, self.visible_height
        block, commit = self.archive.block(height), self.archive.commit(height)
        hash_ = self.archive.block_hash(height)
        if ledger.head.height == height or block is None or commit is None or hash_ is None:
            return ledger.head
        outcome = OutcomeHash(commit.certificate.outcome)
        return Head(height, hash_, outcome, commit.outcome, block.header.time_ms)

    def _peer(self, member: MemberId, *, up: bool) -> PeerStatus:
        name, organisation = self._names[member]
        height = self.runtime.machine.sync.heights.get(member, 0)
        return PeerStatus(name=name, organisation=organisation, member=member.hex(), up=up, height=height)

    def _state(self) -> tuple[str, str]:
        """One word, and why when it is not voting."""
        machine = self.runtime.machine
        said = machine.status()
        if self.stopping:
            return "stopping", ""
        if not said.voting:
            return ("starting", "") if said.reason == "recalling" else ("silent", said.reason)
        if machine.sync.question is not None:
            return "syncing", ""
        if said.active:
            return "voting", ""
        return ("electing", "") if said.engine == "raft" else ("changing view", "")

    async def submit(self, raws: tuple[bytes, ...]) -> tuple[Accepted | Rejected, ...]:
        """Hand in submissions; one outcome each. Accepted is not final."""
        return await self.runtime.desk.submit(raws)

    async def receipt(self, transaction: TransactionId, *, timeout_ms: int) -> Final | Expired | None:
        """The final receipt, waiting at most `timeout_ms`."""
        return await self.runtime.desk.receipt(transaction, timeout_ms=timeout_ms)

    async def published(self, above: int, *, timeout_ms: int) -> int:
        """Waits for a visible height above `above`."""
        return await self.runtime.desk.published(above, timeout_ms=timeout_ms)
