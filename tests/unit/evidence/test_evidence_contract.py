"""The evidence contract on its engine: who may do what, what is remembered, and what stays secret."""

import hashlib

import pytest

from zizhu.chain.contracts.port import CallResult
from zizhu.chain.contracts.script.engine import engine
from zizhu.chain.model.value import Value, decode_arguments, decode_value
from zizhu.components.evidence import package
from zizhu.components.evidence.record import (
    Record,
    read_history,
    read_record,
    read_records,
    read_registered,
    read_types,
)
from zizhu.framework.testkit.fakes.host import MemoryHost

TYPES = {"invoice": "sha256", "contract": "sm3"}
ISSUER, OTHER, HOLDER = b"I" * 20, b"O" * 20, b"H" * 20
PROGRAM = engine.load(package.source())


def digest(number: int) -> bytes:
    """A digest of its own for each number."""
    return hashlib.sha256(b"digest %d" % number).digest()


def salt(number: int) -> bytes:
    """A salt of its own for each number."""
    return hashlib.sha256(b"salt %d" % number).digest()


class Evidence:
    """The contract, installed, on a host in memory; block time and height move on with every call."""

    def __init__(self) -> None:
        self.host = MemoryHost()
        arguments = decode_arguments(package.evidence_contract("vouchers", TYPES).arguments)
        assert self.host.call(PROGRAM, "init", *arguments).code == ""

    def call(self, method: str, *arguments: Value, by: bytes = ISSUER) -> CallResult:
        """What a call by account `by` comes to."""
        self.host.caller = by
        self.host.events.clear()
        self.host.height += 1
        self.host.time_ms += 1_000
        self.host.transaction = hashlib.sha256(b"tx %d" % self.host.height).digest()
        return self.host.call(PROGRAM, method, *arguments)

    def good(self, method: str, *arguments: Value, by: bytes = ISSUER) -> Value:
        """What a call that must succeed returns."""
        result = self.call(method, *arguments, by=by)
        assert result.code == "", result
        return result.value

    def refused(self, method: str, *arguments: Value, by: bytes = ISSUER) -> str:
        """The code of a call that must fail, and must not have changed anything."""
        before = dict(self.host.state)
        result = self.call(method, *arguments, by=by)
        assert result.code != "" and (self.host.state, self.host.events) == (before, [])
        return result.code.removeprefix("app.")

    def register(self, number: int, *, by: bytes = ISSUER, type_: str = "invoice") -> int:
        """The index of digest `number`."""
        value = self.good("register", type_, TYPES[type_], digest(number), salt(number), by=by)
        return read_registered(value).index

    def show(self, index: int) -> Record:
        """The record."""
        return read_record(self.good("show", index))


@pytest.fixture
def evidence() -> Evidence:
    """A fresh one."""
    return Evidence()


def test_source_passes_the_static_checks() -> None:
    """The contract breaks no rule of the language."""
    assert engine.check(package.source()) == []


def test_indexes_count_from_one_and_records_hold_what_was_said(evidence: Evidence) -> None:
    """A record has digest, type, algorithm, issuer, holder, height, block time and transaction of its registration."""
    assert [evidence.register(number) for number in (1, 2, 3)] == [1, 2, 3]
    height, time_ms, transaction = evidence.host.height, evidence.host.time_ms, evidence.host.transaction
    record = evidence.show(3)
    assert (record.index, record.type, record.algorithm, record.digest) == (3, "invoice", "sha256", digest(3))
    assert (record.issuer, record.holder, record.state, record.first) == (ISSUER, ISSUER, "authentic", None)
    assert (record.height, record.time_ms, record.transaction) == (height, time_ms, transaction)
    assert evidence.good("count") == 3
    assert read_types(evidence.good("types")) == TYPES


def test_same_digest_by_the_same_issuer_is_the_same_voucher(evidence: Evidence) -> None:
    """Registering again returns the index it has, and makes nothing."""
    index = evidence.register(1)
    again = read_registered(evidence.good("register", "invoice", "sha256", digest(1), salt(9)))
    assert (again.index, again.created) == (index, False)
    assert evidence.good("count") == 1


def test_same_digest_by_another_issuer_names_the_first(evidence: Evidence) -> None:
    """Another issuer gets a voucher of its own, whose record names the first one's index."""
    first = evidence.register(1)
    second = evidence.register(1, by=OTHER)
    third = evidence.register(1, by=HOLDER)
    assert (evidence.show(first).first, evidence.show(second).first, evidence.show(third).first) == (None, 1, 1)
    assert [record.index for record in read_records(evidence.good("find", digest(1)))] == [1, 2, 3]


def test_only_the_agreed_algorithm_and_known_types_are_taken(evidence: Evidence) -> None:
    """A type has one algorithm; another one, another type, a short digest or salt are refused."""
    assert evidence.refused("register", "invoice", "sm3", digest(1), salt(1)) == "voucher.algorithm"
    assert evidence.refused("register", "cheque", "sm3", digest(1), salt(1)) == "voucher.type"
    assert evidence.refused("register", "invoice", "sha256", b"short", salt(1)) == "voucher.digest"
    assert evidence.refused("register", "invoice", "sha256", digest(1), b"") == "voucher.salt"


def test_only_the_holder_transfers(evidence: Evidence) -> None:
    """The issuer holds first; after a transfer it is the new holder who may transfer, and nobody else."""
    index = evidence.register(1)
    assert evidence.refused("transfer", index, HOLDER, by=HOLDER) == "voucher.not_holder"
    evidence.good("transfer", index, HOLDER)
    assert evidence.refused("transfer", index, OTHER) == "voucher.not_holder"
    assert evidence.refused("transfer", index, HOLDER, by=HOLDER) == "voucher.same_holder"
    assert evidence.refused("transfer", index, bytes(20), by=HOLDER) == "voucher.account"
    assert evidence.refused("transfer", index, b"short", by=HOLDER) == "voucher.account"
    evidence.good("transfer", index, OTHER, by=HOLDER)
    assert (evidence.show(index).issuer, evidence.show(index).holder) == (ISSUER, OTHER)


def test_only_the_issuer_replaces_and_the_old_digest_stays_readable(evidence: Evidence) -> None:
    """A replaced digest stands in the record with the time of its replacement, and still finds the voucher."""
    index = evidence.register(1)
    evidence.good("transfer", index, HOLDER)
    assert evidence.refused("replace", index, digest(2), salt(2), by=HOLDER) == "voucher.not_issuer"
    assert evidence.refused("replace", index, digest(1), salt(2)) == "voucher.digest_taken"
    evidence.good("replace", index, digest(2), salt(2))
    record = evidence.show(index)
    assert (record.digest, [old.digest for old in record.replaced]) == (digest(2), [digest(1)])
    assert record.replaced[0].time_ms == evidence.host.time_ms - 1_000
    assert [found.index for found in read_records(evidence.good("find", digest(1)))] == [index]
    assert [found.index for found in read_records(evidence.good("find", digest(2)))] == [index]
    assert evidence.register(1) == index and evidence.register(2) == index


def test_a_digest_can_be_replaced_thirty_two_times(evidence: Evidence) -> None:
    """The record remembers 32 digests; the limit is told before anything is lost."""
    index = evidence.register(0)
    for number in range(1, 33):
        evidence.good("replace", index, digest(number), salt(number))
    assert evidence.refused("replace", index, digest(33), salt(33)) == "voucher.replacements"
    assert len(evidence.show(index).replaced) == 32


def test_a_revoked_voucher_does_not_change(evidence: Evidence) -> None:
    """Only the issuer revokes, with a reason; afterwards no act is taken, and the record says why and when."""
    index = evidence.register(1)
    assert evidence.refused("revoke", index, "wrong amount", by=OTHER) == "voucher.not_issuer"
    assert evidence.refused("revoke", index, "") == "voucher.reason"
    assert evidence.refused("revoke", index, "长" * 201) == "voucher.reason"
    evidence.good("revoke", index, "金额有误")
    record = evidence.show(index)
    assert record.state == "revoked" and record.revoked is not None and record.revoked.reason == "金额有误"
    assert evidence.refused("transfer", index, HOLDER) == "voucher.revoked"
    assert evidence.refused("replace", index, digest(2), salt(2)) == "voucher.revoked"
    assert evidence.refused("revoke", index, "again") == "voucher.revoked"


def test_history_has_every_act_in_order_with_actor_time_and_height(evidence: Evidence) -> None:
    """S1.8: the circulation record, and it comes in pages that leave nothing out."""
    index = evidence.register(1)
    evidence.good("transfer", index, HOLDER)
    evidence.good("replace", index, digest(2), salt(2))
    evidence.good("transfer", index, OTHER, by=HOLDER)
    evidence.good("revoke", index, "void")
    history = read_history(evidence.good("history", index))
    assert [act.action for act in history] == ["register", "transfer", "replace", "transfer", "revoke"]
    assert [act.actor for act in history] == [ISSUER, ISSUER, ISSUER, HOLDER, ISSUER]
    assert [act.number for act in history] == [1, 2, 3, 4, 5]
    assert sorted(act.time_ms for act in history) == [act.time_ms for act in history]
    assert (history[1].detail.giver, history[1].detail.taker, history[4].detail.reason) == (ISSUER, HOLDER, "void")
    pages = [read_history(evidence.good("history", index, after, 2)) for after in (0, 2, 4)]
    assert [act for page in pages for act in page] == history


def test_pages_list_every_voucher_once(evidence: Evidence) -> None:
    """Going on behind the last index of a page gives all vouchers in order."""
    for number in range(45):
        evidence.register(number)
    seen: list[int] = []
    while page := read_records(evidence.good("page", seen[-1] if seen else 0)):
        seen += [record.index for record in page]
    assert seen == list(range(1, 46))


@pytest.mark.parametrize(
    ("method", "arguments", "code"),
    [
        ("show", [0], "voucher.unknown"),
        ("show", [1], "voucher.unknown"),
        ("show", [-1], "voucher.unknown"),
        ("show", [1 << 200], "voucher.unknown"),
        ("history", [7], "voucher.unknown"),
        ("transfer", [7, HOLDER], "voucher.unknown"),
        ("page", [-1], "voucher.page"),
        ("page", [0, 21], "voucher.page"),
        ("page", [1 << 64], "voucher.page"),
        ("show", ["1"], "contract.arguments"),
    ],
)
def test_wrong_indexes_and_pages_are_refused(
    evidence: Evidence, method: str, arguments: list[Value], code: str
) -> None:
    """Whatever number is asked for, the answer is a code."""
    assert evidence.refused(method, *arguments) == code


def test_every_failure_has_words_in_both_languages() -> None:
    """Each code that the source can fail with has a cause and a fix; an unknown one is told as it is."""
    import re

    codes = set(re.findall(r'fail\("([a-z_.]+)"', package.source().decode()))
    assert len(codes) == 14
    for code in sorted(codes):
        error = package.failure("app." + code, method="x")
        assert error.code.code == code and error.cause("zh") and error.fix("en")
    assert package.failure("contract.out_of_steps", method="revoke").code.code == "voucher.failed"


def test_acts_are_told_as_events(evidence: Evidence) -> None:
    """One event an act, named after it, with index and actor."""
    index = evidence.register(1)
    assert [name for name, _ in evidence.host.events] == ["voucher.register"]
    evidence.good("revoke", index, "void")
    assert [name for name, _ in evidence.host.events] == ["voucher.revoke"]
    assert decode_value(evidence.host.events[0][1]) == {"index": 1, "actor": ISSUER, "detail": {"reason": "void"}}


def test_no_key_or_value_of_the_state_can_be_guessed_from_a_document() -> None:
    """Two ledgers with the same documents and other salts share no key that a digest enters, and no record value.

    A state proof shows hashes of neighbouring keys and values; whoever guesses a document confirms nothing by them.
    """
    one, two = Evidence(), Evidence()
    one.register(1)
    two.good("register", "invoice", "sha256", digest(1), salt(2))
    for prefix in (b"d", b"i"):
        assert not {key for key in one.host.state if key[:1] == prefix} & {
            key for key in two.host.state if key[:1] == prefix
        }
    record_key = b"v" + (1).to_bytes(8, "big")
    assert one.host.state[record_key] != two.host.state[record_key]
    assert salt(1) not in b"".join(one.host.state.values())


def test_a_page_and_an_act_fit_their_steps(evidence: Evidence) -> None:
    """The longest records and histories stay far below a transaction's million steps and a receipt's 64 KiB."""
    for number in range(20):
        evidence.register(number * 100)
        for again in range(1, 33):
            evidence.good("replace", number + 1, digest(number * 100 + again), salt(again))
    page = evidence.call("page")
    history = evidence.call("history", 1)
    assert page.code == history.code == ""
    assert page.steps < 300_000 and history.steps < 100_000
