"""The driver of a node in production: one queue, one task that steps, one writer, one heap of timers.

Decides nothing of the protocol. Carries out effects as `node.events` says, and is the one place that reads the
clock. Signatures of clients are verified inline in bounded slices: a thread beside a busy loop is slower.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.effects import Persist, Report, Send, SetTimer, Sign
from zizhu.chain.model.errors import SpokeWrongly, ZizhuError
from zizhu.chain.model.ids import Instant, MemberId
from zizhu.chain.network.messages import CertifiedBlocks, Gossip
from zizhu.chain.network.port import Transport
from zizhu.chain.network.wire import Wire
from zizhu.chain.node.desk import ClientDesk
from zizhu.chain.node.events import (
    Answer,
    Asked,
    Effect,
    Event,
    Keep,
    LinkChanged,
    Published,
    Received,
    Signed,
    Started,
    Stopping,
    Submit,
    TimerFired,
    Verify,
)
from zizhu.chain.node.machine import NodeMachine
from zizhu.chain.node.outbox import Outbox, Written
from zizhu.chain.node.verifying import Verifying
from zizhu.chain.storage.port import KeyValueStore, Log

STEP_SLICE_MS = 5
"""How long the queues are worked on before sockets get a turn again."""
GOSSIP_WAITING_MAX = 512
"""Gossip messages that wait to be read; more are dropped, and what was in them is fetched when it is proposed."""

Reporter = Callable[[str, dict[str, object]], None]


@dataclass(frozen=True)
class Parts:
    """What a runtime drives a machine with. `sign` signs 32 bytes with the member's voting key; `report` takes
    facts; `halt` is told why the node must stop. `clock_offset_ms` shifts the wall clock (tests)."""

    machine: NodeMachine
    logs: dict[str, Log]
    index: KeyValueStore
    state: KeyValueStore
    transport: Transport
    wire: Wire
    suites: Mapping[int, Suite]
    sign: Callable[[bytes], bytes]
    report: Reporter
    halt: Callable[[str], None]
    clock_offset_ms: int = 0


class Runtime:
    """One running node. Everything in it happens on one event loop, except the writer's thread."""

    def __init__(self, parts: Parts) -> None:
        self.machine = parts.machine
        self.desk = ClientDesk(self.post, parts.machine.ledger.head.height)
        self._parts = parts
        self._events: deque[Event] = deque()
        self._bulk: deque[Event] = deque()
        self._gossip_waiting = 0
        self._scheduled = False
        self._stopped = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.verifying = Verifying(parts.suites)
        self._outbox = Outbox(parts.logs, perform=self._perform, written=self._index_blocks, failed=self._disk_failed)

    async def start(self) -> None:
        """Open the links and begin. Raises OperatingFault (`network.listen`)."""
        await self._parts.transport.start(self)
        self.post(Started())

    async def stop(self) -> None:
        """Let the machine say its last words, stop stepping, let what was decided become durable, close the links."""
        if not self._stopped:
            self._step(Stopping())
        self._stopped = True
        for handle in self._timers.values():
            handle.cancel()
        await self._outbox.drain()
        self._outbox.close()
        await self._parts.transport.close()

    @property
    def port(self) -> int:
        """Where this member listens for others; whole after `start`."""
        return self._parts.transport.address[1]

    # -- the queue ---------------------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """Put an event into its queue; it is stepped soon. Consensus never waits behind what clients hand in."""
        if self._stopped:
            return
        if _is_bulk(event):
            self._bulk.append(event)
        else:
            self._events.append(event)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def now(self) -> Instant:
        """The one place where a node reads the clock."""
        wall_ms = time.time_ns() // 1_000_000 + self._parts.clock_offset_ms
        return Instant(time.monotonic_ns() // 1_000_000, wall_ms)

    def _work(self) -> None:
        """Step what waits, for a bounded while."""
        self._scheduled = False
        until_ms = time.monotonic_ns() // 1_000_000 + STEP_SLICE_MS
        while not self._stopped:
            if self._events:
                self._step(self._events.popleft())
            elif self.verifying.urgent:
                self._events.extend(self.verifying.turn())
            elif self._bulk:
                self._step_bulk()
            elif self.verifying.calm:
                self._events.extend(self.verifying.turn())
            else:
                return
            if time.monotonic_ns() // 1_000_000 >= until_ms:
                break
        if not self._stopped and (self._events or self._bulk or self.verifying.urgent or self.verifying.calm):
            self._schedule()

    def _step_bulk(self) -> None:
        event = self._bulk.popleft()
        if isinstance(event, Received):
            self._gossip_waiting -= 1
        self._step(event)

    def _step(self, event: Event) -> None:
        try:
            effects = self.machine.step(self.now(), event)
        except Exception as error:
            # Whatever comes out of `step` is our own fault, and its effects are lost: no vote may follow.
            self._halt(f"a fault of our own: {type(error).__name__}: {error}")
            raise
        for effect in effects:
            self._effect(effect)

    def _effect(self, effect: Effect) -> None:
        match effect:
            case SetTimer():
                self._set_timer(effect.name, effect.after_ms)
            case Verify():
                self.verifying.put(effect)
            case Report():
                self._parts.report(effect.fact, effect.values)
            case _:
                self._outbox.put(effect)

    def _perform(self, effect: Effect) -> None:
        """Carry out an effect that was held, or had no need to be."""
        match effect:
            case Send():
                frame = self._parts.wire.encode(effect.message)
                urgent = not isinstance(effect.message, Gossip | CertifiedBlocks)
                for peer in effect.peers:
                    self._parts.transport.send(peer, frame, urgent=urgent)
            case Sign():
                self.post(Signed(effect.purpose, self._parts.sign(effect.message)))
            case Answer():
                self.desk.answer(effect.client, effect.reply)
            case Keep():
                self._parts.state.write(effect.batch, durable=False)
            case Published():
                self.desk.publish(effect.height)
            case Persist() | SetTimer() | Verify() | Report():
                raise AssertionError("this effect is never held")

    def _set_timer(self, name: str, after_ms: int | None) -> None:
        handle = self._timers.pop(name, None)
        if handle is not None:
            handle.cancel()
        if after_ms is not None and not self._stopped:
            self._timers[name] = asyncio.get_running_loop().call_later(after_ms / 1000, self._fire, name)

    def _fire(self, name: str) -> None:
        self._timers.pop(name, None)
        self.post(TimerFired(name))

    # -- disk --------------------------------------------------------------------------------------------------

    def _index_blocks(self, written: Written) -> None:
        changes = []
        for record, position in written:
            if record.log == "blocks":
                changes += self.machine.archive.index_changes(position, record.data)
        if changes:
            self._parts.index.write(changes, durable=False)

    def _disk_failed(self, error: BaseException) -> None:
        self._halt(str(error) or type(error).__name__)

    def _halt(self, reason: str) -> None:
        self._stopped = True
        self._parts.report("halted", {"reason": reason})
        self._parts.halt(reason)

    # -- the transport tells -----------------------------------------------------------------------------------

    def frame_received(self, peer: MemberId, frame: bytes) -> None:
        """A frame of a member: decoded once, or the member is named."""
        try:
            message: msgspec.Struct = self._parts.wire.decode(frame)
        except SpokeWrongly as error:
            self._parts.report("peer_fault", {"peer": peer.hex(), "rule": error.code.code, "text": str(error)})
            return
        if isinstance(message, Gossip):
            if self._gossip_waiting >= GOSSIP_WAITING_MAX:
                self._parts.report("gossip_dropped", {"peer": peer.hex(), "submissions": len(message.submissions)})
                return
            self._gossip_waiting += 1
        self.post(Received(peer, message))

    def link_changed(self, peer: MemberId, *, up: bool) -> None:
        """A link came up or broke."""
        self._parts.report("link", {"peer": peer.hex(), "up": up})
        self.post(LinkChanged(peer, up))

    def link_refused(self, peer: MemberId | None, error: ZizhuError) -> None:
        """A connection came to nothing."""
        self._parts.report("link_refused", {"peer": "" if peer is None else peer.hex(), "error": str(error)})


def _is_bulk(event: Event) -> bool:
    """Whether an event only brings submissions: those wait behind everything that the members agree by."""
    if isinstance(event, Received):
        return isinstance(event.message, Gossip)
    return isinstance(event, Asked) and isinstance(event.request, Submit)
