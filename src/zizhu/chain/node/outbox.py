"""The order in which effects leave a node: nothing behind a Persist goes out before it is durable.

Decides what is held and when it is released. Several Persists that wait are written and synced as one. A write
or a sync that fails halts the node: nothing that was held behind it ever leaves.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from zizhu.chain.model.effects import Persist, Record
from zizhu.chain.model.errors import OperatingFault
from zizhu.chain.node.events import Effect
from zizhu.chain.storage.port import Log

Written = list[tuple[Record, int]]
"""Records that are durable now, with their positions, in order."""


class Outbox:
    """Held effects of one node, and the one thread that writes its logs.

    `perform` carries out an effect that may leave. `written` is told what became durable. `failed` is told that
    the disk gave up, or that writing failed in a way nobody foresaw; nothing leaves after that.
    """

    def __init__(
        self,
        logs: dict[str, Log],
        *,
        perform: Callable[[Effect], None],
        written: Callable[[Written], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._logs = logs
        self._perform = perform
        self._written = written
        self._failed = failed
        self._held: deque[Effect] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="zizhu-writer")
        self._writing = False
        self._durable = 0
        self._halted = False
        self._emptied = asyncio.Event()
        self.syncs = 0

    def put(self, effect: Effect) -> None:
        """An effect that may be held, in its order."""
        if self._halted:
            return
        if isinstance(effect, Persist):
            self._held.append(effect)
            self._write()
        elif self._held:
            self._held.append(effect)
        else:
            self._perform(effect)

    async def drain(self) -> None:
        """Returns once everything put so far has left (or the disk gave up)."""
        self._emptied.clear()
        if self._held and not self._halted:
            await self._emptied.wait()

    def close(self) -> None:
        """Waits for a write under way, and ends the thread."""
        self._thread.shutdown(wait=True)

    def _write(self) -> None:
        if self._writing or self._halted:
            return
        waiting = [effect for effect in self._held if isinstance(effect, Persist)]
        if not waiting:
            return
        self._writing = True
        self._durable = len(waiting)
        records = [record for effect in waiting for record in effect.records]
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._append, records)
        future.add_done_callback(self._done)

    def _append(self, records: list[Record]) -> Written:
        """In the writer's thread: append and sync each log that got records."""
        written: Written = []
        for name, log in self._logs.items():
            mine = [record for record in records if record.log == name]
            if mine:
                positions = log.append([record.data for record in mine])
                log.sync()
                written += zip(mine, positions, strict=True)
        return written

    def _done(self, future: "asyncio.Future[Written]") -> None:
        self._writing = False
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._give_up(error)
            return
        self.syncs += 1
        try:
            self._written(future.result())
            self._release()
        except Exception as fault:
            # The state or the index could not be written: what is behind it in the log is only safe as long as
            # nothing else is written over the gap. Whatever else broke: the rest would be held for ever.
            self._give_up(fault)
            return
        self._write()
        if not self._held:
            self._emptied.set()

    def _give_up(self, error: BaseException) -> None:
        """Nothing leaves any more, whatever went wrong; the node is told and stops."""
        self._halted = True
        self._held.clear()
        self._emptied.set()
        self._failed(error)
        if not isinstance(error, OperatingFault):
            raise error

    def _release(self) -> None:
        """Let go of what stood behind the Persists that are durable now, up to the next one."""
        while self._held:
            effect = self._held[0]
            if isinstance(effect, Persist):
                if not self._durable:
                    return
                self._durable -= 1
                self._held.popleft()
            else:
                self._held.popleft()
                self._perform(effect)
