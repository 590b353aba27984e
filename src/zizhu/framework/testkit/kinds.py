"""The two nodes that the simulator plays: the small one (agreement alone) and the whole one.

Decides how each boots from a fake disk, how its block log is read, and what its clients send.
"""

import random
from collections.abc import Mapping, Sequence

from zizhu.chain.consensus.pbft.engine import Pbft
from zizhu.chain.consensus.pbft.messages import MESSAGES as PBFT_MESSAGES
from zizhu.chain.consensus.port import EngineStatus
from zizhu.chain.crypto.hashing import block_hash, transaction_id
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.ids import TransactionId
from zizhu.chain.model.transaction import Single, Submission
from zizhu.chain.network.messages import MESSAGES as NETWORK_MESSAGES
from zizhu.chain.network.wire import Wire
from zizhu.chain.node import events
from zizhu.chain.node.events import Keep
from zizhu.chain.storage.port import Change
from zizhu.framework.testkit.checkers import BlockSeen, CommitSeen
from zizhu.framework.testkit.consortium import Consortium, found
from zizhu.framework.testkit.fakes.suite import suite as counterfeit
from zizhu.framework.testkit.faults import Plan
from zizhu.framework.testkit.member import Machine, SimulatedMember
from zizhu.framework.testkit.small_node import Held, SmallNode, block_record_decoder

_FOUND: dict[tuple[str, int], Consortium] = {}
_WIRE = Wire((*PBFT_MESSAGES, *NETWORK_MESSAGES))


def engine_state(status: EngineStatus) -> str:
    """The protocol state of an engine in a word."""
    if status.reason:
        return "recalling" if status.reason == "recalling" else "memory lost"
    return "in view" if status.active else "changing view"


class SmallKind:
    """Agreement alone: see `small_node`."""

    name = "small"

    def consortium(self, plan: Plan) -> Consortium:
        """Founded once for each size."""
        key = (self.name, plan.size)
        if key not in _FOUND:
            _FOUND[key] = found(plan.size, parameters=Parameters(rotation_blocks=25))
        return _FOUND[key]

    def wire(self) -> Wire:
        return _WIRE

    def suites(self) -> Mapping[int, Suite]:
        return {counterfeit.code: counterfeit}

    def boot(self, member: SimulatedMember) -> Machine:
        return SmallNode(
            member.world.consortium, member.id, member.logs["blocks"], member.logs["votes"],
            member.world.generator.randrange(1 << 32),
        )  # fmt: skip

    def height(self, machine: Machine | None) -> int:
        assert isinstance(machine, SmallNode)
        return machine.head.ready.height

    def state_of(self, machine: Machine) -> str:
        assert isinstance(machine, SmallNode)
        assert isinstance(machine.engine, Pbft)
        return engine_state(machine.engine.status())

    def submit(self, raw: bytes) -> events.Request:
        return events.Submit(raw)

    def make(self, draw: random.Random, number: int) -> tuple[bytes, TransactionId]:
        """A body that says its number."""
        body = number.to_bytes(8, "big") + draw.randbytes(4)
        item = Single(body, counterfeit.code, bytes(33), bytes(64))
        return encode(item), transaction_id(counterfeit, body)

    def sender(self, item: Submission) -> int:
        """Which client it is from."""
        return item.body[7] if isinstance(item, Single) and len(item.body) > 7 else 1

    def read_record(self, data: bytes) -> tuple[bytes, BlockSeen] | CommitSeen | None:
        kept = block_record_decoder.decode(data)
        if isinstance(kept, Held):
            header = kept.block.header
            ids = tuple(transaction_id(counterfeit, item.body) for item in kept.block.items if isinstance(item, Single))
            return block_hash(counterfeit, header), BlockSeen(header.height, header.parent, ids)
        return CommitSeen(kept.certificate)

    def keep(self, member: SimulatedMember, effect: Keep) -> Sequence[Change]:
        return ()

    def archive(self, member: SimulatedMember, data: bytes, position: int) -> Sequence[Change]:
        return ()

    def digest(self, machine: Machine) -> str:
        assert isinstance(machine, SmallNode)
        return machine.head.ready.outcome.hex()
