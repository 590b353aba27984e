"""A fault of our own stops the node, whatever kind of exception it shows itself as."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from zizhu.chain.consensus import port
from zizhu.chain.consensus.certificate import electorate
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.model.ids import Instant, MemberId
from zizhu.chain.network import messages
from zizhu.chain.network.port import LinkStatus, Listener
from zizhu.chain.network.wire import Wire
from zizhu.chain.node.machine import NodeMachine
from zizhu.chain.node.runtime import Parts, Runtime
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


@pytest.mark.parametrize("error", [AssertionError("so"), KeyError("so"), IndexError("so")])
def test_any_exception_out_of_step_halts(error: Exception) -> None:
    """The effects of the step are lost, so nothing is stepped any more and the process is told to stop."""

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
        ledger = fakes.new_ledger()
        archive = BlockArchive(MemoryLog(), MemoryStore("index"), suite=suite)
        voters = electorate(suite, ledger.ledger_id, fakes.genesis().genesis.record)
        engine = Broken(error)
        machine = NodeMachine(me=fakes.MEMBER_IDS[0], voters=voters, ledger=ledger, archive=archive, consensus=engine)
        halted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        parts = Parts(
            machine=machine,
            logs={"blocks": MemoryLog(), "votes": MemoryLog()},
            index=MemoryStore("index"),
            state=MemoryStore("state"),
            transport=Nowhere(),
            wire=Wire(messages.MESSAGES),
            suites=fakes.SUITES,
            sign=lambda message: bytes(64),
            report=lambda fact, values: None,
            halt=halted.set_result,
        )
        runtime = Runtime(parts)
        await runtime.start()
        assert "so" in await asyncio.wait_for(halted, 10)
        await runtime.stop()
        assert engine.steps == 1

    asyncio.run(play())
