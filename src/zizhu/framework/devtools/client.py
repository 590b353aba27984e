"""One client process of the load generator: takes orders on stdin, reports on stdout, one JSON line each.

Decides how submissions go out: in batches, over all members in turn, as a closed loop at saturation (a batch, its
finality, the next batch) or an open loop at a given rate, whose latencies count from the moment a batch was due.
Refuses to know what is measured about the members. All load is signed by the order `sign`, before a clock starts.

"Busy" is obeyed: what was refused is sent again after the time the member named.
"""

import asyncio
import json
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from zizhu.chain.model.encoding import encode
from zizhu.chain.model.genesis import GenesisContract
from zizhu.chain.model.ids import LedgerId
from zizhu.framework.devtools.load import Press, Submission, make_signers
from zizhu.framework.devtools.wire import Connection
from zizhu.framework.devtools.workloads import Registrations, Transfers, Values, Workload
from zizhu.framework.sdk.keys import known_suite

SUBMIT = "/api/v1/transactions"
WAIT_MS = 30_000
RETRY_MS = 200
"""Wait after "busy" when a member names no time."""
SAMPLES_EACH_S = 25
"""Latencies that an open loop measures a second, at most."""


class _Error(msgspec.Struct):
    code: str
    retry_after_ms: int | None = None


class _Outcome(msgspec.Struct):
    error: _Error | None = None


class _Submitted(msgspec.Struct):
    outcomes: list[_Outcome]


class _Found(msgspec.Struct):
    state: str
    height: int | None = None


_submitted = msgspec.json.Decoder(_Submitted)
_found = msgspec.json.Decoder(_Found)


class Charge(msgspec.Struct, frozen=True):
    """What a client process is told at its start; `ledger` is hex, `urls` are (host, port) of the members,
    `workload` "transfer", "voucher" or "value"; ids of what was accepted are appended to `ids_path`, 32 bytes each."""

    suite: str
    ledger: str
    urls: list[tuple[str, int]]
    signers: int
    first_signer: int
    bundle: int
    seed: int
    ids_path: str
    workload: str
    accounts: int
    contract: str


@dataclass
class Tally:
    """What became of the load in one phase. `lost` are refusals other than "busy"."""

    accepted: int = 0
    busy: int = 0
    lost: list[str] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)


class Client:
    """The process. One load, one phase at a time."""

    def __init__(self, charge: Charge, workload: Workload) -> None:
        suite = known_suite(charge.suite)
        self._charge = charge
        self._signers = make_signers(suite, count=charge.signers, first=charge.first_signer)
        calls = workload.calls(suite, seed=charge.seed)
        self._press = Press(suite, LedgerId(bytes.fromhex(charge.ledger)), self._signers, charge.bundle, calls)
        self._load: deque[Submission] = deque()
        self._idle: list[Connection] = []
        self._dice = random.Random(charge.seed)
        self._ids_path = Path(charge.ids_path)
        self._ids: list[bytes] = []
        self._member = charge.seed

    async def obey(self, order: dict[str, object]) -> dict[str, object]:
        """Carry out one order and say how it went."""
        began, cpu = time.monotonic(), time.process_time()
        tally = Tally()
        match order["do"]:
            case "sign":
                self._load.extend(self._press.make(_int(order["count"])))
            case "closed":
                await self._closed(tally, batch=_int(order["batch"]), workers=_int(order["workers"]), until=order)
            case "open":
                await self._open(tally, rate=float(str(order["rate"])), batch=_int(order["batch"]), until=order)
            case "single":
                await self._single(tally, count=_int(order["count"]), pause_ms=_int(order["pause_ms"]))
            case other:
                raise AssertionError(f"order {other}")
        with self._ids_path.open("ab") as accepted:
            accepted.write(b"".join(self._ids))
        self._ids.clear()
        return {
            "load": sum(len(each.ids) for each in self._load),
            "seconds": time.monotonic() - began,
            "cpu_s": time.process_time() - cpu,
            "accepted": tally.accepted,
            "busy": tally.busy,
            "lost": tally.lost[:10],
            "latencies_ms": [round(each, 2) for each in tally.latencies_ms],
        }

    # -- phases ------------------------------------------------------------------------------------------------

    async def _closed(self, tally: Tally, *, batch: int, workers: int, until: dict[str, object]) -> None:
        """`workers` loops a member: a batch, its finality, the next."""
        ends = time.monotonic() + float(str(until["seconds"]))
        loops = [
            self._worker(tally, member, batch, ends) for member in range(len(self._charge.urls)) for _ in range(workers)
        ]
        await asyncio.gather(*loops)

    async def _worker(self, tally: Tally, member: int, batch: int, ends: float) -> None:
        while time.monotonic() < ends and self._load:
            began = time.monotonic()
            last = await self._push(tally, member, self._next(batch))
            await self._final(tally, member, last, began)

    async def _open(self, tally: Tally, *, rate: float, batch: int, until: dict[str, object]) -> None:
        """Batches at fixed times, whatever became of earlier ones."""
        began = time.monotonic()
        count = int(float(str(until["seconds"])) * rate / batch)
        each_s = batch / rate
        share = min(1.0, SAMPLES_EACH_S * each_s)
        under_way: list[asyncio.Task[None]] = []
        for number in range(count):
            due = began + number * each_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not self._load:
                break
            sampled = self._dice.random() < share
            under_way.append(asyncio.create_task(self._sent(tally, self._next(batch), due, sampled=sampled)))
        await asyncio.gather(*under_way)

    async def _sent(self, tally: Tally, batch: list[Submission], due: float, *, sampled: bool) -> None:
        self._member += 1
        member = self._member % len(self._charge.urls)
        last = await self._push(tally, member, batch)
        if sampled:
            await self._final(tally, member, last, due)

    async def _single(self, tally: Tally, *, count: int, pause_ms: int) -> None:
        """One submission at a time on an idle network."""
        for number in range(count):
            member = number % len(self._charge.urls)
            began = time.monotonic()
            last = await self._push(tally, member, self._next(1))
            await self._final(tally, member, last, began)
            await asyncio.sleep(pause_ms / 1000)

    # -- requests ----------------------------------------------------------------------------------------------

    def _next(self, transactions: int) -> list[Submission]:
        """The next submissions with at least so many transactions, or what is left."""
        found: list[Submission] = []
        while transactions > 0 and self._load:
            found.append(self._load.popleft())
            transactions -= len(found[-1].ids)
        return found

    async def _push(self, tally: Tally, member: int, batch: list[Submission]) -> Submission:
        """Hand in until all are accepted (or lost); returns the last one."""
        last = batch[-1]
        while batch:
            answer = await self._ask(member, SUBMIT, encode([each.raw for each in batch]))
            if answer[0] != 202:
                tally.busy += len(batch)
                await asyncio.sleep(RETRY_MS / 1000)
                continue
            outcomes = _submitted.decode(answer[1]).outcomes
            again: list[Submission] = []
            wait_ms = 0
            for submission, outcome in zip(batch, outcomes, strict=True):
                if outcome.error is None:
                    tally.accepted += len(submission.ids)
                    self._ids += submission.ids
                elif outcome.error.retry_after_ms is not None:
                    again.append(submission)
                    wait_ms = max(wait_ms, outcome.error.retry_after_ms)
                else:
                    tally.lost.append(outcome.error.code)
            tally.busy += len(again)
            batch = again
            if again:
                await asyncio.sleep(wait_ms / 1000)
        return last

    async def _final(self, tally: Tally, member: int, last: Submission, began: float) -> None:
        """Waits until a submission's last transaction is final at the member that took it."""
        status, body = await self._ask(member, f"{SUBMIT}/{last.ids[-1].hex()}?wait_ms={WAIT_MS}", None)
        if status == 200 and _found.decode(body).state == "final":
            tally.latencies_ms.append((time.monotonic() - began) * 1000)
        else:
            tally.lost.append(f"not final: {status}")

    async def _ask(self, member: int, path: str, body: bytes | None) -> tuple[int, bytes]:
        """One request on a kept connection of its own."""
        host, port = self._charge.urls[member]
        idle = next((each for each in self._idle if each.port == port), None)
        if idle is None:
            idle = Connection(host, port)
        else:
            self._idle.remove(idle)
        answer = await (idle.get(path) if body is None else idle.post(path, body))
        self._idle.append(idle)
        return answer.status, answer.body


def workload_of(charge: Charge) -> Workload:
    """The calls that a client makes; whoever founds the network has the contract's source, a client its name."""
    match charge.workload:
        case "transfer":
            return Transfers(charge.accounts)
        case "value":
            return Values(charge.accounts)
        case _:
            return _registrations(charge)


def _registrations(charge: Charge) -> Workload:
    return Registrations(GenesisContract(charge.contract, "script", b"", b""), "invoice", "sm3")


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


async def serve(charge: Charge, workload: Workload) -> None:
    """Obey orders until stdin ends."""
    client = Client(charge, workload)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        report = await client.obey(json.loads(line))
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()


def main() -> None:
    """The process: `python -m zizhu.framework.devtools.client CHARGE`, a charge in JSON."""
    charge = msgspec.json.decode(sys.argv[1], type=Charge)
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(charge, workload_of(charge)))
        return
    uvloop.run(serve(charge, workload_of(charge)))


if __name__ == "__main__":
    main()
