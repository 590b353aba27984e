"""The durable allocator of nonces: never twice, never too far apart, whatever stops in between."""

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.ledger.keys import NEW_ACCOUNT, NonceUse
from zizhu.chain.model.errors import AskedWrongly, Busy, OperatingFault
from zizhu.chain.model.ids import AccountId, LedgerId
from zizhu.framework.sdk.nonces import NonceAllocator

ACCOUNT, LEDGER = AccountId(b"a" * 20), LedgerId(b"l" * 32)


def allocator(folder: Path) -> NonceAllocator:
    """A fresh process, as it were: only the file remembers."""
    return NonceAllocator(folder / "nonces.json", account=ACCOUNT, ledger=LEDGER)


def test_nonces_count_up_and_survive_a_restart(tmp_path: Path) -> None:
    """A number is on disk before it is given out, so a new process never gives it again."""
    assert allocator(tmp_path).take(valid_until_height=9) == [1]
    assert allocator(tmp_path).take(3, valid_until_height=9) == [2, 3, 4]
    assert allocator(tmp_path).open_nonces() == [1, 2, 3, 4]


def test_the_span_of_open_nonces_is_at_most_1024(tmp_path: Path) -> None:
    """The 1,024th is given, the 1,025th is busy until the oldest is final; the gap counts, not the number."""
    nonces = allocator(tmp_path)
    assert nonces.take(1_024, valid_until_height=9)[-1] == 1_024
    with pytest.raises(Busy) as error:
        nonces.take(valid_until_height=9)
    assert error.value.code.code == "sdk.nonces_open" and error.value.retry_after_ms > 0
    nonces.settle(range(2, 1_025))
    with pytest.raises(Busy):
        nonces.take(valid_until_height=9)
    nonces.settle([1])
    assert nonces.take(1_024, valid_until_height=9)[0] == 1_025


def test_expired_nonces_are_let_go(tmp_path: Path) -> None:
    """Once a certified height is past its last height, a transaction can never come; not before."""
    nonces = allocator(tmp_path)
    nonces.take(1_024, valid_until_height=50)
    nonces.expire(50)
    with pytest.raises(Busy):
        nonces.take(valid_until_height=99)
    nonces.expire(51)
    assert nonces.open_nonces() == [] and nonces.take(valid_until_height=99) == [1_025]


def test_a_lost_file_starts_above_what_the_ledger_has_seen(tmp_path: Path) -> None:
    """The highest used nonce of the ledger is the floor."""
    assert allocator(tmp_path).take(2, valid_until_height=9, highest_used=40) == [41, 42]
    assert allocator(tmp_path).take(valid_until_height=9, highest_used=7) == [43]


def test_a_file_of_another_account_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    """Numbers of one account are not another's; what cannot be read is not guessed."""
    allocator(tmp_path).take(valid_until_height=9)
    path = tmp_path / "nonces.json"
    with pytest.raises(AskedWrongly) as foreign:
        NonceAllocator(path, account=AccountId(b"b" * 20), ledger=LEDGER).take(valid_until_height=9)
    assert foreign.value.code.code == "sdk.nonces_foreign"
    for damage in (b"", b"{", b'{"format": 9}', path.read_bytes()[:-2]):
        path.write_bytes(damage)
        with pytest.raises(OperatingFault) as damaged:
            allocator(tmp_path).take(valid_until_height=9)
        assert damaged.value.code.code == "sdk.nonces_damaged"


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Mode 0600."""
    allocator(tmp_path).take(valid_until_height=9)
    assert (tmp_path / "nonces.json").stat().st_mode & 0o777 == 0o600


def _take_many(folder: str, count: int) -> list[int]:
    return [allocator(Path(folder)).take(valid_until_height=9)[0] for _ in range(count)]


@pytest.mark.slow
def test_processes_that_share_an_account_share_its_numbers(tmp_path: Path) -> None:
    """Four processes take forty each: no number twice, none left out."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        taken = pool.starmap(_take_many, [(str(tmp_path), 40)] * 4)
    assert sorted(one for part in taken for one in part) == list(range(1, 161))


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(1, 64), st.integers(0, 7)), max_size=40))
def test_whatever_is_final_in_whatever_order_every_open_nonce_stays_usable(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    """Bundles become final out of order; no open nonce is ever too old or too far for the ledger."""
    nonces = allocator(tmp_path_factory.mktemp("nonces"))
    record, bundles = NEW_ACCOUNT, []
    for count, which in steps:
        try:
            bundles.append(nonces.take(count, valid_until_height=9, highest_used=record.highest))
        except Busy:
            assert bundles
        if bundles and which < len(bundles):
            for nonce in (done := bundles.pop(which)):
                assert record.use_of(nonce) is NonceUse.FREE
                record = record.using(nonce)
            nonces.settle(done)
    assert all(record.use_of(nonce) is NonceUse.FREE for bundle in bundles for nonce in bundle)
