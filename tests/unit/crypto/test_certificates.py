"""TLS identities: they carry a mutual TLS 1.3 handshake and are known by their pin."""

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from zizhu.chain.crypto.certificates import TlsIdentity, TlsKeyKind, make_tls_identity, tls_pin
from zizhu.chain.model.errors import SpokeWrongly

PASSPHRASE = b"a passphrase"
YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


def _identity(name: str, kind: TlsKeyKind = TlsKeyKind.ED25519) -> TlsIdentity:
    return make_tls_identity(name, passphrase=PASSPHRASE, valid_from=YESTERDAY, kind=kind)


def _context(side: int, own: TlsIdentity, peer: TlsIdentity, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=peer.certificate_pem.decode())
    pem = folder / own.pin.hex()
    pem.write_bytes(own.key_pem + own.certificate_pem)
    context.load_cert_chain(pem, password=PASSPHRASE)
    return context


@pytest.mark.parametrize("kind", list(TlsKeyKind))
def test_two_members_shake_hands_and_see_each_others_pins(kind: TlsKeyKind, tmp_path: Path) -> None:
    """A mutual TLS 1.3 handshake in memory; each side reads the other's pin from the certificate it was shown."""
    one, two = _identity("node1", kind), _identity("node2", kind)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_context = _context(ssl.PROTOCOL_TLS_SERVER, one, two, tmp_path)
    client_context = _context(ssl.PROTOCOL_TLS_CLIENT, two, one, tmp_path)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.version() == server.version() == "TLSv1.3"
    for side, peer in ((client, one), (server, two)):
        shown = side.getpeercert(binary_form=True)
        assert shown is not None
        assert tls_pin(shown) == peer.pin


@pytest.mark.parametrize("kind", list(TlsKeyKind))
def test_the_key_is_encrypted_and_the_certificate_is_its_own(kind: TlsKeyKind) -> None:
    """PKCS #8 under the passphrase, hidden from the repr; the certificate names the member for ten years."""
    identity = _identity("成员一", kind)
    assert b"ENCRYPTED PRIVATE KEY" in identity.key_pem
    assert "PRIVATE" not in repr(identity)
    with pytest.raises(ValueError, match=r"(?i)decrypt|password"):
        serialization.load_pem_private_key(identity.key_pem, b"wrong")
    key = serialization.load_pem_private_key(identity.key_pem, PASSPHRASE)
    certificate = x509.load_pem_x509_certificate(identity.certificate_pem)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject == certificate.issuer
    assert "成员一" in certificate.subject.rfc4514_string()
    certificate.verify_directly_issued_by(certificate)
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 3650
    assert tls_pin(certificate.public_bytes(serialization.Encoding.DER)) == identity.pin
    assert identity.pin != _identity("成员一", kind).pin, "another key, another pin"


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"\x30\x82\xff\xff", bytes(500), b"\xff" * 40])
def test_what_is_no_certificate_has_no_pin(der: bytes) -> None:
    """Foreign bytes are crypto.certificate, said to whoever showed them."""
    with pytest.raises(SpokeWrongly) as raised:
        tls_pin(der)
    assert raised.value.code.code == "crypto.certificate"
