"""A network's folder on one machine: which members, where they listen, which ledger.

Decides the layout of DIR and the file DIR/network.json. Refuses to know how members are founded or started.

Layout::

    DIR/network.json          this file
    DIR/genesis.zizhu         the signed genesis
    DIR/secrets/passphrase    of a local network: random, 0600, development only
    DIR/accounts/NAME.json    accounts of people and services (key files)
    DIR/nodes/NAME/           one folder a member
    DIR/run/                  the control socket of `zizhu up`
"""

from pathlib import Path
from typing import Annotated

import msgspec

from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault
from zizhu.chain.storage.atomic_file import write_atomic_file

VERSION = 1
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]

NO_NETWORK = ErrorCode(
    "network.none_here",
    "there is no network in {directory}",
    "start one with `zizhu up`, or name its folder with --dir",
    "{directory} 中没有网络",
    "请用 `zizhu up` 启动,或用 --dir 指定其文件夹",
)
BAD_FILE = ErrorCode(
    "network.file",
    "{path} cannot be read: {reason}",
    "restore the file from a backup; `zizhu up` writes it when it founds a network",
    "无法读取 {path}:{reason}",
    "请从备份恢复该文件;`zizhu up` 在创建网络时写入它",
)
UNKNOWN_MEMBER = ErrorCode(
    "network.no_such_member",
    "no member is called {name}; there are: {names}",
    "name one of these",
    "没有名为 {name} 的成员;现有:{names}",
    "请使用其中之一",
)


class MemberPlace(msgspec.Struct, frozen=True):
    """A member of a local network and its two ports."""

    name: str
    p2p_port: Port
    http_port: Port

    @property
    def url(self) -> str:
        """Base address of its HTTP API."""
        return f"http://127.0.0.1:{self.http_port}"


class Network(msgspec.Struct, frozen=True):
    """What DIR/network.json says. `ledger` is hex; `issuer` the account as which the members' services sign."""

    version: int
    name: str
    ledger: str
    suite: str
    engine: str
    members: list[MemberPlace]

    def member(self, name: str) -> MemberPlace:
        """The member of this name; raises AskedWrongly (`network.no_such_member`)."""
        for each in self.members:
            if each.name == name:
                return each
        raise AskedWrongly(UNKNOWN_MEMBER, name=name, names=", ".join(each.name for each in self.members))


def network_path(directory: Path) -> Path:
    """DIR/network.json."""
    return directory / "network.json"


def genesis_path(directory: Path) -> Path:
    """DIR/genesis.zizhu."""
    return directory / "genesis.zizhu"


def passphrase_path(directory: Path) -> Path:
    """DIR/secrets/passphrase."""
    return directory / "secrets" / "passphrase"


def node_folder(directory: Path, name: str) -> Path:
    """DIR/nodes/NAME."""
    return directory / "nodes" / name


def account_path(directory: Path, name: str) -> Path:
    """DIR/accounts/NAME.json."""
    return directory / "accounts" / f"{name}.json"


def control_path(directory: Path) -> Path:
    """The socket on which a running `zizhu up` takes orders."""
    return directory / "run" / "up.sock"


def read_network(directory: Path) -> Network:
    """The network in DIR. Raises AskedWrongly (`network.none_here`), OperatingFault (`network.file`)."""
    path = network_path(directory)
    if not path.is_file():
        raise AskedWrongly(NO_NETWORK, directory=directory)
    try:
        network = msgspec.json.decode(path.read_bytes(), type=Network)
    except (OSError, UnicodeDecodeError, RecursionError, msgspec.MsgspecError) as error:
        raise OperatingFault(BAD_FILE, path=path, reason=error) from None
    if network.version != VERSION:
        raise OperatingFault(BAD_FILE, path=path, reason=f"its version is {network.version}, not {VERSION}")
    return network


def write_network(directory: Path, network: Network) -> None:
    """Write DIR/network.json, durably and at once."""
    data = msgspec.json.format(msgspec.json.encode(network), indent=2)
    write_atomic_file(network_path(directory), data + b"\n")


def read_passphrase_file(directory: Path) -> bytes:
    """The development passphrase of a local network. Raises OperatingFault (`network.file`)."""
    path = passphrase_path(directory)
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise OperatingFault(BAD_FILE, path=path, reason=error) from None
