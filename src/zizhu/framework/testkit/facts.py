"""What a run has shown so far, whatever engine is played, and what a broken promise is.

Decides what is known of blocks and of each member's block log, and counts certificates by hand: it trusts none of
the product's own checks. Refuses to know when votes leave and what an engine writes: its watch does.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zizhu.chain.crypto.hashing import vote_message
from zizhu.chain.model.certificate import Certificate, VoteStatement
from zizhu.chain.model.ids import MemberId

if TYPE_CHECKING:
    from zizhu.framework.testkit.member import SimulatedMember
    from zizhu.framework.testkit.simulator import Simulation

Pair = tuple[bytes, bytes]
"""Block hash and outcome hash."""


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


@dataclass
class Notes:
    """What is known of one member's block log: its height, the blocks and certificates that are durable there."""

    height: int = 0
    blocks: dict[bytes, bool] = field(default_factory=dict)
    commits: dict[int, Certificate] = field(default_factory=dict)


def quorum_by_hand(engine: str, size: int) -> int:
    """How many signatures certify a block; written here once more, so that a slip of the product shows."""
    match engine:
        case "raft":
            return size // 2 + 1
        case _:
            return (size + (size - 1) // 3) // 2 + 1


class Facts:
    """The blocks seen in a run, what members decided, and what their block logs hold."""

    def __init__(self, world: "Simulation") -> None:
        self.world = world
        self.voters = world.consortium.voters
        self.quorum = quorum_by_hand(world.kind.consensus, self.voters.size)
        self.byzantine: dict[MemberId, bool] = {}
        self.faulty: dict[MemberId, bool] = {}
        self.notes = {member: Notes() for member in world.consortium.members}
        self.chain: dict[int, Pair] = {}
        self.blocks: dict[bytes, BlockSeen] = {bytes(world.consortium.ledger): BlockSeen(0, b"", ())}

    def learn(self, block: bytes, seen: BlockSeen) -> None:
        """A block shows itself; nothing whole is forgotten for a header."""
        held = self.blocks.get(block)
        if held is None or held.ids is None:
            self.blocks[block] = seen

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

    def demand(self, holds: bool, check: str, member: "SimulatedMember | None", text: str) -> None:
        """Raise Violation of `check` unless it holds."""
        if not holds:
            who = "" if member is None else f"{member.name} "
            raise Violation(check, f"at {self.world.heap.now_us / 1000:.3f} ms: {who}{text}")
