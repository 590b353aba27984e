"""TLS identities of members: a key of its own, a self-signed certificate, and the pin the genesis holds.

Decides that trust is the pin, not the certificate's fields: SHA-256 of the SubjectPublicKeyInfo, so a member may
renew its certificate and keep its key. Refuses to know the voting key, and clocks: the caller says from when.
Both suites use these: GM/T TLS is not in the interpreter's `ssl`.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import assert_never

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zizhu.chain.model.errors import ErrorCode, SpokeWrongly

PIN_BYTES = 32
YEARS_VALID = 10

CERTIFICATE = ErrorCode(
    "crypto.certificate",
    "this is not a certificate whose key can be read: {reason}",
    "present the certificate that was made with the member's folder",
    "无法读取该证书的公钥:{reason}",
    "请出示创建成员目录时生成的证书",
)


class TlsKeyKind(Enum):
    """The algorithms of TLS keys."""

    ED25519 = "ed25519"
    P256 = "p256"


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """A member's TLS key and certificate, ready for `SSLContext.load_cert_chain`."""

    key_pem: bytes = field(repr=False)
    """PKCS #8, encrypted with the passphrase."""
    certificate_pem: bytes
    pin: bytes
    """32 bytes, as `tls_pin`."""


def make_tls_identity(
    member: str, *, passphrase: bytes, valid_from: dt.datetime, kind: TlsKeyKind = TlsKeyKind.ED25519
) -> TlsIdentity:
    """A fresh key and a certificate for `member` (1..64 characters), valid ten years from `valid_from` (aware)."""
    assert valid_from.tzinfo is not None, "valid_from needs a time zone"
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    algorithm: hashes.SHA256 | None
    match kind:
        case TlsKeyKind.ED25519:
            key, algorithm = ed25519.Ed25519PrivateKey.generate(), None
        case TlsKeyKind.P256:
            key, algorithm = ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()
        case _:
            assert_never(kind)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, member)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_from + dt.timedelta(days=YEARS_VALID * 365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, algorithm)
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )
    return TlsIdentity(
        key_pem=key_pem,
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM),
        pin=_pin(certificate),
    )


def tls_pin(certificate_der: bytes) -> bytes:
    """SHA-256 of the certificate's SubjectPublicKeyInfo, 32 bytes; raises SpokeWrongly (`crypto.certificate`)."""
    try:
        return _pin(x509.load_der_x509_certificate(certificate_der))
    except ValueError as error:
        raise SpokeWrongly(CERTIFICATE, reason=str(error)) from None


def _pin(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()
