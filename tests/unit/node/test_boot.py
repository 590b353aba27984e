"""From any state of the disk that a crash leaves to the chain that was acknowledged."""

import msgspec
import pytest

from zizhu.chain.model.ids import TransactionId
from zizhu.chain.network.messages import CertifiedBlocks
from zizhu.chain.network.sync import ANSWER_WAIT_MS
from zizhu.chain.node.events import Await, Final
from zizhu.chain.storage.port import Delete
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat


def _settle(council: NodeCouncil) -> None:
    """Statuses, questions and answers until nobody is behind."""
    for _ in range(6):
        council.pass_ms(1_000)
        for seat in council.seats:
            for timer in ("status", "sync", "gossip", "engine:recall", "engine:resend", "assembly"):
                if not seat.down and timer in seat.timers:
                    seat.fire(timer)
        council.deliver()


def _equal(council: NodeCouncil) -> None:
    heads = {(seat.height, seat.machine.ledger.head.outcome_hash) for seat in council.seats}
    assert len(heads) == 1


def _acknowledged(seat: NodeSeat, transaction: TransactionId) -> bool:
    client = seat.ask(Await(transaction))
    return isinstance(seat.answers.get(client), Final)


@pytest.mark.row("B-2")
def test_a_member_comes_back_from_a_crash_between_any_two_effects() -> None:
    """Then replay is idempotent, state roots equal: whichever write was the last, the member replays, catches up and
    has the state of the others; what it had acknowledged is there."""
    council = NodeCouncil().start()
    victim = council.seats[1]
    victim.effects = 0
    _play(council)
    effects = victim.effects
    assert effects > 30
    for at in range(0, effects, 2):
        council = NodeCouncil().start()
        victim = council.seats[1]
        victim.crash_after = victim.effects + at
        told = _play(council)
        assert victim.down
        victim.restart()
        for transaction in told:
            assert _acknowledged(victim, transaction), at
        _settle(council)
        council.seats[0].submit(council.call(9, 1))
        council.gossip()
        _settle(council)
        _equal(council)
        assert council.seats[0].height >= 5
        assert not [fault for seat in council.seats for fault in seat.faults()], at


def _play(council: NodeCouncil) -> list[TransactionId]:
    """Four blocks through member 1; what it told a client to be final before it crashed."""
    told = []
    for nonce in range(1, 5):
        seat = council.seats[1]
        submission = council.call(0, nonce, "transfer", bytes(council.accounts[3].id), 1)
        transaction = council.id_of(seat, submission)
        (council.seats[2] if seat.down else seat).submit(submission)
        council.gossip()
        if not seat.down and _acknowledged(seat, transaction):
            told.append(transaction)
    return told


def test_power_loss_of_all_members_loses_nothing_acknowledged() -> None:
    """All four lose what was not synced, at once; they come back to one chain with every receipt, and go on."""
    council = NodeCouncil().start()
    told = _play(council)
    assert len(told) == 4
    for seat in council.seats:
        seat.crash()
    council.mail.clear()
    for seat in council.seats:
        seat.boot()
    for seat in council.seats:
        seat.start()
    council.deliver()
    for seat in council.seats:
        for transaction in told:
            assert _acknowledged(seat, transaction)
    council.seats[3].submit(council.call(9, 1))
    council.gossip()
    _settle(council)
    _equal(council)
    assert council.seats[0].height == 6


def test_a_member_with_an_empty_disk_learns_the_chain_and_stays_silent() -> None:
    """A wiped disk with the old key: the chain is synced, and the key, whose votes others show, never votes again."""
    council = NodeCouncil().start()
    _play(council)
    victim = council.seats[1]
    victim.crash()
    victim.disk.wipe()
    victim.boot()
    victim.start()
    council.deliver()
    _settle(council)
    _equal(council)
    status = victim.machine.status()
    assert not status.voting and status.reason
    council.seats[0].submit(council.call(9, 1))
    council.gossip()
    _settle(council)
    _equal(council)


def test_the_state_store_is_only_a_short_cut() -> None:
    """Without it, and without the index, the same head is replayed from the block log."""
    council = NodeCouncil().start()
    _play(council)
    victim = council.seats[1]
    before = victim.machine.ledger.head.outcome_hash
    victim.crash()
    for store in (victim.disk.store("state"), victim.disk.store("index")):
        store.write([Delete(key) for key, _ in store.scan(b"")], durable=True)
    victim.restart()
    assert victim.machine.ledger.head.outcome_hash == before


@pytest.mark.row("A-5")
def test_a_liar_in_sync_is_named_and_another_is_asked() -> None:
    """Then block discarded, peer penalised, sync completes from another peer within 2 timeouts."""
    council = NodeCouncil().start()
    victim, liar = council.seats[3], council.seats[0]
    victim.crash()
    for number in range(1, 12):
        council.seats[0].submit(council.call(number % 12, 1))
        council.gossip()
    victim.restart()
    council.mail.clear()
    assert victim.height == 1
    lied_ms: list[int] = []
    done_ms = 0
    for _ in range(8 * 10):
        council.pass_ms(100)
        for seat in council.seats:
            seat.fire("status")
        if "sync" in victim.timers:
            victim.fire("sync")
        while council.mail:
            letter = council.mail.pop(0)
            message = letter.message
            if isinstance(message, CertifiedBlocks) and letter.source == liar.id and message.blocks:
                first = message.blocks[0]
                header = msgspec.structs.replace(first.block.header, transaction_root=bytes(32))
                bad = msgspec.structs.replace(first, block=msgspec.structs.replace(first.block, header=header))
                message = CertifiedBlocks(message.start, [bad, *message.blocks[1:]][::-1])
                lied_ms.append(council.now.monotonic_ms)
            council.by_id[letter.target].hears(letter.source, message)
        if victim.height == council.seats[0].height and not done_ms:
            done_ms = council.now.monotonic_ms
    _equal(council)
    assert lied_ms and done_ms - lied_ms[0] <= 2 * ANSWER_WAIT_MS
    assert {who for who, _ in victim.faults()} == {liar.id.hex()}
