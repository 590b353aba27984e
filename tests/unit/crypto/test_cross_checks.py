"""Every scheme against a second, independent implementation, both ways.

Every round is a fresh key and twenty messages: 200 checks in a quick run, 2,000 in CI, as many as the time allows
in `make long`.
"""

import random

import gmssl_pyx
import nacl.exceptions
import nacl.signing
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from zizhu.chain.crypto.guomi.curve import compress, decompress
from zizhu.chain.crypto.guomi.integers import Integers
from zizhu.chain.crypto.guomi.libcrypto import der_of, fixed_of
from zizhu.chain.crypto.guomi.sm2 import Sm2
from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.international.secp256k1 import ORDER, well_formed
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.framework.testkit.effort import Effort

CHECKS_PER_KEY = 20


def _batch(number: int) -> tuple[random.Random, list[bytes]]:
    """A generator of this number, and messages of 0..199 bytes that share a key; it makes no key and no nonce."""
    draw = random.Random(number)
    return draw, [draw.randbytes(draw.randrange(200)) for _ in range(CHECKS_PER_KEY)]


def _variants(signature: bytes, draw: random.Random) -> list[bytes]:
    """The signature, and one copy of it with a bit changed."""
    place = draw.randrange(64)
    changed = bytearray(signature)
    changed[place] ^= 1 << draw.randrange(8)
    return [signature, bytes(changed)]


@pytest.mark.row("G-1")
@pytest.mark.counted("crosschecks")
def test_sm2_agrees_with_a_second_implementation_both_ways(effort: Effort) -> None:
    """SM2 agrees with a second implementation both ways: what libcrypto signs, GmSSL and our integers accept, and the
    other way round; on altered signatures and messages all three give the same verdict."""
    ours, integers = guomi.accounts, Sm2(choose=Integers)
    for number in effort.rounds("batches of SM2 cross-checks", quick=5, ci=50):
        draw, batch = _batch(number)
        secret = ours.generate()
        public_key = ours.public_key(secret)
        point = decompress(public_key)
        assert point is not None
        assert compress(point) == public_key
        raw = point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
        for message in batch:
            theirs = fixed_of(gmssl_pyx.sm2_sign(secret, raw, message))
            assert gmssl_pyx.sm2_verify(raw, message, der_of(theirs))
            for made in (ours.sign(secret, message), theirs):
                for signature in _variants(made, draw):
                    expected = signature == made
                    assert ours.verify(public_key, message, signature) is expected
                    assert integers.verify(public_key, message, signature) is expected
                    assert gmssl_pyx.sm2_verify(raw, message, der_of(signature)) is expected
            assert not ours.verify(public_key, message + b"\0", theirs)
            assert gmssl_pyx.sm3_hash(message) == guomi.digest(message)


@pytest.mark.counted("crosschecks")
def test_secp256k1_agrees_with_openssl_both_ways(effort: Effort) -> None:
    """What libsecp256k1 signs OpenSSL accepts, and, made low, the other way round; verdicts on altered ones agree."""
    ours = international.accounts
    algorithm = ec.ECDSA(hashes.SHA256())
    for number in effort.rounds("batches of secp256k1 cross-checks", quick=3, ci=25):
        draw, batch = _batch(number)
        secret = ours.generate()
        public_key = ours.public_key(secret)
        their_secret = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256K1())
        their_public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key)
        assert their_public == their_secret.public_key()
        for message in batch:
            r, s = utils.decode_dss_signature(their_secret.sign(message, algorithm))
            theirs = r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")
            for made in (ours.sign(secret, message), theirs):
                for signature in _variants(made, draw):
                    numbers = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
                    try:
                        their_public.verify(utils.encode_dss_signature(*numbers), message, algorithm)
                        accepted = True
                    except InvalidSignature:
                        accepted = False
                    assert accepted is (signature == made)
                    assert ours.verify(public_key, message, signature) is (accepted and well_formed(signature))


@pytest.mark.counted("crosschecks")
def test_ed25519_agrees_with_libsodium_both_ways(effort: Effort) -> None:
    """Both make the same signature from the same seed, and agree on altered ones."""
    ours = international.members
    for number in effort.rounds("batches of Ed25519 cross-checks", quick=2, ci=25):
        draw, batch = _batch(number)
        secret = ours.generate()
        public_key = ours.public_key(secret)
        theirs = nacl.signing.SigningKey(secret)
        assert theirs.verify_key.encode() == public_key
        for message in batch:
            made = ours.sign(secret, message)
            assert theirs.sign(message).signature == made
            for signature in _variants(made, draw):
                try:
                    theirs.verify_key.verify(message, signature)
                    accepted = True
                except nacl.exceptions.BadSignatureError:
                    accepted = False
                assert ours.verify(public_key, message, signature) is accepted is (signature == made)
