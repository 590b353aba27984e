"""A member that leaves a view alone, for a transaction that nobody else has."""

from zizhu.chain.network.messages import Gossip
from zizhu.framework.testkit.node_council import NodeCouncil


def test_who_leaves_a_view_for_what_only_it_holds_brings_it_to_the_others() -> None:
    """The member that a client gave a transaction to told one other member of it, and is gone. That one asks for
    another view, and nobody joins it as nobody knows why: it tells them, and the transaction is committed."""
    council = NodeCouncil().start()
    gone, holder = council.seats[3], council.seats[2]
    call = council.call(0, 1)
    gone.submit(call)
    gone.fire("gossip")
    council.deliver(lambda letter: letter.target == holder.id and isinstance(letter.message, Gossip))
    gone.down = True
    assert [seat.machine.pool.waiting for seat in council.seats[:3]] == [0, 0, 1]
    holder.fire("engine:view")
    council.deliver()
    assert not holder.machine.status().active
    council.pass_ms(500)
    holder.fire("fairness")
    council.deliver()
    for seat in council.seats[:2]:
        seat.fire("engine:view")
    council.deliver()
    assert [seat.height for seat in council.seats[:3]] == [2, 2, 2]
    assert council.seats[0].machine.archive.locate(council.id_of(holder, call)) is not None
