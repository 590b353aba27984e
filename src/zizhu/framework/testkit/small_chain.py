"""What a small node holds, and what executing means to it.

Decides the rules of toy blocks and the two records of their log. Refuses to know consensus and the network.
"""

from dataclasses import dataclass, field

import msgspec

from zizhu.chain.consensus import port
from zizhu.chain.crypto.hashing import block_hash, transaction_id
from zizhu.chain.model.block import Block, BlockHeader
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.compact import Entry, SingleEntry
from zizhu.chain.model.effects import Persist, Record
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import ZERO_HASH, BlockHash, Instant, MemberId, OutcomeHash
from zizhu.chain.model.transaction import Single
from zizhu.chain.node import events
from zizhu.chain.storage.port import Log
from zizhu.framework.testkit.consortium import Consortium

ROOT_EVERY = 10


class Held(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Record of the block log: a block held whole and executed, not certified yet."""

    block: Block


class Adopted(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Record of the block log: the certificate of a block held."""

    certificate: Certificate


block_record_decoder: msgspec.msgpack.Decoder[Held | Adopted] = msgspec.msgpack.Decoder(Held | Adopted)


@dataclass(frozen=True, slots=True)
class Done:
    """An executed block."""

    block: Block
    ready: port.Ready
    ids: tuple[bytes, ...]
    ancestors_ids: frozenset[bytes]

    def executed(self) -> port.Executed:
        """What the engine is told of it."""
        entries: list[Entry] = [SingleEntry(each, ZERO_HASH) for each in self.ids]
        return port.Executed(self.ready, self.block.header, tuple(entries))


@dataclass(slots=True)
class Job:
    """A block the engine wants executed; `turn` is the next source to ask."""

    block: BlockHash
    header: BlockHeader | None
    entries: tuple[Entry, ...]
    sources: tuple[MemberId, ...]
    fresh: bool
    asked_ms: int | None = None
    turn: int = 0


@dataclass(slots=True)
class Waiting:
    """A transaction in the pool."""

    item: Single
    since_ms: int
    told_ms: int


@dataclass
class SmallChain:
    """What a small node holds: its chain, executed and held blocks, its pool, and the effects of the step in hand."""

    consortium: Consortium
    me: MemberId
    block_log: Log
    vote_log: Log
    seed: int
    now: Instant = Instant(0, 0)
    chain: list[Done] = field(default_factory=list)
    certificates: list[Certificate | None] = field(default_factory=list)
    done: dict[BlockHash, Done] = field(default_factory=dict)
    bodies: dict[BlockHash, Block] = field(default_factory=dict)
    pool: dict[bytes, Waiting] = field(default_factory=dict)
    places: dict[bytes, int] = field(default_factory=dict)
    out: list[events.Effect] = field(default_factory=list)

    @property
    def head(self) -> Done:
        """The last committed block."""
        return self.chain[-1]

    def _replay(self) -> None:
        for record in self.block_log.records():
            kept = block_record_decoder.decode(record.data)
            if isinstance(kept, Held):
                self.bodies[block_hash(self.consortium.suite, kept.block.header)] = kept.block
                continue
            block = BlockHash(kept.certificate.block)
            done = self._run(self.bodies[block], self.head)
            assert isinstance(done, Done), done
            self._extend(done, kept.certificate)

    def _try_hold(self, block: BlockHash) -> None:
        """Execute a held block again if its ancestors are here."""
        if block in self.done or block not in self.bodies:
            return
        body = self.bodies[block]
        parent = BlockHash(body.header.parent)
        if body.header.height <= self.head.ready.height:
            return
        if parent != self.head.ready.block:
            self._try_hold(parent)
        below = self._known(parent)
        if below is not None:
            done = self._run(body, below)
            if isinstance(done, Done):
                self.done[block] = done

    def _run(self, block: Block, parent: Done) -> Done | str:
        """Execute: the block's outcome on its parent, or the rule it breaks."""
        header, ready, suite = block.header, parent.ready, self.consortium.suite
        if header.height != ready.height + 1 or header.parent != ready.block:
            return "parent"
        if header.parent_outcome != ready.outcome or header.ledger != self.consortium.ledger:
            return "parent_outcome"
        if header.time_ms <= ready.time_ms or header.epoch_record != self.consortium.voters.record_hash:
            return "header"
        if any(not isinstance(item, Single) for item in block.items):
            return "item"
        ids = tuple(transaction_id(suite, item.body) for item in block.items if isinstance(item, Single))
        if header.count != len(ids) or header.transaction_root != suite.hash(b"ids", encode(ids)):
            return "transaction_root"
        if len(dict.fromkeys(ids)) != len(ids) or any(each in parent.ancestors_ids for each in ids):
            return "twice"
        if header.witness_root != ZERO_HASH or header.proposer not in self.consortium.members:
            return "header"
        outcome = OutcomeHash(suite.hash(b"outcome", ready.outcome + encode(ids)))
        root = header.height % ROOT_EVERY == 0
        hash_ = block_hash(suite, header)
        made = port.Ready(header.height, hash_, ready.block, outcome, header.time_ms, has_root=root, count=len(ids))
        return Done(block, made, ids, parent.ancestors_ids.union(ids) if ids else parent.ancestors_ids)

    def _known(self, block: BlockHash) -> Done | None:
        return self.head if block == self.head.ready.block else self.done.get(block)

    def _extend(self, done: Done, certificate: Certificate) -> None:
        assert done.ready.parent == self.head.ready.block and done.ready.height == len(self.chain)
        self.chain.append(done)
        self.certificates.append(certificate)
        for each in done.ids:
            self.pool.pop(each, None)
            self.places[each] = done.ready.height
        for block in [b for b, other in self.done.items() if other.ready.height <= done.ready.height]:
            del self.done[block]
        for block in [b for b, each in self.bodies.items() if each.header.height < done.ready.height - 16]:
            del self.bodies[block]

    def _hold(self, done: Done) -> None:
        block = done.ready.block
        self.done[block] = done
        self.bodies[block] = done.block
        self.out.append(Persist((Record("blocks", encode(Held(done.block))),)))

    def _add(self, item: Single) -> bytes:
        each = transaction_id(self.consortium.suite, item.body)
        if each not in self.places and each not in self.pool:
            self.pool[each] = Waiting(item, self.now.monotonic_ms, self.now.monotonic_ms)
        return each

    def _assemble(self, job: Job) -> Block | None:
        if job.header is None:
            return None
        found: list[Single] = []
        for entry in job.entries:
            waiting = self.pool.get(entry.transaction) if isinstance(entry, SingleEntry) else None
            if waiting is None:
                return None
            found.append(waiting.item)
        return Block(job.header, list(found))

    def _is_here(self, ready: port.Ready) -> bool:
        """Whether an executed block was not dropped meanwhile."""
        return ready.block in self.done or ready.height <= self.head.ready.height
