"""The client: fails over, waits when busy, sends the same bytes again, and never says success before finality."""

import json
from pathlib import Path

import msgspec
import pytest

from zizhu.chain.crypto.international.suite import suite
from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode, OperatingFault
from zizhu.chain.model.ids import LedgerId, TransactionId
from zizhu.chain.model.value import encode_value
from zizhu.framework.sdk.client import Author, Clock, LedgerClient
from zizhu.framework.sdk.http import UNREACHABLE, Reply, Request, told_error
from zizhu.framework.sdk.keys import Account
from zizhu.framework.sdk.nonces import NonceAllocator
from zizhu.framework.sdk.transactions import Call, SignedSubmission, Target

ID = TransactionId(b"t" * 32)
SIGNED = SignedSubmission(b"signed bytes", (ID,), (1,), 99)
ACCEPTED: object = {"outcomes": [{"transactions": [ID.hex()]}]}
FINAL: object = {
    "state": "final",
    "height": 7,
    "time_ms": 1_000,
    "receipt": {"code": "", "result": encode_value("done").hex()},
}
FAILED: object = {"state": "final", "height": 7, "time_ms": 1_000, "receipt": {"code": "app.no", "result": ""}}
WAITING: object = {"state": "waiting"}
UNKNOWN: object = {"state": "unknown"}
DOWN = OperatingFault(UNREACHABLE, url="x", reason="down")
BUSY = Busy(ErrorCode("pool.busy", "busy {retry_after_ms}", "wait", "忙", "等"), retry_after_ms=250)


class Scripted:
    """A member that answers what it is told: by kind of request a list, whose last answer goes on for ever."""

    def __init__(self, url: str, **answers: list[object]) -> None:
        self.url = url
        self.answers = answers
        self.seen: list[tuple[str, bytes]] = []

    def exchange(self, request: Request) -> Reply:
        """The next answer."""
        kind = request.path.removeprefix("/api/v1/").split("/")[0].split("?")[0]
        key = "submit" if (request.method, kind) == ("POST", "transactions") else kind
        assert isinstance(request.body, bytes)
        self.seen.append((key, request.body))
        left = self.answers[key]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return Reply(200, {}, json.dumps(answer).encode())

    def count(self, key: str) -> int:
        """How often it was asked."""
        return sum(one == key for one, _ in self.seen)


class Time:
    """Time that only passes when somebody waits."""

    def __init__(self) -> None:
        self.ms = 0
        self.pauses: list[int] = []

    def pause(self, ms: int) -> None:
        """Waits."""
        self.ms += ms
        self.pauses.append(ms)

    @property
    def clock(self) -> Clock:
        """For the client."""
        return Clock(now_ms=lambda: self.ms, pause=self.pause)


def client(*members: Scripted, time: Time | None = None) -> LedgerClient:
    """A client of these."""
    return LedgerClient(members, clock=(time or Time()).clock)


def test_success_is_told_after_finality_only() -> None:
    """Accepted is nothing; the value comes with the receipt, after as much waiting as it takes."""
    member = Scripted("a", submit=[ACCEPTED], transactions=[WAITING, WAITING, FINAL])
    done = client(member).send(SIGNED)[0]
    assert (done.value, done.height, done.code) == ("done", 7, "")
    assert member.count("submit") == 1 and member.count("transactions") == 3


def test_a_failed_transaction_is_final_and_has_its_code() -> None:
    """Not an exception, and not a success."""
    done = client(Scripted("a", submit=[ACCEPTED], transactions=[FAILED])).send(SIGNED)[0]
    assert (done.code, done.value) == ("app.no", None)


def test_fails_over_with_the_same_bytes() -> None:
    """A member that dies after taking it: the next one gets the very same bytes."""
    one = Scripted("a", submit=[DOWN], transactions=[DOWN])
    two = Scripted("b", submit=[ACCEPTED], transactions=[FINAL])
    assert client(one, two).send(SIGNED)[0].value == "done"
    assert one.seen[0] == two.seen[0]


def test_an_unknown_transaction_is_handed_in_again() -> None:
    """It was accepted, then its member lost it: the same bytes go to a member that answers."""
    one = Scripted("a", submit=[ACCEPTED], transactions=[DOWN])
    two = Scripted("b", submit=[ACCEPTED], transactions=[UNKNOWN, FINAL])
    assert client(one, two).send(SIGNED)[0].value == "done"
    assert [body for key, body in two.seen if key == "submit"] == [one.seen[0][1]]


def test_a_refusal_after_a_lost_answer_is_no_failure_if_it_was_taken() -> None:
    """The first member took it and died; the second says "nonce used": the receipt counts."""
    one = Scripted("a", submit=[DOWN], transactions=[DOWN])
    two = Scripted("b", submit=[told_error("pool.nonce_used", "used", "no")], transactions=[FINAL])
    assert client(one, two).send(SIGNED)[0].value == "done"
    three = Scripted("c", submit=[told_error("pool.nonce_used", "used", "no")], transactions=[UNKNOWN])
    with pytest.raises(AskedWrongly) as error:
        client(three).send(SIGNED)
    assert error.value.code.code == "pool.nonce_used"


def test_busy_is_waited_out_as_long_as_it_says() -> None:
    """Retry-after is kept; busy to the end is told as busy."""
    time = Time()
    member = Scripted("a", submit=[BUSY, BUSY, ACCEPTED], transactions=[FINAL])
    client(member, time=time).send(SIGNED)
    assert time.pauses == [250, 250]
    with pytest.raises(Busy):
        client(Scripted("a", submit=[BUSY])).send(SIGNED, patience_ms=1_000)


def test_no_finality_in_time_is_neither_success_nor_failure() -> None:
    """It is told as "not final", with the id to ask for later; expired is told as expired."""
    time = Time()
    with pytest.raises(OperatingFault) as error:
        client(Scripted("a", submit=[ACCEPTED], transactions=[WAITING]), time=time).send(SIGNED, patience_ms=2_000)
    assert error.value.code.code == "sdk.not_final" and ID.hex() in error.value.cause()
    assert time.ms >= 2_000
    with pytest.raises(AskedWrongly) as expired:
        client(Scripted("a", submit=[ACCEPTED], transactions=[{"state": "expired"}])).send(SIGNED)
    assert expired.value.code.code == "sdk.expired"


def test_nobody_answers() -> None:
    """Every member is tried, again and again, until patience ends."""
    members = [Scripted(url, submit=[DOWN]) for url in ("a", "b", "c")]
    with pytest.raises(OperatingFault) as error:
        client(*members).send(SIGNED, patience_ms=1_000)
    assert error.value.code.code == "sdk.no_member"
    assert all(member.count("submit") >= 10 for member in members)


@pytest.mark.parametrize(
    "answer",
    [{}, [], {"outcomes": []}, {"outcomes": [{}, {}]}, {"outcomes": 3}],
)
def test_what_is_no_answer_of_the_api_is_a_fault(answer: object) -> None:
    """A member that answers something else is passed over, not believed."""
    two = Scripted("b", submit=[ACCEPTED], transactions=[FINAL])
    assert client(Scripted("a", submit=[answer]), two).send(SIGNED)[0].value == "done"


@pytest.mark.parametrize(
    "answer", [{"state": "final"}, {"state": "done"}, FINAL | {"receipt": {"code": "", "result": "zz"}}]
)  # type: ignore[operator]
def test_a_final_state_without_a_true_receipt_is_not_believed(answer: object) -> None:
    """Another member is asked."""
    one = Scripted("a", submit=[ACCEPTED], transactions=[answer])
    two = Scripted("b", submit=[ACCEPTED], transactions=[FINAL])
    assert client(one, two).send(SIGNED)[0].value == "done"


def test_an_author_signs_with_fresh_nonces_and_lets_them_go(tmp_path: Path) -> None:
    """Above what the ledger has seen, each once, and none stays open after finality."""
    status: object = {
        "name": "n",
        "ledger": "",
        "suite": "",
        "engine": "",
        "height": 5,
        "root_height": 1,
        "time_ms": 1,
    }

    member = Scripted("a", submit=[ACCEPTED], transactions=[FINAL], status=[status], accounts=[{"highest_nonce": 41}])
    account = Account(suite, suite.digest(b"author"))
    nonces = NonceAllocator(tmp_path / "n", account=account.id, ledger=LedgerId(b"l" * 32))
    author = Author(client(member), account, Target(LedgerId(b"l" * 32), suite), nonces=nonces)
    for _ in range(3):
        assert author.call(Call(b"c" * 20, "m")).value == "done"
    assert nonces.open_nonces() == [] and nonces.take(valid_until_height=9) == [45]
    sent = [body for key, body in member.seen if key == "submit"]
    assert len(set(sent)) == 3 and all(account.secret not in body for body in sent)
    assert msgspec.msgpack.decode(sent[0])
