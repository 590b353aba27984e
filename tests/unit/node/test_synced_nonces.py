"""What a synced block makes impossible does not wait any longer."""

from zizhu.chain.network.messages import Gossip, Status
from zizhu.framework.testkit.node_council import NodeCouncil


def test_a_transaction_whose_nonce_a_synced_block_used_leaves_the_pool() -> None:
    """Of two transactions with one nonce the other was committed while this member was away: the one that waits here
    can never be executed. If it stayed, this member's view timer would run for ever, and it would leave every view."""
    council = NodeCouncil().start()
    late = council.seats[3]
    late.submit(council.call(0, 1, "put", b"k", b"other"))
    for seat in council.seats[:3]:
        seat.submit(council.call(0, 1))
    council.deliver(lambda letter: letter.target != late.id and not isinstance(letter.message, Gossip))
    assert [seat.height for seat in council.seats] == [2, 2, 2, 1]
    head = council.seats[0].machine.ledger.head.block
    late.hears(council.seats[0], Status(0, 0, True, 2, head))
    council.pass_ms(200)
    late.fire("sync")
    council.deliver(lambda letter: not isinstance(letter.message, Gossip))
    assert late.height == 2
    assert late.machine.pool.waiting == 0
    assert "engine:view" not in late.timers
