"""The one heap of a simulation: what happens when, in simulated microseconds.

Decides the order of events: by time, and among events of the same time by a number drawn from the simulation's
generator, so that no order of same-time events is ever taken for granted. Refuses to know what an event does.
"""

import heapq
import random
from collections.abc import Callable

Act = Callable[[], None]


class Heap:
    """Events to come. `now_us` is the time of the one that happens."""

    __slots__ = ("_count", "_events", "_random", "now_us")

    def __init__(self, generator: random.Random) -> None:
        self.now_us = 0
        self._events: list[tuple[int, float, int, Act]] = []
        self._count = 0
        self._random = generator.random

    def after(self, delay_us: int, act: Act) -> None:
        """Let `act` happen `delay_us` from now."""
        self.at(self.now_us + delay_us, act)

    def at(self, time_us: int, act: Act) -> None:
        """Let `act` happen at `time_us`, or now if that is past."""
        self._count += 1
        heapq.heappush(self._events, (max(time_us, self.now_us), self._random(), self._count, act))

    def pop(self) -> Act | None:
        """The next event, its time being now; None if nothing is left."""
        if not self._events:
            return None
        self.now_us, _, _, act = heapq.heappop(self._events)
        return act

    def next_us(self) -> int | None:
        """When the next event happens."""
        return self._events[0][0] if self._events else None
