"""The driver: a fault of our own stops the node, and what waits is bounded."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest

from zizhu.chain.consensus import port
from zizhu.chain.consensus.certificate import electorate
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import Instant, MemberId
from zizhu.chain.network import messages
from zizhu.chain.network.port import LinkStatus, Listener
from zizhu.chain.network.wire import Wire
from zizhu.chain.node.machine import NodeMachine
from zizhu.chain.node.runtime import GOSSIP_WAITING_MAX, Parts, Reporter, Runtime
from zizhu.chain.storage.memory.log import MemoryLog
from zizhu.chain.storage.memory.store import MemoryStore
from zizhu.framework.testkit.fakes import ledger as fakes
from zizhu.framework.testkit.fakes.suite import suite


class Broken:
    """An engine with a fault of its own: its first step raises."""

    messages: tuple[type[msgspec.Struct], ...] = ()

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.steps = 0

    def step(self, now: Instant, event: port.Event) -> Sequence[port.Effect]:
        self.steps += 1
        raise self.error

    def status(self) -> port.EngineStatus:
        return port.EngineStatus("broken", 0, True, fakes.MEMBER_IDS[1], True, "")

    def remembered(self) -> tuple[bytes, ...]:
        return ()


class Nowhere:
    """A transport without peers."""

    address = ("127.0.0.1", 0)

    async def start(self, listener: Listener) -> None: ...

    def send(self, peer: MemberId, frame: bytes, *, urgent: bool) -> None: ...

    def pause(self, peer: MemberId) -> None: ...

    def resume(self, peer: MemberId) -> None: ...

    def links(self) -> tuple[LinkStatus, ...]:
        return ()

    async def close(self) -> None: ...


class Idle(Broken):
    """An engine that wants nothing."""

    def step(self, now: Instant, event: port.Event) -> Sequence[port.Effect]:
        self.steps += 1
        return ()


def _runtime(engine: Broken, *, report: Reporter, halt: Callable[[str], None]) -> Runtime:
    ledger = fakes.new_ledger()
    archive = BlockArchive(MemoryLog(), MemoryStore("index"), suite=suite)
    voters = electorate(suite, ledger.ledger_id, fakes.genesis().genesis.record)
    machine = NodeMachine(me=fakes.MEMBER_IDS[0], voters=voters, ledger=ledger, archive=archive, consensus=engine)
    return Runtime(
        Parts(
            machine=machine,
            logs={"blocks": MemoryLog(), "votes": MemoryLog()},
            index=MemoryStore("index"),
            state=MemoryStore("state"),
            transport=Nowhere(),
            wire=Wire(messages.MESSAGES),
            suites=fakes.SUITES,
            sign=lambda message: bytes(64),
            report=report,
            halt=halt,
        )
    )


@pytest.mark.parametrize("error", [AssertionError("so"), KeyError("so"), IndexError("so")])
def test_any_exception_out_of_step_halts(error: Exception) -> None:
    """The effects of the step are lost, so nothing is stepped any more and the process is told to stop."""

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
        engine = Broken(error)
        halted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        runtime = _runtime(engine, report=lambda fact, values: None, halt=halted.set_result)
        await runtime.start()
        assert "so" in await asyncio.wait_for(halted, 10)
        await runtime.stop()
        assert engine.steps == 1

    asyncio.run(play())


def test_gossip_that_waits_is_bounded_and_room_comes_back() -> None:
    """GOSSIP_WAITING_MAX messages wait; more are dropped with a report that names the peer, votes are not, and once
    the queue is read there is room again."""

    async def play() -> None:
        facts: list[tuple[str, object]] = []
        runtime = _runtime(
            Idle(AssertionError()),
            report=lambda fact, values: facts.append((fact, values.get("peer"))),
            halt=lambda reason: pytest.fail(reason),
        )
        await runtime.start()
        await asyncio.sleep(0)
        peer = fakes.MEMBER_IDS[1]
        gossip = encode(messages.Gossip([fakes.Chain().call(fakes.ACCOUNTS[0], 1, "echo", 1)]))
        facts.clear()
        for _ in range(GOSSIP_WAITING_MAX):
            runtime.frame_received(peer, gossip)
        assert facts == []
        runtime.frame_received(peer, gossip)
        assert facts == [("gossip_dropped", peer.hex())]
        runtime.frame_received(peer, encode(messages.Status(0, 0, True, 0, bytes(32))))
        assert len(facts) == 1
        async with asyncio.timeout(20):
            while runtime.verifying.calm or not runtime.machine.pool.waiting:
                await asyncio.sleep(0)
        runtime.frame_received(peer, gossip)
        assert [fact for fact, _ in facts].count("gossip_dropped") == 1
        await runtime.stop()

    asyncio.run(play())
