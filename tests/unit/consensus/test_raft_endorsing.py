"""Signatures under Raft: only of what has committed, one block a height, and a majority of them certifies."""

import msgspec
import pytest

from zizhu.chain.consensus import port
from zizhu.chain.consensus.certificate import Strength, verify_certificate
from zizhu.chain.consensus.raft.engine import build
from zizhu.chain.consensus.raft.messages import Append, AppendReply, Endorsed, Endorsement, record_codec
from zizhu.chain.model.certificate import COMMIT
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.ids import BlockHash, OutcomeHash
from zizhu.framework.testkit.council import Council, Letter, Seat


def raft(size: int = 3) -> Council:
    """Members of a Raft epoch who have committed the first block."""
    return Council(size, engine="raft", factory=build).start()


def endorsements(seat: Seat) -> list[Endorsement]:
    """What a member has signed and sent."""
    return [each for message in seat.sent if isinstance(message, AppendReply) for each in message.endorsements]


def written(seat: Seat) -> list[int]:
    """Heights that its vote log says it has endorsed, in order."""
    records = [record_codec.decode(data) for data in seat.log]
    return [record.height for record in records if isinstance(record, Endorsed)]


def test_a_member_signs_only_what_has_committed() -> None:
    """protocol.md: a member signs a block under Raft only after its commit index has passed it and it has executed
    it. An entry that it holds and has acknowledged is not signed before the leader says that it is committed."""
    council = raft(5)
    leader, member = council.seats[0], council.seats[1]
    leader.wait_for(1)
    council.deliver(lambda letter: letter.target in {member.id, leader.id} and letter.source in {member.id, leader.id})
    assert isinstance(member.sent[-1], AppendReply) and member.sent[-1].match == 2
    assert written(member) == written(leader) == [1]
    leader.fire("heartbeat")
    council.deliver(lambda letter: True)
    assert written(member) == written(leader) == [1, 2]
    assert {seat.head.height for seat in council.seats} == {2}


def test_a_client_is_answered_only_with_a_certificate() -> None:
    """A majority of signatures is the certificate (view 0), and only then is a client answered: with its entry
    committed and its own signature alone, the leader has not committed the block."""
    council = raft()
    leader = council.seats[0]
    leader.wait_for(1)
    council.deliver(lambda letter: not (isinstance(letter.message, AppendReply) and letter.message.endorsements))
    assert written(leader) == [1, 2]
    assert leader.head.height == 1
    leader.fire("heartbeat")
    council.deliver()
    assert {seat.head.height for seat in council.seats} == {2}


@pytest.mark.parametrize("size", [3, 4, 5])
def test_a_majority_certifies_and_says_how_strong_it_is(size: int) -> None:
    """`verify_certificate` is one function and returns a strength: `crash` under Raft, of floor(n/2)+1 signatures of
    view 0; one fewer is nothing."""
    council = raft(size)
    council.commit_one()
    certificate = council.seats[1].committed[-1]
    voters = council.consortium.voters
    assert verify_certificate(certificate, voters) is Strength.CRASH
    assert certificate.view == 0
    assert len(certificate.signatures) >= size // 2 + 1
    fewer = msgspec.structs.replace(certificate, signatures=certificate.signatures[: size // 2])
    with pytest.raises(SpokeWrongly, match="needed"):
        verify_certificate(fewer, voters)


def test_one_block_a_height_for_ever() -> None:
    """At most one block a height, for ever: the signature record is in the vote log. A member that starts again signs
    what it has signed before, and sends it again until the block is certified."""
    council = raft()
    leader, member = council.seats[0], council.seats[1]
    leader.wait_for(1)
    council.deliver(lambda letter: not (isinstance(letter.message, AppendReply) and letter.message.endorsements))
    assert written(member) == [1, 2]
    first = [each for each in endorsements(member) if each.height == 2]
    for _ in range(3):
        member.restart()
        council.deliver(lambda letter: not (isinstance(letter.message, AppendReply) and letter.message.endorsements))
    assert written(member) == [1, 2]
    leader.fire("heartbeat")
    council.deliver()
    again = [each for each in endorsements(member) if each.height == 2]
    assert {msgspec.structs.astuple(each) for each in again} == {msgspec.structs.astuple(each) for each in first}
    assert len(again) > len(first)
    assert {seat.head.height for seat in council.seats} == {2}


def test_the_signature_stands_behind_its_record() -> None:
    """protocol.md, Signing: the order of a vote is Persist(vote record), Sign, Send. A member that stops between any
    two effects has asked for no signature that its vote log does not know."""
    for effects in range(12):
        council = raft()
        member = council.seats[1]
        before = len(member.signed)
        member.crash_after = effects
        council.seats[0].wait_for(1)
        council.deliver()
        assert len(member.signed) - before <= len(written(member)) - 1


@pytest.mark.row("A-20")
@pytest.mark.row("A-21")
def test_signatures_that_do_not_hold_count_for_nothing() -> None:
    """A signature over another height or block, of another member, or of nobody is thrown out and its sender is named;
    the block is certified by a majority of good ones."""
    council = raft()
    leader, liar, member = council.seats
    leader.wait_for(1)
    bad = {"swapped": False}

    def bend(letter: Letter) -> bool:
        if not isinstance(letter.message, AppendReply) or not letter.message.endorsements:
            return True
        if letter.source == liar.id:
            bent = [msgspec.structs.replace(each, signature=bytes(64)) for each in letter.message.endorsements]
            council.hand(Letter(liar.id, leader.id, msgspec.structs.replace(letter.message, endorsements=bent)))
            bad["swapped"] = True
        return False

    council.deliver(bend)
    assert bad["swapped"]
    assert leader.head.height == 1, "two signatures are needed, and one is good"
    leader.fire("heartbeat")
    council.deliver(lambda letter: letter.source != liar.id)
    assert leader.head.height == 2
    assert (liar.id.hex(), "endorsement_signature") in leader.faults()
    signers = [each.member for each in member.committed[-1].signatures]
    assert sorted(signers) == sorted([leader.id, member.id])


def test_a_certificate_that_does_not_hold_is_the_leaders_offence() -> None:
    """A follower checks every certificate by the one check; a bad one moves nothing."""
    council = raft()
    leader, member = council.seats[0], council.seats[1]
    made = council.block(leader.head.block, proposer=leader.id, count=1)
    member.held[made.ready.block] = made
    certificate = council.certificate(made, phase=COMMIT, view=0, signers=[leader.id])
    message = Append(0, 1, 1, 1, [], 1, 2, [certificate])
    council.hand(Letter(leader.id, member.id, message))
    assert member.head.height == 1
    assert (leader.id.hex(), "certificate") in member.faults()


def test_a_certificate_ahead_of_its_block_waits_and_says_so() -> None:
    """A follower that lacks a certified block says that it is behind, and commits the block once it is executed."""
    council = raft()
    leader, member = council.seats[0], council.seats[1]
    made = council.block(leader.head.block, proposer=leader.id, count=1)
    certificate = council.certificate(made, phase=COMMIT, view=0)
    council.hand(Letter(leader.id, member.id, Append(0, 1, 1, 1, [], 1, 2, [certificate])))
    assert member.head.height == 1
    assert port.Behind(leader.id, 2) in member.behind
    member.held[made.ready.block] = made
    member.tell(made)
    assert member.head.height == 2


def test_a_node_that_computes_something_else_stops() -> None:
    """A node whose own deterministic execution differs from a certified outcome stops and reports, never signs on."""
    council = raft()
    leader, member = council.seats[0], council.seats[1]
    made = council.block(leader.head.block, proposer=leader.id, count=1)
    certificate = council.certificate(made, phase=COMMIT, view=0)
    other = OutcomeHash(b"another outcome".ljust(32))
    member.held[made.ready.block] = made
    member.tell(computed_otherwise(made, other))
    with pytest.raises(AssertionError, match="own execution gives"):
        council.hand(Letter(leader.id, member.id, Append(0, 1, 1, 1, [], 1, 2, [certificate])))


def computed_otherwise(made: port.Executed, outcome: OutcomeHash) -> port.Executed:
    """The same block, computed otherwise."""
    ready = made.ready
    bent = port.Ready(
        ready.height, BlockHash(ready.block), ready.parent, outcome, ready.time_ms, ready.has_root, ready.count
    )
    return port.Executed(bent, made.header, made.entries)
