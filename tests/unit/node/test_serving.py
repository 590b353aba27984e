"""What a node gives its peers: bounded whatever they ask for."""

import pytest

from zizhu.chain.model import limits
from zizhu.chain.model.encoding import encode
from zizhu.chain.network.gossip import BATCH_BYTES
from zizhu.chain.network.messages import FETCH_ITEMS_MAX, FetchBlock, FetchCertified, FetchItems, Gossip, Items
from zizhu.chain.node.assembly import ASK_AGAIN_MS
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat


def _with_block(size: int = 1) -> tuple[NodeCouncil, NodeSeat, bytes]:
    """A council whose leader has executed a block of `size` transactions that is not committed yet."""
    council = NodeCouncil().start()
    leader = council.seats[0]
    leader.submit(*(council.call(number, 1) for number in range(size)))
    block = leader.machine.blocks.written
    newest = max(block, key=lambda each: block[each])
    council.mail.clear()
    return council, leader, newest


def _answers(seat: NodeSeat) -> list[Items]:
    return [letter.message for letter in seat.sent if isinstance(letter.message, Items)]


def test_items_are_sent_in_the_order_asked() -> None:
    """Positions ascend; what a block does not have is left out."""
    council, leader, block = _with_block(3)
    leader.hears(council.seats[1], FetchItems(block, [0, 2, 7]))
    executed = leader.machine.ledger.executed(block)
    assert executed is not None
    assert _answers(leader)[-1].items == [executed.block.items[0], executed.block.items[2]]


@pytest.mark.parametrize("positions", [[0, 0], [1, 0], [0] * FETCH_ITEMS_MAX])
def test_an_item_asked_for_twice_is_an_offence(positions: list[int]) -> None:
    """A short question cannot make this node copy one long item thousands of times into a frame that is no frame."""
    council, leader, block = _with_block(2)
    before = len(leader.sent)
    leader.hears(council.seats[1], FetchItems(block, positions))
    assert leader.faults() == [(council.seats[1].id.hex(), "items_order")]
    assert len(leader.sent) == before


@pytest.mark.parametrize("start", [1, 2**31 - 1, limits.NUMBER_MAX])
def test_questions_about_any_height_are_answered(start: int) -> None:
    """A height that no chain reaches is an empty answer."""
    council = NodeCouncil().start()
    seat = council.seats[0]
    seat.hears(council.seats[1], FetchCertified(start, 64))
    seat.hears(council.seats[1], FetchBlock(bytes(32)))
    seat.hears(council.seats[1], FetchItems(bytes(32), [0, limits.NUMBER_MAX]))
    assert not seat.faults()


def test_what_is_brought_to_a_deaf_leader_fits_a_frame() -> None:
    """Long transactions that a leader passes over are brought to it a bounded batch at a time."""
    council = NodeCouncil().start()
    seat = council.seats[1]
    long = b"x" * 200_000
    submissions = [council.call(number, 1, "put", b"key", long) for number in range(10)]
    seat.submit(*submissions)
    council.mail.clear()
    leader = council.seats[0]
    overtaking = council.call(11, 1)
    council.pass_ms(1_500)
    leader.submit(overtaking)
    council.deliver(lambda letter: not isinstance(letter.message, Gossip))
    council.pass_ms(ASK_AGAIN_MS)
    for each in council.seats[1:]:
        each.fire("assembly")
    council.deliver()
    assert seat.height == 2
    before = len(seat.sent)
    for _ in range(8):
        council.pass_ms(500)
        seat.fire("fairness")
    brought = [letter.message for letter in seat.sent[before:] if isinstance(letter.message, Gossip)]
    assert brought
    assert all(len(encode(message)) < BATCH_BYTES + limits.TRANSACTION_BYTES_MAX for message in brought)
    assert all(len(message.submissions) <= 2 for message in brought)
