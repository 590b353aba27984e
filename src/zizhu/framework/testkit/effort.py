"""How much effort a counted test makes: the shape of the fixture `effort` of tests/conftest.py."""

from collections.abc import Iterator
from typing import Protocol


class Effort(Protocol):
    """Rounds of a counted test. `name` is "quick", "ci" or "long"; `first` the first fresh number of this run."""

    name: str
    first: int

    def rounds(self, what: str, *, quick: int, ci: int) -> Iterator[int]:
        """Fresh numbers, one a round, each counted under `what`: `quick` or `ci` many, or until the time is up."""
        ...
