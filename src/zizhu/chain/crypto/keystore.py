"""Key files: a secret key encrypted with a passphrase, in a JSON file that says what it is.

Decides the file's format, its protection (scrypt, AES-256-GCM) and how it gets to the disk. Refuses to know
where the passphrase comes from and what the key signs.

The secret is never written plain. Everything else in the file is authenticated with it, so a public key or a suite
that was swapped does not open; a checksum over the whole tells damage from a wrong passphrase.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault

FORMAT = 1
FILE_BYTES_MAX = 16 * 1024

WRONG_PASSPHRASE = ErrorCode(
    "keystore.passphrase",
    "the passphrase does not open {path}",
    "give the passphrase this key file was made with; if it is certain, restore the file from its backup",
    "口令无法打开 {path}",
    "请提供创建该密钥文件时使用的口令;若口令无误,请从备份恢复该文件",
)
DAMAGED = ErrorCode(
    "keystore.damaged",
    "the key file {path} is damaged: {reason}",
    "restore the file from its backup",
    "密钥文件 {path} 已损坏:{reason}",
    "请从备份恢复该文件",
)
NEWER = ErrorCode(
    "keystore.newer",
    "the key file {path} has format {format}; this program knows formats up to {known}",
    "use the version of Zizhu that wrote it, or a later one",
    "密钥文件 {path} 的格式版本为 {format},本程序最高支持 {known}",
    "请使用写入该文件的版本或更高版本的 Zizhu",
)
EXISTS = ErrorCode(
    "keystore.exists",
    "{path} exists; key files are never overwritten",
    "choose another name, or move the file away",
    "{path} 已存在;密钥文件不会被覆盖",
    "请换一个文件名,或先移走该文件",
)
UNREACHABLE = ErrorCode(
    "keystore.unreachable",
    "the key file {path} cannot be read or written: {reason}",
    "check that the folder exists, its permissions and the free space",
    "无法读写密钥文件 {path}:{reason}",
    "请检查目录是否存在、权限以及磁盘剩余空间",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at the passphrase costs: scrypt's n, r and p (RFC 7914); memory is 128·n·r bytes."""

    n: int
    r: int = 8
    p: int = 1


COST_OF_PERSONS = Cost(n=1 << 17)
"""For passphrases people think up: 128 MiB, about 0.5 s."""
COST_OF_MACHINES = Cost(n=1 << 12)
"""For passphrases that are random and of 16 bytes or more: there is nothing to guess; 4 MiB, about 15 ms."""
_MEMORY_MAX = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with the names of its suite ("guomi") and scheme (`SignatureScheme.name`)."""

    suite: str
    scheme: str
    public_key: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyLabel:
    """What a key file tells without its passphrase. Not authenticated: `read_key` is."""

    suite: str
    scheme: str
    public_key: bytes


_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Hex = Annotated[str, msgspec.Meta(min_length=24, max_length=256, pattern="^([0-9a-f]{2})+$")]


class _Scrypt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="scrypt", tag_field="name"):
    n: Annotated[int, msgspec.Meta(ge=2, le=1 << 20)]
    r: Annotated[int, msgspec.Meta(ge=1, le=32)]
    p: Annotated[int, msgspec.Meta(ge=1, le=16)]
    salt: _Hex


class _AesGcm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="AES-256-GCM", tag_field="name"):
    nonce: Annotated[str, msgspec.Meta(min_length=24, max_length=24, pattern="^[0-9a-f]{24}$")]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `checksum` is SHA-256 of the others' canonical JSON, `secret` ciphertext ‖ tag."""

    format: int
    suite: _Text
    scheme: _Text
    public_key: _Hex
    kdf: _Scrypt
    cipher: _AesGcm
    secret: _Hex
    checksum: str


class _Version(msgspec.Struct, frozen=True):
    format: int


def write_key(path: Path, key: StoredKey, *, passphrase: bytes, cost: Cost = COST_OF_PERSONS) -> None:
    """Write `key` to the new file `path`, mode 0600, whole or not at all, and synced.

    Raises AskedWrongly (`keystore.exists`), OperatingFault (`keystore.unreachable`).
    """
    kdf = _Scrypt(n=cost.n, r=cost.r, p=cost.p, salt=secrets.token_bytes(16).hex())
    nonce = secrets.token_bytes(12)
    open_part = _File(
        format=FORMAT,
        suite=key.suite,
        scheme=key.scheme,
        public_key=key.public_key.hex(),
        kdf=kdf,
        cipher=_AesGcm(nonce=nonce.hex()),
        secret="",
        checksum="",
    )
    sealed = AESGCM(_stretched(passphrase, kdf)).encrypt(nonce, key.secret, msgspec.json.encode(open_part))
    unsummed = msgspec.structs.replace(open_part, secret=sealed.hex())
    whole = msgspec.structs.replace(unsummed, checksum=_checksum(unsummed))
    _write_new(path, msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")


def read_key(path: Path, *, passphrase: bytes) -> StoredKey:
    """The key in `path`.

    Raises AskedWrongly (`keystore.passphrase`) or OperatingFault (`keystore.damaged`, `keystore.newer`,
    `keystore.unreachable`).
    """
    file = _read_file(path)
    open_part = msgspec.structs.replace(file, secret="", checksum="")
    key = _stretched(passphrase, file.kdf)
    try:
        secret = AESGCM(key).decrypt(
            bytes.fromhex(file.cipher.nonce), bytes.fromhex(file.secret), msgspec.json.encode(open_part)
        )
    except InvalidTag:
        raise AskedWrongly(WRONG_PASSPHRASE, path=path) from None
    return StoredKey(suite=file.suite, scheme=file.scheme, public_key=bytes.fromhex(file.public_key), secret=secret)


def read_label(path: Path) -> KeyLabel:
    """What `path` says about its key without the passphrase; raises as `read_key`, save for the passphrase."""
    file = _read_file(path)
    return KeyLabel(suite=file.suite, scheme=file.scheme, public_key=bytes.fromhex(file.public_key))


def _stretched(passphrase: bytes, kdf: _Scrypt) -> bytes:
    salt = bytes.fromhex(kdf.salt)
    return hashlib.scrypt(passphrase, salt=salt, n=kdf.n, r=kdf.r, p=kdf.p, maxmem=_MEMORY_MAX, dklen=32)


def _checksum(file: _File) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(file, checksum=""))).hexdigest()


def _read_file(path: Path) -> _File:
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise OperatingFault(UNREACHABLE, path=path, reason=error.strerror) from None
    if len(data) > FILE_BYTES_MAX:
        raise OperatingFault(DAMAGED, path=path, reason=f"longer than {FILE_BYTES_MAX} bytes")
    try:
        version = msgspec.json.decode(data, type=_Version).format
        if version > FORMAT:
            raise OperatingFault(NEWER, path=path, format=version, known=FORMAT)
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise OperatingFault(DAMAGED, path=path, reason=str(error)) from None
    if file.format != FORMAT or not secrets.compare_digest(file.checksum.encode(), _checksum(file).encode()):
        raise OperatingFault(DAMAGED, path=path, reason="the checksum does not match")
    if file.kdf.n & (file.kdf.n - 1) or 128 * file.kdf.r * (file.kdf.n + file.kdf.p) >= _MEMORY_MAX:
        raise OperatingFault(DAMAGED, path=path, reason="scrypt's parameters are out of bounds")
    return file


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that did not exist: under another name first, so that a crash leaves no half of it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            # A link, unlike a rename, refuses to replace a file that is there.
            os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except FileExistsError:
        raise AskedWrongly(EXISTS, path=path) from None
    except OSError as error:
        raise OperatingFault(UNREACHABLE, path=path, reason=error.strerror) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
