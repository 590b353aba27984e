"""Which certificates can exist, and what must be true of them whoever puts them together.

Decides agreement and the invariant of docs/protocol over all certificates that honest votes allow. Refuses to know
when votes leave and what is durable: `checkers` watches that and says what it saw.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zizhu.chain.crypto.hashing import vote_message
from zizhu.chain.model.certificate import COMMIT, PREPARE, Certificate, VoteStatement
from zizhu.chain.model.ids import MemberId

if TYPE_CHECKING:
    from zizhu.framework.testkit.member import SimulatedMember
    from zizhu.framework.testkit.simulator import Simulation

Pair = tuple[bytes, bytes]
Place = tuple[int, int, int]
"""(view, phase, height)"""


class Violation(AssertionError):
    """A run broke a promise; `check` is the promise's name."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check


@dataclass(frozen=True)
class BlockSeen:
    """A block as a log record or a proposal showed it; `ids` are None as long as only its header is known."""

    height: int
    parent: bytes
    ids: tuple[bytes, ...] | None


class Possible:
    """The blocks seen in a run, and the certificates that can exist of them."""

    def __init__(self, world: "Simulation") -> None:
        self.world = world
        self.voters = world.consortium.voters
        self.quorum = (self.voters.size + (self.voters.size - 1) // 3) // 2 + 1
        self.blocks: dict[bytes, BlockSeen] = {bytes(world.consortium.ledger): BlockSeen(0, b"", ())}
        self.possible: dict[Place, Pair] = {}
        self.possible_at: dict[int, Pair] = {}

    def _learn(self, block: bytes, seen: BlockSeen) -> None:
        held = self.blocks.get(block)
        if held is None or held.ids is None:
            self.blocks[block] = seen

    def _possibly_prepared(self, view: int, height: int, pair: Pair) -> None:
        place = (view, PREPARE, height)
        if place in self.possible and self.possible[place] == pair:
            return
        other = self.possible.setdefault(place, pair)
        self._demand(other == pair, "one prepared certificate a view and height", None,
                     f"view {view} height {height}: {other[0].hex()[:6]} and {pair[0].hex()[:6]}")  # fmt: skip
        for (at, phase, committed_height), committed in list(self.possible.items()):
            if phase == COMMIT and at < view:
                self._later_descends(at, committed_height, committed, view=view, height=height, pair=pair)

    def _possibly_committed(self, view: int, height: int, pair: Pair) -> None:
        place = (view, COMMIT, height)
        if self.possible.get(place) == pair:
            return
        other = self.possible_at.setdefault(height, pair)
        self._demand(
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
        self._demand(
            height >= committed_height and self.descends(pair[0], committed[0], committed_height),
            "later prepared certificates descend from what is committed",
            None,
            f"view {at} commits height {committed_height} {committed[0].hex()[:6]}, "
            f"view {view} prepares height {height} {pair[0].hex()[:6]}",
        )

    def descends(self, block: bytes, ancestor: bytes, height: int) -> bool:
        """Whether `ancestor`, of `height`, is `block` or one of its ancestors, as far as blocks were seen."""
        walk = block
        while (seen := self.blocks.get(walk)) is not None and seen.height > height:
            walk = seen.parent
        return walk == ancestor

    def why_invalid(self, certificate: Certificate, phase: int) -> str:
        """Why a certificate does not hold, counted by hand; "" if it does."""
        if certificate.phase != phase or certificate.epoch != 0:
            return "wrong phase or epoch"
        statement = VoteStatement(
            self.voters.ledger, certificate.epoch, certificate.view, phase, certificate.height,
            certificate.block, certificate.outcome,
        )  # fmt: skip
        message = vote_message(self.voters.suite, statement)
        good: dict[bytes, bool] = {}
        for signed in certificate.signatures:
            key = self.voters.keys.get(MemberId(signed.member))
            if key is None or not self.voters.suite.members.verify(key, message, signed.signature):
                return f"signature of {signed.member.hex()[:6]}"
            good[signed.member] = True
        if len(good) < self.quorum or len(good) != len(certificate.signatures):
            return f"{len(good)} distinct signers of {len(certificate.signatures)}, {self.quorum} needed"
        return ""

    def _demand(self, holds: bool, check: str, member: "SimulatedMember | None", text: str) -> None:
        if not holds:
            who = "" if member is None else f"{member.name} "
            raise Violation(check, f"at {self.world.heap.now_us / 1000:.3f} ms: {who}{text}")
