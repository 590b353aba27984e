"""What clients are told: the same transaction has one receipt, and every submission an answer."""

import pytest

from zizhu.chain.model.encoding import encode
from zizhu.chain.model.transaction import Single
from zizhu.chain.network.messages import Gossip
from zizhu.chain.node.events import Accepted, Asked, Await, Expired, Final, Forget, Rejected, Submit, Submitted
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat


def _outcomes(seat: NodeSeat, client: int) -> tuple[Accepted | Rejected, ...]:
    reply = seat.answers[client]
    assert isinstance(reply, Submitted)
    return reply.outcomes


def _code(seat: NodeSeat, client: int) -> str:
    (outcome,) = _outcomes(seat, client)
    assert isinstance(outcome, Rejected)
    return outcome.error.code.code


def test_the_same_transaction_anywhere_any_number_of_times_has_one_receipt() -> None:
    """Submitted twice at one member, at another, before and after it is final: accepted each time, executed once."""
    council = NodeCouncil().start()
    call = council.call(0, 1)
    first, second = council.seats[0], council.seats[1]
    clients = [(seat, seat.submit(call)) for seat in (first, first, second)]
    council.gossip()
    clients += [(seat, seat.submit(call)) for seat in council.seats]
    transaction = council.id_of(first, call)
    for seat, client in clients:
        assert _outcomes(seat, client) == (Accepted((transaction,)),)
    heights = set()
    for seat in council.seats:
        client = seat.ask(Await(transaction))
        reply = seat.answers[client]
        assert isinstance(reply, Final)
        heights.add((reply.receipt.height, encode(reply.receipt)))
    assert len(heights) == 1
    council.gossip()
    assert sum(len(seat.machine.archive.block(h).items) for h in range(1, seat.height + 1)) == 1  # type: ignore[union-attr]


def test_who_waits_is_told_when_it_is_final_and_not_before() -> None:
    """Accepted is not final: the receipt comes with the certified block."""
    council = NodeCouncil().start()
    seat = council.seats[2]
    call = council.call(0, 1)
    client = seat.submit(call)
    waiting = seat.ask(Await(council.id_of(seat, call)))
    assert isinstance(_outcomes(seat, client)[0], Accepted)
    assert waiting not in seat.answers
    council.gossip()
    assert isinstance(seat.answers[waiting], Final)


def test_who_has_gone_is_not_told() -> None:
    """Forgotten clients get nothing, the others do; forgetting twice is no error."""
    council = NodeCouncil().start()
    seat = council.seats[0]
    call = council.call(0, 1)
    transaction = council.id_of(seat, call)
    gone, here = seat.ask(Await(transaction)), seat.ask(Await(transaction))
    for _ in range(2):
        seat.tell(Asked(gone, Forget()))
    seat.submit(call)
    council.gossip()
    assert gone not in seat.answers
    assert isinstance(seat.answers[here], Final)


def test_a_wrong_signature_is_the_clients_error() -> None:
    """With its code; the id is not harmed: the good submission is accepted afterwards."""
    council = NodeCouncil().start()
    seat = council.seats[0]
    good = council.call(0, 1)
    assert (
        _code(seat, seat.submit(Single(good.body, good.suite, good.public_key, bytes(64)))) == "transaction.signature"
    )
    assert isinstance(_outcomes(seat, seat.submit(good))[0], Accepted)


def test_each_submission_has_its_outcome_in_order() -> None:
    """Good, malformed, forged and good again in one request: four outcomes in that order."""
    council = NodeCouncil().start()
    seat = council.seats[0]
    forged = council.call(1, 1)
    raws = (
        encode(council.call(0, 1)),
        b"\x00garbage",
        encode(Single(forged.body, forged.suite, forged.public_key, bytes(64))),
        encode(council.bundle(2, range(1, 3))),
    )
    client = seat.ask(Submit(raws))
    kinds = [type(each) for each in _outcomes(seat, client)]
    assert kinds == [Accepted, Rejected, Rejected, Accepted]
    assert _outcomes(seat, seat.ask(Submit(()))) == ()


def test_what_cannot_come_any_more_is_expired() -> None:
    """Once a certified height is past valid_until_height, who waits is told, and the pool lets go of it."""
    council = NodeCouncil().start()
    seat = council.seats[1]
    late = council.call(0, 1, valid_until_height=2)
    waiting = seat.ask(Await(council.id_of(seat, late)))
    seat.submit(late)
    council.mail.clear()
    seat.timers.pop("gossip")
    for number in (1, 2, 3):
        council.seats[0].submit(council.call(5, number))
        council.gossip()
    reply = seat.answers[waiting]
    assert isinstance(reply, Expired) and reply.height >= 2
    assert seat.machine.pool.waiting == 0


def test_a_used_nonce_is_refused_with_its_code() -> None:
    """Another transaction with a nonce that was used is not executed, and its client learns why."""
    council = NodeCouncil().start()
    seat = council.seats[0]
    seat.submit(council.call(0, 1))
    council.gossip()
    assert "nonce" in _code(seat, seat.submit(council.call(0, 1, "put", b"k", b"v")))


def test_far_above_the_lowest_waiting_nonce_is_busy() -> None:
    """More than 1,024 above what waits is a good request at a bad moment."""
    council = NodeCouncil().start()
    seat = council.seats[1]
    seat.submit(council.call(0, 1))
    client = seat.submit(council.call(0, 2_000))
    (outcome,) = _outcomes(seat, client)
    assert isinstance(outcome, Rejected)
    assert getattr(outcome.error, "retry_after_ms", 0) > 0


@pytest.mark.row("P-8")
@pytest.mark.parametrize("kind", ["forged", "malformed"])
def test_bad_gossip_costs_its_sender_and_not_the_id(kind: str) -> None:
    """A bad witness under a known id never keeps the transaction with the good witness out: a submission that a peer
    passes on and that is wrong names the peer; the good one is taken afterwards."""
    council = NodeCouncil().start()
    seat, peer = council.seats[0], council.seats[1]
    good = council.call(0, 1)
    bad = Single(good.body, good.suite, good.public_key, bytes(64))
    if kind == "malformed":
        bad = Single(b"\xc1", good.suite, good.public_key, good.signature)
    seat.hears(peer, Gossip([bad]))
    assert [who for who, _ in seat.faults()] == [peer.id.hex()]
    assert isinstance(_outcomes(seat, seat.submit(good))[0], Accepted)
    council.gossip()
    assert {each.height for each in council.seats} == {2}


def test_what_a_peer_gossips_is_not_gossiped_again() -> None:
    """Each submission is sent once per link: only who took it from a client sends it."""
    council = NodeCouncil().start()
    seat = council.seats[1]
    seat.hears(council.seats[2], Gossip([council.call(0, 1)]))
    assert "gossip" not in seat.timers
