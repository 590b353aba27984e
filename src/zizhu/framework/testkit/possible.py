"""Which PBFT certificates can exist, and what must be true of them whoever puts them together.

Decides agreement and the invariant of docs/protocol over all certificates that honest votes allow. Refuses to know
when votes leave and what is durable: `pbft_watch` watches that and says what it saw.
"""

from zizhu.chain.model.certificate import COMMIT, PREPARE
from zizhu.framework.testkit.facts import Facts, Pair

Place = tuple[int, int, int]
"""(view, phase, height)"""


class Possible:
    """The certificates that can exist of the blocks seen in a run."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.demand = facts.demand
        self.possible: dict[Place, Pair] = {}
        self.possible_at: dict[int, Pair] = {}

    def possibly_prepared(self, view: int, height: int, pair: Pair) -> None:
        """Votes allow a prepared certificate of this pair."""
        place = (view, PREPARE, height)
        if place in self.possible and self.possible[place] == pair:
            return
        other = self.possible.setdefault(place, pair)
        self.demand(other == pair, "one prepared certificate a view and height", None,
                    f"view {view} height {height}: {other[0].hex()[:6]} and {pair[0].hex()[:6]}")  # fmt: skip
        for (at, phase, committed_height), committed in list(self.possible.items()):
            if phase == COMMIT and at < view:
                self._later_descends(at, committed_height, committed, view=view, height=height, pair=pair)

    def possibly_committed(self, view: int, height: int, pair: Pair) -> None:
        """Votes allow a commit certificate of this pair, or there is one."""
        place = (view, COMMIT, height)
        if self.possible.get(place) == pair:
            return
        other = self.possible_at.setdefault(height, pair)
        self.demand(
            other == pair,
            "agreement",
            None,
            f"height {height} can be certified as {other[0].hex()[:6]} and as {pair[0].hex()[:6]}",
        )
        self.possible[place] = pair
        for (at, phase, prepared_height), prepared in list(self.possible.items()):
            if phase == PREPARE and at > view:
                self._later_descends(view, height, pair, view=at, height=prepared_height, pair=prepared)
        for old in [old for old in self.possible if old[2] < height - 200]:
            del self.possible[old]

    def _later_descends(
        self, at: int, committed_height: int, committed: Pair, *, view: int, height: int, pair: Pair
    ) -> None:
        """Once (B, O) is committed in view `at`, every prepared certificate of a later view is for B or above."""
        self.demand(
            height >= committed_height and self.facts.descends(pair[0], committed[0], committed_height),
            "later prepared certificates descend from what is committed",
            None,
            f"view {at} commits height {committed_height} {committed[0].hex()[:6]}, "
            f"view {view} prepares height {height} {pair[0].hex()[:6]}",
        )
