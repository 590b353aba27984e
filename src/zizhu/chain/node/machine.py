"""The whole node as one pure machine: consensus, gossip, sync, pool, ledger and clients, stacked.

Decides who hears what. Everything that decides is below; the driver (`node.runtime`, or the test kit's
simulator) carries out the effects as `node.events` says. Execution runs inline, bounded by the block's limits.
"""

from collections import deque
from typing import assert_never

import msgspec

from zizhu.chain.consensus import port as engine
from zizhu.chain.consensus.certificate import Electorate
from zizhu.chain.consensus.port import ConsensusEngine, EngineStatus
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.pool import Pool
from zizhu.chain.ledger.transactions import ParsedSubmission
from zizhu.chain.ledger.validate import Invalid
from zizhu.chain.model.effects import Persist, Report, Send, SetTimer, Sign
from zizhu.chain.model.ids import BlockHash, Instant, MemberId
from zizhu.chain.network import gossip, sync
from zizhu.chain.network.gossip import GossipQueue
from zizhu.chain.network.messages import (
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
from zizhu.chain.node import assembly, serving
from zizhu.chain.node.assembly import Assembler
from zizhu.chain.node.blocks import Blocks
from zizhu.chain.node.clients import Admission
from zizhu.chain.node.events import (
    Asked,
    Await,
    Effect,
    Event,
    Forget,
    LinkChanged,
    Received,
    Signed,
    Started,
    Stopping,
    Submit,
    TimerFired,
    Verified,
)

STATUS_EVERY_MS = 500
FAIRNESS_EVERY_MS = 500
BROUGHT_MAX = 64
"""Submissions that a member which wants another view brings to the others at once."""
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
        self._assembler = Assembler(ledger, self._admission.held, self._admission.block_is_verified)
        self._gossip = GossipQueue(self.others)
        self.sync = Sync()
        self.blocks = Blocks(me, ledger, self.pool, self._admission, self._put)
        self._told: tuple[int, int, bool] = (0, -1, False)
        self._pool_changed = False
        self._sync_timer = False
        self._now = Instant(0, 0)
        self._out: list[Effect] = []
        self._events: deque[engine.Event] = deque()

    @property
    def engine_messages(self) -> tuple[type[msgspec.Struct], ...]:
        """The messages that the consensus engine speaks."""
        return self._consensus.messages

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
                verdict = self._admission.verified(event.batch, event.verdicts, now.monotonic_ms)
                if verdict is not None:
                    self._assembler.signatures_verified(now, verdict[0], good=verdict[1])
                self._pool_changed = True
            case Signed():
                self._events.append(engine.Signed(event.purpose, event.signature))
            case TimerFired():
                self._timer(event.name)
            case LinkChanged():
                self._link_changed(event.peer, up=event.up)
            case Stopping():
                self._events.append(engine.Stopping())
            case Started():
                self._events.append(engine.Started())
                self._out.append(SetTimer("status", STATUS_EVERY_MS))
                self._out.append(SetTimer("fairness", FAIRNESS_EVERY_MS))
            case _:
                assert_never(event)
        self._settle()
        out, self._out = self._out, []
        return out

    def _put(self, effect: Effect) -> None:
        self._out.append(effect)

    # -- drawing consequences ----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Carry what the rooms produced to the rooms that wait for it, until nothing is left."""
        while True:
            self._collect()
            if self._events:
                self._step_engine(self._events.popleft())
            elif self._pool_changed:
                self._pool_changed = False
                self._step_engine(self.blocks.waiting(self._now))
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
                    self._events.append(self.blocks.executed(assembled.result))

    def _step_engine(self, event: engine.Event) -> None:
        for effect in self._consensus.step(self._now, event):
            match effect:
                case SetTimer():
                    self._out.append(SetTimer(ENGINE_TIMER + effect.name, effect.after_ms))
                case Send() | Persist() | Sign() | Report():
                    self._out.append(effect)
                case engine.Build():
                    built = self.blocks.build(self._now, effect)
                    self._events.append(engine.Built(built))
                    # An empty build changed nothing; to say that the pool changed would ask for it for ever.
                    self._pool_changed = self._pool_changed or built is not None
                case engine.Execute():
                    self._assembler.want(self._now, effect)
                case engine.Commit():
                    self.blocks.commit(self._now, effect.certificate, agreed_now=True)
                    self._pool_changed = True
                case engine.Drop():
                    self._assembler.keep_only(effect.keep)
                    self.blocks.drop(self._now, effect.keep)
                    self._pool_changed = True
                case engine.Behind():
                    self.sync.at_least(effect.peer, effect.height)
                    self._ask_for_blocks()
                case _:
                    assert_never(effect)

    # -- peers -------------------------------------------------------------------------------------------------

    def _received(self, peer: MemberId, message: object) -> None:
        match message:
            case Gossip():
                self._admission.gossiped(peer, message.submissions, self._now.monotonic_ms)
                self._assembler.submissions_came(self._now)
                self._pool_changed = True
            case FetchItems():
                self._put(serving.items_asked(self.ledger, peer, message))
            case Items():
                self._assembler.items_came(self._now, peer, message)
            case FetchBlock():
                block = BlockHash(message.block)
                self._put(Send((peer,), serving.block_asked(self.ledger, self.archive, block)))
            case WholeBlock():
                self._assembler.block_came(self._now, peer, message)
            case Status():
                self._heard_status(peer, message)
            case FetchCertified():
                self._put(Send((peer,), serving.stretch_asked(self.archive, message)))
            case CertifiedBlocks():
                self._blocks_came(peer, message)
            case _ if isinstance(message, self._consensus.messages):
                self._events.append(engine.Received(peer, message))
            case _:
                raise AssertionError(f"a message that nobody speaks: {type(message).__name__}")

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
        self.sync.heard(peer, status.height)
        self._events.append(engine.PeerStatus(peer, status.view, status.active, status.height))
        self._ask_for_blocks()

    def _link_changed(self, peer: MemberId, *, up: bool) -> None:
        self.links[peer] = up
        if up:
            self._out.append(Send((peer,), self._own_status()))
            self._bring((peer,), self._admission.own_waiting(self._now.monotonic_ms, 0))
        else:
            self.sync.lost(peer)

    # -- catching up -------------------------------------------------------------------------------------------

    def _ask_for_blocks(self) -> None:
        question = self.sync.next_question(self._now.monotonic_ms, self.ledger.head.height)
        if question is not None:
            peer, message = question
            self._out.append(Send((peer,), message))
        if self.sync.wants_timer and not self._sync_timer:
            self._sync_timer = True
            self._out.append(SetTimer(sync.TIMER, sync.TICK_MS))

    def _blocks_came(self, peer: MemberId, message: CertifiedBlocks) -> None:
        if not self.sync.answered(peer, message.start):
            return
        if not message.blocks:
            self.sync.heard(peer, message.start - 1)
        for certified in message.blocks:
            if certified.block.header.height <= self.ledger.head.height:
                continue
            executed = serving.execute_certified(self.ledger, self.pool, self.voters, certified)
            if isinstance(executed, str):
                self._out.append(Report("peer_fault", {"peer": peer.hex(), "rule": executed}))
                self.sync.blame(peer, self._now.monotonic_ms)
                break
            told = self.blocks.executed(executed)
            self.blocks.commit(self._now, certified.certificate, agreed_now=False)
            self._pool_changed = True
            # Committed first: told of the block alone, an engine that holds its certificate would commit it again.
            self._events += (engine.Synced(told.ready, certified.certificate), told)
            self._settle_engine()
        self._ask_for_blocks()

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

    def _bring(self, peers: tuple[MemberId, ...], waiting: list[ParsedSubmission]) -> None:
        """Send one batch of what waits here again."""
        if waiting and peers:
            batch = gossip.first_batch((each.submission, each.size) for each in waiting)
            self._out.append(Send(peers, batch))

    def _watch_the_leader(self) -> None:
        """What the leader passes over is brought to it; if that does not help, another leader is asked for."""
        limit_ms = self.ledger.record.parameters.passed_over_ms
        # What was gossiped once may have been lost with a link, or refused by a pool that was full then.
        self._bring(self.others, self._admission.own_waiting(self._now.monotonic_ms, limit_ms))
        said = self._consensus.status()
        if said.voting and not said.active:
            # Perhaps this member left the view for what only it holds: who handed it in may be gone.
            self._bring(self.others, list(self.pool.take(BROUGHT_MAX)))
        leader = said.leader
        if leader is None or leader == self.me:
            return
        passed = self.pool.passed_over(self._now.monotonic_ms, limit_ms)
        self._bring((leader,), [each.parsed for each in passed])
        if self.pool.passed_over(self._now.monotonic_ms, 2 * limit_ms):
            self._events.append(engine.PassedOver())
