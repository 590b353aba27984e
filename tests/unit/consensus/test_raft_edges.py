"""Raft at its edges: a leader that was overtaken, logs that begin late, logs written half, and what nobody may say."""

import pytest
from msgspec import structs

from zizhu.chain.consensus import port
from zizhu.chain.consensus.raft.engine import build
from zizhu.chain.consensus.raft.messages import Append, Appended, AppendReply, Ballot, BallotReply, Entry, Install
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.ids import BlockHash
from zizhu.framework.testkit.council import Council, Letter, Seat

WIDE = Parameters(window=64, batch_transactions=1)


def raft(size: int = 3, *, parameters: Parameters | None = WIDE) -> Council:
    """Members of a Raft epoch who have committed the first block."""
    return Council(size, engine="raft", factory=build, parameters=parameters).start()


def sync(council: Council, seat: Seat) -> None:
    """What the node's catching up does: certified blocks of others, in order."""
    best = max(council.seats, key=lambda each: each.head.height)
    while seat.head.height < best.head.height:
        certificate = best.committed[seat.head.height]
        made = council.library[BlockHash(certificate.block)]
        seat.held[made.ready.block] = made
        seat.committed.append(certificate)
        seat.tell(port.Synced(made.ready, certificate))
        seat.tell(made)


def overtaken(rivals: int, blocks: int) -> tuple[Council, Seat]:
    """A leader that wrote `rivals` blocks which nobody got, while the others elected another and committed `blocks`;
    it has caught up by certified blocks, and has not heard of the new term yet."""
    council = raft()
    old, new = council.seats[0], council.seats[1]
    for _ in range(rivals):
        old.wait_for(1)
    council.mail.clear()
    old.down = True
    council.pass_ms(5_000)
    new.fire("election")
    council.deliver()
    for _ in range(blocks):
        new.wait_for(1)
        council.deliver()
    assert new.head.height == 1 + blocks
    old.down = False
    sync(council, old)
    return council, old


@pytest.mark.parametrize(("rivals", "blocks"), [(0, 2), (2, 1), (2, 2), (2, 4)])
def test_a_leader_that_was_overtaken_builds_nothing(rivals: int, blocks: int) -> None:
    """Leader Completeness: a leader holds everything that is committed. One that is shown a certified block which its
    log does not hold leads no more, whether or not it has heard of the newer term: what it would build continues
    nothing."""
    council, old = overtaken(rivals, blocks)
    old.wait_for(1)
    assert "heartbeat" not in old.timers
    assert old.head.height == 1 + blocks
    council.seats[1].fire("heartbeat")
    council.deliver()
    council.commit_one()
    assert {seat.head.height for seat in council.seats} == {2 + blocks}


def test_a_candidate_that_was_overtaken_does_not_lead() -> None:
    """Votes may arrive late, when the chain has got on under a newer leader: who lacks what is certified does not take
    them."""
    council = raft()
    old, candidate, voter = council.seats
    old.down = True
    council.pass_ms(5_000)
    candidate.fire("election")
    late: list[Letter] = []

    def passes(letter: Letter) -> bool:
        is_vote = isinstance(letter.message, BallotReply) and not letter.message.pre
        late.extend([letter] * is_vote)
        return not is_vote

    council.deliver(passes)
    assert (candidate.view, len(late)) == (2, 1)
    candidate.down = True
    old.restart()
    council.deliver()
    council.pass_ms(5_000)
    voter.fire("election")
    council.deliver()
    council.commit_one()
    assert voter.head.height == 2
    candidate.down = False
    sync(council, candidate)
    council.hand(late[0])
    assert "heartbeat" not in candidate.timers
    candidate.wait_for(1)
    assert [seat.head.height for seat in council.seats] == [2, 2, 2]


def test_a_member_whose_acknowledged_entries_were_overtaken_keeps_its_memory() -> None:
    """Entries that were acknowledged to a leader, and overtaken, are no lost memory: a member that has the certified
    rivals of them, and starts again before it hears of the newer term, takes part."""
    council = raft(5)
    old, follower, new = council.seats[:3]
    for _ in range(3):
        old.wait_for(1)
    council.deliver(lambda letter: {letter.source, letter.target} == {old.id, follower.id})
    old.down = follower.down = True
    council.pass_ms(5_000)
    new.fire("election")
    council.deliver()
    new.wait_for(1)
    council.deliver()
    assert new.head.height == 2
    old.down = follower.down = False
    sync(council, follower)
    # The node executes again only what continues the head.
    rivals = [block for block, made in follower.held.items() if made.ready.height > follower.head.height]
    for block in rivals:
        del follower.held[block]
    follower.restart()
    council.deliver()
    assert (follower.engine.status().voting, follower.engine.status().reason) == (True, "")


# -- logs that begin late --------------------------------------------------------------------------------------------


def test_a_lost_answer_to_an_install_is_given_again() -> None:
    """A follower that has begun its log behind what the leader let go of says so as often as it is asked: messages may
    be lost, and the leader goes on only when it knows."""
    council = raft()
    leader, follower = council.seats[0], council.seats[1]
    asked = Letter(leader.id, follower.id, Install(0, 1, 9, 1, 1))
    for letter in (asked, asked, Letter(leader.id, follower.id, Install(0, 1, 8, 1, 1))):
        council.mail.clear()
        council.hand(letter)
        answers = [each.message for each in council.mail if isinstance(each.message, AppendReply)]
        assert [(each.agreed, each.match) for each in answers] == [(True, 9)]


def test_a_follower_that_catches_up_is_heard() -> None:
    """Section 6.2: a leader steps down when no majority answers it. A follower that fetches the certified chain first
    answers too: otherwise it and its leader would elect one anew all the while."""
    council = raft()
    leader, follower = council.seats[0], council.seats[1]
    council.seats[2].down = True
    for _ in range(10):
        council.pass_ms(300)
        council.hand(Letter(leader.id, follower.id, Install(0, 1, 900, 1, 500)))
        council.deliver()
        leader.fire("election")
    assert "heartbeat" in leader.timers
    assert follower.behind[-1].height == 500


# -- vote logs -------------------------------------------------------------------------------------------------------


def test_a_vote_log_that_was_shortened_half_is_whole() -> None:
    """What is to be remembered is written at the end of the vote log before its beginning is let go of. Whatever part
    of it a loss of power spares, no acknowledged entry is lost."""
    council = raft()
    for _ in range(3):
        council.commit_one()
    member = council.seats[1]
    member.restart()
    log, kept = list(member.log), list(member.engine.remembered())
    for length in range(len(kept) + 1):
        member.log = log + kept[:length]
        member.restart()
        assert list(member.engine.remembered()) == kept


def test_an_entry_written_again_after_another_replaces_it() -> None:
    """An entry of another leader at the same index cuts off what stood there, in the replay as when it was written."""
    council = raft()
    member = council.seats[1]
    block = bytes(member.head.block)
    member.log += [encode(Appended(0, index, term, 1, None)) for index, term in ((2, 1), (3, 1), (2, 2))]
    member.restart()
    ends = [encode(Appended(0, 1, 1, 1, block)), encode(Appended(0, 2, 2, 1, None))]
    assert [each for each in member.engine.remembered() if each[0] == ends[0][0] and each in ends] == ends
    assert encode(Appended(0, 3, 1, 1, None)) not in member.engine.remembered()


def test_a_lost_disk_stays_lost_over_another_restart() -> None:
    """A member whose disk was lost votes as if the newest log that it was told of were its own, until its own is as
    new: also when it is started again with the beginning of that log."""
    council = raft(parameters=None)
    leader, without, victim = council.seats
    leader.wait_for(1)
    council.deliver(lambda letter: without.id not in (letter.source, letter.target))
    assert leader.head.height == 2
    for seat in council.seats:
        seat.committed = []
    victim.log, victim.held = [], {}
    council.mail.clear()
    for seat in council.seats:
        seat.restart()
    council.deliver()
    council.pass_ms(5_000)
    leader.fire("election")
    short: list[Letter] = []

    def passes(letter: Letter) -> bool:
        if isinstance(letter.message, Append) and letter.message.entries and letter.message.previous_index == 0:
            short.append(letter)
        if short and letter.target == victim.id:
            return False
        return letter.target != without.id

    council.deliver(passes)
    sent = short[0].message
    assert isinstance(sent, Append)
    assert len(sent.entries) > 1
    first = structs.replace(sent, entries=sent.entries[:1], commit_index=0, certificates=[])
    council.hand(Letter(leader.id, victim.id, first))
    council.mail.clear()
    leader.down = True
    for _ in range(2):
        victim.restart()
        council.deliver()
        assert victim.engine.status().voting
    for _ in range(3):
        council.pass_ms(5_000)
        without.fire("election")
        council.deliver()
    assert "heartbeat" not in without.timers
    leader.restart()
    council.deliver()
    council.pass_ms(5_000)
    leader.fire("election")
    council.deliver()
    assert {seat.head.height for seat in council.seats} == {2}


def test_a_lost_disk_gives_no_second_vote() -> None:
    """Election Safety: a member whose disk was lost with its vote in it gives no other in that term, though the
    candidate that got it cannot tell it: one of those who answer is in that term too."""
    council = raft(5)
    candidate, victim, rival = council.seats[1], council.seats[2], council.seats[4]
    council.seats[0].down = True
    council.pass_ms(5_000)
    candidate.fire("election")
    council.deliver(lambda letter: letter.target != rival.id and not isinstance(letter.message, Append))
    assert "heartbeat" in candidate.timers
    candidate.down = True
    council.mail.clear()
    victim.log, victim.held = [], {}
    for seat in council.seats:
        seat.committed = []
        if seat is not candidate:
            seat.restart()
    council.deliver()
    assert victim.engine.status().voting
    council.pass_ms(5_000)
    council.hand(Letter(rival.id, victim.id, Ballot(0, 2, 100, 100, pre=False, called=False)))
    answers = [each.granted for each in victim.sent if isinstance(each, BallotReply) and not each.pre]
    assert answers[-1] is False
    council.hand(Letter(rival.id, victim.id, Ballot(0, 3, 100, 100, pre=False, called=False)))
    answers = [each.granted for each in victim.sent if isinstance(each, BallotReply) and not each.pre]
    assert answers[-1] is True


# -- what nobody may say ---------------------------------------------------------------------------------------------


def test_blocks_that_do_not_continue_the_log_are_not_followed() -> None:
    """The blocks of a log are a chain. A leader whose entry names a block that does not continue the one before it, or
    stands at another height, is named and not followed; nobody signs it."""
    for wrong_height in (True, False):
        council = raft()
        leader, follower = council.seats[0], council.seats[1]
        good = council.block(leader.head.block, proposer=leader.id)
        if wrong_height:
            bad = council.block(leader.head.block, proposer=leader.id, salt=1)
        else:
            rival = council.block(leader.head.block, proposer=leader.id, salt=2)
            bad = council.block(rival.ready.block, proposer=leader.id)
        named = [Entry(1, 2, good.ready.block, None, []), Entry(1, 3, bad.ready.block, None, [])]
        council.hand(Letter(leader.id, follower.id, Append(0, 1, 1, 1, named, 3, 1, [])))
        assert (leader.id.hex(), "block_refused") in follower.faults()
        assert len(follower.signed) <= 2
        assert not follower.active


def test_an_append_from_below_the_base_agrees_with_it() -> None:
    """Where the log begins it is certified: entries that contradict it there are an offence, and not an exception."""
    council = raft()
    leader, follower = council.seats[0], council.seats[1]
    council.hand(Letter(leader.id, follower.id, Install(0, 5, 9, 4, 1)))
    entries = [Entry(2, 1, None, None, []), Entry(2, 1, None, None, [])]
    council.hand(Letter(leader.id, follower.id, Append(0, 5, 8, 2, entries, 10, 1, [])))
    assert follower.faults() == [(leader.id.hex(), "append_overwrites")]


def test_a_base_of_a_later_term_than_its_leaders_is_an_offence() -> None:
    """Terms ascend along a log up to the leader's own."""
    council = raft()
    leader, follower = council.seats[0], council.seats[1]
    council.hand(Letter(leader.id, follower.id, Install(0, 1, 9, 7, 1)))
    assert follower.faults() == [(leader.id.hex(), "install_terms")]
