"""The counterfeit suite of the test kit: it behaves as a suite, and says that it is none."""

from zizhu.chain.crypto.port import Signed
from zizhu.framework.testkit.fakes.suite import suite


def test_it_signs_and_verifies_without_the_secret() -> None:
    """A signature holds for its key and message only, and every malformed part is refused without an exception."""
    scheme = suite.accounts
    secret = scheme.generate()
    key, signature = scheme.public_key(secret), scheme.sign(secret, b"message")
    assert (len(secret), len(key), len(signature)) == (32, scheme.public_key_bytes, 64)
    good = Signed(key, b"message", signature)
    bad = [Signed(key, b"other", signature), Signed(key[:-1], b"message", signature), Signed(key, b"message", b"")]
    assert scheme.verify_many([good, *bad]) == [True, False, False, False]
    assert scheme.generate() != secret


def test_its_cipher_opens_what_it_sealed() -> None:
    """Another key, nonce, text or associated text opens nothing."""
    cipher = suite.cipher
    key, nonce = bytes(cipher.key_bytes), bytes(cipher.nonce_bytes)
    sealed = cipher.seal(key, nonce, b"text", b"about")
    assert cipher.open(key, nonce, sealed, b"about") == b"text"
    assert cipher.open(key, nonce, sealed, b"other") is None
    assert cipher.open(key, nonce, sealed[:-1], b"about") is None


def test_it_hashes_in_domains_and_is_recognised() -> None:
    """Domain and data cannot be shifted into each other; name and code belong to no real suite."""
    assert suite.hash(b"ab", b"c") != suite.hash(b"a", b"bc")
    assert suite.name == "counterfeit"
    assert suite.code not in (1, 2)
