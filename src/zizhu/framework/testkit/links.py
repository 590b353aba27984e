"""The network between simulated members: delay, loss, duplicates, order, partitions.

Decides when a frame arrives, how often, and whether at all; all by the simulation's generator. Refuses to know
what is in a frame.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from zizhu.framework.testkit.heap import Heap

Arrive = Callable[[], None]


@dataclass
class Weather:
    """How the network behaves now. Chances are in thousandths, times in microseconds."""

    delay_us_min: int = 200
    delay_us_spread: int = 800
    slow_links: int = 0
    loss: int = 0
    duplicate: int = 0
    reorder: bool = False


CALM = Weather()


class Links:
    """All links; a link is a pair (source, target) of positions."""

    def __init__(self, size: int, heap: Heap, generator: random.Random) -> None:
        self._heap = heap
        self._random = generator
        self._size = size
        self.weather = Weather()
        self.cut: dict[tuple[int, int], bool] = {}
        self._stalled: dict[tuple[int, int], list[Arrive]] = {}
        self._last_us: dict[tuple[int, int], int] = {}
        self._slow: dict[tuple[int, int], int] = {}
        self.effects: dict[str, int] = {}

    def set_weather(self, weather: Weather) -> None:
        """From now on; slow links are drawn afresh."""
        self.weather = weather
        self._slow.clear()
        pairs = [(a, b) for a in range(self._size) for b in range(self._size) if a != b]
        for pair in self._random.sample(pairs, min(weather.slow_links, len(pairs))):
            self._slow[pair] = self._random.randrange(20_000, 300_000)

    def send(self, source: int, target: int, arrive: Arrive) -> None:
        """A frame leaves `source`; `arrive` happens when it reaches `target`, if it does, as often as it does."""
        link = (source, target)
        stalls = self.cut.get(link)
        if stalls is not None:
            self._count("partition")
            if stalls:
                self._stalled.setdefault(link, []).append(arrive)
            return
        weather = self.weather
        draw = self._random
        if weather.loss and draw.randrange(1000) < weather.loss:
            self._count("loss")
            return
        self._later(link, arrive)
        if weather.duplicate and draw.randrange(1000) < weather.duplicate:
            self._count("duplicate")
            self._later(link, arrive)

    def _later(self, link: tuple[int, int], arrive: Arrive) -> None:
        weather = self.weather
        slow = self._slow.get(link, 0)
        if slow:
            self._count("slow")
        when = self._heap.now_us + weather.delay_us_min + slow + int(self._random.random() * weather.delay_us_spread)
        last = self._last_us.get(link, 0)
        if when <= last:
            if weather.reorder:
                self._count("reorder")
            else:
                when = last + 1
        self._last_us[link] = max(when, last)
        self._heap.at(when, arrive)

    def partition(self, sides: list[int], *, stalls: bool, one_way: bool) -> None:
        """Cut the links between members of different sides (`sides[i]` is the side of member i); `one_way` cuts
        only those from a lower side to a higher. A stalled frame arrives after `heal`, another is lost."""
        for a in range(self._size):
            for b in range(self._size):
                if sides[a] < sides[b] or (sides[a] > sides[b] and not one_way):
                    self.cut[(a, b)] = stalls

    def heal(self) -> None:
        """Every link works again; what was stalled arrives."""
        self.cut.clear()
        stalled, self._stalled = self._stalled, {}
        for link, waiting in stalled.items():
            for arrive in waiting:
                self._later(link, arrive)

    def _count(self, what: str) -> None:
        self.effects[what] = self.effects.get(what, 0) + 1
