"""Gossip that was lost is brought again: when a link comes up, and from time to time while it waits."""

from zizhu.chain.network.messages import Gossip
from zizhu.chain.node.assembly import GRACE_MS
from zizhu.chain.node.events import Await, Final, LinkChanged
from zizhu.framework.testkit.council import Letter
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat

FOLLOWER = 2


def _lost() -> tuple[NodeCouncil, NodeSeat]:
    """A follower took a transaction from a client, and nobody else heard of it."""
    council = NodeCouncil().start()
    seat = council.seats[FOLLOWER]
    seat.submit(council.call(0, 1))
    seat.fire("gossip")
    council.deliver(lambda letter: not isinstance(letter.message, Gossip))
    assert seat.machine.pool.waiting == 1
    assert {each.machine.pool.waiting for each in council.seats if each is not seat} == {0}
    seat.sent.clear()
    return council, seat


def _brought(seat: NodeSeat) -> list[Letter]:
    letters = [letter for letter in seat.sent if isinstance(letter.message, Gossip)]
    seat.sent.clear()
    return letters


def test_a_link_that_comes_up_brings_what_waits() -> None:
    """The peer that was away is sent what this member's clients handed in, it alone, and the chain goes on by it."""
    council, seat = _lost()
    leader = council.seats[0]
    seat.tell(LinkChanged(leader.id, up=False))
    assert _brought(seat) == []
    seat.tell(LinkChanged(leader.id, up=True))
    (letter,) = _brought(seat)
    assert letter.target == leader.id
    council.deliver()
    council.pass_ms(GRACE_MS)
    for each in council.seats:
        if "assembly" in each.timers:
            each.fire("assembly")
    council.deliver()
    assert {each.height for each in council.seats} == {2}
    seat.tell(LinkChanged(leader.id, up=True))
    assert _brought(seat) == []


def test_what_waits_for_long_is_brought_to_all() -> None:
    """Every fairness tick after passed_over_ms: nothing before, all members then, nothing once it is final."""
    council, seat = _lost()
    limit_ms = seat.machine.ledger.record.parameters.passed_over_ms
    client = seat.ask(Await(council.id_of(seat, council.call(0, 1))))
    council.pass_ms(limit_ms - 1)
    seat.fire("fairness")
    assert _brought(seat) == []
    council.pass_ms(1)
    seat.fire("fairness")
    assert [letter.target for letter in _brought(seat)] == [each.id for each in council.seats if each is not seat]
    council.deliver()
    assert {each.height for each in council.seats} == {2}
    assert isinstance(seat.answers[client], Final)
    council.pass_ms(limit_ms)
    seat.fire("fairness")
    assert _brought(seat) == []


def test_what_a_peer_brought_is_not_brought_further() -> None:
    """Only who took it from a client repeats it: the others hold it and stay quiet."""
    council, seat = _lost()
    other = council.seats[3]
    other.hears(seat, Gossip([council.call(0, 1)]))
    other.sent.clear()
    council.pass_ms(60_000)
    other.tell(LinkChanged(council.seats[1].id, up=True))
    other.fire("fairness")
    assert _brought(other) == []
