"""The whole node as a machine: who hears what, and what a peer can and cannot make of it."""

import pytest

from zizhu.chain.consensus.pbft.messages import Proposal
from zizhu.chain.model.effects import Report
from zizhu.chain.network import messages
from zizhu.chain.network.messages import FetchBlock, Status, WholeBlock
from zizhu.framework.testkit.council import Letter
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat


def _commits(seat: NodeSeat) -> list[int]:
    """Heights that a member said it committed, in order."""
    return [int(str(each.values["height"])) for each in seat.reports if each.fact == "committed"]


def _certified_without_its_body() -> tuple[NodeCouncil, NodeSeat]:
    """Member 3 holds the certificate of height 2 from votes, and nobody has given it the block yet."""
    council = NodeCouncil().start()
    late = council.seats[3]
    council.seats[1].submit(council.call(0, 1))

    def passes(letter: Letter) -> bool:
        return letter.target != late.id or not isinstance(letter.message, Proposal | WholeBlock | messages.Gossip)

    for seat in council.seats[:3]:
        if "gossip" in seat.timers:
            seat.fire("gossip")
    council.deliver(passes)
    assert [seat.height for seat in council.seats] == [2, 2, 2, 1]
    assert any(isinstance(letter.message, FetchBlock) for letter in late.sent)
    return council, late


@pytest.mark.row("A-7")
@pytest.mark.parametrize("first", ["body", "sync"])
def test_a_height_is_applied_once_however_it_comes(first: str) -> None:
    """Then apply(h) is called exactly once per h per node, enforced by an assertion in production code: a block whose
    body is on its way to complete the certificate may come by sync before it, or after it."""
    council, late = _certified_without_its_body()
    helper = council.seats[0]
    body = helper.machine.archive.block(2)
    block = helper.machine.archive.block_hash(2)
    assert body is not None and block is not None
    if first == "body":
        late.hears(helper, WholeBlock(block, body))
    late.hears(helper, Status(0, 0, True, 2, block))
    council.pass_ms(1_000)
    if "sync" in late.timers:
        late.fire("sync")
    council.deliver()
    late.hears(helper, WholeBlock(block, body))
    assert _commits(late) == [1, 2]
    assert late.height == 2
    assert not late.faults()
    council.seats[1].submit(council.call(0, 2))
    council.gossip()
    assert [_commits(seat)[-1] for seat in council.seats] == [3, 3, 3, 3]
    assert len({seat.machine.ledger.head.outcome_hash for seat in council.seats}) == 1


def test_facts_of_a_quiet_chain_name_nobody() -> None:
    """Four honest members accuse nobody of anything, over blocks of singles and bundles."""
    council = NodeCouncil().start()
    for number in range(1, 6):
        council.seats[number % 4].submit(council.call(0, number))
        council.seats[0].submit(council.bundle(number, range(1, 4)))
        council.gossip()
    assert len({seat.height for seat in council.seats}) == 1 and council.seats[0].height >= 6
    assert all(isinstance(each, Report) for seat in council.seats for each in seat.reports)
    assert [seat.faults() for seat in council.seats] == [[], [], [], []]
