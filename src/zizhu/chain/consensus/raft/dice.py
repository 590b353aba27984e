"""The dice of an engine: the same throws from the same seed, on every machine.

Decides nothing but numbers. The seed is drawn once by the driver (law 3 of the core). Source: Steele, Lea and Flood,
"Fast Splittable Pseudorandom Number Generators" (2014), the generator SplitMix64.
"""

from dataclasses import dataclass

_MASK = (1 << 64) - 1


@dataclass
class Dice:
    """A generator; `state` is any 64 bits."""

    state: int

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1, all but evenly."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) % bound
