"""Signatures that wait: in slices, blocks first, nothing twice, and bounded."""

from zizhu.chain.crypto.port import Signed
from zizhu.chain.node.events import SignatureCheck, Verified, Verify
from zizhu.chain.node.verifying import SETTLED_MAX, VERIFY_SLICE, Verifying
from zizhu.framework.testkit.fakes.suite import suite

SECRET = bytes(32)
KEY = suite.accounts.public_key(SECRET)


def _check(number: int, *, good: bool = True) -> SignatureCheck:
    message = number.to_bytes(32, "big")
    signature = suite.accounts.sign(SECRET, message) if good else bytes(64)
    return SignatureCheck(suite.code, Signed(KEY, message, signature))


def _checks(count: int) -> tuple[SignatureCheck, ...]:
    return tuple(_check(number) for number in range(count))


def _verifying(settled_max: int = SETTLED_MAX) -> Verifying:
    return Verifying({suite.code: suite}, settled_max=settled_max)


def _whole(verifying: Verifying) -> Verified:
    """Turns until a batch is whole."""
    for _ in range(10_000):
        if done := verifying.turn():
            return done[0]
    raise AssertionError("the batch never ends")


def test_a_batch_is_verified_a_slice_a_turn() -> None:
    """VERIFY_SLICE signatures and no more between two turns of everything else; verdicts come whole and in order."""
    verifying = _verifying()
    checks = (*_checks(VERIFY_SLICE), _check(99, good=False))
    verifying.put(Verify(7, checks))
    assert verifying.turn() == ()
    assert verifying.verified == VERIFY_SLICE
    assert verifying.turn() == (Verified(7, (*([True] * VERIFY_SLICE), False)),)
    assert verifying.verified == VERIFY_SLICE + 1
    assert not verifying.calm and not verifying.urgent


def test_a_block_goes_before_submissions() -> None:
    """What a block waits for is verified first, also when a batch of submissions has begun."""
    verifying = _verifying()
    verifying.put(Verify(1, _checks(2 * VERIFY_SLICE)))
    verifying.turn()
    verifying.put(Verify(2, (_check(1_000),), urgent=True))
    assert verifying.urgent
    assert verifying.turn()[0].batch == 2
    assert _whole(verifying).batch == 1


def test_what_a_block_wanted_is_not_verified_again() -> None:
    """A good signature costs once; a bad one is asked about again, so that its own turn says no for itself."""
    verifying = _verifying()
    checks = (_check(1), _check(2), _check(3, good=False))
    verifying.put(Verify(1, checks))
    verifying.put(Verify(2, checks, urgent=True))
    assert _whole(verifying) == Verified(2, (True, True, False))
    assert verifying.verified == 3
    assert _whole(verifying) == Verified(1, (True, True, False))
    assert verifying.verified == 4


def test_what_is_remembered_for_its_turn_is_bounded() -> None:
    """At the maximum nothing is forgotten; above it the oldest go, and cost a second verification and no more."""
    for count, again in ((SETTLED_MAX, 0), (SETTLED_MAX + 3, 3)):
        verifying = _verifying()
        checks = _checks(count)
        verifying.put(Verify(1, checks, urgent=True))
        assert all(_whole(verifying).verdicts)
        verifying.put(Verify(2, checks))
        assert all(_whole(verifying).verdicts)
        assert verifying.verified == count + again


def test_what_one_block_wanted_is_not_verified_again_for_another() -> None:
    """Proposed again, in another view or another block, a good signature costs nothing; then its own turn neither."""
    verifying = _verifying()
    checks = _checks(3)
    verifying.put(Verify(1, checks, urgent=True))
    verifying.put(Verify(2, checks, urgent=True))
    verifying.put(Verify(3, checks))
    assert [_whole(verifying) for _ in range(3)] == [Verified(batch, (True,) * 3) for batch in (1, 2, 3)]
    assert verifying.verified == 3
