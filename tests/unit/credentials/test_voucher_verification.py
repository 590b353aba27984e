"""Verification online: what several members say, a custodian that cheats, and members that lie."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault
from zizhu.chain.model.value import Value
from zizhu.components.evidence.digests import digest_stream
from zizhu.components.evidence.reading import EvidenceReader
from zizhu.framework.sdk.client import Clock, QueryAnswer
from zizhu.scenarios.credentials.answers import Answer, Verdict, headline
from zizhu.scenarios.credentials.verification import Source, needed_of, verify_digests, verify_hosted

if TYPE_CHECKING:
    from .conftest import Town

DOWN = ErrorCode("test.down", "down", "start it", "停机", "请启动")
CLOCK = Clock(now_ms=lambda: 0, pause=lambda _: None)


def judged(town: "Town", data: bytes) -> Answer:
    """What `zizhu voucher verify FILE` says."""
    return verify_digests(digest_stream(io.BytesIO(data)), town.sources(), needed=needed_of(4), clock=CLOCK)


def hosted(town: "Town", index: int, *, custodian: int = 0) -> Answer:
    """What `zizhu voucher verify --index` says: the custodian's bytes against the other members' word."""
    try:
        data: bytes | None = town.custodians[custodian].file(index).read_bytes()
    except AskedWrongly:
        data = None
    digests = None if data is None else digest_stream(io.BytesIO(data))
    return verify_hosted(index, digests, town.sources(without=custodian), needed=needed_of(4), clock=CLOCK)


def lies(town: "Town", at: int, about: dict[str, Value]) -> Source:
    """Member `at`, which answers queries in `about` with values of its own."""
    honest = town.custodians[at].reader._query

    def query(method: str, *arguments: Value) -> QueryAnswer:
        found = honest(method, *arguments)
        return QueryAnswer("", about[method], found.height, found.time_ms) if method in about else found

    return Source(f"node{at + 1}", EvidenceReader(query))


def silent(name: str) -> Source:
    """A member that does not answer."""

    def query(method: str, *arguments: Value) -> QueryAnswer:
        raise OperatingFault(DOWN)

    return Source(name, EvidenceReader(query))


def test_a_registered_file_is_authentic_by_two_members(town: "Town") -> None:
    """f + 1 of four are two; the answer names them, with height and time."""
    record = town.record(b"file", type_="invoice")
    answer = judged(town, b"file")
    assert (answer.verdict, answer.record, answer.asked) == (Verdict.AUTHENTIC, record, ("node1", "node2"))
    assert (answer.height, answer.time_ms) == (town.backends[0].visible_height, town.consortium.time_ms)


def test_a_file_that_was_never_registered_is_not_on_this_chain(town: "Town") -> None:
    """S1.7; so is a registered file with one byte changed."""
    town.record(b"file")
    for data in (b"other", b"filf", b""):
        answer = judged(town, data)
        assert (answer.verdict, answer.check) == (Verdict.NOT_ON_THIS_CHAIN, "file-digest")
        assert headline(answer, "zh") == "否:本链上没有"


def test_revoked_and_replaced_files_say_so(town: "Town") -> None:
    """S1.8: authentic, revoked; and replaced at a time for the old file."""
    town.run(town.custodians[0].revoke(town.record(b"void").index, "void"))
    assert judged(town, b"void").verdict is Verdict.REVOKED
    town.replace(town.record(b"old").index, b"new")
    answer = judged(town, b"old")
    assert (answer.verdict, answer.replaced_ms) == (Verdict.REPLACED, town.consortium.time_ms)
    assert judged(town, b"new").verdict is Verdict.AUTHENTIC


def test_the_best_voucher_of_a_file_answers_for_it(town: "Town") -> None:
    """Revoked by one issuer and valid by another: authentic, and the record is the valid one."""
    town.run(town.custodians[0].revoke(town.record(b"file", at=0).index, "void"))
    second = town.record(b"file", at=1)
    answer = judged(town, b"file")
    assert (answer.verdict, answer.record) == (Verdict.AUTHENTIC, second)


def test_an_honest_custodian_passes(town: "Town") -> None:
    """S1.5: yes with height and time, by members other than the custodian."""
    index = town.record(b"file").index
    answer = hosted(town, index)
    assert answer.verdict is Verdict.AUTHENTIC and answer.asked == ("node2", "node3")


def test_a_malicious_custodian_is_found_out(town: "Town") -> None:
    """S1.6: alters one byte, swaps two files, deletes one, serves an old version; the digests stay readable."""
    one, two = town.record(b"file one"), town.record(b"file two")
    three, four = town.record(b"file three"), town.record(b"old four")
    town.replace(four.index, b"new four")
    replaced_ms = town.consortium.time_ms
    paths: dict[int, Path] = {index: town.custodians[0].file(index) for index in range(1, 5)}
    paths[1].write_bytes(b"file 0ne")
    assert hosted(town, 1).verdict is Verdict.ALTERED
    paths[1].write_bytes(b"file two")
    paths[2].write_bytes(b"file one")
    assert hosted(town, 1).verdict is hosted(town, 2).verdict is Verdict.NOT_THIS_VOUCHER
    assert "voucher 2" in hosted(town, 1).reason
    paths[3].unlink()
    assert hosted(town, 3).verdict is Verdict.MISSING
    paths[4].write_bytes(b"old four")
    old = hosted(town, 4)
    assert (old.verdict, old.replaced_ms) == (Verdict.REPLACED, replaced_ms)
    for record in (one, two, three):
        assert town.custodians[3].reader.show(record.index).value == record
    assert town.custodians[3].reader.show(4).value.replaced[0].digest == four.digest


def test_a_lying_member_does_not_decide(town: "Town") -> None:
    """One of the three others denies the voucher, or makes one up: the two honest ones are believed."""
    town.record(b"file")
    digests = digest_stream(io.BytesIO(b"file"), ["sm3"])
    liar = lies(town, 1, {"find": []})
    sources = [liar, *town.sources()[2:]]
    answer = verify_digests(digests, sources, needed=2, clock=CLOCK)
    assert (answer.verdict, answer.asked) == (Verdict.AUTHENTIC, ("node3", "node4"))
    town.record(b"other")
    made_up = town.custodians[0].reader._query("find", digest_stream(io.BytesIO(b"other"))["sm3"]).value
    sources = [lies(town, 1, {"find": made_up}), *town.sources()[2:]]
    stranger = digest_stream(io.BytesIO(b"stranger"))
    assert verify_digests(stranger, sources, needed=2, clock=CLOCK).verdict is Verdict.NOT_ON_THIS_CHAIN


def test_too_few_members_give_no_answer(town: "Town") -> None:
    """One member that answers, or two that contradict each other: an error that says so, not a verdict."""
    town.record(b"file")
    digests = digest_stream(io.BytesIO(b"file"))
    with pytest.raises(OperatingFault) as error:
        verify_digests(digests, [town.sources()[0], silent("node2"), silent("node3")], needed=2, clock=CLOCK)
    assert error.value.code.code == "voucher.no_agreement" and "node2" in error.value.cause()
    with pytest.raises(OperatingFault):
        verify_digests(digests, [lies(town, 1, {"find": []}), town.sources()[2]], needed=2, clock=CLOCK)


def test_an_index_that_does_not_exist_is_asked_wrongly(town: "Town") -> None:
    """Two members refuse alike: that is the answer."""
    with pytest.raises(AskedWrongly) as error:
        verify_hosted(9, {}, town.sources(without=0), needed=2, clock=CLOCK)
    assert error.value.code.code == "voucher.unknown"


def test_members_a_block_apart_agree_when_the_slow_one_follows(town: "Town") -> None:
    """Answers that differ are asked for again; the height told is the lowest."""
    asked: list[str] = []
    query = town.custodians[1].reader._query

    def late(method: str, *arguments: Value) -> QueryAnswer:
        asked.append(method)
        found = query(method, *arguments)
        return QueryAnswer("", [], found.height - 1, found.time_ms - 1) if len(asked) == 1 else found

    town.record(b"file", type_="document")
    digests = {"sm3": digest_stream(io.BytesIO(b"file"))["sm3"]}
    sources = [town.sources()[0], Source("node2", EvidenceReader(late))]
    assert verify_digests(digests, sources, needed=2, clock=CLOCK).verdict is Verdict.AUTHENTIC
    assert len(asked) == 2
