"""The simulator's driver of one member: its machine, disk, clock, timers and signer.

Decides what a real driver decides (see node.events): what is held behind a Persist, when it leaves, and what a
crash takes away. Refuses to know the protocol.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.effects import Persist, Report, Send, SetTimer, Sign
from zizhu.chain.model.errors import ZizhuError
from zizhu.chain.model.ids import Instant, MemberId
from zizhu.chain.node import events
from zizhu.chain.node.events import Answer, Effect, Event, Keep, Published, Verify
from zizhu.framework.testkit.fakes.disk import FakeDisk, FakeLog

if TYPE_CHECKING:
    from zizhu.framework.testkit.simulator import Simulation


class Machine(Protocol):
    """What a driver drives."""

    def step(self, now: Instant, event: Event) -> Sequence[Effect]: ...


@dataclass
class Clock:
    """A member's clocks: `wall_offset_us` off the true time, running `rate_ppm` millionths fast."""

    wall_offset_us: int = 0
    rate_ppm: int = 0
    start_us: int = 0

    def local_us(self, true_us: int) -> int:
        """Microseconds that this clock counts while `true_us` pass."""
        return true_us + true_us * self.rate_ppm // 1_000_000

    def true_us(self, local_us: int) -> int:
        """How long `local_us` of this clock really take."""
        return local_us - local_us * self.rate_ppm // 1_000_000


@dataclass(frozen=True)
class Speed:
    """How quick a member's disk and processors are, in microseconds."""

    sync_us_min: int = 200
    sync_us_spread: int = 2_000
    sign_us_spread: int = 500
    verify_us_spread: int = 1_500


class SimulatedMember:
    """One member of a simulation. `machine` is None while it is down."""

    def __init__(self, world: "Simulation", position: int, id_: MemberId) -> None:
        self.world = world
        self.position = position
        self.id = id_
        self.name = f"node{position + 1}"
        self.machine: Machine | None = None
        self.disk = FakeDisk()
        self.clock = Clock()
        self.speed = Speed()
        self.life = 0
        self.stopped = ""
        self.steps = 0
        self.cut_next = False
        self._timers: dict[str, int] = {}
        self._timer_count = 0
        self._held: deque[Effect] = deque()
        self._writing = 0

    # -- life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Boot the machine from the disk and tell it that it runs."""
        assert self.machine is None
        self.life += 1
        self.logs: dict[str, FakeLog] = {name: self.disk.log(name) for name in ("votes", "blocks")}
        self.state = self.disk.store("state")
        self.index = self.disk.store("index")
        self.machine = self.world.boot(self)
        self.world.checkers.booted(self)
        self.handle(events.Started())
        for peer in self.world.members:
            if peer.id != self.id and peer.machine is not None and self.machine is not None:
                self.handle(events.LinkChanged(peer.id, up=True))

    def crash(self, *, tear: bool) -> None:
        """Power loss: everything in memory is gone, and what was not synced (all, or `tear`: a random tail)."""
        if self.machine is None:
            return
        self.life += 1
        self.machine = None
        self._timers.clear()
        self._held.clear()
        self._writing = 0
        self.disk.crash(self.world.generator.randrange if tear else None)
        self.world.note(self, "crash")
        self.world.checkers.crashed(self)

    def now(self) -> Instant:
        """What this member's clocks show."""
        local = self.clock.local_us(self.world.heap.now_us)
        wall = self.world.wall_start_ms * 1000 + local + self.clock.wall_offset_us
        return Instant(local // 1000, wall // 1000)

    # -- events and effects ------------------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """Step the machine and carry out what it asks, in order."""
        machine = self.machine
        if machine is None:
            return
        world = self.world
        self.steps += 1
        world.seen(self, event)
        effects = machine.step(self.now(), event)
        cut = world.cut_at(self, len(effects))
        for index, effect in enumerate(effects):
            if index == cut:
                break
            self._act(effect)
        if cut is not None:
            world.crash_member(self)
            return
        world.checkers.stepped(self)

    def _act(self, effect: Effect) -> None:
        if isinstance(effect, SetTimer):
            self._set_timer(effect.name, effect.after_ms)
        elif isinstance(effect, Report):
            self.world.reported(self, effect)
        elif isinstance(effect, Persist):
            self.world.checkers.issued(self, effect)
            self._held.append(effect)
            if not self._writing:
                self._write()
        elif isinstance(effect, Verify):
            self._verify(effect)
        elif self._held:
            self._held.append(effect)
        else:
            self._release(effect)

    def _set_timer(self, name: str, after_ms: int | None) -> None:
        if after_ms is None:
            self._timers.pop(name, None)
            return
        self._timer_count += 1
        token = self._timers[name] = self._timer_count
        life = self.life

        def fire() -> None:
            if self.life == life and self._timers.get(name) == token:
                del self._timers[name]
                self.handle(events.TimerFired(name))

        self.world.heap.after(self.clock.true_us(after_ms * 1000), fire)

    def _release(self, effect: Effect) -> None:
        """Nothing in front of it is undurable: it leaves."""
        world = self.world
        if isinstance(effect, Send):
            world.checkers.sent(self, effect)
            world.send(self, effect)
        elif isinstance(effect, Sign):
            world.checkers.signing(self, effect)
            life, signature = self.life, world.consortium.sign(self.id, effect.message)
            answer = events.Signed(effect.purpose, signature)
            world.heap.after(
                int(world.generator.random() * self.speed.sign_us_spread),
                lambda: self.handle(answer) if self.life == life else None,
            )
        elif isinstance(effect, Answer):
            world.checkers.answered(self, effect)
            world.answered(self, effect)
        elif isinstance(effect, Keep):
            self.state.write(effect.batch, durable=False)
        else:
            assert isinstance(effect, Published)
            world.checkers.published(self, effect)

    def _verify(self, effect: Verify) -> None:
        life = self.life
        suites = self.world.suites
        verdicts = []
        for check in effect.checks:
            suite: Suite | None = suites.get(check.suite)
            verdicts.append(suite is not None and suite.accounts.verify(*check.signed))
        answer = events.Verified(effect.batch, tuple(verdicts))
        self.world.heap.after(
            int(self.world.generator.random() * self.speed.verify_us_spread),
            lambda: self.handle(answer) if self.life == life else None,
        )

    # -- the disk ----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """One write and one sync for all that waits; what comes meanwhile waits for the next."""
        waiting = [effect for effect in self._held if isinstance(effect, Persist)]
        self._writing = len(waiting)
        positions: list[tuple[bytes, int]] = []
        try:
            for effect in waiting:
                for record in effect.records:
                    position = self.logs[record.log].append([record.data])[0]
                    if record.log == "blocks":
                        positions.append((record.data, position))
        except ZizhuError as error:
            self.world.stop(self, f"persist failed: {error}")
            return
        life = self.life
        spread = int(self.world.generator.random() * self.speed.sync_us_spread)
        self.world.heap.after(
            self.speed.sync_us_min + spread, lambda: self._synced(positions) if self.life == life else None
        )

    def _synced(self, positions: list[tuple[bytes, int]]) -> None:
        """What was written is durable: let go what waited for it."""
        for name in ("blocks", "votes"):
            self.logs[name].sync()
        assert self.machine is not None
        changes = self.world.kind.index_changes(self.machine, positions)
        if changes:
            self.index.write(changes, durable=False)
        life = self.life
        while self._held and self.life == life:
            effect = self._held[0]
            if isinstance(effect, Persist):
                if not self._writing:
                    break
                self._writing -= 1
                self._held.popleft()
                self.world.checkers.durable(self, effect)
            else:
                self._held.popleft()
                self._release(effect)
        if self._held and self.life == life:
            self._write()
