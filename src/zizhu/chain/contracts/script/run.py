"""The state of one running call: the meter, the memory, the depth, and the host behind it.

Decides how steps and memory are charged. Refuses to know what anything costs (`prices`).
"""

from collections.abc import Callable
from typing import TypeAlias

from zizhu.chain.contracts.port import Host, StepsExhausted
from zizhu.chain.contracts.script import failures, prices
from zizhu.chain.contracts.script.failures import Failure
from zizhu.chain.model.value import Value


class Run:
    """One call. `left` are the steps not yet used; once it is negative the call has ended."""

    __slots__ = ("depth", "host", "left", "memory", "read_only")

    def __init__(self, host: Host, *, steps_max: int, read_only: bool) -> None:
        self.host = host
        self.left = steps_max
        self.memory = prices.MEMORY_MAX
        self.depth = 0
        self.read_only = read_only

    def spend(self, steps: int) -> None:
        """Charges steps; raises StepsExhausted."""
        self.left -= steps
        if self.left < 0:
            raise StepsExhausted

    def allocate(self, size: int) -> None:
        """Charges bytes of memory; raises Failure (`contract.memory`)."""
        self.memory -= size
        if self.memory < 0:
            raise Failure(failures.MEMORY, f"more than {prices.MEMORY_MAX} bytes allocated")

    def take(self, size: int) -> None:
        """Charges the making of a text or bytes of `size`, steps first."""
        self.left -= size >> prices.COPY_SHIFT
        if self.left < 0:
            raise StepsExhausted
        self.allocate(size)

    def take_items(self, count: int) -> None:
        """Charges the making of a list of `count` elements, steps first."""
        self.left -= count >> prices.ITEMS_SHIFT
        if self.left < 0:
            raise StepsExhausted
        self.allocate(prices.CONTAINER_BYTES + count * prices.SLOT_BYTES)


class _Unbound(list[Value]):
    """The type of UNBOUND; a list only so that a frame has one type of content."""


UNBOUND: Value = _Unbound()
"""What a variable holds before it is assigned. Every read checks for it, so no contract ever holds it."""

Frame: TypeAlias = list[Value]
"""Variables of one function call; slot 0 is what it returns."""
Evaluate: TypeAlias = Callable[[Run, Frame], Value]
"""A compiled expression."""
Execute: TypeAlias = Callable[[Run, Frame], int]
"""A compiled statement or block: 0, or how control leaves it."""

BREAK = 1
CONTINUE = 2
RETURN = 3
