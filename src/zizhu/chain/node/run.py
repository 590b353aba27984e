"""One member as a process: configuration, lock, keys, recovery, links, API; until it is told to stop.

Decides the order of starting and stopping. A second process on a member's folder is refused before it can vote.
"""

import asyncio
import gc
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from zizhu.chain.consensus.port import ConsensusEngine
from zizhu.chain.consensus.port import Setting as EngineSetting
from zizhu.chain.contracts.port import ContractEngine
from zizhu.chain.crypto.accounts import account_id
from zizhu.chain.crypto.hashing import ledger_id
from zizhu.chain.crypto.keystore import read_key
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.genesis import genesis_engines, parse_genesis, verify_signed_genesis
from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.genesis import SignedGenesis
from zizhu.chain.network import messages as network_messages
from zizhu.chain.network.port import Setting as TransportSetting
from zizhu.chain.network.port import Transport
from zizhu.chain.network.wire import HelloGreeting, Wire
from zizhu.chain.node import plugins
from zizhu.chain.node.api.application import build_app
from zizhu.chain.node.api.server import serve
from zizhu.chain.node.api.site import AccountKey, Issuer, Site
from zizhu.chain.node.boot import BootSetup, boot
from zizhu.chain.node.config import NodeConfig
from zizhu.chain.node.identity import MemberFolder, MemberKeys, links_wanted, open_member
from zizhu.chain.node.runtime import Parts, Runtime
from zizhu.chain.node.service import PRODUCT_VERSION, RunningNode
from zizhu.chain.storage.files.log import FilesLog, open_log
from zizhu.chain.storage.lock import lock_folder
from zizhu.chain.storage.port import KeyValueStore, Log

ISSUER = "issuer"
GC_THRESHOLDS = (100_000, 50, 1_000)
"""Objects made before the collector of cycles looks, and how often it looks at the older ones. What a node makes
most (transactions, receipts, state) has no cycles; by default the collector went through all of it all the time."""
QUIET_FACTS = ("committed", "votes_resent", "solo")
"""Facts that come with every block: written at log level debug only."""

NOT_A_MEMBER = ErrorCode(
    "node.not_a_member",
    "the voting key in {folder} belongs to no member of ledger {ledger}",
    "use the folder of a member of this ledger, or the genesis of this member's ledger",
    "{folder} 中的投票密钥不属于账本 {ledger} 的任何成员",
    "请使用该账本成员的文件夹,或该成员所属账本的创世文件",
)


@dataclass(frozen=True)
class Opened:
    """What a member's folder gave: genesis, keys, suites."""

    folder: MemberFolder
    config: NodeConfig
    genesis: SignedGenesis
    suite: Suite
    suites: dict[int, Suite]
    keys: MemberKeys
    passphrase: bytes


def load_suites() -> dict[str, Suite]:
    """All installed crypto suites, by name."""
    return {name: cast(Suite, plugins.load("zizhu.crypto", name)) for name in plugins.names("zizhu.crypto")}


def open_folder(folder: MemberFolder, config: NodeConfig, passphrase: bytes) -> Opened:
    """Read and check what a member starts from. Raises AskedWrongly and OperatingFault with their codes."""
    genesis = parse_genesis(folder.genesis.read_bytes())
    by_name = load_suites()
    suite = by_name.get(genesis.genesis.record.suite)
    if suite is None:
        suite = cast(Suite, plugins.load("zizhu.crypto", genesis.genesis.record.suite))
    ledger = verify_signed_genesis(suite, genesis)
    keys = open_member(folder, suite=suite, passphrase=passphrase)
    if keys.vote_key not in [member.vote_key for member in genesis.genesis.record.members]:
        raise AskedWrongly(NOT_A_MEMBER, folder=folder.path, ledger=ledger.hex())
    suites = {each.code: each for each in by_name.values()}
    return Opened(folder, config, genesis, suite, suites, keys, passphrase)


class FactLog:
    """Facts as JSON lines on a stream: time, node, fact, values."""

    def __init__(self, name: str, level: str, stream: TextIO) -> None:
        self._name = name
        self._verbose = level == "debug"
        self._stream = stream

    def __call__(self, fact: str, values: dict[str, object]) -> None:
        """Write one fact."""
        if fact in QUIET_FACTS and not self._verbose:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03d}Z"
        line = {"time": stamp, "node": self._name, "fact": fact, **values}
        self._stream.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        self._stream.flush()


def open_storage(opened: Opened, report: Callable[[str, dict[str, object]], None]) -> dict[str, Log]:
    """The two logs of a member; what recovery cut off is reported."""
    data = opened.folder.data
    logs: dict[str, Log] = {}
    for name in ("blocks", "votes"):
        log = open_log(data / name)
        logs[name] = log
        _report_recovery(name, log, report)
    return logs


def _report_recovery(name: str, log: FilesLog, report: Callable[[str, dict[str, object]], None]) -> None:
    recovery = log.recovery
    if recovery.cut_bytes:
        values = {"log": name, "file": str(recovery.file), "offset": recovery.offset, "cut_bytes": recovery.cut_bytes}
        report("torn_tail_cut", values)


def _open_store(opened: Opened, data_class: str) -> KeyValueStore:
    name = str(getattr(opened.config.storage, data_class))
    factory = cast(Callable[[Path, str], KeyValueStore], plugins.load("zizhu.storage", name))
    return factory(opened.folder.data, data_class)


def build_runtime(opened: Opened, report: FactLog, halt: Callable[[str], None]) -> tuple[Runtime, list[KeyValueStore]]:
    """Recover the member and put a runtime around it."""
    record = opened.genesis.genesis.record
    engines = {
        name: cast(ContractEngine, plugins.load("zizhu.contracts", name)) for name in plugins.names("zizhu.contracts")
    }
    genesis_engines(opened.genesis.genesis, engines)
    build = cast(Callable[[EngineSetting], ConsensusEngine], plugins.load("zizhu.consensus", record.engine))
    logs = open_storage(opened, report)
    index, state = _open_store(opened, "index"), _open_store(opened, "state")
    began = time.monotonic()
    machine = boot(
        BootSetup(
            genesis=opened.genesis,
            suite=opened.suite,
            suites=opened.suites,
            engines=engines,
            consensus=build,
            me=opened.keys.member,
            block_log=logs["blocks"],
            vote_log=logs["votes"],
            index=index,
            state=state,
            seed=secrets.randbits(63),
        )
    )
    report("recovered", {"height": machine.ledger.head.height, "ms": int((time.monotonic() - began) * 1000)})
    wire = Wire((*network_messages.MESSAGES, *machine.engine_messages))
    scheme, secret = opened.suite.members, opened.keys.vote_secret
    parts = Parts(
        machine=machine,
        logs=logs,
        index=index,
        state=state,
        transport=_transport(opened),
        wire=wire,
        suites=opened.suites,
        sign=lambda message: scheme.sign(secret, message),
        report=report,
        halt=halt,
        clock_offset_ms=opened.config.clock_offset_ms,
    )
    return Runtime(parts), [index, state]


def _transport(opened: Opened) -> Transport:
    config, record = opened.config, opened.genesis.genesis.record
    ledger = ledger_id(opened.suite, opened.genesis.genesis)
    peers = links_wanted(opened.folder, config, suite=opened.suite, members=record.members)
    build = cast(Callable[[TransportSetting], Transport], plugins.load("zizhu.transport", config.transport))
    return build(
        TransportSetting(
            me=opened.keys.member,
            host=config.listen.host,
            port=config.listen.port,
            peers=peers,
            credentials=opened.keys.credentials,
            greeting=HelloGreeting(ledger=ledger, member=opened.keys.member, product=PRODUCT_VERSION),
            seed=secrets.randbits(63),
        )
    )


def _site(opened: Opened, node: RunningNode) -> Site:
    """The node as its routes see it, with the issuer account its services sign as."""

    def open_account(name: str) -> AccountKey:
        stored = read_key(opened.folder.path / "keys" / f"{name}.key", passphrase=opened.passphrase)
        suite = next(each for each in opened.suites.values() if each.name == stored.suite)
        return AccountKey(suite, stored.secret)

    issuer = None
    if (opened.folder.path / "keys" / f"{ISSUER}.key").exists():
        key = open_account(ISSUER)
        issuer = Issuer(ISSUER, account_id(key.suite, key.suite.accounts.public_key(key.secret)))
    return Site(
        backend=node,
        folder=opened.folder.path,
        http_port=node.http_port,
        issuer=issuer,
        open_account=open_account,
    )


async def _until_stopped(stop: asyncio.Event, lifeline: int | None) -> None:
    """Returns on SIGTERM, SIGINT, a halt, or when whoever holds the other end of the lifeline is gone."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline is not None:
        loop.add_reader(lifeline, stop.set)
    await stop.wait()
    if lifeline is not None:
        loop.remove_reader(lifeline)


async def run_member(folder: MemberFolder, config: NodeConfig, *, passphrase: bytes, lifeline: int | None) -> int:
    """Run a member until it is told to stop; 0, or 1 when it halted itself."""
    report = FactLog(config.name, config.log_level, sys.stderr)
    opened = open_folder(folder, config, passphrase)
    halted: list[str] = []
    stop = asyncio.Event()

    def halt(reason: str) -> None:
        halted.append(reason)
        stop.set()

    with lock_folder(folder.path):
        runtime, stores = build_runtime(opened, report, halt)
        node = RunningNode(config.name, runtime, opened.suite, opened.suites)
        await runtime.start()
        node.p2p_port = runtime.port
        node.http_port = config.http.port
        app = build_app(_site(opened, node))
        server = asyncio.create_task(serve(app, config.http.host, config.http.port))
        server.add_done_callback(lambda _: stop.set())
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        report("running", {"pid": os.getpid(), "p2p_port": node.p2p_port, "http_port": node.http_port})
        await _until_stopped(stop, lifeline)
        node.stopping = True
        report("stopping", {"reason": "; ".join(halted)})
        await _end(runtime, server, stores)
    return 1 if halted else 0


async def _end(runtime: Runtime, server: "asyncio.Task[None]", stores: Sequence[KeyValueStore]) -> None:
    """Stop serving, stop stepping, close the disks."""
    server.cancel()
    results = await asyncio.gather(server, return_exceptions=True)
    await runtime.stop()
    for store in stores:
        store.close()
    for result in results:
        if isinstance(result, Exception):
            raise result


def run(folder: MemberFolder, config: NodeConfig, *, passphrase: bytes, lifeline: int | None) -> int:
    """The process: on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(run_member(folder, config, passphrase=passphrase, lifeline=lifeline))
    return uvloop.run(run_member(folder, config, passphrase=passphrase, lifeline=lifeline))
