"""Published vectors: our algorithms are the standards' algorithms."""

import pytest

from zizhu.chain.crypto.guomi.curve import SM2, Curve, Point, compress, decompress, identity_state
from zizhu.chain.crypto.guomi.integers import IntegerKey, Integers
from zizhu.chain.crypto.guomi.sm2 import Sm2
from zizhu.chain.crypto.guomi.sm3 import CryptographySm3
from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.port import Cipher

SM3_VECTORS = [
    (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
]

# GB/T 32918.5-2017, annex A.2: the recommended curve.
SECRET = bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
PUBLIC = Point(
    0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
    0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13,
)
MESSAGE = b"message digest"
DIGEST = "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
SIGNATURE = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)

# GB/T 32918.2-2016, annex A.2: the example curve over a prime field of 256 bits.
EXAMPLE = Curve(
    p=0x8542D69E4C044F18E8B92435BF6FF7DE457283915C45517D722EDB8B08F1DFC3,
    a=0x787968B4FA32C3FD2417842E73BBFEFF2F3C848B6831D7E0EC65228B3937E498,
    b=0x63E4C6D3B23B0C849CF84241484BFE48F61D59A5B16BA06E6E12D1DA27C5249A,
    n=0x8542D69E4C044F18E8B92435BF6FF7DD297720630485628D5AE74EE7C32E79B7,
    base=Point(
        0x421DEBD61B62EAB6746434EBC3CC315E32220B3BADD50BDC4C4E6C147FEDD43D,
        0x0680512BCBB42C07D47349D2153B70C4E5D7FDFCBFA36EA1A85841B9E46E09A2,
    ),
)
EXAMPLE_PUBLIC = Point(
    0x0AE4C7798AA0F119471BEE11825BE46202BB79E2A5844495E97C04FF4DF2548A,
    0x7C0240F88F1CD4E16352A73C17B7F16F07353E53A176D684A9FE0C6BB798E857,
)
EXAMPLE_DIGEST = "b524f552cd82b8b028476e005c377fb19a87e6fc682d48bb5d42e3d9b9effe76"
EXAMPLE_SIGNATURE = bytes.fromhex(
    "40F1EC59F793D9F49E09DCEF49130D4194F79FB1EED2CAA55BACDB49C4E755D1"
    "6FC6DAC32C5D5CF10C77DFB20F7C2EB667A457872FB09EC56327A67EC7DEEBE7"
)

# RFC 8032, section 7.1, tests 1 to 3: secret, public key, message, signature.
ED25519_VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595b"
            "be24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb430"
            "2aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716e"
            "d28dc027beceea1ec40a"
        ),
    ),
]

# Deterministic ECDSA on secp256k1 with SHA-256, low s (the vectors of bitcointalk topic 285142, used by most wallets).
SECP256K1_VECTORS = [
    (
        b"Satoshi Nakamoto",
        (
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa"
            "1c4496f01a512aafd9e5"
        ),
    ),
    (
        b"All those moments will be lost in time, like tears in rain. Time to die...",
        (
            "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b547fe64427496db33bf66019dacbf0039c04199abb01"
            "22918601db38a72cfc21"
        ),
    ),
]

# Cipher, key, nonce, associated data, plaintext, ciphertext ‖ tag.
CIPHER_VECTORS = [
    pytest.param(
        guomi.cipher,
        "0123456789abcdeffedcba9876543210",
        "00001234567800000000abcd",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"
        "eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d83de3541e4c2b58177e065a9bf7b62ec",
        id="SM4-GCM, RFC 8998 A.1",
    ),
    pytest.param(
        international.cipher,
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
        id="AES-256-GCM, GCM specification, test case 16",
    ),
]


@pytest.mark.parametrize(("message", "expected"), SM3_VECTORS)
def test_sm3_gives_the_standards_digests(message: bytes, expected: str) -> None:
    """SM3 of both examples of GB/T 32905, annex A, by either library, in one piece and byte by byte."""
    assert guomi.digest(message).hex() == expected
    other = CryptographySm3()
    for byte in message:
        other.update(bytes([byte]))
    assert other.digest().hex() == other.copy().digest().hex() == expected


def test_sha256_gives_the_standards_digest() -> None:
    """SHA-256 of the example of FIPS 180-4."""
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert international.digest(b"abc").hex() == expected


@pytest.mark.row("G-1")
@pytest.mark.parametrize("scheme", [guomi.accounts, guomi.members, Sm2(choose=Integers)], ids=["a", "m", "integers"])
def test_sm2_agrees_with_the_recommended_curves_example(scheme: Sm2) -> None:
    """SM2 agrees with the published vectors: key, e with Z_A and signature of GB/T 32918.5 A.2, on every rung."""
    public_key = scheme.public_key(SECRET)
    assert decompress(public_key) == PUBLIC
    assert compress(PUBLIC) == public_key
    state = identity_state(PUBLIC)
    state.update(MESSAGE)
    assert state.digest().hex() == DIGEST
    assert scheme.verify(public_key, MESSAGE, SIGNATURE)
    assert not scheme.verify(public_key, MESSAGE + b".", SIGNATURE)


@pytest.mark.row("G-1")
def test_sm2_agrees_with_the_example_curve() -> None:
    """SM2 agrees with the published vectors: e with Z_A of ALICE123@YAHOO.COM and the signature
    of GB/T 32918.2 A.2, on another curve."""
    assert EXAMPLE.holds(EXAMPLE.base)
    assert EXAMPLE.holds(EXAMPLE_PUBLIC)
    assert SM2.holds(SM2.base)
    state = identity_state(EXAMPLE_PUBLIC, b"ALICE123@YAHOO.COM", EXAMPLE)
    state.update(MESSAGE)
    assert state.digest().hex() == EXAMPLE_DIGEST
    key = IntegerKey(EXAMPLE_PUBLIC, EXAMPLE)
    assert key.verify(bytes.fromhex(EXAMPLE_DIGEST), EXAMPLE_SIGNATURE)
    assert not key.verify(bytes.fromhex(DIGEST), EXAMPLE_SIGNATURE)


@pytest.mark.parametrize(("secret", "public_key", "message", "signature"), ED25519_VECTORS)
def test_ed25519_agrees_with_rfc_8032(secret: str, public_key: str, message: str, signature: str) -> None:
    """Key and signature of RFC 8032 come out byte for byte, and verify."""
    scheme = international.members
    assert scheme.public_key(bytes.fromhex(secret)).hex() == public_key
    assert scheme.sign(bytes.fromhex(secret), bytes.fromhex(message)).hex() == signature
    assert scheme.verify(bytes.fromhex(public_key), bytes.fromhex(message), bytes.fromhex(signature))


@pytest.mark.parametrize(("message", "signature"), SECP256K1_VECTORS)
def test_secp256k1_agrees_with_the_deterministic_vectors(message: bytes, signature: str) -> None:
    """Signatures with the secret 1 come out byte for byte (RFC 6979, low s), and verify under the base point."""
    scheme = international.accounts
    secret = (1).to_bytes(32, "big")
    public_key = scheme.public_key(secret)
    assert public_key.hex() == "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    assert scheme.sign(secret, message).hex() == signature
    assert scheme.verify(public_key, message, bytes.fromhex(signature))


@pytest.mark.parametrize(("cipher", "key", "nonce", "associated", "plaintext", "sealed"), CIPHER_VECTORS)
def test_ciphers_agree_with_the_published_example(
    cipher: Cipher, key: str, nonce: str, associated: str, plaintext: str, sealed: str
) -> None:
    """The published ciphertext and tag come out byte for byte, and open to the plaintext."""
    raw_key, raw_nonce, raw_associated = bytes.fromhex(key), bytes.fromhex(nonce), bytes.fromhex(associated)
    made = cipher.seal(raw_key, raw_nonce, bytes.fromhex(plaintext), raw_associated)
    assert made.hex() == sealed
    assert cipher.open(raw_key, raw_nonce, made, raw_associated) == bytes.fromhex(plaintext)


@pytest.mark.parametrize("cipher", [guomi.cipher, international.cipher], ids=lambda cipher: cipher.name)
def test_ciphers_refuse_every_alteration(cipher: Cipher) -> None:
    """A changed byte of ciphertext, tag or associated data, or a shortened text, opens to None."""
    key, nonce = bytes(cipher.key_bytes), bytes(cipher.nonce_bytes)
    sealed = cipher.seal(key, nonce, b"plaintext", b"associated")
    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        assert cipher.open(key, nonce, bytes(altered), b"associated") is None
        assert cipher.open(key, nonce, sealed[:place], b"associated") is None
    assert cipher.open(key, nonce, sealed, b"Associated") is None
    assert cipher.open(key, nonce, sealed + b"\0", b"associated") is None
