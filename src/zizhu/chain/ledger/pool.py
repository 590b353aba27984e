"""The pool: verified transactions that wait for a block.

Decides who waits, in which order senders are served, who is told "busy", and which transactions a leader has
passed over. Refuses to know signatures (only what was verified is added, so a bad witness can neither enter nor
keep the good one out), state (a nonce view is asked) and clocks (times are arguments, monotonic milliseconds).

Senders are served in the order in which their first waiting submission became first: a sender that was served
goes to the end. So nobody's quantity delays anybody else's first.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from zizhu.chain.ledger.keys import AccountRecord, NonceUse
from zizhu.chain.ledger.transactions import LEAVES_PER_TRANSACTION, Parsed, ParsedSubmission
from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode
from zizhu.chain.model.ids import AccountId, TransactionId

OVERTAKEN_MS = 1_000
"""How much later another sender must have become first for its service to be an overtaking."""
RETRY_AFTER_MS = 500

BUSY = ErrorCode(
    "pool.busy",
    "the transaction cannot wait here now: {reason}",
    "send it again after {retry_after_ms} ms",
    "交易暂时无法进入等待队列:{reason}",
    "请在 {retry_after_ms} 毫秒后重新发送",
)
NONCE_USED = ErrorCode(
    "pool.nonce_used",
    "nonce {nonce} of account {account} has been used",
    "ask for the receipt of the transaction that used it; sign a new one with a fresh nonce",
    "账户 {account} 的序号 {nonce} 已被使用",
    "请查询使用该序号的交易回执;新交易请使用新的序号",
)
NONCE_TOO_OLD = ErrorCode(
    "pool.nonce_too_old",
    "nonce {nonce} of account {account} is more than 1,024 below its highest used one",
    "sign it again with a fresh nonce; this transaction can never be executed",
    "账户 {account} 的序号 {nonce} 比其已用最高序号低 1,024 以上",
    "请使用新的序号重新签名;该交易永远不会被执行",
)
NONCE_TOO_FAR = ErrorCode(
    "pool.nonce_too_far",
    "nonce {nonce} of account {account} is too far above its highest used one",
    "use the next nonces in turn",
    "账户 {account} 的序号 {nonce} 远高于其已用最高序号",
    "请依次使用后续序号",
)
NONCE_WAITING = ErrorCode(
    "pool.nonce_waiting",
    "another transaction with nonce {nonce} of account {account} waits",
    "wait for its receipt; of two transactions with one nonce only one can be executed",
    "账户 {account} 序号为 {nonce} 的另一笔交易正在等待",
    "请等待其回执;同一序号只能执行一笔交易",
)
BUNDLE_STALE = ErrorCode(
    "pool.bundle_stale",
    "of {count} transactions of the bundle only {fresh} are left to execute",
    "sign those that are left in a new bundle; a transaction keeps its id under another signature",
    "交易包的 {count} 笔交易中仅剩 {fresh} 笔可执行",
    "请将剩余交易重新打包签名;更换签名不会改变交易标识",
)
EXPIRED = ErrorCode(
    "pool.expired",
    "the transaction was valid until height {height}, the next block is {next_height}",
    "sign it again with a later height",
    "交易的有效高度截至 {height},下一区块为 {next_height}",
    "请以更大的有效高度重新签名",
)

NonceView = Callable[[AccountId], AccountRecord]
"""The account's record in the committed state: `Ledger.nonce_state`."""


@dataclass(slots=True)
class _Entry:
    """A submission that waits; `left` counts those of its transactions that still do."""

    parsed: ParsedSubmission
    number: int
    added_ms: int
    left: int


@dataclass(slots=True)
class _Queue:
    """What one sender has waiting: entries in order of arrival, and nonces (a heap with stale ones in it)."""

    entries: dict[int, _Entry]
    nonces: dict[int, TransactionId]
    heap: list[int]
    first_ms: int
    overtaken_ms: int | None = None

    @property
    def first(self) -> _Entry:
        """The submission that is served next."""
        return next(iter(self.entries.values()))

    def lowest(self) -> int:
        """The least nonce that waits."""
        while self.heap[0] not in self.nonces:
            heappop(self.heap)
        return self.heap[0]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A submission that its sender's turn should have brought into a block: first since `first_ms`, and last
    overtaken by another sender's at `overtaken_ms`."""

    parsed: ParsedSubmission
    first_ms: int
    overtaken_ms: int


@dataclass(frozen=True, slots=True)
class Removed:
    """A transaction that can no longer be executed, with the final answer for whoever waits for it."""

    transaction: Parsed
    answer: AskedWrongly


class Pool:
    """Bounded by transactions and bytes. `nonces` tells what an account has used."""

    def __init__(self, nonces: NonceView, *, count_max: int = 50_000, bytes_max: int = 256 * 1024 * 1024) -> None:
        assert count_max > 0 and bytes_max > 0
        self._nonces = nonces
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._entries: dict[int, _Entry] = {}
        self._by_id: dict[TransactionId, tuple[_Entry, Parsed]] = {}
        self._senders: dict[AccountId, _Queue] = {}
        """In the order in which the first of each became first."""
        self._expiry: dict[int, dict[TransactionId, None]] = {}
        """By the last height at which they are valid."""
        self._expiry_heights: list[int] = []
        self._touched: dict[AccountId, None] = {}
        self._next = 0
        self._bytes = 0

    @property
    def waiting(self) -> int:
        """Transactions that wait."""
        return len(self._by_id)

    @property
    def bytes(self) -> int:
        """Their bytes."""
        return self._bytes

    @property
    def oldest_waiting_ms(self) -> int | None:
        """When the oldest submission came, or None when none waits."""
        return next(iter(self._entries.values())).added_ms if self._entries else None

    def has(self, id_: TransactionId) -> bool:
        """Whether a transaction waits."""
        return id_ in self._by_id

    def get(self, id_: TransactionId) -> ParsedSubmission | None:
        """The submission that holds a transaction, as it was added; of a bundle, the whole."""
        held = self._by_id.get(id_)
        return None if held is None else held[0].parsed

    def add(self, parsed: ParsedSubmission, now_ms: int) -> tuple[Parsed, ...]:
        """Takes in a *verified* submission; returns its transactions that are new here (none: all known).

        A transaction known under another witness stays under the first.
        Of a bundle at least a quarter must be new: each leaf costs every member a hash in each block it stands in.
        Raises Busy (`pool.busy`) and
        AskedWrongly (`pool.nonce_*`, `pool.bundle_stale`); then nothing of it was taken in.
        """
        fresh = tuple(one for one in parsed.transactions if one.id not in self._by_id)
        if not fresh:
            return ()
        sender = fresh[0].sender
        queue = self._senders.get(sender)
        free = self._free(fresh, sender, queue)
        if not free:
            return ()
        if len(free) * LEAVES_PER_TRANSACTION < len(parsed.leaf_ids):
            raise AskedWrongly(BUNDLE_STALE, count=len(parsed.leaf_ids), fresh=len(free))
        self._check_room(parsed, len(free), sender, queue)
        self._next += 1
        entry = _Entry(parsed, self._next, now_ms, len(free))
        if queue is None:
            queue = self._senders[sender] = _Queue({}, {}, [], now_ms)
        queue.entries[entry.number] = entry
        self._entries[entry.number] = entry
        self._bytes += parsed.size
        for one in free:
            nonce = one.fields.nonce
            self._by_id[one.id] = (entry, one)
            queue.nonces[nonce] = one.id
            heappush(queue.heap, nonce)
            self._expire_after(one.fields.valid_until_height, one.id)
        return free

    def take(self, limit: int) -> Iterator[ParsedSubmission]:
        """At most `limit` submissions in the order of service; they stay until they are removed.

        Not to be continued after the pool has changed.
        """
        turns = [iter(queue.entries.values()) for queue in self._senders.values()]
        served = 0
        while turns and served < limit:
            again = []
            for turn in turns:
                entry = next(turn, None)
                if entry is None:
                    continue
                again.append(turn)
                yield entry.parsed
                served += 1
                if served == limit:
                    return
            turns = again

    def remove(self, ids: Iterable[TransactionId], now_ms: int) -> None:
        """Transactions that stand in a committed block, or can never; unknown ones are no error."""
        moved: dict[AccountId, _Queue] = {}
        for id_ in ids:
            held = self._by_id.pop(id_, None)
            if held is None:
                continue
            entry, one = held
            sender = one.sender
            queue = self._senders[sender]
            del queue.nonces[one.fields.nonce]
            expiring = self._expiry[one.fields.valid_until_height]
            del expiring[id_]
            if not expiring:
                del self._expiry[one.fields.valid_until_height]
            entry.left -= 1
            if entry.left:
                continue
            if queue.first is entry:
                moved[sender] = queue
            del queue.entries[entry.number], self._entries[entry.number]
            self._bytes -= entry.parsed.size
            if not queue.entries:
                del self._senders[sender]
        for sender, queue in moved.items():
            if queue.entries:
                del self._senders[sender]
                queue.first_ms, queue.overtaken_ms = now_ms, None
                self._senders[sender] = queue

    def committed(self, transactions: Sequence[Parsed], now_ms: int) -> None:
        """A block that was agreed on just now (not one that is synced or replayed): notes who was overtaken, and
        removes its transactions.

        A served transaction that was not its sender's first here, or is not known here, counts as having become
        first now: nobody else's first should have had to wait for it.
        """
        latest: dict[AccountId, int] = {}
        for one in transactions:
            held = self._by_id.get(one.id)
            queue = self._senders.get(one.sender)
            is_first = held is not None and queue is not None and queue.first is held[0]
            became_ms = queue.first_ms if is_first and queue is not None else now_ms
            latest[one.sender] = max(became_ms, latest.get(one.sender, became_ms))
            self._touched[one.sender] = None
        ranked = sorted(((became_ms, sender) for sender, became_ms in latest.items()), reverse=True)[:2]
        self.remove([one.id for one in transactions], now_ms)
        for sender, queue in self._senders.items():
            if not ranked or queue.first_ms + OVERTAKEN_MS >= ranked[0][0]:
                break  # senders stand in the order of first_ms: nobody behind was overtaken
            rival_ms = next((became_ms for became_ms, rival in ranked if rival != sender), None)
            if rival_ms is not None and queue.first_ms + OVERTAKEN_MS < rival_ms:
                queue.overtaken_ms = now_ms

    def synced(self, transactions: Sequence[Parsed], now_ms: int) -> None:
        """A block that others agreed on some time ago: removes its transactions, accuses nobody of overtaking."""
        for one in transactions:
            self._touched[one.sender] = None
        self.remove([one.id for one in transactions], now_ms)

    def passed_over(self, now_ms: int, limit_ms: int) -> list[PassedOver]:
        """Submissions first for `limit_ms`, and overtaken in the second half of that time or later.

        With `passed_over_ms` it is time to send them to the leader, with twice that to ask for another leader.
        """
        found = []
        for queue in self._senders.values():
            if now_ms - queue.first_ms < limit_ms:
                break
            if queue.overtaken_ms is not None and queue.overtaken_ms - queue.first_ms >= limit_ms // 2:
                found.append(PassedOver(queue.first.parsed, queue.first_ms, queue.overtaken_ms))
        return found

    def restart_turns(self, now_ms: int) -> None:
        """Under a new leader everybody's first becomes first now, so that nobody is blamed for another's deeds."""
        for queue in self._senders.values():
            queue.first_ms, queue.overtaken_ms = now_ms, None

    def expire(self, height: int, now_ms: int) -> list[Removed]:
        """After block `height` was committed: removes what can never be executed, with its final answer."""
        gone: list[Removed] = []
        while self._expiry_heights and self._expiry_heights[0] <= height:
            valid_until = heappop(self._expiry_heights)
            for id_ in self._expiry.get(valid_until, {}):
                one = self._by_id[id_][1]
                gone.append(Removed(one, AskedWrongly(EXPIRED, height=valid_until, next_height=height + 1)))
        self.remove([removed.transaction.id for removed in gone], now_ms)
        unusable: list[Removed] = []
        for sender in self._touched:
            queue = self._senders.get(sender)
            if queue is not None:
                unusable += self._overhauled(sender, queue)
        self._touched = {}
        self.remove([removed.transaction.id for removed in unusable], now_ms)
        if len(self._expiry_heights) > 2 * len(self._expiry) + 1024:
            self._expiry_heights = sorted(self._expiry)
        return gone + unusable

    def _expire_after(self, height: int, id_: TransactionId) -> None:
        expiring = self._expiry.get(height)
        if expiring is None:
            expiring = self._expiry[height] = {}
            heappush(self._expiry_heights, height)
        expiring[id_] = None

    def _overhauled(self, sender: AccountId, queue: _Queue) -> list[Removed]:
        """What of a sender's can no longer be executed because of its other transactions."""
        record = self._nonces(sender)
        if record.highest < queue.lowest():
            return []
        gone = []
        for nonce, id_ in queue.nonces.items():
            use = record.use_of(nonce)
            if use in (NonceUse.USED, NonceUse.TOO_OLD):
                rule = NONCE_USED if use is NonceUse.USED else NONCE_TOO_OLD
                answer = AskedWrongly(rule, nonce=nonce, account=sender.hex())
                gone.append(Removed(self._by_id[id_][1], answer))
        return gone

    def _free(self, fresh: tuple[Parsed, ...], sender: AccountId, queue: _Queue | None) -> tuple[Parsed, ...]:
        """Those whose nonce can still be used; of a single one that cannot, or when all are used, it raises."""
        record = self._nonces(sender)
        free: list[Parsed] = []
        wrong: AskedWrongly | None = None
        lowest = fresh[0].fields.nonce if len(fresh) == 1 else min(one.fields.nonce for one in fresh)
        if queue is not None:
            lowest = min(lowest, queue.lowest())
        for one in fresh:
            nonce = one.fields.nonce
            use = record.use_of(nonce)
            if use is not NonceUse.FREE:
                rule = {NonceUse.USED: NONCE_USED, NonceUse.TOO_OLD: NONCE_TOO_OLD}.get(use, NONCE_TOO_FAR)
                wrong = AskedWrongly(rule, nonce=nonce, account=sender.hex())
            elif queue is not None and nonce in queue.nonces:
                wrong = AskedWrongly(NONCE_WAITING, nonce=nonce, account=sender.hex())
            elif nonce - lowest > limits.NONCE_MAP:
                reason = f"nonce {nonce} is more than {limits.NONCE_MAP} above {lowest}, which waits"
                raise Busy(BUSY, retry_after_ms=RETRY_AFTER_MS, reason=reason)
            else:
                free.append(one)
        if wrong is not None and not free:
            raise wrong
        return tuple(free)

    def _check_room(self, parsed: ParsedSubmission, count: int, sender: AccountId, queue: _Queue | None) -> None:
        """Over half full, nobody may hold more than an equal share; full is full."""
        held = 0 if queue is None else len(queue.nonces)
        waiting = len(self._by_id) + count
        if waiting > self._count_max or self._bytes + parsed.size > self._bytes_max:
            raise Busy(BUSY, retry_after_ms=RETRY_AFTER_MS, reason="the pool is full")
        share = self._count_max // (len(self._senders) + (queue is None))
        if waiting > self._count_max // 2 and held + count > share:
            reason = f"account {sender.hex()} has {held} waiting, its share is {share}"
            raise Busy(BUSY, retry_after_ms=RETRY_AFTER_MS, reason=reason)
