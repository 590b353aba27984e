"""Waiting for something that happens in another process, with a deadline.

Decides how often is looked, and that a deadline that passes names what did not happen. Refuses to know what is
waited for.
"""

import time
from collections.abc import Callable
from typing import TypeVar

LOOK_EVERY_S = 0.02

T = TypeVar("T")


class TooLate(AssertionError):
    """What was waited for did not happen in time."""


def now_ms() -> int:
    """The monotonic clock, which all processes of one machine share, in milliseconds."""
    return time.monotonic_ns() // 1_000_000


def until(look: Callable[[], T | None], what: str, *, within_s: float = 30.0, explain: Callable[[], str] = str) -> T:
    """What `look` gives once it gives something true. Raises TooLate naming `what`, with what `explain` says."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TooLate(f"not within {within_s} s: {what}\n{explain()}")
        time.sleep(LOOK_EVERY_S)
