"""Holding a block whole: bodies from the pool, what is missing from its sources, its parents first, its
signatures verified, then executed.

Decides whom to ask next and when a block is refused. What a peer sent wrongly is that peer's fault and is asked
of another source; what the block itself has wrong is its proposer's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from zizhu.chain.consensus.port import Execute
from zizhu.chain.crypto.hashing import (
    block_hash,
    bundle_header_hash,
    bundled_witness_hash,
    single_witness_hash,
    transaction_id,
)
from zizhu.chain.crypto.merkle import merkle_root
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.transactions import ID_BYTES, Lookup, Parsed
from zizhu.chain.ledger.validate import Invalid, ParsedBlock, check_clock
from zizhu.chain.model.block import Block, BlockHeader
from zizhu.chain.model.compact import BundleEntry, Entry, SingleEntry
from zizhu.chain.model.effects import Report, Send, SetTimer
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import BlockHash, Instant, MemberId, TransactionId
from zizhu.chain.model.transaction import Bundle, Single, Submission
from zizhu.chain.network.messages import FetchBlock, FetchItems, Items, WholeBlock

TIMER = "assembly"
ASK_AGAIN_MS = 150
GRACE_MS = 30
"""How long the items of a fresh proposal may still be on their way by gossip before the proposer is asked."""
JOBS_MAX = 256
ASKS_MAX = 40
"""Questions a block is worth; after that it is given up, and asked for anew if it is still wanted."""


@dataclass
class Job:
    """One block that is wanted whole. `items` stand at their positions, None where missing; `named`: the entries
    are known to be those that the header commits to."""

    block: BlockHash
    header: BlockHeader | None
    entries: tuple[Entry, ...]
    sources: tuple[MemberId, ...]
    fresh: bool
    arrived: Instant
    wall_ms: int
    items: list[Submission | None] = field(default_factory=list)
    asks: int = 0
    asked_ms: int = 0
    named: bool = False
    parsed: ParsedBlock | None = None
    verifying: bool = False
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Assembled:
    """How a job ended: executed, or refused with the block's rule."""

    job: Job
    result: Executed | Invalid


Effects = list[Send | SetTimer | Report]


class Assembler:
    """The jobs of one node.

    `held(id)` is the submission with a transaction that waits here, verified or about to be.
    `ask_verification(parsed)` says whether all signatures of a block are known to be good; if not, it asks
    for their verification, and `signatures_verified` is called with the verdict.
    """

    def __init__(self, ledger: Ledger, held: Lookup, ask_verification: Callable[[ParsedBlock], bool]) -> None:
        self._ledger = ledger
        self._held = held
        self._ask_verification = ask_verification
        self._jobs: dict[BlockHash, Job] = {}
        self.out: Effects = []
        self.done: list[Assembled] = []
        self._now = Instant(0, 0)

    # -- what is wanted ----------------------------------------------------------------------------------------

    def want(self, now: Instant, asked: Execute) -> None:
        """Take on a block; one that is under way learns of new sources."""
        self._now = now
        job = self._jobs.get(asked.block)
        if job is None:
            if len(self._jobs) >= JOBS_MAX:
                self.out.append(Report("assembly_full", {"jobs": len(self._jobs)}))
                return
            arrived_ms = asked.arrived_ms or now.wall_ms
            job = Job(asked.block, asked.header, asked.entries, asked.sources, asked.fresh, now, arrived_ms)
            self._jobs[asked.block] = job
        else:
            job.sources = tuple(dict.fromkeys((*job.sources, *asked.sources)))
            job.fresh = job.fresh and asked.fresh
            if job.header is None and asked.header is not None:
                job.header, job.entries = asked.header, asked.entries
        self._progress(job)

    def keep_only(self, keep: tuple[BlockHash, ...]) -> None:
        """Give up all jobs but these."""
        self._jobs = {block: job for block, job in self._jobs.items() if block in keep}

    def retry(self, now: Instant) -> None:
        """Ask again, the next source, for what did not come in time."""
        self._now = now
        for job in list(self._jobs.values()):
            if job.verifying or now.monotonic_ms - job.asked_ms < ASK_AGAIN_MS:
                continue
            if job.asks >= ASKS_MAX:
                del self._jobs[job.block]
                self.out.append(Report("assembly_given_up", {"block": job.block.hex()}))
            else:
                self._progress(job)
        if self._jobs:
            self.out.append(SetTimer(TIMER, ASK_AGAIN_MS))

    # -- what comes --------------------------------------------------------------------------------------------

    def submissions_came(self, now: Instant) -> None:
        """By gossip or from a client: perhaps they were what a proposal waits for."""
        self._now = now
        for job in list(self._jobs.values()):
            if job.header is not None and job.parsed is None:
                self._progress(job)

    def items_came(self, now: Instant, peer: MemberId, message: Items) -> None:
        """Missing items, found by what they are: an answer may be to an earlier question, when more was missing."""
        self._now = now
        job = self._jobs.get(BlockHash(message.block))
        if job is None or job.header is None or job.parsed is not None:
            return
        if len(message.items) > len(job.entries):
            self._fault(peer, "items_unasked", job)
            return
        places: dict[bytes, list[int]] = {}
        for position, entry in enumerate(job.entries):
            places.setdefault(_name_of_entry(entry), []).append(position)
        for item in message.items:
            named = places.get(_name_of_item(self._ledger.suite, item), [])
            fitting = [position for position in named if self._is_whole(item, job.entries[position])]
            if not fitting:
                self._fault(peer, "items_differ", job)
                job.asked_ms = 0
                break
            for position in fitting:
                job.items[position] = item
        self._progress(job)

    def block_came(self, now: Instant, peer: MemberId, message: WholeBlock) -> None:
        """A block asked for by its hash alone."""
        self._now = now
        job = self._jobs.get(BlockHash(message.block))
        if job is None or job.parsed is not None or message.body is None:
            return
        header = message.body.header
        if block_hash(self._ledger.suite, header) != job.block:
            self._fault(peer, "block_hash", job)
            return
        parsed = self._ledger.parse_block(message.body, job.block, known=self._held)
        if isinstance(parsed, Invalid) or not self._ledger.body_holds(parsed):
            self._fault(peer, "block_body", job)
            return
        job.header, job.parsed = header, parsed
        self._progress(job)

    def signatures_verified(self, now: Instant, parsed: ParsedBlock, *, good: bool) -> None:
        """The verdict on a block's signatures that this node had not verified before.

        It is about these very items: a job that was given up may have had others under the same header.
        """
        self._now = now
        job = self._jobs.get(parsed.hash)
        if job is None or job.parsed is not parsed:
            return
        job.verifying = False
        if good:
            job.verified = True
            self._progress(job)
        else:
            text = "a transaction's signature is wrong"
            self._finish(job, Invalid("block.signature", text, "交易签名错误"))

    # -- one job -----------------------------------------------------------------------------------------------

    def _progress(self, job: Job) -> None:
        """Take a job as far as it goes now."""
        executed = self._ledger.executed(job.block)
        if executed is not None:
            self._finish(job, executed)
            return
        if job.header is None:
            self._ask(job, FetchBlock(job.block))
            return
        if job.header.height <= self._ledger.head.height:
            self._jobs.pop(job.block, None)
            return
        if job.parsed is None and not self._collect(job):
            return
        if not self._parent_is_here(job, job.header):
            return
        if job.fresh and (late := self._clock(job, job.header)) is not None:
            self._finish(job, late)
            return
        assert job.parsed is not None
        if not job.verified and not job.verifying:
            job.verifying = True
            if self._ask_verification(job.parsed):
                job.verifying, job.verified = False, True
        if job.verified:
            self._finish(job, self._ledger.execute(job.parsed, job.block))

    def _collect(self, job: Job) -> bool:
        """Fill the items from the pool; ask a source for the rest; parse once all are here."""
        assert job.header is not None
        if not job.items:
            job.items = [None] * len(job.entries)
        missing = []
        for position, item in enumerate(job.items):
            if item is None:
                job.items[position] = found = self._from_pool(job.entries[position])
                if found is None:
                    missing.append(position)
        if missing:
            if not self._gossip_may_bring_it(job) and self._entries_hold(job, job.header):
                self._ask(job, FetchItems(job.block, missing))
            return False
        block = Block(job.header, [item for item in job.items if item is not None])
        parsed = self._ledger.parse_block(block, job.block, known=self._held)
        if isinstance(parsed, Invalid):
            self._finish(job, parsed)
            return False
        job.parsed = parsed
        return True

    def _from_pool(self, entry: Entry) -> Submission | None:
        """The item that `entry` names, if the pool holds it with this very witness."""
        match entry:
            case SingleEntry():
                held = self._held(TransactionId(entry.transaction))
                if held is None or not isinstance(held.submission, Single):
                    return None
                return held.submission if held.transactions[0].witness_hash == entry.witness else None
            case BundleEntry():
                taken = taken_positions(entry)
                if not taken or taken[-1] >= len(entry.transactions):
                    return None
                held = self._held(TransactionId(entry.transactions[taken[0]]))
                if held is None or not isinstance(held.submission, Bundle) or held.submission.header != entry.header:
                    return None
                leaves = list(entry.transactions)
                if len(leaves) != len(held.submission.leaves):
                    return None
                for position in taken:
                    leaves[position] = held.submission.leaves[position]
                return Bundle(entry.header, leaves)

    def _is_whole(self, item: Submission, entry: Entry) -> bool:
        """Whether an item that bears the name of `entry` is all of what it names."""
        if not isinstance(item, Bundle) or not isinstance(entry, BundleEntry):
            return True
        if len(item.leaves) != len(entry.transactions):
            return False
        taken = dict.fromkeys(taken_positions(entry))
        for position, leaf in enumerate(item.leaves):
            named = transaction_id(self._ledger.suite, leaf) if position in taken else leaf
            if named != entry.transactions[position]:
                return False
        return True

    def _parent_is_here(self, job: Job, header: BlockHeader) -> bool:
        """The parent is the head or executed; otherwise it is wanted first, from the same sources."""
        parent = BlockHash(header.parent)
        if parent == self._ledger.head.block or self._ledger.executed(parent) is not None:
            return True
        if header.height <= self._ledger.head.height + 1:
            self._finish(job, Invalid("block.parent", "its parent is not the head", "父区块不是当前链头"))
            return False
        if parent not in self._jobs:
            self.want(self._now, Execute(parent, None, (), job.sources, fresh=False))
        return False

    def _clock(self, job: Job, header: BlockHeader) -> Invalid | None:
        parent = self._ledger.executed(BlockHash(header.parent))
        parent_time_ms = self._ledger.head.time_ms if parent is None else parent.block.header.time_ms
        return check_clock(
            header.time_ms,
            parent_time_ms=parent_time_ms,
            wall_ms=job.wall_ms,
            tolerance_ms=self._ledger.record.parameters.clock_tolerance_ms,
        )

    def _gossip_may_bring_it(self, job: Job) -> bool:
        """Whether what a fresh proposal names may still be on its way here by itself."""
        waited_ms = self._now.monotonic_ms - job.arrived.monotonic_ms
        if not job.fresh or waited_ms >= GRACE_MS:
            return False
        self.out.append(SetTimer(TIMER, GRACE_MS - waited_ms))
        return True

    def _entries_hold(self, job: Job, header: BlockHeader) -> bool:
        """Refuse a block whose entries are not its header's: nobody could ever give what they name, and an honest
        source would be blamed for it. Looked at once, before somebody is asked: it costs as much as the roots."""
        if not job.named:
            job.named = entries_hold(self._ledger.suite, header, job.entries)
            if not job.named:
                self._finish(job, Invalid("block.entries", "its entries are not its header's", "条目与区块头不符"))
        return job.named

    def _ask(self, job: Job, message: FetchBlock | FetchItems) -> None:
        """Ask the next source, unless a question is under way."""
        now_ms = self._now.monotonic_ms
        if job.asked_ms and now_ms - job.asked_ms < ASK_AGAIN_MS:
            return
        if not job.sources:
            return
        source = job.sources[job.asks % len(job.sources)]
        job.asks += 1
        job.asked_ms = max(now_ms, 1)
        self.out.append(Send((source,), message))
        self.out.append(SetTimer(TIMER, ASK_AGAIN_MS))

    def _finish(self, job: Job, result: Executed | Invalid) -> None:
        self._jobs.pop(job.block, None)
        self.done.append(Assembled(job, result))
        if isinstance(result, Executed):
            self._wake_children(job)

    def _wake_children(self, done: Job) -> None:
        for child in list(self._jobs.values()):
            if child.header is not None and child.header.parent == done.block and not child.verifying:
                self._progress(child)

    def _fault(self, peer: MemberId, rule: str, job: Job) -> None:
        self.out.append(Report("peer_fault", {"peer": peer.hex(), "rule": rule, "block": job.block.hex()}))


def _name_of_entry(entry: Entry) -> bytes:
    """What tells the items of a block apart: an id with its witness, or a signed bundle header."""
    match entry:
        case SingleEntry():
            return encode((entry.transaction, entry.witness))
        case BundleEntry():
            return encode(entry.header)


def _name_of_item(suite: Suite, item: Submission) -> bytes:
    """The name of the entry that `item` belongs to."""
    match item:
        case Single():
            witness = single_witness_hash(suite, code=item.suite, public_key=item.public_key, signature=item.signature)
            return encode((transaction_id(suite, item.body), witness))
        case Bundle():
            return encode(item.header)


def entries_hold(suite: Suite, header: BlockHeader, entries: tuple[Entry, ...]) -> bool:
    """Whether a header commits to these entries: their ids and witnesses, in this order, and no other."""
    ids: list[bytes] = []
    witnesses: list[bytes] = []
    for entry in entries:
        match entry:
            case SingleEntry():
                ids.append(entry.transaction)
                witnesses.append(entry.witness)
            case BundleEntry():
                taken = taken_positions(entry)
                if not taken or taken[-1] >= len(entry.transactions) or len(entry.transactions) != entry.header.count:
                    return False
                signed = bundle_header_hash(suite, entry.header)
                ids += [entry.transactions[position] for position in taken]
                witnesses += [bundled_witness_hash(suite, header_hash=signed, index=position) for position in taken]
    return (
        len(ids) == header.count
        and merkle_root(suite.hash, ids) == header.transaction_root
        and merkle_root(suite.hash, witnesses) == header.witness_root
    )


def taken_positions(entry: BundleEntry) -> list[int]:
    """The positions of the leaves whose bodies stand in the block, ascending."""
    return [position for position in range(len(entry.taken) * 8) if entry.taken[position // 8] >> (position % 8) & 1]


def entries_of(block: Block, parsed: tuple[Parsed, ...]) -> tuple[Entry, ...]:
    """What names the items of a block, whose transactions are `parsed`, in a proposal."""
    transactions = iter(parsed)
    entries: list[Entry] = []
    for item in block.items:
        match item:
            case Single():
                transaction = next(transactions)
                entries.append(SingleEntry(transaction.id, transaction.witness_hash))
            case Bundle():
                taken = bytearray((len(item.leaves) + 7) // 8)
                ids: list[bytes] = []
                for position, leaf in enumerate(item.leaves):
                    if len(leaf) == ID_BYTES:
                        ids.append(leaf)
                    else:
                        ids.append(next(transactions).id)
                        taken[position // 8] |= 1 << (position % 8)
                entries.append(BundleEntry(item.header, ids, bytes(taken)))
    return tuple(entries)
