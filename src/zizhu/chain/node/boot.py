"""From a genesis, two logs and two stores to a node machine at its head: the same for production and simulator.

Decides the order of recovery: index behind the block log, state behind the index, votes last. Reads through the
storage ports; writes nothing that the block log cannot redo, and shortens a vote log that has grown long.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zizhu.chain.consensus.certificate import electorate
from zizhu.chain.consensus.port import ConsensusEngine, Ready, Setting
from zizhu.chain.consensus.port import Executed as EngineExecuted
from zizhu.chain.contracts.port import ContractEngine
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.recovery import Rooms, recover
from zizhu.chain.ledger.validate import ParsedBlock
from zizhu.chain.model.block import Block
from zizhu.chain.model.genesis import SignedGenesis
from zizhu.chain.model.ids import BlockHash, MemberId
from zizhu.chain.node.assembly import entries_of
from zizhu.chain.node.blocks import ready_of
from zizhu.chain.node.machine import NodeMachine
from zizhu.chain.storage.port import KeyValueStore, Log

RECENT_CERTIFICATES = 64
"""How far back certificates are read to answer members that ask what they voted."""

VOTES_KEPT = 50_000
"""A vote log of more records is shortened at the start."""


@dataclass(frozen=True)
class BootSetup:
    """What a node starts from. `suites` by code, `engines` by name; `consensus` is the factory of the engine that
    the epoch record names; `seed` is drawn once by the driver."""

    genesis: SignedGenesis
    suite: Suite
    suites: Mapping[int, Suite]
    engines: Mapping[str, ContractEngine]
    consensus: Callable[[Setting], ConsensusEngine]
    me: MemberId
    block_log: Log
    vote_log: Log
    index: KeyValueStore
    state: KeyValueStore
    seed: int


def boot(setup: BootSetup) -> NodeMachine:
    """Recover and build. Raises OperatingFault (`storage.*`) for what cannot be read."""
    archive = BlockArchive(setup.block_log, setup.index, suite=setup.suite)
    archive.recover()
    rooms = Rooms(setup.suite, setup.suites, setup.engines)
    recovered = recover(setup.genesis, archive, setup.state, rooms=rooms)
    ledger = recovered.ledger
    voters = electorate(setup.suite, ledger.ledger_id, setup.genesis.genesis.record)
    votes = tuple(record.data for record in setup.vote_log.records())
    tentative = _execute_again(ledger, recovered.tentative)
    commit = archive.commit(ledger.head.height)
    lowest = max(1, ledger.head.height - RECENT_CERTIFICATES + 1)
    recent = [archive.commit(height) for height in range(lowest, ledger.head.height + 1)]
    setting = Setting(
        me=setup.me,
        voters=voters,
        head=_head(ledger, archive),
        head_certificate=None if commit is None else commit.certificate,
        epoch_start=0,
        votes=votes,
        tentative=(*_head_block(ledger, archive), *(_told(executed) for executed in tentative)),
        recent=tuple(each.certificate for each in recent if each is not None),
        disk_was_used=ledger.head.height > 0 or bool(recovered.tentative),
        seed=setup.seed,
    )
    consensus = setup.consensus(setting)
    _forget_old_votes(setup.vote_log, len(votes), consensus)
    machine = NodeMachine(me=setup.me, voters=voters, ledger=ledger, archive=archive, consensus=consensus)
    for block, body in recovered.tentative:
        machine.blocks.written[block] = body.header.height
    return machine


def _forget_old_votes(log: Log, count: int, consensus: ConsensusEngine) -> None:
    """Write what still matters at the end of a long vote log, durably, and let go of what stands before it."""
    if count < VOTES_KEPT:
        return
    remembered = consensus.remembered()
    if remembered:
        positions = log.append(remembered)
        log.sync()
        log.forget_before(positions[0])


def _execute_again(ledger: Ledger, blocks: list[tuple[BlockHash, Block]]) -> list[Executed]:
    """Tentative blocks whose parents are here; the rest lost long ago."""
    done = []
    for block, body in blocks:
        executed = ledger.execute(body, block)
        if isinstance(executed, Executed):
            done.append(executed)
    return done


def _told(executed: Executed) -> EngineExecuted:
    return EngineExecuted(ready_of(executed), executed.block.header, entries_of(executed.block, executed.transactions))


def _head_block(ledger: Ledger, archive: BlockArchive) -> tuple[EngineExecuted, ...]:
    """The head itself, as a block that can be proposed again: a view may start with it as its tip."""
    head = ledger.head
    block = archive.block(head.height)
    if block is None:
        return ()
    parsed = ledger.parse_block(block, head.block)
    assert isinstance(parsed, ParsedBlock), f"the head is not well formed: {parsed}"
    return (EngineExecuted(_head(ledger, archive), block.header, entries_of(block, parsed.transactions)),)


def _head(ledger: Ledger, archive: BlockArchive) -> Ready:
    head = ledger.head
    block = archive.block(head.height)
    return Ready(
        height=head.height,
        block=head.block,
        parent=BlockHash(bytes(32)) if block is None else BlockHash(block.header.parent),
        outcome=head.outcome_hash,
        time_ms=head.time_ms,
        has_root=head.outcome.root_height == head.height,
        count=0 if block is None else block.header.count,
    )
