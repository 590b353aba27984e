"""What the engine hears of blocks that the node fetched from others, and of those that it could not build."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from zizhu.chain.consensus import port
from zizhu.chain.consensus.certificate import electorate
from zizhu.chain.crypto.hashing import vote_message
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.model.certificate import COMMIT, Certificate, SignedBy, VoteStatement
from zizhu.chain.model.ids import Instant
from zizhu.chain.network.messages import Certified, CertifiedBlocks, Gossip, Status
from zizhu.chain.node.events import Received, Started
from zizhu.chain.node.machine import NodeMachine
from zizhu.chain.storage.memory.log import MemoryLog
from zizhu.chain.storage.memory.store import MemoryStore
from zizhu.framework.testkit.fakes import ledger as fakes
from zizhu.framework.testkit.fakes.suite import suite

NOW = Instant(1_000, fakes.START_MS)


@dataclass
class Eager:
    """An engine that holds a certificate for every block, from votes of its own, and commits what it may."""

    certificates: dict[bytes, Certificate]
    head: int = 0
    told: list[str] = field(default_factory=list)
    messages: tuple[type[msgspec.Struct], ...] = ()

    def step(self, now: Instant, event: port.Event) -> Sequence[port.Effect]:
        self.told.append(type(event).__name__)
        match event:
            case port.Synced():
                self.head = event.ready.height
            case port.Executed() if event.ready.height == self.head + 1:
                self.head += 1
                return [port.Commit(self.certificates[event.ready.block])]
            case _:
                pass
        return []

    def status(self) -> port.EngineStatus:
        return port.EngineStatus("eager", 0, True, fakes.MEMBER_IDS[1], True, "")

    def remembered(self) -> tuple[bytes, ...]:
        return ()


@dataclass
class Keen:
    """An engine that asks for a block whenever it hears that the pool changed."""

    builds: int = 0
    messages: tuple[type[msgspec.Struct], ...] = ()

    def step(self, now: Instant, event: port.Event) -> Sequence[port.Effect]:
        if not isinstance(event, port.Waiting):
            return []
        self.builds += 1
        assert self.builds < 10, "it is asked in a circle"
        return [port.Build(fakes.new_ledger().head.block, empty=False)]

    def status(self) -> port.EngineStatus:
        return port.EngineStatus("keen", 0, True, fakes.MEMBER_IDS[1], True, "")

    def remembered(self) -> tuple[bytes, ...]:
        return ()


def machine_with(engine: port.ConsensusEngine) -> NodeMachine:
    """A member at height 0 under this engine."""
    ledger = fakes.new_ledger()
    return NodeMachine(
        me=fakes.MEMBER_IDS[0],
        voters=electorate(suite, ledger.ledger_id, fakes.genesis().genesis.record),
        ledger=ledger,
        archive=BlockArchive(MemoryLog(), MemoryStore("index"), suite=suite),
        consensus=engine,
    )


def certificate_of(executed: Executed, ledger: bytes) -> Certificate:
    """Three members' signatures under a block."""
    place = (executed.height, executed.hash, executed.outcome_hash)
    message = vote_message(suite, VoteStatement(ledger, 0, 0, COMMIT, *place))
    signed = [
        SignedBy(member, suite.members.sign(secret, message))
        for member, secret in sorted(zip(fakes.MEMBER_IDS, fakes.SECRETS, strict=True))[:3]
    ]
    return Certificate(1, COMMIT, 0, 0, *place, signed)


def test_a_block_that_is_synced_is_committed_once() -> None:
    """A member that catches up while votes for the same blocks come in commits each block once: the engine hears
    that a block is adopted before it hears that it is executed."""
    elsewhere = fakes.Chain()
    blocks = []
    certificates = {}
    for nonce in (1, 2, 3):
        executed = elsewhere.build(elsewhere.call(fakes.ACCOUNTS[0], nonce, "pay", bytes(fakes.ACCOUNTS[1].id), 1))
        certificates[bytes(executed.hash)] = certificate_of(executed, elsewhere.ledger.ledger_id)
        blocks.append(Certified(executed.block, certificates[bytes(executed.hash)]))
        elsewhere.ledger.commit(executed.hash)
    engine = Eager(certificates)
    machine = machine_with(engine)
    machine.step(NOW, Started())
    peer = fakes.MEMBER_IDS[1]
    machine.step(NOW, Received(peer, Status(0, 0, True, 100, bytes(32))))
    machine.step(NOW, Received(peer, CertifiedBlocks(1, blocks)))
    assert machine.ledger.head.height == 3
    assert engine.head == 3
    assert engine.told.count("Synced") == 3


def test_a_block_that_cannot_be_built_is_not_asked_for_in_a_circle() -> None:
    """When nothing that waits fits on the parent, the engine hears so once: the pool did not change by that."""
    engine = Keen()
    machine = machine_with(engine)
    machine.step(NOW, Started())
    machine.step(NOW, Received(fakes.MEMBER_IDS[1], Gossip([])))
    assert engine.builds == 1
