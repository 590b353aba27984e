"""Solo: one member, one durable vote a height, nothing acknowledged that a crash can take."""

import pytest

from zizhu.chain.consensus.certificate import Strength, verify_certificate
from zizhu.chain.model.ids import TransactionId
from zizhu.chain.node.events import Await, Final
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat


def _submit(council: NodeCouncil, seat: NodeSeat, nonce: int) -> TransactionId | None:
    """Submit a call and wait for its receipt; its id if the client was told that it is final."""
    submission = council.call(0, nonce)
    transaction = council.id_of(seat, submission)
    seat.submit(submission)
    if seat.down:
        return None
    client = seat.ask(Await(transaction))
    return transaction if isinstance(seat.answers.get(client), Final) else None


def test_the_first_block_is_due_at_once_and_each_is_certified_single() -> None:
    """One signature, strength `single`; a block a transaction when nothing else waits."""
    council = NodeCouncil(1).start()
    seat = council.seats[0]
    assert seat.height == 1
    assert _submit(council, seat, 1) is not None
    commit = seat.machine.archive.commit(2)
    assert commit is not None
    assert verify_certificate(commit.certificate, council.consortium.voters) is Strength.SINGLE


def test_an_idle_solo_chain_gets_its_root() -> None:
    """After root_wait_ms without a block the next one comes empty; once there is a root, after idle_block_ms."""
    council = NodeCouncil(1).start()
    seat = council.seats[0]
    while seat.timers["engine:idle"] == 1_000:
        council.pass_ms(1_000)
        seat.fire("engine:idle")
    assert seat.timers["engine:idle"] == 60_000
    head = seat.machine.ledger.head
    assert head.outcome.root_height == head.height


@pytest.mark.row("B-1")
def test_what_was_acknowledged_survives_a_crash_at_every_effect() -> None:
    """Then write is present after restart: the member stops between any two effects, after the client's answer too,
    and loses what was not synced; every acknowledged transaction stands in the chain exactly once."""
    council = NodeCouncil(1).start()
    seat = council.seats[0]
    seat.effects = 0
    acknowledged = [_submit(council, seat, nonce) for nonce in range(1, 5)]
    effects = seat.effects
    assert effects > 15 and None not in acknowledged
    for at in range(effects + 1):
        council = NodeCouncil(1).start()
        seat = council.seats[0]
        seat.crash_after = seat.effects + at
        acknowledged = []
        for nonce in range(1, 5):
            if not seat.down:
                acknowledged.append(_submit(council, seat, nonce))
        seat.restart()
        for transaction in acknowledged:
            if transaction is not None:
                assert seat.machine.archive.receipt(transaction) is not None, at
        for nonce in range(1, 5):
            assert _submit(council, seat, nonce) is not None, (at, nonce)
        assert int.from_bytes(_counter(seat, council)) == 4, at


def _counter(seat: NodeSeat, council: NodeCouncil) -> bytes:
    """How many of the calls were executed: each receipt says the value of the counter that it made."""
    values = []
    for nonce in range(1, 5):
        receipt = seat.machine.archive.receipt(council.id_of(seat, council.call(0, nonce)))
        assert receipt is not None
        values.append(receipt.result)
    assert len(set(values)) == 4
    return bytes([len(values)])


def test_a_restart_between_vote_and_certificate_signs_the_same_block() -> None:
    """The block voted for is certified after the restart, and no other at its height."""
    council = NodeCouncil(1).start()
    seat = council.seats[0]
    seat.effects = 0
    seat.submit(council.call(0, 1))
    effects = seat.effects
    proposed = seat.machine.archive.block_hash(2)
    assert proposed is not None
    seen = []
    for at in range(effects):
        council = NodeCouncil(1).start()
        seat = council.seats[0]
        seat.crash_after = seat.effects + at
        seat.submit(council.call(0, 1))
        voted = len(list(council.seats[0].disk.log("votes").records()))
        council.pass_ms(77)
        seat.restart()
        if voted == 2:
            assert seat.machine.archive.block_hash(2) == proposed, at
            seen.append(at)
    assert seen, "no crash fell behind the vote"
