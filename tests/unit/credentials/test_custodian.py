"""The custodian: what it takes, what it refuses, and what is there after a restart."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode
from zizhu.components.evidence.digests import digest_stream
from zizhu.scenarios.credentials.contract import KINDS, kind_name
from zizhu.scenarios.credentials.service import Custodian, Registration

if TYPE_CHECKING:
    from .conftest import Town

BUSY = ErrorCode("test.busy", "busy, {retry_after_ms}", "wait", "忙,{retry_after_ms}", "请等待")


def refused(error: pytest.ExceptionInfo[AskedWrongly]) -> str:
    """The code."""
    return error.value.code.code


def test_custodian_computes_the_digest_by_the_types_algorithm(each_town: "Town") -> None:
    """S1.2: digest, time, type and issuer stand on the chain; the digest is by the algorithm agreed for the type."""
    data = "合同全文".encode() * 999
    for type_, kind in KINDS.items():
        record = each_town.record(data + type_.encode(), type_=type_)
        wanted = digest_stream(io.BytesIO(data + type_.encode()))[kind.algorithm]
        assert (record.digest, record.algorithm, record.type) == (wanted, kind.algorithm, type_)
        assert record.issuer == each_town.accounts[0].id


def test_a_digest_that_differs_from_the_uploaders_is_refused(town: "Town") -> None:
    """The file that arrived is not the one the uploader meant: nothing is registered, and nothing stays on disk."""
    right = hashlib.sha256(b"file").digest()
    with pytest.raises(AskedWrongly) as error:
        town.register(b"fi1e", type_="invoice", digest=right)
    assert refused(error) == "voucher.digest_differs"
    assert town.custodians[0].reader.page().value == []
    assert [path for path in (town.folder / "member0" / "files").rglob("*") if path.is_file()] == []
    assert town.register(b"file", type_="invoice", digest=right).found.value.digest == right


def test_unknown_types_and_long_files_are_refused(town: "Town") -> None:
    """A type that the ledger does not have; one byte more than a custodian takes."""
    with pytest.raises(AskedWrongly) as error:
        town.register(b"x", type_="cheque")
    assert refused(error) == "voucher.type"
    town.custodians[0] = Custodian(
        town.backends[0], town.accounts[0], folder=town.folder / "member0", file_bytes_max=5_000
    )
    assert town.register(b"x" * 5_000).created
    with pytest.raises(AskedWrongly) as error:
        town.register(b"x" * 5_001)
    assert refused(error) == "voucher.too_long"


def test_an_empty_file_is_a_file(town: "Town") -> None:
    """No bytes have a digest too."""
    record = town.record(b"", type_="invoice")
    assert record.digest == hashlib.sha256(b"").digest()
    assert town.custodians[0].file(record.index).read_bytes() == b""


def test_the_same_file_again_is_the_same_index(town: "Town") -> None:
    """By the same issuer; a lost file is healed by registering it again."""
    first = town.register(b"file")
    town.custodians[0].file(first.found.value.index).unlink()
    again = town.register(b"file")
    assert (first.created, again.created) == (True, False)
    assert again.found.value == first.found.value
    assert town.custodians[0].file(1).read_bytes() == b"file"


def test_the_same_file_at_another_custodian_names_the_first(town: "Town") -> None:
    """Another issuer gets a voucher of its own that names the first."""
    assert town.record(b"file", at=0).first is None
    assert town.record(b"file", at=2).first == 1


def test_every_member_says_the_same_after_a_registration_elsewhere(town: "Town") -> None:
    """S1.10: one answer at every member; the file lies at its custodian only."""
    record = town.record(b"file", at=1)
    assert [one.reader.show(record.index).value for one in town.custodians] == [record] * 4
    assert [one.hosts(record) for one in town.custodians] == [False, True, False, False]
    with pytest.raises(AskedWrongly) as error:
        town.custodians[0].file(record.index)
    assert refused(error) == "voucher.not_hosted"


def test_only_the_holders_member_transfers_and_the_issuers_revokes(town: "Town") -> None:
    """S1.8: each member signs as its own account, and the contract decides."""
    index = town.record(b"file").index
    town.run(town.custodians[0].transfer(index, town.accounts[1].id))
    with pytest.raises(AskedWrongly) as error:
        town.run(town.custodians[0].transfer(index, town.accounts[2].id))
    assert refused(error) == "voucher.not_holder"
    with pytest.raises(AskedWrongly) as error:
        town.run(town.custodians[1].revoke(index, "no"))
    assert refused(error) == "voucher.not_issuer"
    town.run(town.custodians[1].transfer(index, town.accounts[2].id))
    town.run(town.custodians[0].revoke(index, "void"))
    acts = town.custodians[3].reader.history(index).value
    assert [act.action for act in acts] == ["register", "transfer", "transfer", "revoke"]
    assert [act.actor for act in acts] == [town.accounts[number].id for number in (0, 0, 1, 0)]


def test_a_busy_pool_is_asked_again_and_a_refusal_is_told(town: "Town") -> None:
    """Busy is waited out with the same bytes; what is refused for good is told; neither blocks later nonces."""
    backend = town.backends[0]
    backend.refusals = [Busy(BUSY, retry_after_ms=1), Busy(BUSY, retry_after_ms=1)]
    assert town.register(b"one").created
    assert len(backend.handed_in) == 3 and len(set(backend.handed_in)) == 1
    backend.refusals = [AskedWrongly(ErrorCode("test.no", "no", "no", "否", "否"))]
    with pytest.raises(AskedWrongly) as error:
        town.register(b"two")
    assert refused(error) == "test.no"
    assert town.register(b"three").created


def test_a_restarted_custodian_goes_on(town: "Town") -> None:
    """Files, nonces and vouchers are there; what a crash left half is gone; nothing is used twice."""
    town.record(b"one")
    half = town.folder / "member0" / "files" / "incoming" / "half"
    half.write_bytes(b"half a file")
    town.custodians[0] = town.custodian(0)
    assert not half.exists()
    assert town.custodians[0].file(1).read_bytes() == b"one"
    assert town.record(b"two").index == 2
    assert town.backends[0].ledger.nonce_state(town.accounts[0].id).highest == 2


def test_many_at_once_get_one_index_each_and_too_many_are_busy(town: "Town") -> None:
    """Forty uploads at the same time: thirty-two vouchers, and eight are told when to come again."""

    async def pieces(number: int) -> AsyncIterator[bytes]:
        yield b"file %d" % number
        await asyncio.sleep(0)

    async def all_of_them() -> list[Registration | BaseException]:
        uploads = (town.custodians[0].register("document", pieces(number)) for number in range(40))
        return await asyncio.gather(*uploads, return_exceptions=True)

    ended = town.run(all_of_them())
    indexes = [one.found.value.index for one in ended if isinstance(one, Registration)]
    assert sorted(indexes) == list(range(1, 33))
    assert [one.code.code for one in ended if isinstance(one, Busy)] == ["voucher.crowded"] * 8
    assert town.register(b"afterwards").created


def test_types_have_names_in_both_languages() -> None:
    """The eight types are called something; a type of somebody's own keeps its name."""
    assert (kind_name("invoice", "zh"), kind_name("invoice", "en"), kind_name("own", "zh")) == (
        "电子发票",
        "invoice",
        "own",
    )
    assert {kind.algorithm for kind in KINDS.values()} == {"sm3", "sha256"}
