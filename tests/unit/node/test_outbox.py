"""The outbox: nothing behind a Persist leaves before it is durable, and a failing disk lets nothing leave."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from zizhu.chain.model.effects import Persist, Record
from zizhu.chain.model.errors import ErrorCode, OperatingFault
from zizhu.chain.node.events import Effect, Published
from zizhu.chain.node.outbox import Outbox, Written
from zizhu.chain.storage import port

FULL = ErrorCode("test.full", "the disk is full", "make room", "磁盘已满", "请清理")


class GatedLog:
    """A log whose sync waits until the test lets it through, and then succeeds or fails."""

    def __init__(self, *, fails: BaseException | None = None) -> None:
        self.gate = threading.Semaphore(0)
        self.appended: list[bytes] = []
        self.durable: list[bytes] = []
        self._fails = fails

    def append(self, records: Sequence[bytes]) -> list[int]:
        """Positions are counted from 0."""
        first = len(self.appended)
        self.appended += records
        return list(range(first, len(self.appended)))

    def sync(self) -> None:
        """Waits for the gate."""
        assert self.gate.acquire(timeout=10)
        if self._fails is not None:
            raise self._fails
        self.durable = list(self.appended)

    def read(self, position: int) -> bytes:
        """One record."""
        return self.appended[position]

    def records(self, start: int = 0) -> Iterator[port.Record]:
        """All records."""
        return (port.Record(at, data) for at, data in enumerate(self.appended) if at >= start)

    def forget_before(self, position: int) -> None:
        """Keeps all."""

    def close(self) -> None:
        """Nothing to close."""


class Witness:
    """Notes what left and what was durable then."""

    def __init__(self, log: GatedLog) -> None:
        self.log = log
        self.left: list[tuple[int, int]] = []
        self.written: Written = []
        self.failure = ""
        self.outbox = Outbox({"votes": log}, perform=self._perform, written=self._wrote, failed=self._failed)

    def _perform(self, effect: Effect) -> None:
        assert isinstance(effect, Published)
        self.left.append((effect.height, len(self.log.durable)))

    def _wrote(self, written: Written) -> None:
        self.written += written

    def _failed(self, error: BaseException) -> None:
        self.failure = error.code.code if isinstance(error, OperatingFault) else type(error).__name__


def persist(*records: bytes) -> Persist:
    """A barrier with these records."""
    return Persist(tuple(Record("votes", data) for data in records))


def test_effects_without_a_barrier_leave_at_once() -> None:
    """What stands behind no Persist is carried out within `put`."""

    async def play() -> None:
        witness = Witness(GatedLog())
        witness.outbox.put(Published(1))
        assert witness.left == [(1, 0)]
        witness.outbox.close()

    asyncio.run(play())


def test_nothing_behind_a_barrier_leaves_before_it_is_durable() -> None:
    """Each effect leaves in order, and only when every record in front of it is on the disk."""

    async def play() -> None:
        log = GatedLog()
        witness = Witness(log)
        witness.outbox.put(persist(b"a"))
        witness.outbox.put(Published(1))
        witness.outbox.put(persist(b"b", b"c"))
        witness.outbox.put(Published(2))
        assert witness.left == []
        log.gate.release()
        log.gate.release()
        await asyncio.wait_for(witness.outbox.drain(), 10)
        assert [height for height, _ in witness.left] == [1, 2]
        assert witness.left[0][1] >= 1
        assert witness.left[1][1] == 3
        assert [(record.data, position) for record, position in witness.written] == [(b"a", 0), (b"b", 1), (b"c", 2)]
        witness.outbox.close()

    asyncio.run(play())


def test_barriers_that_wait_are_written_as_one() -> None:
    """While one write is under way, any number of Persists behind it become one write and one sync."""

    async def play() -> None:
        log = GatedLog()
        witness = Witness(log)
        for number in range(10):
            witness.outbox.put(persist(bytes([number])))
            witness.outbox.put(Published(number))
        log.gate.release()
        log.gate.release()
        await asyncio.wait_for(witness.outbox.drain(), 10)
        assert witness.outbox.syncs == 2
        assert [height for height, _ in witness.left] == list(range(10))
        witness.outbox.close()

    asyncio.run(play())


@pytest.mark.row("P-7")
def test_a_failed_sync_lets_nothing_leave_ever() -> None:
    """A failed persist halts the node: what was held, and all that follows, never leaves."""

    async def play() -> None:
        log = GatedLog(fails=OperatingFault(FULL))
        witness = Witness(log)
        witness.outbox.put(persist(b"a"))
        witness.outbox.put(Published(1))
        log.gate.release()
        await asyncio.wait_for(witness.outbox.drain(), 10)
        witness.outbox.put(Published(2))
        assert witness.failure == "test.full"
        assert witness.left == []
        witness.outbox.close()

    asyncio.run(play())


def test_a_write_behind_the_log_that_fails_halts_too() -> None:
    """What is carried out behind a barrier (the state's batch, the index) may fail as the log may: then nothing
    further leaves, so that no later batch is written over the gap."""

    async def play() -> None:
        log = GatedLog()
        left: list[Effect] = []
        failures: list[BaseException] = []

        def perform(effect: Effect) -> None:
            if left:
                raise OperatingFault(FULL)
            left.append(effect)

        outbox = Outbox({"votes": log}, perform=perform, written=lambda _: None, failed=failures.append)
        outbox.put(persist(b"a"))
        for height in (1, 2, 3):
            outbox.put(Published(height))
        log.gate.release()
        await asyncio.wait_for(outbox.drain(), 10)
        outbox.put(Published(4))
        assert left == [Published(1)]
        assert [type(error) for error in failures] == [OperatingFault]
        outbox.close()

    asyncio.run(play())


def test_a_log_that_breaks_in_an_unforeseen_way_halts() -> None:
    """An error of no kind we know is told too: a node that went on would wait for its disk for ever."""

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
        log = GatedLog(fails=ValueError("what is this"))
        witness = Witness(log)
        witness.outbox.put(persist(b"a"))
        witness.outbox.put(Published(1))
        log.gate.release()
        await asyncio.wait_for(witness.outbox.drain(), 10)
        assert (witness.failure, witness.left) == ("ValueError", [])
        witness.outbox.close()

    asyncio.run(play())


def test_an_effect_that_breaks_when_it_is_released_halts() -> None:
    """A signer or a store that fails in an unforeseen way behind a barrier is told: a node that went on would look
    alive, and nothing would ever leave it."""

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
        log = GatedLog()
        witness = Witness(log)

        def breaks(effect: Effect) -> None:
            raise ValueError("no such key")

        witness.outbox = Outbox({"votes": log}, perform=breaks, written=witness._wrote, failed=witness._failed)
        witness.outbox.put(persist(b"a"))
        witness.outbox.put(Published(1))
        witness.outbox.put(Published(2))
        log.gate.release()
        await asyncio.wait_for(witness.outbox.drain(), 2)
        assert witness.failure == "ValueError"
        witness.outbox.close()

    asyncio.run(play())
