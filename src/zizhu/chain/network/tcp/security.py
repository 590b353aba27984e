"""TLS for links: version 1.3 only, both sides show a certificate, trust is a pin of the genesis.

Decides whom a TLS session belongs to. Refuses to know frames and members' addresses.

Members' certificates are self-signed. OpenSSL wants them as trust roots, so that it asks for and accepts
them; that alone admits nobody. After the handshake SHA-256 of the certificate's public key (SubjectPublicKeyInfo,
DER; RFC 7469 calls it an SPKI pin) must be that of a member. Dates in certificates are not looked at: a member's
wrong clock must not break links, and the genesis, not a date, says who is a member.
"""

import ssl
from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm

from zizhu.chain.crypto.certificates import tls_pin
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, SpokeWrongly
from zizhu.chain.network.port import Credentials, Peer

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the ssl module does not name."""

CREDENTIALS = ErrorCode(
    "network.credentials",
    "this member's certificate {certificate} and key {key} cannot be used: {reason}",
    "give the right passphrase, or restore both files from the member's backup",
    "无法使用本成员的证书 {certificate} 与密钥 {key}:{reason}",
    "请提供正确的口令,或从该成员的备份恢复这两个文件",
)
PEER_CERTIFICATE = ErrorCode(
    "network.peer_certificate",
    "the certificate of member {name} cannot be used: {reason}",
    "ask the member for its tls.crt and put it into peers/{name}.crt",
    "无法使用成员 {name} 的证书:{reason}",
    "请向该成员索取 tls.crt 并放入 peers/{name}.crt",
)


def pin_of(certificate: bytes) -> bytes | None:
    """The pin of a certificate (DER): 32 bytes; None if its key cannot be read."""
    try:
        return tls_pin(certificate)
    except (SpokeWrongly, UnsupportedAlgorithm):
        return None


def server_context(credentials: Credentials, peers: Sequence[Peer]) -> ssl.SSLContext:
    """For links that others dial. Raises AskedWrongly (`network.credentials`, `network.peer_certificate`)."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, credentials, peers)
    context.num_tickets = 0  # sessions are never resumed: each link proves its member anew
    return context


def client_context(credentials: Credentials, peers: Sequence[Peer]) -> ssl.SSLContext:
    """For links this member dials. Raises like `server_context`."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, credentials, peers)


def _context(protocol: int, credentials: Credentials, peers: Sequence[Peer]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # a member is its key, not its host name
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    try:
        context.load_cert_chain(
            credentials.certificate_path, credentials.key_path, password=lambda: credentials.key_password
        )
    except (OSError, ValueError) as error:
        raise AskedWrongly(
            CREDENTIALS, certificate=credentials.certificate_path, key=credentials.key_path, reason=str(error)
        ) from None
    for peer in peers:
        _trust(context, peer)
    return context


def _trust(context: ssl.SSLContext, peer: Peer) -> None:
    """Make the peer's certificate a trust root, if it is the one the genesis pins."""
    try:
        der = ssl.PEM_cert_to_DER_cert(peer.certificate.decode("ascii"))
    except ValueError as error:
        raise AskedWrongly(PEER_CERTIFICATE, name=peer.name, reason=str(error)) from None
    if pin_of(der) != peer.pin:
        raise AskedWrongly(PEER_CERTIFICATE, name=peer.name, reason="its key is not the one pinned in the genesis")
    context.load_verify_locations(cadata=der)
