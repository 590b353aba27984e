"""A verdict on signatures is about the transactions that were looked at, not about a block's name."""

from zizhu.chain.consensus.port import Execute
from zizhu.chain.model.compact import Entry
from zizhu.chain.model.ids import BlockHash
from zizhu.chain.model.transaction import Single
from zizhu.chain.network.messages import Gossip, Items
from zizhu.chain.node import assembly, events
from zizhu.chain.node.events import Effect, Verify
from zizhu.framework.testkit.node_council import NodeCouncil


def _asked(effects: list[Effect]) -> list[Verify]:
    return [each for each in effects if isinstance(each, Verify)]


def test_a_verdict_on_other_items_does_not_count_for_a_block() -> None:
    """Two leaders in a row lie together: the first names well signed items under the header of a block with a forged
    one, the next names the forged one while the first items are still being verified. "All good" is about the
    first; the forged transaction is not executed on the strength of it."""
    council = NodeCouncil().start()
    leader, victim = council.seats[0], council.seats[1]
    good, real = council.call(0, 1), council.call(5, 1)
    forged = Single(real.body, real.suite, real.public_key, b"\x01" * 64)
    ledger = leader.machine.ledger
    made, bait = (
        ledger.build(
            ledger.head.block,
            candidates=[ledger.reader.submission(each)],
            wall_ms=council.now.wall_ms,
            proposer=leader.id,
        )
        for each in (forged, good)
    )
    victim.machine.step(council.now, events.Received(leader.id, Gossip([good])))
    assembler = victim.machine._assembler

    def named(entries: tuple[Entry, ...]) -> Execute:
        return Execute(BlockHash(made.hash), made.block.header, entries, (leader.id,), fresh=False)

    assembler.want(council.now, named(assembly.entries_of(bait.block, bait.transactions)))
    first = _asked(victim.machine.step(council.now, events.LinkChanged(leader.id, up=True)))
    assert len(first) == 1
    assembler.keep_only(())
    assembler.want(council.now, named(assembly.entries_of(made.block, made.transactions)))
    second = victim.machine.step(council.now, events.Received(leader.id, Items(made.hash, [forged])))
    assert len(_asked(second)) == 1
    victim.machine.step(council.now, events.Verified(first[0].batch, (True,)))
    assert victim.machine.ledger.executed(made.hash) is None
    victim.machine.step(council.now, events.Verified(_asked(second)[0].batch, (False,)))
    assert victim.machine.ledger.executed(made.hash) is None
    assert not assembler._jobs
