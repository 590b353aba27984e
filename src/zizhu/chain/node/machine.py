"""The whole node as one pure machine: consensus, gossip, sync, pool, ledger and clients, stacked.

Decides who hears what. Everything that decides is below; the driver (`node.runtime`, or the test kit's
simulator) carries out the effects as `node.events` says. Execution runs inline, bounded by the block's limits.
"""

from collections import deque
from typing import assert_never

import msgspec

from zizhu.chain.consensus import port as engine
from zizhu.chain.consensus.certificate import Electorate, verify_certificate
from zizhu.chain.consensus.port import ConsensusEngine, EngineStatus, Ready
from zizhu.chain.crypto.hashing import block_hash
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.pool import Pool
from zizhu.chain.ledger.records import encode_block_record, encode_commit_record
from zizhu.chain.ledger.recovery import committed_batch
from zizhu.chain.ledger.validate import Invalid
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.effects import Persist, Record, Report, Send, SetTimer, Sign
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.ids import BlockHash, Instant, MemberId
from zizhu.chain.network import gossip, sync
from zizhu.chain.network.gossip import GossipQueue
from zizhu.chain.network.messages import (
    SYNC_BYTES_MAX,
    Certified,
    CertifiedBlocks,
    FetchBlock,
    FetchCertified,
    FetchItems,
    Gossip,
    Items,
    Status,
    WholeBlock,
)
from zizhu.chain.network.sync import Sync
from zizhu.chain.node import assembly
from zizhu.chain.node.assembly import Assembler, entries_of
from zizhu.chain.node.clients import Admission
from zizhu.chain.node.events import (
    Asked,
    Await,
    Effect,
    Event,
    Forget,
    Keep,
    LinkChanged,
    Published,
    Received,
    Signed,
    Started,
    Submit,
    TimerFired,
    Verified,
)

STATUS_EVERY_MS = 500
FAIRNESS_EVERY_MS = 500
FINAL_KEPT = 16
"""Committed blocks that are told to the engine again if it asks."""
ENGINE_TIMER = "engine:"


class NodeMachine:
    """One member. Build it with `node.boot`, then `step` it with `Started` first."""

    def __init__(
        self, *, me: MemberId, voters: Electorate, ledger: Ledger, archive: BlockArchive, consensus: ConsensusEngine
    ) -> None:
        self.me = me
        self.voters = voters
        self.ledger = ledger
        self.archive = archive
        self.pool = Pool(ledger.nonce_state)
        self.others = tuple(member for member in voters.members if member != me)
        self.links: dict[MemberId, bool] = dict.fromkeys(self.others, False)
        self._consensus = consensus
        self._admission = Admission(ledger, self.pool, archive)
        self._assembler = Assembler(ledger, self.pool, self._admission.block_is_verified)
        self._gossip = GossipQueue(self.others)
        self._sync = Sync()
        self._written: dict[BlockHash, int] = {}
        self._final: dict[BlockHash, engine.Executed] = {}
        self._in_flight: dict[BlockHash, tuple[int, int]] = {}
        self._told: tuple[int, int, bool] = (0, -1, False)
        self._pool_changed = False
        self._sync_timer = False
        self._now = Instant(0, 0)
        self._out: list[Effect] = []
        self._events: deque[engine.Event] = deque()

    def wrote(self, block: BlockHash, height: int) -> None:
        """This block's record is in the log already (recovery)."""
        self._written[block] = height

    @property
    def engine_messages(self) -> tuple[type[msgspec.Struct], ...]:
        """The messages that the consensus engine speaks."""
        return self._consensus.messages

    @property
    def is_behind(self) -> bool:
        """Whether peers hold certified blocks that this node is fetching."""
        return self._sync.question is not None

    def peer_height(self, peer: MemberId) -> int:
        """The height that a peer last said, 0 if it never did."""
        return self._sync.heights.get(peer, 0)

    def knows_final(self, executed: engine.Executed) -> None:
        """The newest committed blocks: the tip of a view may be a block that is committed here already, and it is
        proposed and prepared again like any other."""
        self._final[executed.ready.block] = executed
        while len(self._final) > FINAL_KEPT:
            del self._final[next(iter(self._final))]

    def status(self) -> EngineStatus:
        """What the engine says of itself."""
        return self._consensus.status()

    def step(self, now: Instant, event: Event) -> list[Effect]:
        """One event in, its effects out."""
        self._now = now
        match event:
            case Received():
                self._received(event.peer, event.message)
            case Asked():
                self._asked(event)
            case Verified():
                block = self._admission.verified(event.batch, event.verdicts, now.monotonic_ms)
                if block is not None:
                    self._assembler.signatures_verified(now, block[0], good=block[1])
                self._pool_changed = True
            case Signed():
                self._events.append(engine.Signed(event.purpose, event.signature))
            case TimerFired():
                self._timer(event.name)
            case LinkChanged():
                self._link_changed(event.peer, up=event.up)
            case Started():
                self._events.append(engine.Started())
                self._out.append(SetTimer("status", STATUS_EVERY_MS))
                self._out.append(SetTimer("fairness", FAIRNESS_EVERY_MS))
            case _:
                assert_never(event)
        self._settle()
        out, self._out = self._out, []
        return out

    # -- drawing consequences ----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Carry what the rooms produced to the rooms that wait for it, until nothing is left."""
        while True:
            self._collect()
            if self._events:
                self._step_engine(self._events.popleft())
            elif self._pool_changed:
                self._pool_changed = False
                self._step_engine(self._waiting())
            else:
                break
        self._tell_status_change()

    def _collect(self) -> None:
        admission, assembler = self._admission, self._assembler
        if admission.fresh:
            for parsed in admission.fresh:
                self._out.extend(self._gossip.add(parsed.submission, parsed.size))
            admission.fresh = []
            self._pool_changed = True
        while assembler.done or assembler.out or admission.out:
            done, assembler.done = assembler.done, []
            self._out.extend(assembler.out)
            assembler.out = []
            self._out.extend(admission.out)
            admission.out = []
            for assembled in done:
                if isinstance(assembled.result, Invalid):
                    self._events.append(engine.Refused(assembled.job.block, assembled.result.code))
                else:
                    self._events.append(self._executed(assembled.result))

    def _step_engine(self, event: engine.Event) -> None:
        for effect in self._consensus.step(self._now, event):
            match effect:
                case SetTimer():
                    self._out.append(SetTimer(ENGINE_TIMER + effect.name, effect.after_ms))
                case Send() | Persist() | Sign() | Report():
                    self._out.append(effect)
                case engine.Build():
                    self._events.append(engine.Built(self._build(effect)))
                case engine.Execute():
                    if (final := self._final.get(effect.block)) is not None:
                        self._events.append(final)
                    else:
                        self._assembler.want(self._now, effect)
                case engine.Commit():
                    self._commit(effect.certificate)
                case engine.Drop():
                    self._drop(effect.keep)
                case engine.Behind():
                    self._sync.at_least(effect.peer, effect.height)
                    self._ask_for_blocks()
                case _:
                    assert_never(effect)

    # -- blocks ------------------------------------------------------------------------------------------------

    def _build(self, asked: engine.Build) -> engine.Executed | None:
        """A new block from the pool, executed; its record is written before anything is said about it."""
        limit = self.ledger.record.parameters.block_transactions_max
        window = self.ledger.record.parameters.window
        candidates = self.pool.take(limit * (window + 1))
        executed = self.ledger.build(asked.parent, candidates=candidates, wall_ms=self._now.wall_ms, proposer=self.me)
        if not executed.transactions and not asked.empty:
            self.ledger.drop(executed.hash)
            return None
        self._in_flight[executed.hash] = (executed.height, len(executed.transactions))
        self._pool_changed = True
        return self._executed(executed)

    def _executed(self, executed: Executed) -> engine.Executed:
        """Bodies are durable before any vote on them: the record goes in front of what the engine does next."""
        if executed.hash not in self._written:
            self._written[executed.hash] = executed.height
            self._out.append(Persist((Record("blocks", encode_block_record(executed.block_bytes)),)))
        return engine.Executed(ready_of(executed), executed.block.header, entries_of(executed))

    def _commit(self, certificate: Certificate) -> None:
        """A certified child of the head: adopt it, make it durable, then answer."""
        committed = self.ledger.commit(BlockHash(certificate.block))
        executed = committed.executed
        self.knows_final(engine.Executed(ready_of(executed), executed.block.header, entries_of(executed)))
        record = encode_commit_record(certificate, executed.outcome, list(executed.receipts))
        self._out.append(Persist((Record("blocks", record),)))
        if batch := committed_batch(self.ledger.ledger_id, committed):
            self._out.append(Keep(tuple(batch)))
        self._out.append(Published(executed.height))
        now_ms = self._now.monotonic_ms
        self.pool.committed(executed.transactions, now_ms)
        self._admission.final(executed.receipts)
        for removed in self.pool.expire(executed.height, now_ms):
            self._admission.expired(removed.transaction.id, executed.height)
        self._out.append(Report("committed", {"height": executed.height, "transactions": len(executed.transactions)}))
        for at in [at for at, height in self._written.items() if height <= executed.height]:
            del self._written[at]
        for at in [at for at, (height, _) in self._in_flight.items() if height <= executed.height]:
            del self._in_flight[at]
        self._pool_changed = True

    def _drop(self, keep: tuple[BlockHash, ...]) -> None:
        self._assembler.keep_only(keep)
        kept = [block for block in keep if self.ledger.executed(block) is not None]
        if kept:
            self.ledger.drop_all_but_descendants(kept[0])
        elif self.ledger.head.block not in keep:
            self.ledger.drop_all()
        self._in_flight = {
            at: counted for at, counted in self._in_flight.items() if self.ledger.executed(at) is not None
        }
        self.pool.restart_turns(self._now.monotonic_ms)
        self._pool_changed = True

    def _waiting(self) -> engine.Waiting:
        """What the engine may know of the pool."""
        waiting = self.pool.waiting
        free = max(0, waiting - sum(count for _, count in self._in_flight.values()))
        oldest = self.pool.oldest_waiting_ms
        oldest_ms = 0 if oldest is None else self._now.monotonic_ms - oldest
        return engine.Waiting(free, oldest_ms, waiting)

    # -- peers -------------------------------------------------------------------------------------------------

    def _received(self, peer: MemberId, message: object) -> None:
        match message:
            case Gossip():
                self._admission.gossiped(peer, message.submissions, self._now.monotonic_ms)
                self._pool_changed = True
            case FetchItems():
                self._serve_items(peer, message)
            case Items():
                self._assembler.items_came(self._now, peer, message)
            case FetchBlock():
                self._serve_block(peer, BlockHash(message.block))
            case WholeBlock():
                self._assembler.block_came(self._now, peer, message)
            case Status():
                self._heard_status(peer, message)
            case FetchCertified():
                self._serve_certified(peer, message)
            case CertifiedBlocks():
                self._blocks_came(peer, message)
            case _ if isinstance(message, self._consensus.messages):
                self._events.append(engine.Received(peer, message))
            case _:
                raise AssertionError(f"a message that nobody speaks: {type(message).__name__}")

    def _serve_items(self, peer: MemberId, asked: FetchItems) -> None:
        executed = self.ledger.executed(BlockHash(asked.block))
        items = [] if executed is None else executed.block.items
        chosen = [items[position] for position in asked.positions if position < len(items)]
        self._out.append(Send((peer,), Items(asked.block, chosen)))

    def _serve_block(self, peer: MemberId, block: BlockHash) -> None:
        executed = self.ledger.executed(block)
        body = None if executed is None else executed.block
        if body is None and (height := self.archive.height_of(block)) is not None:
            body = self.archive.block(height)
        self._out.append(Send((peer,), WholeBlock(block, body)))

    def _own_status(self) -> Status:
        said = self._consensus.status()
        head = self.ledger.head
        return Status(self.voters.record.number, said.view, said.active, head.height, head.block)

    def _tell_status_change(self) -> None:
        """Peers learn at once that this member entered a view or left it."""
        said = self._consensus.status()
        _, view, active = self._told
        if (said.view, said.active) != (view, active):
            self._told = (0, said.view, said.active)
            self._out.append(Send(self.others, self._own_status()))

    def _heard_status(self, peer: MemberId, status: Status) -> None:
        if status.epoch != self.voters.record.number:
            return
        self._sync.heard(peer, status.height)
        self._events.append(engine.PeerStatus(peer, status.view, status.active, status.height))
        self._ask_for_blocks()

    def _link_changed(self, peer: MemberId, *, up: bool) -> None:
        self.links[peer] = up
        if up:
            self._out.append(Send((peer,), self._own_status()))
        else:
            self._sync.lost(peer)

    # -- catching up -------------------------------------------------------------------------------------------

    def _ask_for_blocks(self) -> None:
        question = self._sync.next_question(self._now.monotonic_ms, self.ledger.head.height)
        if question is not None:
            peer, message = question
            self._out.append(Send((peer,), message))
        if self._sync.wants_timer and not self._sync_timer:
            self._sync_timer = True
            self._out.append(SetTimer(sync.TIMER, sync.TICK_MS))

    def _serve_certified(self, peer: MemberId, asked: FetchCertified) -> None:
        """Durable blocks only: the archive is told of a record once it is synced."""
        blocks: list[Certified] = []
        size = 0
        for height in range(asked.start, asked.start + asked.count):
            block, commit = self.archive.block(height), self.archive.commit(height)
            if block is None or commit is None:
                break
            raw = self.archive.block_bytes(height)
            size += len(raw) if raw is not None else 0
            if blocks and size > SYNC_BYTES_MAX:
                break
            blocks.append(Certified(block, commit.certificate))
        self._out.append(Send((peer,), CertifiedBlocks(asked.start, blocks)))

    def _blocks_came(self, peer: MemberId, message: CertifiedBlocks) -> None:
        if not self._sync.answered(peer, message.start):
            return
        if not message.blocks:
            self._sync.blame(peer, self._now.monotonic_ms)
        for certified in message.blocks:
            if certified.block.header.height <= self.ledger.head.height:
                continue
            rule = self._adopt(certified)
            if rule:
                self._out.append(Report("peer_fault", {"peer": peer.hex(), "rule": rule}))
                self._sync.blame(peer, self._now.monotonic_ms)
                break
        self._ask_for_blocks()

    def _adopt(self, certified: Certified) -> str:
        """Commit a certified child of the head; the rule that the answer breaks, or "".

        The header is certified, so wrong items are the serving peer's; anything else that is refused here
        although a quorum certified it means that this node is broken, and it stops.
        """
        header, certificate = certified.block.header, certified.certificate
        head = self.ledger.head
        block = self._hash_of(certified)
        if header.height != head.height + 1 or header.parent != head.block:
            return "sync_not_next"
        if certificate.block != block or certificate.height != header.height:
            return "sync_certificate"
        try:
            verify_certificate(certificate, self.voters)
        except SpokeWrongly:
            return "sync_certificate"
        parsed = self.ledger.parse_block(certified.block, block, known=self.pool.get)
        if isinstance(parsed, Invalid) or not self.ledger.roots_hold(parsed):
            return "sync_body"
        executed = self.ledger.execute(parsed, block)
        assert isinstance(executed, Executed), f"height {header.height} is certified and refused here: {executed}"
        assert executed.outcome_hash == certificate.outcome, (
            f"height {header.height}: own outcome {executed.outcome_hash.hex()}, certified {certificate.outcome.hex()}"
        )
        ready = self._executed(executed).ready
        self._commit(certificate)
        self._events.append(engine.Synced(ready, certificate))
        self._settle_engine()
        return ""

    def _hash_of(self, certified: Certified) -> BlockHash:
        return block_hash(self.ledger.suite, certified.block.header)

    def _settle_engine(self) -> None:
        """The engine hears of a synced block before the next one is looked at."""
        while self._events:
            self._step_engine(self._events.popleft())

    # -- clients and timers ------------------------------------------------------------------------------------

    def _asked(self, event: Asked) -> None:
        match event.request:
            case Submit():
                self._admission.submit(event.client, event.request.raws, self._now.monotonic_ms)
            case Await():
                self._admission.wait(event.client, event.request.transaction)
            case Forget():
                self._admission.forget(event.client)
            case _:
                assert_never(event.request)

    def _timer(self, name: str) -> None:
        if name.startswith(ENGINE_TIMER):
            self._events.append(engine.TimerFired(name.removeprefix(ENGINE_TIMER)))
            return
        match name:
            case gossip.TIMER:
                self._out.extend(self._gossip.flush())
            case assembly.TIMER:
                self._assembler.retry(self._now)
            case sync.TIMER:
                self._sync_timer = False
                self._ask_for_blocks()
            case "status":
                self._out.append(Send(self.others, self._own_status()))
                self._out.append(SetTimer("status", STATUS_EVERY_MS))
            case "fairness":
                self._watch_the_leader()
                self._out.append(SetTimer("fairness", FAIRNESS_EVERY_MS))
            case other:
                raise AssertionError(f"timer {other}")

    def _watch_the_leader(self) -> None:
        """What the leader passes over is brought to it; if that does not help, another leader is asked for."""
        limit_ms = self.ledger.record.parameters.passed_over_ms
        leader = self._consensus.status().leader
        if leader == self.me:
            return
        passed = self.pool.passed_over(self._now.monotonic_ms, limit_ms)
        if passed:
            self._out.append(Send((leader,), Gossip([each.parsed.submission for each in passed[:64]])))
        if self.pool.passed_over(self._now.monotonic_ms, 2 * limit_ms):
            self._events.append(engine.PassedOver())


def ready_of(executed: Executed) -> Ready:
    """What the engine knows of an executed block."""
    header = executed.block.header
    return Ready(
        height=executed.height,
        block=executed.hash,
        parent=BlockHash(header.parent),
        outcome=executed.outcome_hash,
        time_ms=header.time_ms,
        has_root=executed.outcome.root_height == executed.height,
        count=len(executed.transactions),
    )
