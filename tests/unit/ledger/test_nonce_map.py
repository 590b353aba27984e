"""The replay rule: what an account record says of nonces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.ledger.keys import NEW_ACCOUNT, AccountRecord, NonceUse, account_record, encode_record
from zizhu.chain.model import limits


def model_use(used: dict[int, None], nonce: int) -> NonceUse:
    """The rule, said with all used nonces at hand."""
    highest = max(used, default=0)
    if nonce > highest + limits.NONCE_AHEAD_MAX:
        return NonceUse.TOO_FAR
    if nonce > highest:
        return NonceUse.FREE
    if nonce < highest - limits.NONCE_MAP:
        return NonceUse.TOO_OLD
    return NonceUse.USED if nonce in used else NonceUse.FREE


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.integers(-1100, 1100), st.integers(1, 5000)), max_size=60))
def test_the_map_says_what_a_set_of_all_nonces_says(steps: list[int]) -> None:
    """Whatever is used in whatever order, the record of 128 bytes answers as unlimited memory would."""
    record, used = NEW_ACCOUNT, dict[int, None]()
    for step in steps:
        nonce = max(1, record.highest + step)
        assert record.use_of(nonce) is model_use(used, nonce)
        if record.use_of(nonce) is NonceUse.FREE:
            record = record.using(nonce)
            used[nonce] = None
        assert record.use_of(nonce) is not NonceUse.FREE
    for nonce in range(1, 1200):
        assert record.use_of(nonce) is model_use(used, nonce), nonce


@pytest.mark.parametrize(
    ("nonce", "use"),
    [
        (3000 + limits.NONCE_AHEAD_MAX, NonceUse.FREE),
        (3000 + limits.NONCE_AHEAD_MAX + 1, NonceUse.TOO_FAR),
        (3000, NonceUse.USED),
        (2999, NonceUse.FREE),
        (3000 - limits.NONCE_MAP, NonceUse.FREE),
        (3000 - limits.NONCE_MAP - 1, NonceUse.TOO_OLD),
    ],
)
def test_the_edges_of_the_window(nonce: int, use: NonceUse) -> None:
    """2^20 above and 1,024 below the highest used nonce are inside, one further is outside."""
    assert NEW_ACCOUNT.using(3000).use_of(nonce) is use


def test_a_jump_over_the_whole_map_forgets_only_what_is_too_old() -> None:
    """After a jump of exactly 1,024 the old highest is the last that is remembered; one further and it is too old."""
    record = NEW_ACCOUNT.using(10)
    assert record.using(10 + limits.NONCE_MAP).use_of(10) is NonceUse.USED
    assert record.using(11 + limits.NONCE_MAP).use_of(10) is NonceUse.TOO_OLD
    assert record.using(11 + limits.NONCE_MAP).use_of(11) is NonceUse.FREE


def test_using_what_is_used_is_our_own_fault() -> None:
    """A used nonce is never used again, whoever asks."""
    with pytest.raises(AssertionError):
        NEW_ACCOUNT.using(5).using(5)


def test_a_record_survives_its_bytes() -> None:
    """What is stored is read back, and nothing stored is a new account."""
    record: AccountRecord = NEW_ACCOUNT.using(7).using(3)
    assert account_record(encode_record(record)) == record
    assert account_record(None) == NEW_ACCOUNT
