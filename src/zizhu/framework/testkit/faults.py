"""What goes wrong in a run: drawn from the seed, a different mixture of fault classes for each (a swarm).

Decides who is Byzantine, whose disk is lost, how the network behaves and when power fails. At most f members are
Byzantine (under Raft: none) or lose their disk; any number may crash. When the faults end, everybody who can be is up
again.
"""

import copy
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zizhu.chain.consensus.quorum import faults_tolerated, majority
from zizhu.framework.testkit.byzantine import ACTORS
from zizhu.framework.testkit.fakes.disk import FakeDisk
from zizhu.framework.testkit.links import Weather
from zizhu.framework.testkit.member import Clock, SimulatedMember, Speed

if TYPE_CHECKING:
    from zizhu.framework.testkit.simulator import Simulation

NETWORK = ("delay", "loss", "duplicate", "reorder", "partition")
POWER = ("crash", "crash_f", "crash_all", "crash_cut")
OTHERS = ("skew", "slow_disk")
DISK = ("wipe", "restore")


@dataclass(frozen=True)
class Plan:
    """What a seed means."""

    seed: int
    size: int
    classes: tuple[str, ...]
    actors: dict[int, str] = field(default_factory=dict)
    spoilt: tuple[int, ...] = ()
    faulty_us: int = 3_000_000
    blocks_wanted: int = 22
    submissions: int = 60
    gap_us: int = 40_000
    engine: str = "native"
    consensus: str = "pbft"

    @property
    def tolerated(self) -> int:
        """f: how many members the consensus engine can do without."""
        return tolerated_by(self.consensus, self.size)


def tolerated_by(consensus: str, size: int) -> int:
    """f: of Byzantine members, or under Raft of those whose disk is lost."""
    return size - majority(size) if consensus == "raft" else faults_tolerated(size)


def forgetful_by(consensus: str, size: int) -> int:
    """How many disks may be lost or put back to an old copy. Raft knows no forgetting: where two majorities share a
    single member, that one must not have forgotten its vote (docs/protocol/raft.md, 8.5)."""
    return 2 * majority(size) - size - 1 if consensus == "raft" else faults_tolerated(size)


def draw_plan(seed: int, consensus: str = "pbft") -> Plan:
    """The plan of `seed` for an engine. Of seeds in a row at least two thirds have a crashing or Byzantine member."""
    draw = random.Random(seed * 2)
    size = draw.choice((4, 4, 4, 5, 6, 7) if consensus == "pbft" else (3, 4, 4, 4, 5, 5, 6, 7))
    tolerated = forgetful_by(consensus, size)
    classes = [each for each in NETWORK + OTHERS if draw.randrange(3) == 0]
    actors: dict[int, str] = {}
    spoilt: list[int] = []
    spared = draw.randrange(6) == 0
    # The dice alone would now and then spare more than a third of a run's seeds.
    if not spared or seed % 3:
        power = [each for each in POWER if draw.randrange(2) == 0]
        budget = tolerated
        places = draw.sample(range(size), size)
        while budget and draw.randrange(3) != 0:
            budget -= 1
            if draw.randrange(4) == 0:
                spoilt.append(places.pop())
            elif consensus == "pbft":
                actors[places.pop()] = draw.choice(ACTORS)
            elif draw.randrange(3) == 0:
                spoilt.append(places.pop())
        if spoilt:
            classes += [draw.choice(DISK)]
        if not power and not actors:
            power = ["crash"]
        classes += power
    while len(classes) + bool(actors) < 2:
        classes.append(draw.choice([each for each in NETWORK if each not in classes]))
    return Plan(
        seed=seed,
        size=size,
        classes=tuple(classes),
        actors=actors,
        spoilt=tuple(sorted(spoilt)),
        faulty_us=draw.randrange(2_000_000, 5_000_000),
        submissions=draw.randrange(40, 90),
        gap_us=draw.randrange(15_000, 60_000),
        engine="script" if draw.randrange(8) == 0 else "native",
        consensus=consensus,
    )


class Faults:
    """The faults of one run, as they happen."""

    def __init__(self, world: "Simulation", plan: Plan) -> None:
        self.world = world
        self.plan = plan
        self.draw = world.generator
        self.over = False
        self.counts: dict[tuple[str, str], int] = {}
        self._submitted = 0
        self._left = dict.fromkeys(plan.spoilt, True)

    # -- the course of a run -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Set the scene and let the first faults come."""
        plan, world = self.plan, self.world
        for member in world.members:
            if "skew" in plan.classes:
                member.clock = Clock(self.draw.randrange(-800_000, 800_000), self.draw.randrange(-2_000, 2_000))
                self.count("skew", member)
            if "slow_disk" in plan.classes and self.draw.randrange(3) == 0:
                member.speed = Speed(sync_us_min=2_000, sync_us_spread=60_000, sign_us_spread=40_000)
                self.count("slow_disk", member)
        self._weather()
        self._client()
        if any(each in plan.classes for each in ("partition", *POWER, *DISK)):
            world.heap.after(self.draw.randrange(20_000, 400_000), self._strike)
        world.heap.after(plan.faulty_us, self._finish)

    def _finish(self) -> None:
        self.over = True

    def end(self) -> None:
        """No more faults: calm weather, whole links, everybody up."""
        world = self.world
        world.links.set_weather(Weather())
        world.links.heal()
        for member in world.members:
            member.cut_next = False
            if member.machine is None:
                self._restart(member)
        world.heap.after(100_000, self._client)

    def _weather(self) -> None:
        if self.over:
            return
        classes, draw = self.plan.classes, self.draw
        slow = draw.randrange(3) if "delay" in classes else 0
        spread = draw.choice((1_000, 20_000, 150_000)) if "delay" in classes else 1_000
        self.world.links.set_weather(
            Weather(
                delay_us_min=200,
                delay_us_spread=spread,
                slow_links=slow * self.plan.size,
                loss=draw.choice((5, 30, 120)) if "loss" in classes else 0,
                duplicate=draw.choice((20, 150)) if "duplicate" in classes else 0,
                reorder="reorder" in classes,
            )
        )
        self.world.heap.after(draw.randrange(300_000, 1_500_000), self._weather)

    def _client(self) -> None:
        """Submissions all along, and after the faults as many as it takes to get enough blocks."""
        world, plan = self.world, self.plan
        height = max((world.kind.height(each.machine) for each in world.live() if each.machine), default=0)
        if self._submitted >= plan.submissions and (height >= plan.blocks_wanted or not self.over):
            if not self.over:
                world.heap.after(plan.gap_us, self._client)
            return
        self._submitted += 1
        world.clients.submit()
        world.heap.after(self.draw.randrange(1_000, 2 * plan.gap_us), self._client)

    # -- strikes -----------------------------------------------------------------------------------------------

    def _strike(self) -> None:
        if self.over:
            return
        choices = [each for each in self.plan.classes if each in ("partition", *POWER)]
        choices += [each for each in self.plan.classes if each in DISK and self._left]
        if not choices:
            return
        world, draw = self.world, self.draw
        match draw.choice(choices):
            case "partition":
                self._partition()
            case "crash":
                self._crash([draw.choice(world.members)], "crash")
            case "crash_f":
                self._crash(draw.sample(world.members, self.plan.tolerated), "crash_f")
            case "crash_all":
                self._crash(list(world.members), "crash_all")
            case "crash_cut":
                member = draw.choice(world.members)
                self.count("crash_cut", member)
                member.cut_next = True
            case "wipe":
                self._spoil(restore=False)
            case "restore":
                self._spoil(restore=True)
            case other:
                raise AssertionError(other)
        world.heap.after(draw.randrange(50_000, 900_000), self._strike)

    def _partition(self) -> None:
        world, draw = self.world, self.draw
        sides = [draw.randrange(2) for _ in world.members]
        world.links.heal()
        world.links.partition(sides, stalls=draw.randrange(2) == 0, one_way=draw.randrange(3) == 0)
        world.trace.add(f"{world.heap.now_us:>9} partition {sides}")
        for member, side in zip(world.members, sides, strict=True):
            if side == 0:
                self.count("partition", member)
        world.heap.after(draw.randrange(50_000, 1_500_000), world.links.heal)

    def _crash(self, members: list[SimulatedMember], name: str) -> None:
        for member in members:
            self.count(name, member)
            self.crash(member)

    def crash(self, member: SimulatedMember) -> None:
        """Power loss of one member, and its restart some time later."""
        if member.machine is None:
            return
        member.crash(tear=self.draw.randrange(2) == 0)
        self.world.links_changed(member, up=False)
        life = member.life
        self.world.heap.after(
            self.draw.randrange(5_000, 1_200_000),
            lambda: self._restart(member) if member.life == life and member.machine is None else None,
        )

    def _restart(self, member: SimulatedMember) -> None:
        member.start()
        self.world.links_changed(member, up=True)

    def _spoil(self, *, restore: bool) -> None:
        """A disk is lost, or put back to what it was a while ago."""
        position = min(self._left)
        del self._left[position]
        member = self.world.members[position]
        self.count("restore" if restore else "wipe", member)
        if restore:
            backup = copy.deepcopy(member.disk)
            backup.crash()
            self.world.heap.after(self.draw.randrange(100_000, 1_000_000), lambda: self._put_back(member, backup))
            return
        self.crash(member)
        member.disk.wipe()
        self.world.checkers.wiped(member)

    def _put_back(self, member: SimulatedMember, backup: FakeDisk) -> None:
        self.crash(member)
        member.disk = backup
        self.world.checkers.wiped(member)

    def total(self) -> dict[tuple[str, str], int]:
        """All faults that had an effect, by class and state: strikes, the network's, the actors'."""
        total = dict(self.counts)
        for name, times in self.world.links.effects.items():
            total[(name, "any")] = total.get((name, "any"), 0) + times
        for actor in self.world.actors.values():
            if actor.acts:
                total[(actor.name, "any")] = actor.acts
        return total

    def count(self, name: str, member: SimulatedMember) -> None:
        """One more fault of a class, in the state the member was in."""
        state = "down" if member.machine is None else self.world.kind.state_of(member.machine)
        key = (name, state)
        self.counts[key] = self.counts.get(key, 0) + 1
