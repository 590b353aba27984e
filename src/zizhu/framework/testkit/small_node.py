"""The smallest node that a consensus engine can live in: a real engine, toy blocks, the real contract with a driver.

Decides what executing means here: a block is good if its header continues its parent and no transaction stands
twice in the chain; its outcome is a running hash of the transaction ids. Refuses to know accounts, contracts and
signatures of clients. The simulator's quick layer plays thousands of seeds with it, so that agreement itself is
tested apart from everything around it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from zizhu.chain.consensus import port
from zizhu.chain.consensus.certificate import verify_certificate
from zizhu.chain.crypto.hashing import block_hash, transaction_id
from zizhu.chain.model import block as model_block
from zizhu.chain.model.block import Block, BlockHeader
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.compact import SingleEntry
from zizhu.chain.model.effects import Persist, Record, Report, Send, SetTimer, Sign
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.ids import ZERO_HASH, BlockHash, Instant, MemberId, OutcomeHash, TransactionId
from zizhu.chain.model.receipt import SUCCEEDED, Receipt
from zizhu.chain.model.transaction import Single, submission_codec
from zizhu.chain.network.messages import (
    Certified,
    CertifiedBlocks,
    FetchBlock,
    FetchCertified,
    Gossip,
    Status,
    WholeBlock,
)
from zizhu.chain.node import events
from zizhu.chain.node.events import Accepted, Answer, Final, Published, Submitted
from zizhu.framework.testkit.engines import Factory
from zizhu.framework.testkit.small_chain import Adopted, Done, Job, SmallChain

STATUS_EVERY_MS = 300
FETCH_AGAIN_MS = 80
SYNC_AGAIN_MS = 250
SYNC_COUNT = 16
REGOSSIP_MS = 900


@dataclass
class SmallNode(SmallChain):
    """One member; `build` is the factory of its engine. See `step`."""

    build: Factory = field(kw_only=True)
    jobs: dict[BlockHash, Job] = field(default_factory=dict)
    awaited: dict[bytes, list[int]] = field(default_factory=dict)
    fetching: tuple[MemberId, int] | None = None
    queue: deque[port.Event] = field(default_factory=deque)

    def __post_init__(self) -> None:
        suite = self.consortium.suite
        self.others = tuple(each for each in self.consortium.members if each != self.me)
        start = BlockHash(self.consortium.ledger)
        outcome = OutcomeHash(suite.hash(b"outcome", b"start"))
        time_ms = self.consortium.genesis.genesis.time_ms
        ready = port.Ready(0, start, BlockHash(ZERO_HASH), outcome, time_ms, has_root=True, count=0)
        header = BlockHeader(
            model_block.VERSION, ZERO_HASH, 0, ZERO_HASH, 1, ZERO_HASH, ZERO_HASH, 0, ZERO_HASH, 0, ZERO_HASH, ZERO_HASH
        )
        self.chain.append(Done(Block(header, []), ready, (), frozenset()))
        self.certificates.append(None)
        self._replay()
        tentative = []
        for block in list(self.bodies):
            self._try_hold(block)
        tentative = sorted(self.done.values(), key=lambda each: (each.ready.height, each.ready.block))
        setting = port.Setting(
            me=self.me,
            voters=self.consortium.voters,
            head=self.head.ready,
            head_certificate=self.certificates[-1],
            epoch_start=0,
            votes=tuple(record.data for record in self.vote_log.records()),
            tentative=tuple(each.executed() for each in tentative),
            recent=tuple(each for each in self.certificates[-16:] if each is not None),
            disk_was_used=bool(self.bodies) or len(self.chain) > 1,
            seed=self.seed,
        )
        self.engine = self.build(setting)

    # -- what a driver sees ------------------------------------------------------------------------------------

    def step(self, now: Instant, event: events.Event) -> Sequence[events.Effect]:
        """As the machine of a whole node."""
        self.now = now
        match event:
            case events.Received():
                self._received(event.peer, event.message)
            case events.TimerFired():
                self._timer(event.name)
            case events.Signed():
                self._tell(port.Signed(event.purpose, event.signature))
            case events.Asked():
                self._asked(event)
            case events.LinkChanged():
                if event.up:
                    self.out.append(Send((event.peer,), self._status()))
            case events.Started():
                self._tell(port.Started())
                self.out.append(SetTimer("status", STATUS_EVERY_MS))
            case events.Verified():
                raise AssertionError("nothing was given to verify")
        out, self.out = self.out, []
        return out

    # -- the engine --------------------------------------------------------------------------------------------

    def _tell(self, event: port.Event) -> None:
        """Give the engine an event, and do what it asks, in order; answers to that come after all of it."""
        self.queue.append(event)
        if len(self.queue) > 1:
            return
        while self.queue:
            told = self.queue[0]
            if not isinstance(told, port.Executed) or self._is_here(told.ready):
                for effect in self.engine.step(self.now, told):
                    self._do(effect)
            self.queue.popleft()

    def _do(self, effect: port.Effect) -> None:
        match effect:
            case Send() | Persist() | Sign() | Report():
                self.out.append(effect)
            case SetTimer():
                self.out.append(SetTimer("engine." + effect.name, effect.after_ms))
            case port.Build():
                self._build(effect)
            case port.Execute():
                self._execute(effect)
            case port.Commit():
                self._commit(effect.certificate)
            case port.Drop():
                self._drop(effect.keep)
            case port.Behind():
                self._behind(effect.peer, effect.height)

    def _pool_changed(self) -> None:
        flying = {each for done in self.done.values() for each in done.ids}
        free = [waiting for each, waiting in self.pool.items() if each not in flying]
        oldest = max((self.now.monotonic_ms - each.since_ms for each in free), default=0)
        self._tell(port.Waiting(len(free), oldest, len(self.pool)))

    def _build(self, asked: port.Build) -> None:
        parent = self._known(asked.parent)
        assert parent is not None
        taken = [
            (each, waiting.item)
            for each, waiting in self.pool.items()
            if each not in parent.ancestors_ids and each not in self.places
        ][: self.consortium.voters.record.parameters.block_transactions_max]
        if not taken and not asked.empty:
            self._tell(port.Built(None))
            return
        ready = parent.ready
        suite = self.consortium.suite
        ids = [each for each, _ in taken]
        header = BlockHeader(
            version=model_block.VERSION,
            ledger=self.consortium.ledger,
            epoch=0,
            epoch_record=self.consortium.voters.record_hash,
            height=ready.height + 1,
            parent=ready.block,
            parent_outcome=ready.outcome,
            time_ms=max(self.now.wall_ms, ready.time_ms + 1),
            proposer=self.me,
            count=len(ids),
            transaction_root=suite.hash(b"ids", encode(ids)),
            witness_root=ZERO_HASH,
        )
        done = self._run(Block(header, [item for _, item in taken]), parent)
        assert isinstance(done, Done), done
        self._hold(done)
        self._tell(port.Built(done.executed()))
        self._pool_changed()

    def _execute(self, asked: port.Execute) -> None:
        done = self.done.get(asked.block) or next(
            (each for each in self.chain[-16:] if each.ready.block == asked.block), None
        )
        if done is not None:
            self._tell(done.executed())
            return
        self.jobs[asked.block] = Job(asked.block, asked.header, asked.entries, asked.sources, asked.fresh)
        self._try(self.jobs[asked.block])

    def _try(self, job: Job) -> None:
        """Execute what a job names, or ask for what is missing."""
        body = self.bodies.get(job.block) or self._assemble(job)
        if body is None:
            self._ask(job)
            return
        header = body.header
        if header.height <= self.head.ready.height:
            self.jobs.pop(job.block, None)
            if self.chain[header.height].ready.block != job.block:
                self._tell(port.Refused(job.block, "height"))
            return
        late = abs(header.time_ms - self.now.wall_ms) > self.consortium.voters.record.parameters.clock_tolerance_ms
        parent = self._known(BlockHash(header.parent))
        if parent is None:
            self.bodies[job.block] = body
            if BlockHash(header.parent) not in self.jobs and header.height > self.head.ready.height + 1:
                below = BlockHash(header.parent)
                self.jobs[below] = Job(below, None, (), job.sources, fresh=False)
                self._try(self.jobs[below])
                if job.block in self.jobs and self._known(below) is not None:
                    self._try(job)
            return
        self.jobs.pop(job.block, None)
        done = self._run(body, parent)
        if job.fresh and late and header.time_ms != parent.ready.time_ms + 1:
            done = "clock"
        if isinstance(done, str):
            self._tell(port.Refused(job.block, done))
            return
        self._hold(done)
        self._tell(done.executed())
        for other in list(self.jobs.values()):
            if other.block in self.jobs and other.block in self.bodies:
                self._try(other)

    def _ask(self, job: Job) -> None:
        if not job.sources or (job.asked_ms is not None and self.now.monotonic_ms - job.asked_ms < FETCH_AGAIN_MS):
            return
        source = job.sources[job.turn % len(job.sources)]
        job.turn += 1
        job.asked_ms = self.now.monotonic_ms
        self.out.append(Send((source,), FetchBlock(job.block)))
        self.out.append(SetTimer("fetch", FETCH_AGAIN_MS))

    def _commit(self, certificate: Certificate) -> None:
        done = self.done.pop(BlockHash(certificate.block))
        assert done.ready.outcome == certificate.outcome
        self._extend(done, certificate)
        height = done.ready.height
        self.out.append(Persist((Record("blocks", encode(Adopted(certificate))),)))
        self.out.append(Published(height))
        for index, each in enumerate(done.ids):
            for client in self.awaited.pop(each, []):
                self.out.append(Answer(client, Final(_receipt(each, height, index))))
        self._pool_changed()

    def _drop(self, keep: tuple[BlockHash, ...]) -> None:
        kept: dict[BlockHash, Done] = {}
        for start in keep:
            walk: BlockHash | None = start
            while walk is not None and walk in self.done:
                kept[walk] = self.done[walk]
                walk = kept[walk].ready.parent
        self.done = kept
        self.jobs.clear()
        self._pool_changed()

    # -- the others --------------------------------------------------------------------------------------------

    def _behind(self, peer: MemberId, height: int) -> None:
        if height <= self.head.ready.height:
            return
        if self.fetching is not None and self.now.monotonic_ms - self.fetching[1] < SYNC_AGAIN_MS:
            return
        self.fetching = (peer, self.now.monotonic_ms)
        self.out.append(Send((peer,), FetchCertified(self.head.ready.height + 1, SYNC_COUNT)))

    def _received(self, peer: MemberId, message: msgspec.Struct) -> None:
        match message:
            case Gossip():
                for item in message.submissions:
                    if isinstance(item, Single):
                        self._add(item)
                self._pool_changed()
            case Status():
                self._tell(port.PeerStatus(peer, message.view, message.active, message.height))
            case FetchBlock():
                self.out.append(Send((peer,), WholeBlock(message.block, self.bodies.get(BlockHash(message.block)))))
            case WholeBlock():
                self._whole(message)
            case FetchCertified():
                self._serve(peer, message)
            case CertifiedBlocks():
                self._synced(peer, message)
            case _ if type(message) in self.engine.messages:
                self._tell(port.Received(peer, message))
            case _:
                pass

    def _whole(self, message: WholeBlock) -> None:
        job = self.jobs.get(BlockHash(message.block))
        body = message.body
        if job is None or body is None or block_hash(self.consortium.suite, body.header) != job.block:
            return
        ids = [transaction_id(self.consortium.suite, item.body) for item in body.items if isinstance(item, Single)]
        if body.header.transaction_root != self.consortium.suite.hash(b"ids", encode(ids)):
            if job.header is None:
                return
            entries = [entry.transaction for entry in job.entries if isinstance(entry, SingleEntry)]
            if ids != entries:
                return
        self.bodies[job.block] = body
        self._try(job)

    def _serve(self, peer: MemberId, asked: FetchCertified) -> None:
        blocks = []
        for height in range(asked.start, min(asked.start + asked.count, len(self.chain))):
            certificate = self.certificates[height]
            assert certificate is not None
            blocks.append(Certified(self.chain[height].block, certificate))
        self.out.append(Send((peer,), CertifiedBlocks(asked.start, blocks)))

    def _synced(self, peer: MemberId, said: CertifiedBlocks) -> None:
        if self.fetching is None or self.fetching[0] != peer:
            return
        self.fetching = None
        for each in said.blocks:
            header, certificate = each.block.header, each.certificate
            if header.height != self.head.ready.height + 1:
                continue
            hash_ = block_hash(self.consortium.suite, header)
            if hash_ != certificate.block or certificate.height != header.height:
                return
            try:
                verify_certificate(certificate, self.consortium.voters)
            except SpokeWrongly:
                return
            done = self._run(each.block, self.head)
            if isinstance(done, str):
                return
            assert done.ready.outcome == certificate.outcome, "own execution differs from a certified outcome"
            if hash_ not in self.done:
                self._hold(done)
            del self.done[hash_]
            self._extend(done, certificate)
            self.out.append(Persist((Record("blocks", encode(Adopted(certificate))),)))
            self.out.append(Published(done.ready.height))
            self._tell(port.Synced(done.ready, certificate))
            self._answer(done)
        self._pool_changed()

    def _answer(self, done: Done) -> None:
        for index, each in enumerate(done.ids):
            for client in self.awaited.pop(each, []):
                self.out.append(Answer(client, Final(_receipt(each, done.ready.height, index))))

    def _status(self) -> Status:
        status = self.engine.status()
        ready = self.head.ready
        return Status(0, status.view, status.active, ready.height, ready.block)

    def _timer(self, name: str) -> None:
        if name.startswith("engine."):
            self._tell(port.TimerFired(name.removeprefix("engine.")))
        elif name == "fetch":
            for job in list(self.jobs.values()):
                if job.block in self.jobs and job.block not in self.bodies:
                    self._try(job)
        elif name == "status":
            self.out.append(Send(self.others, self._status()))
            self.out.append(SetTimer("status", STATUS_EVERY_MS))
            old = [each for each in self.pool.values() if self.now.monotonic_ms - each.told_ms >= REGOSSIP_MS]
            if old:
                self.out.append(Send(self.others, Gossip([each.item for each in old])))
                for waiting in old:
                    waiting.told_ms = self.now.monotonic_ms

    # -- clients -----------------------------------------------------------------------------------------------

    def _asked(self, asked: events.Asked) -> None:
        match asked.request:
            case events.Submit():
                item = submission_codec.decode(asked.request.raws[0])
                assert isinstance(item, Single)
                each = self._add(item)
                if each in self.pool:
                    self.out.append(Send(self.others, Gossip([item])))
                accepted = Accepted((TransactionId(each),))
                self.out.append(Answer(asked.client, Submitted((accepted,))))
                self._pool_changed()
            case events.Await():
                height = self.places.get(asked.request.transaction)
                if height is None:
                    self.awaited.setdefault(asked.request.transaction, []).append(asked.client)
                else:
                    index = self.chain[height].ids.index(asked.request.transaction)
                    receipt = _receipt(asked.request.transaction, height, index)
                    self.out.append(Answer(asked.client, Final(receipt)))
            case events.Forget():
                for clients in self.awaited.values():
                    if asked.client in clients:
                        clients.remove(asked.client)


def _receipt(transaction: bytes, height: int, index: int) -> Receipt:
    return Receipt(1, transaction, height, index, SUCCEEDED, "", 0, b"", [])
