"""A member's folder: where its keys and files lie, how they are made, and how they are opened with a passphrase.

Decides names and permissions inside the folder. Refuses to know what is voted on, and where a passphrase comes from,
save that a development network may keep one in a file of the folder.

    keys/vote.key     the voting key, a key file (crypto.keystore)
    keys/tls.key      the key of links, PKCS #8, encrypted with the same passphrase
    keys/tls.crt      its certificate, self-signed; the genesis pins its key
    peers/NAME.crt    the certificates of other members
    genesis.zizhu     the genesis, encoded
    node.toml         node.config
    data/  logs/
"""

import datetime as dt
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zizhu.chain.crypto.certificates import make_tls_identity
from zizhu.chain.crypto.hashing import member_id
from zizhu.chain.crypto.keystore import COST_OF_PERSONS, Cost, StoredKey, read_key, write_key
from zizhu.chain.crypto.passphrase import read_passphrase
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.epoch import Member
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault
from zizhu.chain.model.ids import MemberId
from zizhu.chain.network.port import Credentials, Peer
from zizhu.chain.node.config import NodeConfig, development_file, passphrase_source
from zizhu.chain.storage.atomic_file import make_folder, write_atomic_file

CERTIFICATE_BYTES_MAX = 64 * 1024
PASSPHRASE_BYTES_MAX = 1000

EXISTS = ErrorCode(
    "identity.exists",
    "{folder} holds a member's keys already; keys are never overwritten",
    "choose another name or folder; `zizhu up` goes on with a folder that is there",
    "{folder} 中已有成员密钥;密钥不会被覆盖",
    "请换一个名称或目录;`zizhu up` 会沿用已有目录",
)
UNREADABLE = ErrorCode(
    "identity.unreadable",
    "{file} cannot be read: {reason}",
    "restore the file from the member's backup, or check its permissions",
    "无法读取 {file}:{reason}",
    "请从该成员的备份恢复此文件,或检查其权限",
)
OTHER_SUITE = ErrorCode(
    "identity.other_suite",
    "the voting key {file} is of suite {found}, the ledger uses {wanted}",
    "use the folder that was made for this ledger",
    "投票密钥 {file} 属于算法套件 {found},而账本使用 {wanted}",
    "请使用为该账本创建的目录",
)
LEGIBLE = ErrorCode(
    "identity.legible",
    "others may read the passphrase file {file} (mode {mode})",
    "run: chmod 600 {file}",
    "口令文件 {file} 可被他人读取(权限 {mode})",
    "请执行:chmod 600 {file}",
)
NO_ADDRESS = ErrorCode(
    "identity.no_address",
    "member {name} of the genesis has no address in node.toml",
    "add it under [[peers]] with its name, host and port",
    "创世文件中的成员 {name} 在 node.toml 中没有地址",
    "请在 [[peers]] 下添加其 name、host 与 port",
)
NAME = ErrorCode(
    "identity.name",
    "{name!r} cannot name a member: it must be 1 to 64 of a-z, 0-9, - and _, and begin with a letter or digit",
    "choose such a name, for example node1",
    "{name!r} 不能作为成员名称:须为 1 至 64 个 a-z、0-9、- 或 _,且以字母或数字开头",
    "请选择这样的名称,例如 node1",
)

_FILE_NAME = re.compile("[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class MemberFolder:
    """The paths inside a member's folder; nothing of it needs to exist."""

    path: Path

    @property
    def vote_key(self) -> Path:
        return self.path / "keys" / "vote.key"

    @property
    def tls_key(self) -> Path:
        return self.path / "keys" / "tls.key"

    @property
    def tls_certificate(self) -> Path:
        return self.path / "keys" / "tls.crt"

    @property
    def genesis(self) -> Path:
        return self.path / "genesis.zizhu"

    @property
    def config(self) -> Path:
        return self.path / "node.toml"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def peer_certificate(self, name: str) -> Path:
        """Where the certificate of member `name` lies. Raises AskedWrongly (`identity.name`)."""
        if _FILE_NAME.fullmatch(name) is None:
            raise AskedWrongly(NAME, name=name)
        return self.path / "peers" / f"{name}.crt"


@dataclass(frozen=True, slots=True)
class PublicIdentity:
    """What others need of a member: for the genesis the key and the pin, for its peers the certificate (PEM)."""

    name: str
    vote_key: bytes
    tls_pin: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class MemberKeys:
    """An opened member: its id, its voting key, and what proves it on links."""

    member: MemberId
    vote_key: bytes
    vote_secret: bytes = field(repr=False)
    credentials: Credentials


def create_member(
    folder: MemberFolder, *, name: str, suite: Suite, passphrase: bytes, now: dt.datetime, cost: Cost = COST_OF_PERSONS
) -> PublicIdentity:
    """Make the folder and fresh keys of a member. `now` (aware) dates the certificate.

    The voting key is written last: a folder that has one is whole, and one that has none may be made again.
    Raises AskedWrongly (`identity.exists`, `identity.name`), OperatingFault (`storage.write_failed`,
    `keystore.unreachable`).
    """
    if folder.vote_key.exists():
        raise AskedWrongly(EXISTS, folder=folder.path)
    for place in (folder.path, folder.vote_key.parent, folder.peer_certificate(name).parent):
        make_folder(place, mode=0o700)
    for place in (folder.data, folder.logs):
        make_folder(place, mode=0o700)
    tls = make_tls_identity(name, passphrase=passphrase, valid_from=now)
    write_atomic_file(folder.tls_key, tls.key_pem, mode=0o600)
    write_atomic_file(folder.tls_certificate, tls.certificate_pem)
    secret = suite.members.generate()
    public_key = suite.members.public_key(secret)
    stored = StoredKey(suite=suite.name, scheme=suite.members.name, public_key=public_key, secret=secret)
    write_key(folder.vote_key, stored, passphrase=passphrase, cost=cost)
    return PublicIdentity(name=name, vote_key=public_key, tls_pin=tls.pin, certificate=tls.certificate_pem)


def open_member(folder: MemberFolder, *, suite: Suite, passphrase: bytes) -> MemberKeys:
    """The keys of a member. The key of links is opened by the transport, with the same passphrase.

    Raises AskedWrongly (`keystore.passphrase`, `identity.other_suite`), OperatingFault (`keystore.damaged`,
    `keystore.newer`, `keystore.unreachable`).
    """
    stored = read_key(folder.vote_key, passphrase=passphrase)
    if (stored.suite, stored.scheme) != (suite.name, suite.members.name):
        raise AskedWrongly(OTHER_SUITE, file=folder.vote_key, found=stored.suite, wanted=suite.name)
    return MemberKeys(
        member=member_id(suite, stored.public_key),
        vote_key=stored.public_key,
        vote_secret=stored.secret,
        credentials=Credentials(
            certificate_path=str(folder.tls_certificate), key_path=str(folder.tls_key), key_password=passphrase
        ),
    )


def save_peer(folder: MemberFolder, *, name: str, certificate: bytes) -> None:
    """Keep the certificate (PEM) of another member. Raises OperatingFault (`storage.write_failed`)."""
    write_atomic_file(folder.peer_certificate(name), certificate)


def links_wanted(
    folder: MemberFolder, config: NodeConfig, *, suite: Suite, members: Sequence[Member]
) -> tuple[Peer, ...]:
    """The peers of this node: the members of the ledger but itself, with addresses from its configuration.

    Raises AskedWrongly (`identity.no_address`), OperatingFault (`identity.unreadable`).
    """
    addresses = {peer.name: peer for peer in config.peers}
    wanted = []
    for member in members:
        if member.name == config.name:
            continue
        if member.name not in addresses:
            raise AskedWrongly(NO_ADDRESS, name=member.name)
        address = addresses[member.name]
        wanted.append(
            Peer(
                member=member_id(suite, member.vote_key),
                name=member.name,
                host=address.host,
                port=address.port,
                pin=member.tls_pin,
                certificate=_read(folder.peer_certificate(member.name), CERTIFICATE_BYTES_MAX),
            )
        )
    return tuple(wanted)


def member_passphrase(config: NodeConfig) -> bytes:
    """The passphrase from where the configuration says.

    Raises AskedWrongly (`crypto.passphrase`, `identity.legible`), OperatingFault (`identity.unreadable`).
    """
    path = development_file(config)
    if path is None:
        return read_passphrase(passphrase_source(config))
    passphrase = _read(path, PASSPHRASE_BYTES_MAX + 1).removesuffix(b"\n")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise AskedWrongly(LEGIBLE, file=path, mode=f"{mode:o}")
    if not passphrase:
        raise OperatingFault(UNREADABLE, file=path, reason="it is empty")
    return passphrase


def _read(path: Path, bytes_max: int) -> bytes:
    """The whole of a small file."""
    try:
        with path.open("rb") as stream:
            data = stream.read(bytes_max + 1)
    except OSError as error:
        raise OperatingFault(UNREADABLE, file=path, reason=error.strerror or str(error)) from None
    if len(data) > bytes_max:
        raise OperatingFault(UNREADABLE, file=path, reason=f"longer than {bytes_max} bytes")
    return data
