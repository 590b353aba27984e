"""SM2 by the system's libcrypto 3: signs always, verifies on every platform that has it.

Decides which libcrypto is used and how keys are handed over. Refuses to hash: it is given e = SM3(Z_A ‖ M),
because libcrypto would compute Z_A again at every call.

Calls hold the interpreter lock (`PyDLL`): they are 0.3 ms long, contexts are shared by threads, and two threads
that hand the lock to and fro are slower than one. Verification scales by processes.
"""

import _hashlib
import _ssl
import ctypes
import ctypes.util
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import ModuleType

from zizhu.chain.crypto.guomi.curve import SM2, Point, decompress, uncompressed
from zizhu.chain.model.errors import ErrorCode, OperatingFault

LIBCRYPTO = ErrorCode(
    "crypto.libcrypto",
    "SM2 needs the system's OpenSSL library libcrypto, version 3.0 or later, with SM2; tried: {tried}",
    "install OpenSSL 3 (Debian: apt install libssl3; Fedora: dnf install openssl-libs) or use --suite international",
    "SM2 需要系统的 OpenSSL 库 libcrypto(3.0 或更高版本,含 SM2);已尝试:{tried}",
    "请安装 OpenSSL 3(Debian:apt install libssl3;Fedora:dnf install openssl-libs),或使用 --suite international",
)

VERSION_MIN = 0x30000000
NID_SM2 = 1172
EVP_PKEY_EC = 408
POINT_COMPRESSED = 2
SONAMES = ("libcrypto.so.3", "libcrypto.so.4", "libcrypto.3.dylib", "libcrypto-3.dll", "libcrypto-3-x64.dll")

# SubjectPublicKeyInfo of an SM2 key up to the point (RFC 5480, GM/T 0006): id-ecPublicKey, curve 1.2.156.10197.1.301.
SPKI_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
# PrivateKeyInfo (RFC 5208) around ECPrivateKey (RFC 5915): the head, 32 bytes of secret, the middle, 65 of point.
PKCS8_HEAD = bytes.fromhex("308187020100301306072a8648ce3d020106082a811ccf5501822d046d306b0201010420")
PKCS8_MIDDLE = bytes.fromhex("a144034200")

_POINTER, _SIZE, _BYTES, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int
_CType = (
    type[ctypes.c_void_p] | type[ctypes.c_size_t] | type[ctypes.c_char_p] | type[ctypes.c_int]
    | type[ctypes.c_long] | type[ctypes.c_ulong]
)  # fmt: skip
_SIGNATURES: dict[str, tuple[_CType | None, list[_CType]]] = {
    "OpenSSL_version_num": (ctypes.c_ulong, []),
    "ERR_clear_error": (None, []),
    "d2i_PUBKEY": (_POINTER, [_POINTER, _POINTER, ctypes.c_long]),
    "d2i_AutoPrivateKey": (_POINTER, [_POINTER, _POINTER, ctypes.c_long]),
    "EVP_PKEY_free": (None, [_POINTER]),
    "EVP_PKEY_CTX_new": (_POINTER, [_POINTER, _POINTER]),
    "EVP_PKEY_CTX_free": (None, [_POINTER]),
    "EVP_PKEY_verify_init": (_INT, [_POINTER]),
    "EVP_PKEY_verify": (_INT, [_POINTER, _BYTES, _SIZE, _BYTES, _SIZE]),
    "EVP_PKEY_sign_init": (_INT, [_POINTER]),
    "EVP_PKEY_sign": (_INT, [_POINTER, _POINTER, _POINTER, _BYTES, _SIZE]),
    "EC_GROUP_new_by_curve_name": (_POINTER, [_INT]),
    "EC_GROUP_free": (None, [_POINTER]),
    "EC_POINT_new": (_POINTER, [_POINTER]),
    "EC_POINT_clear_free": (None, [_POINTER]),
    "EC_POINT_mul": (_INT, [_POINTER] * 6),
    "EC_POINT_point2oct": (_SIZE, [_POINTER, _POINTER, _INT, _POINTER, _SIZE, _POINTER]),
    "BN_bin2bn": (_POINTER, [_BYTES, _INT, _POINTER]),
    "BN_clear_free": (None, [_POINTER]),
}


def der_of(signature: bytes) -> bytes:
    """SEQUENCE { INTEGER r, INTEGER s } of the 64 bytes r ‖ s, neither of which is 0."""
    r = signature[:32].lstrip(b"\0")
    s = signature[32:].lstrip(b"\0")
    if r[0] & 0x80:
        r = b"\0" + r
    if s[0] & 0x80:
        s = b"\0" + s
    return b"0%c\x02%c%b\x02%c%b" % (len(r) + len(s) + 4, len(r), r, len(s), s)


def fixed_of(der: bytes) -> bytes:
    """The 64 bytes r ‖ s of a DER signature that libcrypto has just made."""
    r_end = 4 + der[3]
    r, s = der[4:r_end], der[r_end + 2 :]
    return r.lstrip(b"\0").rjust(32, b"\0") + s.lstrip(b"\0").rjust(32, b"\0")


class _Context:
    """An EVP_PKEY_CTX ready for one operation with one key; freed with the object."""

    __slots__ = ("_library", "handle")

    def __init__(self, library: "Library", key: int, *, initialise: str) -> None:
        self._library = library
        self.handle = library.EVP_PKEY_CTX_new(key, None)
        library.EVP_PKEY_free(key)  # the context holds its own reference
        assert self.handle, "libcrypto is out of memory"
        assert getattr(library, initialise)(self.handle) == 1, f"{initialise} refused an SM2 key"

    def __del__(self) -> None:
        if self.handle:
            self._library.EVP_PKEY_CTX_free(self.handle)


class Library:
    """The C functions we call, with their types; one attribute each."""

    def __init__(self, handle: ctypes.PyDLL) -> None:
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(handle, name)
            function.restype = result
            function.argtypes = arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> "ctypes._NamedFuncPointer":
        raise AttributeError(name)


class LibcryptoKey:
    """A public key ready to verify with."""

    __slots__ = ("_clear", "_context", "_handle", "_verify")

    def __init__(self, library: Library, point: Point) -> None:
        der = SPKI_HEAD + uncompressed(point)
        self._context = _Context(library, _parse(library, "d2i_PUBKEY", der), initialise="EVP_PKEY_verify_init")
        self._handle = self._context.handle
        self._verify = library.EVP_PKEY_verify
        self._clear = library.ERR_clear_error

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Whether r ‖ s, each in 1..n-1 (the caller checked), signs the 32-byte `digest` e = SM3(Z_A ‖ M)."""
        der = der_of(signature)
        if self._verify(self._handle, der, len(der), digest, 32) == 1:
            return True
        # A refusal leaves a note in the thread's error queue, which `ssl` on this thread would take for its own.
        self._clear()
        return False


def _parse(library: Library, function: str, der: bytes) -> int:
    """The EVP_PKEY of `der`, whose numbers the caller has checked."""
    buffer = ctypes.create_string_buffer(der, len(der))
    cursor = ctypes.c_void_p(ctypes.addressof(buffer))
    key = getattr(library, function)(None, ctypes.byref(cursor), len(der))
    ctypes.memset(buffer, 0, len(der))
    assert key, f"{function} refused a well-formed SM2 key"
    return int(key)


class Libcrypto:
    """The rung of libcrypto: verifies, and is the only one that signs (in constant time, drawing its own nonce)."""

    name = "libcrypto"
    keys_max = 4096
    """Public keys kept ready: about 3 kB each."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._group: int = library.EC_GROUP_new_by_curve_name(NID_SM2)
        self._signer = lru_cache(maxsize=16)(self._prepare_signer)

    def prepare(self, point: Point) -> LibcryptoKey:
        """`point`, which lies on the curve, ready to verify with."""
        return LibcryptoKey(self._library, point)

    def public_key(self, secret: bytes) -> bytes:
        """The 33-byte public key of `secret`, which is in 1..n-2."""
        library = self._library
        number = library.BN_bin2bn(secret, len(secret), None)
        point = library.EC_POINT_new(self._group)
        out = ctypes.create_string_buffer(33)
        try:
            done = library.EC_POINT_mul(self._group, point, number, None, None, None)
            written = library.EC_POINT_point2oct(self._group, point, POINT_COMPRESSED, out, 33, None)
        finally:
            library.EC_POINT_clear_free(point)
            library.BN_clear_free(number)
        assert (done, written) == (1, 33), "libcrypto could not multiply on the SM2 curve"
        return out.raw

    def sign(self, secret: bytes, digest: bytes) -> bytes:
        """r ‖ s over the 32-byte `digest` e = SM3(Z_A ‖ M)."""
        out = ctypes.create_string_buffer(80)
        length = ctypes.c_size_t(80)
        done = self._library.EVP_PKEY_sign(self._signer(secret).handle, out, ctypes.byref(length), digest, 32)
        assert done == 1, "libcrypto could not sign with SM2"
        return fixed_of(out.raw[: length.value])

    def _prepare_signer(self, secret: bytes) -> _Context:
        point = decompress(self.public_key(secret))
        assert point is not None, "libcrypto gave a public key off the curve"
        der = PKCS8_HEAD + secret + PKCS8_MIDDLE + uncompressed(point)
        key = _parse(self._library, "d2i_AutoPrivateKey", der)
        return _Context(self._library, key, initialise="EVP_PKEY_sign_init")


def _loaded(module: ModuleType) -> str | None:
    """The file of an extension module: symbols looked up in it are found in the libraries it is linked to."""
    file = module.__dict__.get("__file__")
    return file if isinstance(file, str) else None


def candidates() -> Iterator[str | None]:
    """Where libcrypto may be, best first: the one that Python's own modules use, by name, in the program itself
    (None: interpreters that have OpenSSL linked in), by searching, which starts other programs and so comes last.
    """
    for module in (_hashlib, _ssl):
        file = _loaded(module)
        if file is not None:
            yield file
    yield from SONAMES
    yield None
    found = ctypes.util.find_library("crypto")
    if found is not None:
        yield found


def _has_sm2(library: Library) -> bool:
    """Whether the library knows the curve and takes a key on it: some distributions leave SM2 out."""
    group = library.EC_GROUP_new_by_curve_name(NID_SM2)
    der = SPKI_HEAD + uncompressed(SM2.base)
    buffer = ctypes.create_string_buffer(der, len(der))
    cursor = ctypes.c_void_p(ctypes.addressof(buffer))
    key = library.d2i_PUBKEY(None, ctypes.byref(cursor), len(der))
    context = library.EVP_PKEY_CTX_new(key, None) if key else None
    usable = bool(group) and bool(context) and library.EVP_PKEY_verify_init(context) == 1
    for free, handle in (("EVP_PKEY_CTX_free", context), ("EVP_PKEY_free", key), ("EC_GROUP_free", group)):
        getattr(library, free)(handle)
    library.ERR_clear_error()
    return usable


def open_libcrypto(names: Iterable[str | None] | None = None) -> Libcrypto:
    """The first of `names` (by default `candidates()`) that can do SM2.

    Raises OperatingFault (`crypto.libcrypto`) if there is none, with what was tried.
    """
    tried: list[str] = []
    for name in candidates() if names is None else names:
        try:
            library = Library(ctypes.PyDLL(name))
        except (OSError, AttributeError) as error:
            tried.append(f"{name or 'this program'} ({error})")
            continue
        version = library.OpenSSL_version_num()
        if version < VERSION_MIN:
            tried.append(f"{name or 'this program'} (version {version:#x})")
            continue
        if not _has_sm2(library):
            tried.append(f"{name or 'this program'} (without SM2)")
            continue
        return Libcrypto(library)
    raise OperatingFault(LIBCRYPTO, tried="; ".join(tried))
