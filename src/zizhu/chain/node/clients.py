"""Clients' requests: submissions verified once, answers only after finality.

Decides what a submission is told and when who waits is answered. A submission whose transaction is final or
waits already is accepted again: the same transaction, submitted anywhere, any number of times, has one receipt.
"""

from dataclasses import dataclass, field

import msgspec

from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.keys import NonceUse
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.pool import Pool
from zizhu.chain.ledger.transactions import ParsedSubmission
from zizhu.chain.ledger.validate import ParsedBlock
from zizhu.chain.model.effects import Report
from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode, ZizhuError
from zizhu.chain.model.ids import MemberId, TransactionId
from zizhu.chain.model.receipt import Receipt
from zizhu.chain.model.transaction import Submission
from zizhu.chain.node.events import (
    Accepted,
    Answer,
    Expired,
    Final,
    Rejected,
    SignatureCheck,
    Submitted,
    Verify,
)

VERIFIED_MAX = 100_000
"""Witnesses remembered as good."""
WAITERS_MAX = 100_000
UNVERIFIED_MAX = 20_000
"""Submissions of peers whose verification is under way; above that they are dropped, and fetched when proposed."""

SIGNATURE = ErrorCode(
    "transaction.signature",
    "the signature of the submission is wrong",
    "sign it again with the key of its sender",
    "提交的签名错误",
    "请用发送方的密钥重新签名",
)
TOO_MANY_WAIT = ErrorCode(
    "node.too_many_wait",
    "too many clients wait for receipts here",
    "ask again after {retry_after_ms} ms, or ask another member",
    "等待回执的客户端过多",
    "请在 {retry_after_ms} 毫秒后重试,或询问其他成员",
)


@dataclass
class Ask:
    """A client's submissions on their way: outcomes so far, by position."""

    client: int
    outcomes: list[Accepted | Rejected | None]
    left: int


class Unverified(msgspec.Struct, frozen=True):
    """A submission whose signature is being verified, and who handed it in: a client, or a link peer."""

    parsed: ParsedSubmission
    ask: Ask | None
    position: int
    peer: MemberId | None


Batch = list[Unverified] | ParsedBlock


@dataclass
class Admission:
    """Everything between a client (or a peer's gossip) and the pool."""

    ledger: Ledger
    pool: Pool
    archive: BlockArchive
    verified_max: int = VERIFIED_MAX
    unverified_max: int = UNVERIFIED_MAX
    out: list[Answer | Verify | Report] = field(default_factory=list)
    fresh: list[ParsedSubmission] = field(default_factory=list)
    """Submissions of clients that are new here: to be gossiped."""
    _batches: dict[int, Batch] = field(default_factory=dict)
    _next_batch: int = 0
    _from_peers: int = 0
    _under_way: dict[TransactionId, ParsedSubmission] = field(default_factory=dict)
    _good: dict[tuple[bytes, bytes, bytes], None] = field(default_factory=dict)
    _waiters: dict[TransactionId, list[int]] = field(default_factory=dict)
    _waits: dict[int, TransactionId] = field(default_factory=dict)
    _undurable: dict[TransactionId, Receipt] = field(default_factory=dict)
    _own: dict[TransactionId, tuple[ParsedSubmission, int]] = field(default_factory=dict)

    # -- submissions -------------------------------------------------------------------------------------------

    def submit(self, client: int, raws: tuple[bytes, ...], now_ms: int) -> None:
        """A client's submissions; answered when all are verified."""
        ask = Ask(client, [None] * len(raws), len(raws))
        unverified: list[Unverified] = []
        for position, raw in enumerate(raws):
            try:
                parsed = self.ledger.reader.submission(raw)
            except ZizhuError as error:
                self._settle(ask, position, Rejected(error))
                continue
            if self.is_known(parsed):
                self._settle(ask, position, Accepted(tuple(one.id for one in parsed.transactions)))
            elif self._is_good(parsed):
                self._admit(Unverified(parsed, ask, position, None), now_ms)
            else:
                unverified.append(Unverified(parsed, ask, position, None))
        if not raws:
            self.out.append(Answer(client, Submitted(())))
        self._verify(unverified)

    def gossiped(self, peer: MemberId, submissions: list[Submission], now_ms: int) -> None:
        """Submissions that a peer passes on. A bad one costs the peer, never the transaction's id."""
        unverified: list[Unverified] = []
        for submission in submissions:
            try:
                parsed = self.ledger.reader.submission(submission)
            except ZizhuError as error:
                self.out.append(_fault(peer, error.code.code))
                continue
            under_way = self._under_way.get(parsed.transactions[0].id)
            repeated = under_way is not None and under_way.signature == parsed.signature
            if repeated or self.is_known(parsed):
                continue
            if self._is_good(parsed):
                self._admit(Unverified(parsed, None, 0, peer), now_ms)
            elif self._from_peers < self.unverified_max:
                self._from_peers += 1
                unverified.append(Unverified(parsed, None, 0, peer))
        self._verify(unverified)

    def verified(self, batch: int, verdicts: tuple[bool, ...], now_ms: int) -> tuple[ParsedBlock, bool] | None:
        """The verdicts on a batch; of a block's batch, what was looked at and whether all is good."""
        waiting = self._batches.pop(batch, None)
        if waiting is None:
            return None
        if isinstance(waiting, ParsedBlock):
            return waiting, all(verdicts)
        for item, good in zip(waiting, verdicts, strict=True):
            if item.peer is not None:
                self._from_peers -= 1
            for one in item.parsed.transactions:
                self._under_way.pop(one.id, None)
            if good:
                self._remember(item.parsed)
                self._admit(item, now_ms)
            elif item.ask is not None:
                self._settle(item.ask, item.position, Rejected(AskedWrongly(SIGNATURE)))
            elif item.peer is not None:
                self.out.append(_fault(item.peer, "witness"))
        return None

    def block_is_verified(self, parsed: ParsedBlock) -> bool:
        """Whether all signatures in a block are known to be good; otherwise the unknown ones are asked for."""
        unknown = [item for item in parsed.items if not self._is_good(item) and not self._pooled(item)]
        if not unknown:
            return True
        self._next_batch += 1
        self._batches[self._next_batch] = parsed
        self.out.append(Verify(self._next_batch, tuple(_check(item) for item in unknown), urgent=True))
        return False

    def held(self, id_: TransactionId) -> ParsedSubmission | None:
        """The submission with a transaction that waits here, or whose signature is still being verified."""
        return self.pool.get(id_) or self._under_way.get(id_)

    def is_known(self, parsed: ParsedSubmission) -> bool:
        """Whether all transactions of a submission wait here or are final. A free nonce spares the look-up."""
        waiting = [one for one in parsed.transactions if not self.pool.has(one.id)]
        if not waiting:
            return True
        account = self.ledger.nonce_state(parsed.sender)
        if any(account.use_of(one.fields.nonce) is NonceUse.FREE for one in waiting):
            return False
        return all(one.id in self._undurable or self.archive.locate(one.id) is not None for one in waiting)

    def own_waiting(self, now_ms: int, older_than_ms: int) -> list[ParsedSubmission]:
        """Submissions of this member's own clients that have waited here for so long, oldest first."""
        self._own = {id_: held for id_, held in self._own.items() if self.pool.has(id_)}
        return [parsed for parsed, since_ms in self._own.values() if now_ms - since_ms >= older_than_ms]

    def _verify(self, unverified: list[Unverified]) -> None:
        if unverified:
            self._next_batch += 1
            self._batches[self._next_batch] = unverified
            for item in unverified:
                for one in item.parsed.transactions:
                    self._under_way[one.id] = item.parsed
            self.out.append(Verify(self._next_batch, tuple(_check(item.parsed) for item in unverified)))

    def _admit(self, item: Unverified, now_ms: int) -> None:
        """A verified submission goes into the pool; its client is told."""
        try:
            fresh = self.pool.add(item.parsed, now_ms)
        except Busy as error:
            self._refused(item, error)
            return
        except AskedWrongly as error:
            self._refused(item, error)
            return
        if item.ask is not None:
            if fresh:
                self.fresh.append(item.parsed)
                self._own[item.parsed.transactions[0].id] = (item.parsed, now_ms)
            self._settle(item.ask, item.position, Accepted(tuple(one.id for one in item.parsed.transactions)))

    def _refused(self, item: Unverified, error: AskedWrongly) -> None:
        if item.ask is not None:
            self._settle(item.ask, item.position, Rejected(error))

    def _settle(self, ask: Ask, position: int, outcome: Accepted | Rejected) -> None:
        ask.outcomes[position] = outcome
        ask.left -= 1
        if not ask.left:
            outcomes = tuple(each for each in ask.outcomes if each is not None)
            assert len(outcomes) == len(ask.outcomes)
            self.out.append(Answer(ask.client, Submitted(outcomes)))

    def _pooled(self, parsed: ParsedSubmission) -> bool:
        """The pool holds only verified submissions; a block's part of one of them is good with it."""
        held = self.pool.get(parsed.transactions[0].id)
        return held is not None and held.signature == parsed.signature

    def _is_good(self, parsed: ParsedSubmission) -> bool:
        signed = parsed.signature
        return (signed.public_key, signed.message, signed.signature) in self._good

    def _remember(self, parsed: ParsedSubmission) -> None:
        signed = parsed.signature
        self._good[(signed.public_key, signed.message, signed.signature)] = None
        if len(self._good) > self.verified_max:
            del self._good[next(iter(self._good))]

    # -- receipts ----------------------------------------------------------------------------------------------

    def wait(self, client: int, transaction: TransactionId) -> None:
        """Answer at once when the receipt is there, otherwise when it comes.

        A receipt that is certified and not durable yet is answered too: the answer stands behind its barrier.
        """
        receipt = self._undurable.get(transaction) or self.archive.receipt(transaction)
        if receipt is not None:
            self.out.append(Answer(client, Final(receipt)))
            return
        self._waiters.setdefault(transaction, []).append(client)
        self._waits[client] = transaction

    def forget(self, client: int) -> None:
        """The client does not wait any more."""
        transaction = self._waits.pop(client, None)
        if transaction is not None:
            self._waiters[transaction].remove(client)
            if not self._waiters[transaction]:
                del self._waiters[transaction]

    def final(self, receipts: tuple[Receipt, ...]) -> None:
        """Answer those who wait for these receipts. Called behind the barrier that makes them durable."""
        durable = self.archive.head_height
        if self._undurable:
            self._undurable = {id_: held for id_, held in self._undurable.items() if held.height > durable}
        for receipt in receipts:
            self._undurable[TransactionId(receipt.transaction)] = receipt
            for client in self._leave(TransactionId(receipt.transaction)):
                self.out.append(Answer(client, Final(receipt)))

    def expired(self, transaction: TransactionId, height: int) -> None:
        """Answer those who wait for a transaction that never comes."""
        for client in self._leave(transaction):
            self.out.append(Answer(client, Expired(transaction, height)))

    def _leave(self, transaction: TransactionId) -> list[int]:
        clients = self._waiters.pop(transaction, [])
        for client in clients:
            self._waits.pop(client, None)
        return clients


def _check(parsed: ParsedSubmission) -> SignatureCheck:
    return SignatureCheck(parsed.suite_code, parsed.signature)


def _fault(peer: MemberId, rule: str) -> Report:
    """A peer's offence, as the log is told of it."""
    return Report("peer_fault", {"peer": peer.hex(), "rule": rule})
