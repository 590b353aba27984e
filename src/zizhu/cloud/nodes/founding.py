"""Founding a network on one machine: keys and folders of every member, the genesis they all sign, free ports.

Decides how a local network is laid out. Each member's keys are made in its own folder and never leave it; the
genesis is signed by each. The passphrase is random and for development only: who wants more founds members apart.
"""

import datetime as dt
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zizhu.chain.crypto.hashing import ledger_id
from zizhu.chain.crypto.keystore import COST_OF_MACHINES, StoredKey, read_key, write_key
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.genesis import Founding, build_genesis, encode_genesis, sign_genesis, verify_signed_genesis
from zizhu.chain.model import limits
from zizhu.chain.model.epoch import Member, Parameters
from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.genesis import Genesis, GenesisContract, Rule, SignedGenesis
from zizhu.chain.network.port import LISTEN
from zizhu.chain.node.config import Address, NodeConfig, PeerAddress, write_config
from zizhu.chain.node.identity import MemberFolder, PublicIdentity, create_member, save_peer
from zizhu.chain.node.run import ISSUER
from zizhu.chain.storage.atomic_file import make_folder, write_atomic_file
from zizhu.cloud.nodes.network import (
    VERSION,
    MemberPlace,
    Network,
    genesis_path,
    node_folder,
    passphrase_path,
    write_network,
)

RULES = (Rule("admission", "ALL"), Rule("switch.raft-to-pbft", "MAJORITY"), Rule("switch.pbft-to-raft", "ALL"))
HOST = "127.0.0.1"
PORT_MAX = 65_535
MEMBERS = {"pbft": (4, limits.MEMBERS_MAX), "raft": (3, limits.MEMBERS_MAX), "solo": (1, 1)}
"""The smallest network of an engine that survives the loss of a member, and the largest that a ledger may have."""

MEMBER_COUNT = ErrorCode(
    "up.members",
    "engine {engine} takes {least} to {most} members, {members} were asked for",
    "use --members {suggested} with --engine {engine}",
    "引擎 {engine} 需要 {least} 至 {most} 个成员,而请求的是 {members} 个",
    "请在 --engine {engine} 时使用 --members {suggested}",
)
HALF_FOUNDED = ErrorCode(
    "up.half_founded",
    "{directory} holds the remains of a network whose founding was interrupted",
    "remove the folder (it never ran) and call `zizhu up` again",
    "{directory} 中残留了创建中断的网络",
    "请删除该文件夹(该网络从未运行)后重新执行 `zizhu up`",
)


@dataclass(frozen=True)
class Plan:
    """What network to found. `port` 0 means free ports; otherwise P2P ports from `port` on, HTTP ports behind."""

    name: str
    members: int
    suite: Suite
    engine: str
    port: int
    contracts: tuple[GenesisContract, ...]
    parameters: Parameters


def check_plan(*, members: int, engine: str, port: int = 0) -> None:
    """PBFT needs four members; Raft three, to survive one; solo has one. From `port` on there is room for two ports a
    member. Raises AskedWrongly (`up.members`, `network.listen`)."""
    least, most = MEMBERS.get(engine, (1, limits.MEMBERS_MAX))
    if not least <= members <= most:
        suggested = min(max(members, least), most)
        raise AskedWrongly(MEMBER_COUNT, engine=engine, least=least, most=most, members=members, suggested=suggested)
    last = port + 2 * members - 1
    if port and last > PORT_MAX:
        raise AskedWrongly(LISTEN, host=HOST, port=last, reason=f"ports end at {PORT_MAX}")


def found(directory: Path, plan: Plan, progress: Callable[[str], None]) -> Network:
    """Make the network's folder. `progress` is told the name of each member when its keys are there.

    Raises AskedWrongly (`up.members`, `up.half_founded`, `genesis.*`), OperatingFault (`network.listen`).
    """
    check_plan(members=plan.members, engine=plan.engine, port=plan.port)
    if (directory / "nodes").exists():
        raise AskedWrongly(HALF_FOUNDED, directory=directory)
    names = [f"node{number}" for number in range(1, plan.members + 1)]
    # Ports first: a taken one is refused before anything is written.
    places = _places(names, plan.port)
    make_folder(directory, mode=0o700)
    make_folder(passphrase_path(directory).parent, mode=0o700)
    passphrase = secrets.token_urlsafe(32).encode()
    write_atomic_file(passphrase_path(directory), passphrase + b"\n", mode=0o600)
    make_folder(directory / "nodes", mode=0o700)
    make_folder(directory / "accounts", mode=0o700)
    now = dt.datetime.now(dt.UTC)
    identities = [_make_member(directory, name, plan.suite, passphrase, now) for name in names]
    for name in names:
        progress(name)
    genesis = _genesis(plan, identities, now)
    signed = _sign(directory, genesis, identities, plan.suite, passphrase)
    write_atomic_file(genesis_path(directory), encode_genesis(signed))
    for place in places:
        _write_member(directory, place, places, identities, signed)
    ledger = ledger_id(plan.suite, genesis)
    network = Network(VERSION, plan.name, ledger.hex(), plan.suite.name, plan.engine, places)
    write_network(directory, network)
    return network


def _make_member(directory: Path, name: str, suite: Suite, passphrase: bytes, now: dt.datetime) -> PublicIdentity:
    """The member's own keys, and the account as which its services sign."""
    folder = MemberFolder(node_folder(directory, name))
    identity = create_member(folder, name=name, suite=suite, passphrase=passphrase, now=now, cost=COST_OF_MACHINES)
    secret = suite.accounts.generate()
    key = StoredKey(
        suite=suite.name,
        scheme=suite.accounts.name,
        public_key=suite.accounts.public_key(secret),
        secret=secret,
    )
    path = folder.path / "keys" / f"{ISSUER}.key"
    write_key(path, key, passphrase=passphrase, cost=COST_OF_MACHINES)
    return identity


def _genesis(plan: Plan, identities: Sequence[PublicIdentity], now: dt.datetime) -> Genesis:
    members = tuple(
        Member(
            name=identity.name,
            organisation=f"org{number}",
            vote_key=identity.vote_key,
            tls_pin=identity.tls_pin,
        )
        for number, identity in enumerate(identities, 1)
    )
    founding = Founding(
        name=plan.name,
        time_ms=int(now.timestamp() * 1000),
        engine=plan.engine,
        suite=plan.suite.name,
        members=members,
        contracts=plan.contracts,
        rules=RULES,
        parameters=plan.parameters,
    )
    return build_genesis(plan.suite, founding)


def _sign(
    directory: Path, genesis: Genesis, identities: Sequence[PublicIdentity], suite: Suite, passphrase: bytes
) -> SignedGenesis:
    """Every member consents with its own voting key, read from its own folder."""
    consents = []
    for identity in identities:
        stored = read_key(MemberFolder(node_folder(directory, identity.name)).vote_key, passphrase=passphrase)
        secret = stored.secret

        def sign(message: bytes, secret: bytes = secret) -> bytes:
            return suite.members.sign(secret, message)

        consents.append(sign_genesis(suite, genesis, sign, identity.vote_key))
    signed = SignedGenesis(genesis, consents)
    verify_signed_genesis(suite, signed)
    return signed


def _places(names: Sequence[str], port: int) -> list[MemberPlace]:
    """Ports for P2P and HTTP: free ones, or from `port` on."""
    if port:
        p2p = [port + number for number in range(len(names))]
        http = [port + len(names) + number for number in range(len(names))]
        for number in (*p2p, *http):
            _check_free(number)
    else:
        ports = free_ports(2 * len(names))
        p2p, http = ports[: len(names)], ports[len(names) :]
    return [MemberPlace(name, p2p_port, http_port) for name, p2p_port, http_port in zip(names, p2p, http, strict=True)]


def free_ports(count: int) -> list[int]:
    """Ports that were free just now, below the range from which outgoing connections take theirs."""
    found: list[int] = []
    first = 20_000 + secrets.randbelow(8_000)
    for candidate in range(first, 32_000):
        if len(found) == count:
            break
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, candidate))
            except OSError:
                continue
            found.append(candidate)
    if len(found) < count:
        raise AskedWrongly(LISTEN, host=HOST, port=first, reason="no free ports")
    return found


def _check_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise AskedWrongly(LISTEN, host=HOST, port=port, reason=os.strerror(error.errno or 0)) from None


def _write_member(
    directory: Path,
    place: MemberPlace,
    places: Sequence[MemberPlace],
    identities: Sequence[PublicIdentity],
    signed: SignedGenesis,
) -> None:
    """The member's configuration, the genesis, and the certificates of the others."""
    folder = MemberFolder(node_folder(directory, place.name))
    write_atomic_file(folder.genesis, encode_genesis(signed))
    for identity in identities:
        if identity.name != place.name:
            save_peer(folder, name=identity.name, certificate=identity.certificate)
    others = tuple(
        PeerAddress(name=other.name, host=HOST, port=other.p2p_port) for other in places if other.name != place.name
    )
    config = NodeConfig(
        name=place.name,
        listen=Address(host=HOST, port=place.p2p_port),
        http=Address(host=HOST, port=place.http_port),
        peers=others,
    )
    write_config(folder.config, config)
