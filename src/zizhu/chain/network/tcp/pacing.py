"""How much a peer may send, and how long to wait before dialling again.

Decides rates. Refuses to know a clock: moments, in seconds of any monotonic clock, are arguments.
"""

import random


class Budget:
    """A token bucket over bytes and frames. Overdraft is allowed once and paid by waiting.

    A peer that sends faster is not cut off: its link is not read until the bucket is in credit again, so TCP
    slows it down and memory stays bounded.
    """

    __slots__ = ("_bytes", "_bytes_per_s", "_frames", "_frames_per_s", "_last_s")

    def __init__(self, *, bytes_per_s: int, frames_per_s: int, now_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._frames_per_s = frames_per_s
        self._bytes = float(bytes_per_s)
        self._frames = float(frames_per_s)
        self._last_s = now_s

    def spend(self, *, size_bytes: int, frames: int, now_s: float) -> float:
        """Seconds to wait before taking more; 0.0 while in credit. The bucket holds one second's worth."""
        passed_s = now_s - self._last_s
        self._last_s = now_s
        self._bytes = min(self._bytes + passed_s * self._bytes_per_s, self._bytes_per_s) - size_bytes
        self._frames = min(self._frames + passed_s * self._frames_per_s, self._frames_per_s) - frames
        return max(0.0, -self._bytes / self._bytes_per_s, -self._frames / self._frames_per_s)


class Backoff:
    """Waits that double from `first_s` to `last_s`, each shortened at random by up to half (seeded)."""

    __slots__ = ("_dice", "_first_s", "_last_s", "_next_s")

    def __init__(self, *, first_s: float, last_s: float, seed: str) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._next_s = first_s
        self._dice = random.Random(seed)  # noqa: S311 - spreads dials in time, guards nothing

    def wait_s(self) -> float:
        """The next wait, in seconds: between half of it and all of it."""
        wait_s = self._next_s
        self._next_s = min(wait_s * 2, self._last_s)
        return wait_s * (0.5 + 0.5 * self._dice.random())

    def reset(self) -> None:
        """A link stood: begin again at `first_s`."""
        self._next_s = self._first_s
