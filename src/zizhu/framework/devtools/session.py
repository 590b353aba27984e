"""One row of the bench: a network of its own, loaded, measured, stopped, audited.

Decides the order: found, start, prepare, sign, saturate in spans, half load, idle, stop, audit. What is counted is
read off the members' block logs after the end; processor time comes from the operating system.
"""

import asyncio
import itertools
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.errors import ErrorCode, OperatingFault
from zizhu.chain.model.ids import LedgerId
from zizhu.cloud.nodes.founding import Plan, found
from zizhu.cloud.nodes.network import Network, node_folder, read_passphrase_file
from zizhu.cloud.nodes.supervisor import Supervisor
from zizhu.framework.devtools import audit, processes, stages
from zizhu.framework.devtools.calibrate import Calibration, rung_of
from zizhu.framework.devtools.client import Charge
from zizhu.framework.devtools.load import Press, make_signers
from zizhu.framework.devtools.results import Latency, Row, Span
from zizhu.framework.devtools.wire import Connection
from zizhu.framework.devtools.workloads import Workload

CLIENTS = 2
PREPARER = 1 << 20
"""Number of the account that prepares the ledger: none of the load's."""
READY_WITHIN_S = 60.0
DRAIN_WITHIN_S = 60.0
POLL_S = 0.05

FAILED = ErrorCode(
    "bench.failed",
    "the bench could not go on: {reason}",
    "look at {directory}/nodes/NAME/console.log; run it again with --keep to keep the folder",
    "测量无法继续:{reason}",
    "请查看 {directory}/nodes/NAME/console.log;可用 --keep 保留文件夹后重试",
)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to measure. `expected_tps` says how much load is signed; `rate` 0 means half of what was measured."""

    suite: Suite
    workload: Workload
    bundle: int = 1
    accounts: int = 100_000
    signers: int = 1_000
    spans: int = 3
    span_s: float = 8.0
    warm_s: float = 4.0
    half_s: float = 10.0
    idle_count: int = 60
    expected_tps: int = 5_000
    rate: float = 0.0
    batch: int = 250
    workers: int = 2
    open_batch: int = 25
    members: int = 4
    engine: str = "pbft"
    parameters: Parameters = Parameters()
    profile: bool = False
    keep: Path | None = None


@dataclass(frozen=True)
class Mark:
    """A moment: wall clock in ms, and the processor seconds used so far by members and by clients."""

    wall_ms: int
    members_s: float
    clients_s: float


class ClientProcess:
    """A client process and the pipe of orders to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def order(self, **what: object) -> dict[str, object]:
        """Send an order; returns the report. Raises OperatingFault (`bench.failed`)."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise OperatingFault(FAILED, reason="a client process ended", directory="")
        report: dict[str, object] = json.loads(line)
        return report

    async def end(self) -> None:
        """Close its stdin; it ends by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Session:
    """A running network under load. Made by `measure`."""

    def __init__(self, order: Order, directory: Path, network: Network, say: Callable[[str], None]) -> None:
        self.order = order
        self.directory = directory
        self.network = network
        self.say = say
        names = [place.name for place in network.members]
        self._supervisor = Supervisor(
            directory,
            names,
            passphrase=read_passphrase_file(directory),
            restart=False,
            watcher=self._watch,
        )
        self._died: list[str] = []
        self._clients: list[ClientProcess] = []
        self._connections = {place.name: Connection("127.0.0.1", place.http_port) for place in network.members}

    # -- members -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start members and clients; returns when every member has a block."""
        await self._supervisor.start()
        await self._until(lambda said: all(_number(each, "height") >= 1 for each in said), READY_WITHIN_S)
        for number in range(CLIENTS):
            self._clients.append(ClientProcess(await self._spawn(number)))

    async def stop(self) -> None:
        """Stop everything that was started."""
        for client in self._clients:
            await client.end()
        for connection in self._connections.values():
            connection.close()
        await self._supervisor.stop()

    def pids(self) -> list[int]:
        """Process ids of the members, in order."""
        return [self._supervisor.pid(place.name) for place in self.network.members]

    async def statuses(self) -> list[dict[str, object]]:
        """What each member says of itself."""
        found = []
        for place in self.network.members:
            answer = await self._connections[place.name].get("/api/v1/status")
            said: dict[str, object] = json.loads(answer.body)
            found.append(said)
        return found

    def _watch(self, name: str, what: str, pid: int) -> None:
        del pid
        if what == "died":
            self._died.append(name)

    async def _until(self, holds: Callable[[list[dict[str, object]]], bool], within_s: float) -> None:
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            try:
                if holds(await self.statuses()):
                    return
            except OperatingFault:
                pass  # not listening yet
            if self._died:
                reason = f"{', '.join(self._died)} died"
                raise OperatingFault(FAILED, reason=reason, directory=self.directory)
            await asyncio.sleep(POLL_S)
        raise OperatingFault(FAILED, reason=f"the members were not ready in {within_s:.0f} s", directory=self.directory)

    async def drained(self) -> None:
        """Returns when nothing waits and all members are at one height."""

        def empty(said: list[dict[str, object]]) -> bool:
            heights = dict.fromkeys(_number(each, "height") for each in said)
            return len(heights) == 1 and not any(_number(each, "pool_transactions") for each in said)

        await self._until(empty, DRAIN_WITHIN_S)

    def mark(self) -> Mark:
        """Now."""
        members = sum(processes.cpu_s(pid) for pid in self.pids())
        clients = sum(processes.cpu_s(client.pid) for client in self._clients)
        return Mark(time.time_ns() // 1_000_000, members, clients)

    # -- load --------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """What the workload needs on the ledger, made final."""
        order = self.order
        signers = [signer.id for signer in make_signers(order.suite, count=order.signers)]
        calls = order.workload.preparation(order.suite, signers)
        ledger = LedgerId(bytes.fromhex(self.network.ledger))
        press = Press(order.suite, ledger, make_signers(order.suite, count=1, first=PREPARER), 1, iter(()))
        connection = self._connections[self.network.members[0].name]
        for call in calls:
            made = press.one(call)
            await connection.post("/api/v1/transactions", encode([made.raw]))
            answer = await connection.get(f"/api/v1/transactions/{made.ids[0].hex()}?wait_ms=30000")
            said = json.loads(answer.body)
            if said.get("state") != "final" or said["receipt"]["status"] != "succeeded":
                raise OperatingFault(FAILED, reason=f"preparing gave {answer.body[:300]!r}", directory=self.directory)

    async def sign(self, transactions: int) -> None:
        """Let the clients sign so much load between them."""
        await self.all_clients(do="sign", count=transactions // CLIENTS)

    async def all_clients(self, **what: object) -> list[dict[str, object]]:
        """One order to all clients at once."""
        return list(await asyncio.gather(*(client.order(**what) for client in self._clients)))

    async def first_client(self, **what: object) -> dict[str, object]:
        """An order to one client."""
        return await self._clients[0].order(**what)

    def ids(self) -> bytes:
        """Ids of everything that clients were told was accepted."""
        return b"".join(self._ids_path(number).read_bytes() for number in range(CLIENTS))

    def _ids_path(self, number: int) -> Path:
        return self.directory / f"accepted-{number}"

    async def _spawn(self, number: int) -> asyncio.subprocess.Process:
        order = self.order
        each = order.signers // CLIENTS
        charge = Charge(
            suite=order.suite.name,
            ledger=self.network.ledger,
            urls=[("127.0.0.1", place.http_port) for place in self.network.members],
            signers=each,
            first_signer=number * each,
            bundle=order.bundle,
            seed=number + 1,
            ids_path=str(self._ids_path(number)),
            workload=order.workload.name,
            accounts=order.accounts,
            contract=order.workload.contract().name,
        )
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "zizhu.framework.devtools.client",
            msgspec.json.encode(charge).decode(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )


def measure(order: Order, say: Callable[[str], None]) -> Row:
    """Measure one row. Raises OperatingFault (`bench.failed`); an invalid run is a row that says so."""
    if order.profile:
        stages.sampler()
    directory = Path(tempfile.mkdtemp(prefix="zizhu-bench-")) if order.keep is None else order.keep
    try:
        plan = Plan(
            "bench", order.members, order.suite, order.engine, 0, (order.workload.contract(),), order.parameters
        )
        network = found(directory / "network", plan, lambda _: None)
        return asyncio.run(_measure(order, directory / "network", network, say))
    finally:
        if order.keep is None:
            shutil.rmtree(directory, ignore_errors=True)


async def _measure(order: Order, directory: Path, network: Network, say: Callable[[str], None]) -> Row:
    session = Session(order, directory, network, say)
    data = [node_folder(directory, place.name) / "data" for place in network.members]
    try:
        say("starting the members")
        await session.start()
        say("preparing the ledger")
        await session.prepare()
        saturated = await _saturate(session, data)
        half = await _half(session, saturated)
        idle = await _idle(session)
        said = await session.statuses()
        resident = [processes.resident_bytes(pid) for pid in session.pids()]
    finally:
        await session.stop()
    say("reading the logs")
    chains = [audit.read_chain(folder, order.suite) for folder in data]
    verified = [_number(each, "signatures_verified") for each in said]
    spans = _spans(saturated.marks, chains[0])
    transactions = sum(each.count for each in chains[0].heights)
    return Row(
        suite=order.suite.name,
        workload=order.workload.name,
        bundle=order.bundle,
        accounts=order.accounts,
        signers=order.signers,
        members=order.members,
        engine=order.engine,
        rung=rung_of(order.suite),
        verification_us=round(saturated.verification_us, 2),
        verification_quiet_us=round(saturated.verification_quiet_us, 2),
        spans=spans,
        saturated=saturated.latency,
        stages=saturated.stages,
        half=half,
        idle=idle,
        resident_bytes=resident,
        disk_bytes_per_transaction=round(saturated.disk_bytes / max(1, saturated.committed(chains[0])), 1),
        transactions=transactions,
        blocks=len(chains[0].heights),
        signatures_in_chain=sum(each.signatures for each in chains[0].heights),
        signatures_verified=verified,
        faults=[*audit.faults(chains, session.ids(), verified), *saturated.faults, *half.faults, *idle.faults],
        machine=processes.machine(),
        when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


@dataclass(frozen=True)
class Saturated:
    """The phase at saturation: marks between its spans, latencies, what the disks of all members took."""

    marks: list[Mark]
    latency: Latency
    disk_bytes: int
    disk_from_ms: int
    disk_to_ms: int
    tps: float
    verification_us: float
    verification_quiet_us: float
    stages: dict[str, float]
    faults: list[str]

    def committed(self, chain: audit.Chain) -> int:
        """Transactions committed while the disks were watched."""
        return sum(each.count for each in chain.heights if self.disk_from_ms <= each.time_ms < self.disk_to_ms)


async def _saturate(session: Session, data: Sequence[Path]) -> Saturated:
    """Warm up, then spans under a closed loop; the clock runs only while there is load."""
    order = session.order
    seconds = order.warm_s + order.spans * order.span_s + (order.span_s if order.profile else 0)
    calibration = Calibration(order.suite)
    quiet_us = calibration.sample()
    session.say("signing the load")
    await session.sign(int(order.expected_tps * (seconds + 2)))
    session.say(f"saturating for {seconds:.0f} s")
    disk_from_ms, disk_before = time.time_ns() // 1_000_000, sum(processes.folder_bytes(each) for each in data)
    running = asyncio.create_task(
        session.all_clients(do="closed", batch=order.batch, workers=order.workers, seconds=seconds)
    )
    await asyncio.sleep(order.warm_s)
    marks = [session.mark()]
    loaded_us = []
    for _ in range(order.spans):
        await asyncio.sleep(order.span_s / 2)
        loaded_us.append(await asyncio.to_thread(calibration.sample))
        await asyncio.sleep(max(0.0, marks[-1].wall_ms / 1000 + order.span_s - time.time()))
        marks.append(session.mark())
    found = await stages.sample(session.pids(), order.span_s, session.directory) if order.profile else {}
    reports = await running
    await session.drained()
    disk_to_ms, disk_after = time.time_ns() // 1_000_000, sum(processes.folder_bytes(each) for each in data)
    trouble = []
    if any(report["load"] == 0 for report in reports):
        trouble.append("the load ran out; sign more (expected_tps)")
    accepted = sum(_number(report, "accepted") for report in reports)
    return Saturated(
        marks=marks,
        latency=Latency.of(reports),
        disk_bytes=disk_after - disk_before,
        disk_from_ms=disk_from_ms,
        disk_to_ms=disk_to_ms,
        tps=accepted / seconds,
        verification_us=statistics.median(loaded_us),
        verification_quiet_us=quiet_us,
        stages=found,
        faults=trouble,
    )


async def _half(session: Session, saturated: Saturated) -> Latency:
    """An open loop at half of the measured rate (or at the rate asked for)."""
    order = session.order
    if not order.half_s:
        return Latency()
    rate = order.rate or saturated.tps / 2
    session.say(f"half load: {rate:.0f} TPS for {order.half_s:.0f} s")
    await session.sign(int(rate * order.half_s) + 1_000)
    batch = max(order.open_batch, order.bundle)
    before = session.mark()
    reports = await session.all_clients(do="open", rate=rate / CLIENTS, batch=batch, seconds=order.half_s)
    await session.drained()
    return Latency.of(reports, rate=rate, members_s=session.mark().members_s - before.members_s)


async def _idle(session: Session) -> Latency:
    """Single submissions on an idle network."""
    order = session.order
    if not order.idle_count:
        return Latency()
    session.say("idle: one at a time")
    await session.sign(CLIENTS * order.idle_count * order.bundle)
    before = session.mark()
    report = await session.first_client(do="single", count=order.idle_count, pause_ms=30)
    await session.drained()
    return Latency.of([report], members_s=session.mark().members_s - before.members_s)


def _spans(marks: list[Mark], chain: audit.Chain) -> list[Span]:
    """TPS and processor time of each span, counted on block times."""
    found = []
    for start, end in itertools.pairwise(marks):
        blocks = [each.count for each in chain.heights if start.wall_ms <= each.time_ms < end.wall_ms]
        count = sum(blocks)
        seconds = (end.wall_ms - start.wall_ms) / 1000
        found.append(
            Span(
                seconds=round(seconds, 3),
                transactions=count,
                blocks=len(blocks),
                tps=round(count / seconds, 1),
                members_us=round((end.members_s - start.members_s) * 1e6 / max(1, count), 1),
                clients_us=round((end.clients_s - start.clients_s) * 1e6 / max(1, count), 1),
            )
        )
    return found


def _number(said: dict[str, object], key: str) -> int:
    value = said[key]
    assert isinstance(value, int)
    return value
