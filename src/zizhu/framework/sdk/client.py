"""A client of a ledger: many members, one answer.

Decides whom to ask, when to ask again and when to ask another, and that nothing is called a success before it is
final. A member that does not answer may have acted, so what is sent again is always the *same* signed transaction:
the ledger carries it out once. Refuses to know keys (`transactions` signs) and HTTP (`http` does).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec

from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode, OperatingFault, SpokeWrongly, ZizhuError
from zizhu.chain.model.ids import AccountId, TransactionId
from zizhu.chain.model.value import Value, decode_value, encode_arguments
from zizhu.framework.sdk.http import BAD_REPLY, Member, Reply, Request, told_error
from zizhu.framework.sdk.keys import Account
from zizhu.framework.sdk.nonces import NonceAllocator
from zizhu.framework.sdk.transactions import (
    LIFETIME_BLOCKS,
    Call,
    Numbers,
    SignedSubmission,
    Target,
    call_body,
    sign_single,
)

API = "/api/v1"
PATIENCE_MS = 30_000
"""How long a client keeps trying when nobody says otherwise."""
WAIT_MS = 5_000
"""How long one member is asked to wait for finality before another is asked."""
PAUSE_MS = 100
"""Between two rounds over the members."""

NOT_FINAL = ErrorCode(
    "sdk.not_final",
    "transaction {transaction} is not final after {patience_ms} ms; it may still become final",
    "ask again with `zizhu tx show {transaction}`; sending it again is harmless",
    "交易 {transaction} 在 {patience_ms} 毫秒后仍未最终确认;之后仍可能确认",
    "请用 `zizhu tx show {transaction}` 再次查询;重复发送不会重复执行",
)
EXPIRED = ErrorCode(
    "sdk.expired",
    "transaction {transaction} has expired and will never be final",
    "sign and send it again",
    "交易 {transaction} 已过期,不会再被确认",
    "请重新签名并发送",
)
NO_MEMBER = ErrorCode(
    "sdk.no_member",
    "no member answers: {reason}",
    "start the network with `zizhu up`, or give the addresses of members that run",
    "没有成员应答:{reason}",
    "请用 `zizhu up` 启动网络,或给出正在运行的成员地址",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as the client sees it, both in milliseconds; a test gives its own."""

    now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000
    pause: Callable[[int], None] = lambda milliseconds: time.sleep(milliseconds / 1000)


@dataclass(frozen=True, slots=True)
class Finality:
    """A transaction that is in a certified, durable block. `code` is "" when it succeeded; then `value` is what
    the method returned. `time_ms` is block time."""

    transaction: TransactionId
    height: int
    time_ms: int
    code: str
    value: Value


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """What a read-only call returned at one member, as of `height` of block time `time_ms`; `code` is "" if it did."""

    code: str
    value: Value
    height: int
    time_ms: int


class Status(msgspec.Struct, frozen=True):
    """What the client needs of a member's status."""

    name: str
    ledger: str
    suite: str
    engine: str
    height: int
    root_height: int
    time_ms: int


class _Receipt(msgspec.Struct, frozen=True):
    code: str
    result: str


class _Transaction(msgspec.Struct, frozen=True):
    state: Literal["final", "waiting", "unknown", "expired"]
    height: int | None = None
    time_ms: int | None = None
    receipt: _Receipt | None = None


class _Error(msgspec.Struct, frozen=True):
    code: str
    cause: str
    fix: str
    retry_after_ms: int | None = None


class _Outcome(msgspec.Struct, frozen=True):
    error: _Error | None = None


class _Outcomes(msgspec.Struct, frozen=True):
    outcomes: list[_Outcome]


class _Query(msgspec.Struct, frozen=True):
    code: str
    value: str
    height: int
    time_ms: int


class _Account(msgspec.Struct, frozen=True):
    highest_nonce: int


class MemberClient:
    """The API of one member, typed. Raises as `Member.exchange`, and OperatingFault (`sdk.bad_reply`)."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.url = member.url

    def get(self, path: str, shape: type[T], *, timeout_ms: int = 10_000) -> T:
        """The JSON at `path`, as `shape`."""
        return self.read(self.member.exchange(Request("GET", API + path, timeout_ms=timeout_ms)), shape)

    def post(self, path: str, body: bytes, shape: type[T], *, content_type: str = "application/json") -> T:
        """The JSON that comes back."""
        headers = {"content-type": content_type}
        return self.read(self.member.exchange(Request("POST", API + path, body, headers)), shape)

    def read(self, reply: Reply, shape: type[T]) -> T:
        """A reply's JSON, as `shape`."""
        try:
            return msgspec.json.decode(reply.body, type=shape)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise self._bad(str(error)) from None

    def status(self) -> Status:
        """Its status."""
        return self.get("/status", Status)

    def genesis(self) -> bytes:
        """The signed genesis, canonical bytes; unverified."""
        return self.member.exchange(Request("GET", API + "/genesis")).body

    def submit(self, raw: bytes) -> None:
        """Hands in one submission. Raises AskedWrongly or Busy with the member's code when it is refused."""
        found = self.post("/transactions", encode([raw]), _Outcomes, content_type="application/octet-stream")
        if len(found.outcomes) != 1:
            raise self._bad("not one outcome for one submission")
        error = found.outcomes[0].error
        if error is not None:
            raise told_error(error.code, error.cause, error.fix, retry_after_ms=error.retry_after_ms)

    def finality(self, id_: TransactionId, *, wait_ms: int) -> Finality | Literal["waiting", "unknown", "expired"]:
        """Where the transaction stands, waiting at most `wait_ms` for it to be final."""
        path = f"/transactions/{id_.hex()}?wait_ms={wait_ms}"
        found = self.get(path, _Transaction, timeout_ms=wait_ms + 5_000)
        if found.state != "final":
            return found.state
        if found.receipt is None or found.height is None or found.time_ms is None:
            raise self._bad("a final transaction without receipt")
        value = self._value(found.receipt.result) if found.receipt.code == "" else None
        return Finality(id_, found.height, found.time_ms, found.receipt.code, value)

    def query(self, contract: str, method: str, *arguments: Value) -> QueryAnswer:
        """A read-only call; `contract` is a name or an id in hex."""
        asked = {"contract": contract, "method": method, "arguments": encode_arguments(list(arguments)).hex()}
        found = self.post("/query", msgspec.json.encode(asked), _Query)
        value = self._value(found.value) if found.code == "" else None
        return QueryAnswer(found.code, value, found.height, found.time_ms)

    def highest_nonce(self, account: AccountId) -> int:
        """The highest nonce the ledger has seen used."""
        return self.get(f"/accounts/{account.hex()}", _Account).highest_nonce

    def state_proof(self, key: bytes, *, height: int, wait_ms: int) -> bytes:
        """A proof of the state under `key` as of a root height of at least `height`; unverified."""
        path = f"{API}/proofs/state/{key.hex()}?height={height}&wait_ms={wait_ms}"
        return self.member.exchange(Request("GET", path, timeout_ms=wait_ms + 5_000)).body

    def _value(self, digits: str) -> Value:
        try:
            return decode_value(bytes.fromhex(digits)) if digits else None
        except (ValueError, SpokeWrongly) as error:
            raise self._bad(str(error)) from None

    def _bad(self, reason: str) -> OperatingFault:
        return OperatingFault(BAD_REPLY, url=self.url, reason=reason)


class LedgerClient:
    """All members that are known, as one ledger. Starts with the first and stays with one that answers."""

    def __init__(self, members: Sequence[Member], *, clock: Clock | None = None) -> None:
        assert members, "a client needs at least one member"
        self.members = tuple(MemberClient(member) for member in members)
        self._clock = clock or Clock()
        self._at = 0

    def ask(self, question: Callable[[MemberClient], T], *, patience_ms: int = PATIENCE_MS) -> T:
        """What the first member that answers says; busy ones are asked again.

        Raises what a member refuses with; Busy when all are busy to the end; OperatingFault (`sdk.no_member`).
        """
        deadline = self._clock.now_ms() + patience_ms
        while True:
            last: OperatingFault | Busy | None = None
            for _ in self.members:
                try:
                    return question(self.members[self._at])
                except (OperatingFault, Busy) as error:
                    last = error
                    self._at = (self._at + 1) % len(self.members)
            assert last is not None, "there is at least one member"
            pause_ms = last.retry_after_ms if isinstance(last, Busy) else PAUSE_MS
            if self._clock.now_ms() + pause_ms > deadline:
                raise last if isinstance(last, Busy) else OperatingFault(NO_MEMBER, reason=last.cause()) from last
            self._clock.pause(pause_ms)

    def send(self, signed: SignedSubmission, *, patience_ms: int = PATIENCE_MS) -> list[Finality]:
        """Hands in a submission and returns once all its transactions are final, in their order.

        Hands in the same bytes again wherever a member does not know them. Raises AskedWrongly with the member's
        code when it is refused, `sdk.expired`, and OperatingFault (`sdk.not_final`, `sdk.no_member`).
        """
        deadline = self._clock.now_ms() + patience_ms
        try:
            self.ask(lambda member: member.submit(signed.raw), patience_ms=patience_ms)
        except Busy:
            raise
        except AskedWrongly:
            # An earlier member may have taken it without answering; then it is the receipt that counts.
            if not self._is_known(signed.ids[0]):
                raise
        return [self._final(id_, signed, deadline, patience_ms) for id_ in signed.ids]

    def _final(self, id_: TransactionId, signed: SignedSubmission, deadline: int, patience_ms: int) -> Finality:
        while (left := deadline - self._clock.now_ms()) > 0:
            asked_at = self._clock.now_ms()
            found = self._whereabouts(id_, wait_ms=min(WAIT_MS, left), patience_ms=left)
            if isinstance(found, Finality):
                return found
            if found == "expired":
                raise AskedWrongly(EXPIRED, transaction=id_.hex())
            if found == "unknown":
                self._submit_again(signed)
            else:
                # It waits here and is not final: another member may be further.
                self._at = (self._at + 1) % len(self.members)
            if self._clock.now_ms() - asked_at < PAUSE_MS:
                self._clock.pause(PAUSE_MS)
        raise OperatingFault(NOT_FINAL, transaction=id_.hex(), patience_ms=patience_ms)

    def _whereabouts(
        self, id_: TransactionId, *, wait_ms: int, patience_ms: int
    ) -> Finality | Literal["waiting", "unknown", "expired"]:
        return self.ask(lambda member: member.finality(id_, wait_ms=wait_ms), patience_ms=patience_ms)

    def _is_known(self, id_: TransactionId) -> bool:
        """Whether some member that answers has seen the transaction."""
        for member in self.members:
            try:
                if member.finality(id_, wait_ms=0) != "unknown":
                    return True
            except ZizhuError:
                continue
        return False

    def _submit_again(self, signed: SignedSubmission) -> None:
        """To the member that does not know it. Its refusal (the nonce is used, say) decides nothing: receipts do."""
        try:
            self.members[self._at].submit(signed.raw)
        except ZizhuError:
            self._at = (self._at + 1) % len(self.members)


class Author:
    """An account that acts on a ledger: signs here with fresh nonces, sends, and waits until it is final."""

    def __init__(self, client: LedgerClient, account: Account, target: Target, *, nonces: NonceAllocator) -> None:
        self._client = client
        self._account = account
        self._target = target
        self._nonces = nonces

    def call(self, call: Call, *, patience_ms: int = PATIENCE_MS) -> Finality:
        """Carries out a call. A failed one is final too: see its `code`. Raises as `LedgerClient.send`, and Busy."""
        height = self._client.ask(lambda member: member.status()).height
        used = self._client.ask(lambda member: member.highest_nonce(self._account.id))
        self._nonces.expire(height)
        last = height + LIFETIME_BLOCKS
        nonce = self._nonces.take(valid_until_height=last, highest_used=used)[0]
        numbers = Numbers(nonce=nonce, valid_until_height=last)
        signed = sign_single(self._account, self._target, call_body(self._account, self._target, call, numbers))
        final = self._client.send(signed, patience_ms=patience_ms)[0]
        self._nonces.settle(signed.nonces)
        return final
