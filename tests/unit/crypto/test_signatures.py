"""Signature schemes: what is refused, how nonces behave, what happens without libcrypto."""

import ctypes
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from zizhu.chain.crypto.guomi import curve as sm2_curve
from zizhu.chain.crypto.guomi import integers, libcrypto
from zizhu.chain.crypto.guomi.curve import SM2, Point, compress, decompress
from zizhu.chain.crypto.guomi.integers import IntegerKey, Integers, Table
from zizhu.chain.crypto.guomi.libcrypto import Libcrypto, LibcryptoKey, open_libcrypto
from zizhu.chain.crypto.guomi.sm2 import Sm2
from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.international import ed25519, secp256k1
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.port import SignatureScheme, Signed
from zizhu.chain.model.errors import AskedWrongly, OperatingFault

SM2_INTEGERS = Sm2(choose=Integers)
SECP256K1_P = (1 << 256) - (1 << 32) - 977
MESSAGE = b"a message"

SCHEMES = [
    pytest.param(guomi.accounts, SM2.n, id="sm2"),
    pytest.param(SM2_INTEGERS, SM2.n, id="sm2-integers"),
    pytest.param(international.accounts, secp256k1.ORDER, id="secp256k1"),
    pytest.param(international.members, ed25519.ORDER, id="ed25519"),
]
ONLY_SCHEMES = [pytest.param(scheme.values[0], id=scheme.id) for scheme in SCHEMES]


def _number(value: int, scheme: SignatureScheme) -> bytes:
    return value.to_bytes(32, "little" if scheme is international.members else "big")


@pytest.mark.parametrize("scheme", ONLY_SCHEMES)
def test_a_signature_is_good_for_its_key_and_message_alone(scheme: SignatureScheme) -> None:
    """Sign, verify; another message, another key, any changed byte of the signature: no."""
    secret, other = scheme.generate(), scheme.generate()
    public_key, other_key = scheme.public_key(secret), scheme.public_key(other)
    signature = scheme.sign(secret, MESSAGE)
    assert len(signature) == 64
    assert len(public_key) == scheme.public_key_bytes
    assert scheme.verify(public_key, MESSAGE, signature)
    wrong = [Signed(public_key, b"", signature), Signed(other_key, MESSAGE, signature)]
    for place in range(64):
        altered = bytearray(signature)
        altered[place] ^= 1 << place % 8
        wrong.append(Signed(public_key, MESSAGE, bytes(altered)))
    good = Signed(public_key, MESSAGE, signature)
    assert scheme.verify_many([good, *wrong, good]) == [True, *[False] * len(wrong), True]


@pytest.mark.parametrize(("scheme", "order"), SCHEMES)
def test_malformed_signatures_are_refused_without_exception(scheme: SignatureScheme, order: int) -> None:
    """r or s of 0, n, n+x or all ones, and every wrong length, give False."""
    secret = scheme.generate()
    public_key = scheme.public_key(secret)
    signature = scheme.sign(secret, MESSAGE)
    assert scheme.verify(public_key, MESSAGE, signature)
    for number in (0, order, order + 1, order + 0xFFFF, (1 << 256) - 1):
        half = _number(number, scheme)
        assert not scheme.verify(public_key, MESSAGE, half + signature[32:])
        assert not scheme.verify(public_key, MESSAGE, signature[:32] + half)
        assert not scheme.verify(public_key, MESSAGE, half + half)
    for wrong in (b"", signature[:63], signature + b"\0", signature[:32], signature * 2, b"\0" * 64):
        assert not scheme.verify(public_key, MESSAGE, wrong)


@pytest.mark.parametrize("scheme", ONLY_SCHEMES)
def test_keys_of_wrong_length_or_form_are_refused_without_exception(scheme: SignatureScheme) -> None:
    """Empty, short, long, the encodings of infinity, an unknown first byte, uncompressed: False."""
    secret = scheme.generate()
    public_key = scheme.public_key(secret)
    signature = scheme.sign(secret, MESSAGE)
    length = len(public_key)
    wrong = [b"", b"\0", bytes(length), public_key[:-1], public_key + b"\0", bytes(65), b"\xff" * length, bytes(1000)]
    if length == 33:
        wrong += [bytes([first]) + public_key[1:] for first in range(256) if first not in (2, 3)]
        wrong += [public_key[1:], b"\x04" + public_key[1:] * 2, bytes([public_key[0] ^ 1]) + public_key[1:]]
    for key in wrong:
        assert not scheme.verify(key, MESSAGE, signature), key.hex()


@pytest.mark.parametrize(
    ("scheme", "p", "a", "b"),
    [
        pytest.param(guomi.accounts, SM2.p, SM2.a, SM2.b, id="sm2"),
        pytest.param(SM2_INTEGERS, SM2.p, SM2.a, SM2.b, id="sm2-integers"),
        pytest.param(international.accounts, SECP256K1_P, 0, 7, id="secp256k1"),
    ],
)
def test_keys_off_the_curve_or_not_canonical_are_refused(scheme: SignatureScheme, p: int, a: int, b: int) -> None:
    """An x without a point, an x of p or more (even one that is a point's modulo p): False."""
    signature = scheme.sign(scheme.generate(), MESSAGE)
    on_curve = [x for x in range(64) if pow((x**3 + a * x + b) % p, (p - 1) // 2, p) == 1]
    off_curve = [x for x in range(64) if pow((x**3 + a * x + b) % p, (p - 1) // 2, p) == p - 1]
    assert on_curve
    assert off_curve
    for x in [*off_curve, p, *(p + x for x in on_curve), (1 << 256) - 1]:
        for first in (2, 3):
            assert not scheme.verify(bytes([first]) + x.to_bytes(32, "big"), MESSAGE, signature)


def test_sm2_parses_exactly_the_points_of_the_curve() -> None:
    """decompress gives both points of an x that has them and None for p + x, so one point has one encoding."""
    found = 0
    for x in range(32):
        even, odd = decompress(b"\x02" + x.to_bytes(32, "big")), decompress(b"\x03" + x.to_bytes(32, "big"))
        assert (even is None) == (odd is None)
        assert decompress(b"\x02" + (SM2.p + x).to_bytes(32, "big")) is None
        if even is not None and odd is not None:
            found += 1
            assert SM2.holds(even)
            assert SM2.holds(odd)
            assert even.y + odd.y == SM2.p
            assert odd.y & 1
            assert compress(even)[0] == 2
            assert compress(odd)[0] == 3
    assert 8 <= found <= 24


def _forged_digest(public: Point, *, r: int, s: int) -> bytes:
    """The e that makes (r, s) a signature: anybody can compute it, nobody can find a message for it."""
    total = Table(SM2.base, curve=SM2, width=4).add_multiple(integers.INFINITY, s)
    total = Table(public, curve=SM2, width=4).add_multiple(total, (r + s) % SM2.n)
    x = integers.normalise([total], SM2)[0].x
    return ((r - x) % SM2.n).to_bytes(32, "big")


@pytest.mark.parametrize(
    ("r", "s"), [(1, 1), (5, 7), (SM2.n - 1, 2), (2, SM2.n - 1), (SM2.n - 1, SM2.n - 1), (1 << 200, 3)]
)
def test_sm2_rungs_accept_the_extremes_and_refuse_them_plus_n(r: int, s: int) -> None:
    """Valid signatures at the edges of 1..n-1 pass on both rungs; the same numbers plus n are not well formed."""
    public = decompress(guomi.accounts.public_key((77).to_bytes(32, "big")))
    assert public is not None
    digest = _forged_digest(public, r=r, s=s)
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert sm2_curve.well_formed(signature)
    for key in (IntegerKey(public), open_libcrypto().prepare(public)):
        assert key.verify(digest, signature)
        assert not key.verify(bytes(32), signature)
        assert not key.verify(digest, signature[32:] + signature[:32]) or r == s
    for high_r, high_s in ((r + SM2.n, s), (r, s + SM2.n)):
        if max(high_r, high_s) < 1 << 256:
            assert not sm2_curve.well_formed(high_r.to_bytes(32, "big") + high_s.to_bytes(32, "big"))


def test_sm2_rungs_agree_on_an_x_between_n_and_p() -> None:
    """r = e + x1 mod n where x1 itself is n or more, which no random test meets (one in 2³²): good on both rungs."""
    high = next(point for x in range(SM2.n, SM2.n + 64) if (point := decompress(b"\2" + x.to_bytes(32, "big"))))
    r, s = 123456789, 987654321
    # The public key for which sG + tP is that point: P = t⁻¹(R - sG). Nobody knows its secret.
    inverse = pow(r + s, -1, SM2.n)
    total = Table(SM2.base, curve=SM2, width=4).add_multiple(integers.INFINITY, -s * inverse % SM2.n)
    total = Table(high, curve=SM2, width=4).add_multiple(total, inverse)
    public = integers.normalise([total], SM2)[0]
    digest = ((r - high.x) % SM2.n).to_bytes(32, "big")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    for key in (IntegerKey(public), open_libcrypto().prepare(public)):
        assert key.verify(digest, signature)
        assert not key.verify(bytes(32), signature)


def test_sm2_refuses_r_plus_s_of_n() -> None:
    """t = r + s mod n = 0 is refused (GB/T 32918.2, 7.1, B5) on both rungs, though r and s are in range."""
    public = SM2.base
    for r in (1, 12345, SM2.n - 1):
        s = SM2.n - r
        x = integers.normalise([Table(public, curve=SM2, width=4).add_multiple(integers.INFINITY, s)], SM2)[0].x
        digest = ((r - x) % SM2.n).to_bytes(32, "big")
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        assert sm2_curve.well_formed(signature)
        assert not IntegerKey(public).verify(digest, signature)
        assert not open_libcrypto().prepare(public).verify(digest, signature)


def test_sm2_has_one_form_of_a_signature() -> None:
    """(r, n-s) and (n-r, s) of a good SM2 signature do not verify: nothing to normalise."""
    secret = guomi.accounts.generate()
    public_key, signature = guomi.accounts.public_key(secret), guomi.accounts.sign(secret, MESSAGE)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    for other in ((r, SM2.n - s), (SM2.n - r, s), (SM2.n - r, SM2.n - s)):
        assert not guomi.accounts.verify(public_key, MESSAGE, b"".join(v.to_bytes(32, "big") for v in other))


def test_point_addition_is_complete() -> None:
    """Equal, opposite and infinite operands, which a signer can force, add up right."""
    base = SM2.base
    jacobian = (base.x * 4 % SM2.p, base.y * 8 % SM2.p, 2)
    opposite = Point(base.x, SM2.p - base.y)
    assert integers.add(integers.INFINITY, base, SM2) == (*base, 1)
    assert integers.add(jacobian, opposite, SM2)[2] == 0
    doubled = integers.normalise([integers.add(jacobian, base, SM2), integers.double((*base, 1), SM2)], SM2)
    assert doubled[0] == doubled[1]
    assert SM2.holds(doubled[0])
    assert integers.double(integers.INFINITY, SM2)[2] == 0
    last = Table(base, curve=SM2, width=4).add_multiple(integers.INFINITY, SM2.n - 1)
    assert integers.normalise([last], SM2) == [opposite]


def test_secp256k1_refuses_high_s() -> None:
    """(r, n-s), which the equation of ECDSA accepts, is refused: one accepted form."""
    scheme = international.accounts
    secret = scheme.generate()
    public_key = scheme.public_key(secret)
    for number in range(8):
        message = bytes([number])
        signature = scheme.sign(secret, message)
        high = secp256k1.ORDER - int.from_bytes(signature[32:], "big")
        assert high > secp256k1.ORDER // 2
        assert scheme.verify(public_key, message, signature)
        mirrored = signature[:32] + high.to_bytes(32, "big")
        assert not scheme.verify(public_key, message, mirrored)
        assert not secp256k1.well_formed(mirrored), "our rule, not only that of the library"


def test_ed25519_refuses_small_order_and_other_encodings() -> None:
    """Keys and R of order 1, 2, 4, 8, in every encoding, y of the prime or more, and s + L: False."""
    scheme = international.members
    secret = scheme.generate()
    public_key, signature = scheme.public_key(secret), scheme.sign(secret, MESSAGE)
    identity = (1).to_bytes(32, "little")
    # With the identity as key and as R, s = 0 satisfies the equation for every message.
    assert not scheme.verify(identity, MESSAGE, identity + bytes(32))
    for y in (*ed25519.SMALL_ORDER_Y, *range(ed25519.FIELD, 1 << 255)):
        for sign in (0, 1 << 255):
            point = (y | sign).to_bytes(32, "little")
            assert not ed25519.acceptable_point(point)
            assert not scheme.verify(point, MESSAGE, signature)
            assert not scheme.verify(public_key, MESSAGE, point + signature[32:])
            assert not scheme.verify(point, MESSAGE, point + bytes(32))
    s = int.from_bytes(signature[32:], "little") + ed25519.ORDER
    assert not scheme.verify(public_key, MESSAGE, signature[:32] + s.to_bytes(32, "little"))


def test_ed25519_refuses_a_signers_r_of_small_order() -> None:
    """R = identity with s = k·a satisfies the equation; libraries differ on it, so it is refused."""
    scheme = international.members
    secret = scheme.generate()
    public_key = scheme.public_key(secret)
    head = int.from_bytes(hashlib.sha512(secret).digest()[:32], "little")
    scalar = (head & ((1 << 254) - 8)) | 1 << 254
    identity = (1).to_bytes(32, "little")
    challenge = int.from_bytes(hashlib.sha512(identity + public_key + MESSAGE).digest(), "little")
    forced = identity + (challenge * scalar % ed25519.ORDER).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(public_key).verify(forced, MESSAGE)
    assert not scheme.verify(public_key, MESSAGE, forced)


def test_ed25519_small_order_list_is_complete() -> None:
    """Doubling each listed y three times ends at the identity (y = 1), and doubling fewer gives all five."""
    p = ed25519.FIELD
    d = -121665 * pow(121666, -1, p) % p

    def doubled(y: int) -> int:
        # On -x² + y² = 1 + dx²y², the y of 2P depends on y alone: (y² + x²) / (1 - dx²y²).
        xx = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        return (y * y + xx) * pow(1 - d * xx * y * y, -1, p) % p

    for y in ed25519.SMALL_ORDER_Y:
        assert doubled(doubled(doubled(y))) == 1
    orders = sorted(1 + (y != 1) + (doubled(y) != 1) + (doubled(doubled(y)) != 1) for y in ed25519.SMALL_ORDER_Y)
    assert orders == [1, 2, 3, 4, 4], "one y of order 1, one of 2, one of 4, two of 8"


@pytest.mark.parametrize(("scheme", "order"), SCHEMES)
def test_secret_keys_out_of_range_are_refused(scheme: SignatureScheme, order: int) -> None:
    """A wrong length, 0, n and more (SM2: n-1 too) raise crypto.secret_key, in public_key and in sign."""
    wrong = [b"", bytes(31), bytes(33)]
    if scheme is not international.members:
        wrong += [bytes(32), order.to_bytes(32, "big"), b"\xff" * 32]
    if scheme.name == "SM2-SM3":
        wrong.append((order - 1).to_bytes(32, "big"))
        assert scheme.public_key((order - 2).to_bytes(32, "big"))
    for secret in wrong:
        with pytest.raises(AskedWrongly) as raised:
            scheme.public_key(secret)
        assert raised.value.code.code == "crypto.secret_key"
        with pytest.raises(AskedWrongly):
            scheme.sign(secret, MESSAGE)


@pytest.mark.row("G-1")
@pytest.mark.parametrize("scheme", ONLY_SCHEMES)
def test_no_nonce_is_used_for_two_messages(scheme: SignatureScheme) -> None:
    """Nonces never repeat: over 200 messages of one key no r comes twice; the same message again is either the
    same signature (deterministic nonce) or one with another r (drawn nonce)."""
    secret = scheme.generate()
    signatures = [scheme.sign(secret, number.to_bytes(2, "big")) for number in range(200)]
    assert len({signature[:32] for signature in signatures}) == 200
    again = scheme.sign(secret, bytes(2))
    assert (again == signatures[0]) == (again[:32] == signatures[0][:32])
    assert (again == signatures[0]) == (scheme.name != "SM2-SM3")


@pytest.mark.parametrize("scheme", ONLY_SCHEMES)
def test_generated_keys_are_distinct_and_usable(scheme: SignatureScheme) -> None:
    """64 generated secrets are 64 secrets of 32 bytes, each with its own public key."""
    secrets_made = [scheme.generate() for _ in range(64)]
    assert {len(secret) for secret in secrets_made} == {32}
    assert len({scheme.public_key(secret) for secret in secrets_made}) == 64


def test_the_rung_is_reported() -> None:
    """Every scheme tells how it verifies; here libcrypto does SM2."""
    assert isinstance(guomi.accounts, Sm2)
    assert guomi.accounts is guomi.members
    assert guomi.accounts.rung == "libcrypto"
    assert SM2_INTEGERS.rung == "integers"
    assert isinstance(international.accounts, secp256k1.Secp256k1)
    assert international.accounts.rung == "libsecp256k1"
    assert isinstance(international.members, ed25519.Ed25519)
    assert international.members.rung == "cryptography"


def test_without_libcrypto_sm2_verifies_and_signing_says_what_to_do() -> None:
    """A machine without libcrypto verifies by integers; signing raises crypto.libcrypto with the names tried."""

    def nowhere() -> Libcrypto:
        return open_libcrypto(["/nowhere/libcrypto.so.3", "libm.so.6"])

    poor = Sm2(open_signer=nowhere)
    secret = guomi.accounts.generate()
    public_key, signature = guomi.accounts.public_key(secret), guomi.accounts.sign(secret, MESSAGE)
    assert poor.verify(public_key, MESSAGE, signature)
    assert not poor.verify(public_key, b"", signature)
    assert poor.rung == "integers"
    with pytest.raises(OperatingFault) as raised:
        poor.sign(secret, MESSAGE)
    assert raised.value.code.code == "crypto.libcrypto"
    assert "/nowhere/libcrypto.so.3" in raised.value.cause("zh")
    assert "libssl3" in raised.value.fix()


def test_refusals_leave_nothing_in_openssls_error_queue() -> None:
    """After refused signatures the thread's queue is empty, or the next TLS call would read our refusal as its own."""
    handle = ctypes.PyDLL(next(libcrypto.candidates()))
    peek = handle.ERR_peek_error
    peek.restype = ctypes.c_ulong
    secret = guomi.accounts.generate()
    public_key, signature = guomi.accounts.public_key(secret), guomi.accounts.sign(secret, MESSAGE)
    assert not guomi.accounts.verify(public_key, b"", signature)
    assert not guomi.accounts.verify(public_key, MESSAGE, b"\x01" * 64)
    assert peek() == 0


class CountingRung:
    """The rung of libcrypto with room for four keys, counting how often it parses one."""

    name = "counting"
    keys_max = 4

    def __init__(self) -> None:
        self.prepared = 0
        self._rung = open_libcrypto()

    def prepare(self, point: Point) -> LibcryptoKey:
        """The key of `point`."""
        self.prepared += 1
        return self._rung.prepare(point)


def test_prepared_keys_are_kept_and_bounded() -> None:
    """A key seen again is not parsed again; a flood of keys evicts the one used least lately."""
    rung = CountingRung()
    scheme = Sm2(choose=lambda: rung)
    signature = (1).to_bytes(32, "big") * 2
    keys = [guomi.accounts.public_key(number.to_bytes(32, "big")) for number in range(1, 9)]
    for key in [*keys, keys[-1], keys[0]]:
        assert not scheme.verify(key, MESSAGE, signature)
    assert rung.prepared == 9, "eight keys, the last still kept, the first evicted"


def test_threads_share_prepared_keys_while_others_evict_them() -> None:
    """Four threads on eight keys with room for four: every verdict right, no context freed under a caller."""
    scheme = Sm2(choose=CountingRung)
    secrets_made = [number.to_bytes(32, "big") for number in range(1, 9)]
    keys = [scheme.public_key(secret) for secret in secrets_made]
    good = [Signed(key, MESSAGE, scheme.sign(secret, MESSAGE)) for key, secret in zip(keys, secrets_made, strict=True)]
    bad = [Signed(keys[index - 1], MESSAGE, item.signature) for index, item in enumerate(good)]
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(scheme.verify_many, [good + bad] * 8))
    assert verdicts == [[True] * 8 + [False] * 8] * 8
