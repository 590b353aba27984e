"""Raft elections: one leader a term, the newest log wins, and nobody is unseated for nothing.

Numbered properties are those of Ongaro's thesis (2014), figure 3.2 and the sections named.
"""

import pytest

from zizhu.chain.consensus import port
from zizhu.chain.consensus.raft.engine import build
from zizhu.chain.consensus.raft.messages import Append, Ballot, BallotReply, Take, Turned, record_codec
from zizhu.framework.testkit.council import Council, Letter, Seat


def raft(size: int = 3) -> Council:
    """Members of a Raft epoch who have committed the first block."""
    return Council(size, engine="raft", factory=build).start()


def elect(council: Council, seat: Seat, passes: object = None) -> None:
    """Nobody has heard from a leader for long; `seat` is the first to notice."""
    council.pass_ms(5_000)
    seat.fire("election")
    council.deliver(passes or (lambda _: True))  # type: ignore[arg-type]


def leaders(council: Council) -> list[Seat]:
    """Those that send appends: they have a heartbeat to think of."""
    return [seat for seat in council.seats if not seat.down and "heartbeat" in seat.timers]


def turns(seat: Seat) -> list[tuple[int, bytes | None]]:
    """(term, vote) of every record of the vote log, in order."""
    records = [record_codec.decode(data) for data in seat.log]
    return [(record.term, record.voted) for record in records if isinstance(record, Turned)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_the_first_leader_needs_no_election(size: int) -> None:
    """protocol.md, Epochs: the first leader (term 1) is the member at position height mod n of the record: no
    election. Every member has written its vote for it down, and the first block is committed at once."""
    council = raft(size)
    assert leaders(council) == [council.seats[0]]
    assert all(turns(seat) == [(1, council.seats[0].id)] for seat in council.seats)
    assert {seat.head.height for seat in council.seats} == {1}
    assert not [seat for seat in council.seats if any(isinstance(each, Ballot) for each in seat.sent)]


def test_a_dead_leader_is_replaced() -> None:
    """Section 3.4: a follower that hears nothing for an election time-out starts an election, and leads if a majority
    votes for it; the others follow it in its term."""
    council = raft()
    council.seats[0].down = True
    elect(council, council.seats[1])
    assert leaders(council) == [council.seats[1]]
    assert [seat.view for seat in council.seats[1:]] == [2, 2]
    council.commit_one()
    assert {seat.head.height for seat in council.seats[1:]} == {2}


def test_a_member_votes_once_a_term() -> None:
    """Election Safety: at most one leader can be elected in a given term. A member gives its vote in a term to the
    first candidate that may have it, to the same one again when asked again, and to no other, also after a restart."""
    council = raft(5)
    voter, first, second = council.seats[2], council.seats[1], council.seats[3]
    council.pass_ms(5_000)

    def asks(candidate: Seat) -> bool:
        council.mail.clear()
        council.hand(Letter(candidate.id, voter.id, Ballot(0, 2, 100, 100, pre=False, called=False)))
        answers = [each.message for each in council.mail if isinstance(each.message, BallotReply)]
        return [answer.granted for answer in answers] == [True]

    assert asks(first)
    assert not asks(second)
    voter.restart()
    council.deliver()
    council.pass_ms(5_000)
    assert not asks(second)
    assert asks(first)
    assert turns(voter)[-1] == (2, first.id)


def test_a_vote_is_durable_before_it_is_given() -> None:
    """protocol.md, Durability: before a Raft vote or term leaves, its record is durable. The member is stopped after
    every effect of its vote; whoever heard of the vote, it stands in the log."""
    for effects in range(4):
        council = raft()
        voter, candidate = council.seats[2], council.seats[1]
        council.pass_ms(5_000)
        voter.crash_after = effects
        council.hand(Letter(candidate.id, voter.id, Ballot(0, 2, 100, 100, pre=False, called=False)))
        heard = [each for each in council.mail if isinstance(each.message, BallotReply)]
        assert not heard or turns(voter)[-1] == (2, candidate.id)


def test_a_shorter_log_does_not_win() -> None:
    """Leader Completeness (section 3.6.1): a voter denies its vote when its own log is more up to date: a later last
    term, or the same and more entries."""
    council = raft()
    behind = council.seats[2]
    council.seats[0].wait_for(1)
    council.deliver(lambda letter: letter.target != behind.id)
    assert [seat.head.height for seat in council.seats] == [2, 2, 1]
    council.seats[0].down = True
    elect(council, behind)
    assert leaders(council) == []
    elect(council, council.seats[1])
    assert leaders(council) == [council.seats[1]]
    council.deliver()
    council.commit_one()
    assert {seat.head.height for seat in council.seats[1:]} == {3}


def test_a_pre_vote_changes_nothing() -> None:
    """Section 9.6: a member that cannot win does not raise its term: it asks first whether it would get the votes. A
    member cut off for long comes back in its old term and disturbs nobody."""
    council = raft()
    alone = council.seats[2]
    for _ in range(5):
        elect(council, alone, lambda letter: alone.id not in (letter.source, letter.target))
    assert alone.view == 1
    assert turns(alone) == [(1, council.seats[0].id)]
    council.commit_one()
    assert leaders(council) == [council.seats[0]]
    assert {seat.view for seat in council.seats} == {1}
    assert {seat.head.height for seat in council.seats} == {2}


def test_who_hears_its_leader_votes_for_nobody() -> None:
    """Section 4.2.3: a request for a vote within the least election time-out of hearing from a leader changes neither
    term nor vote, so a disruptive member unseats nobody."""
    council = raft()
    voter = council.seats[2]
    council.commit_one()
    for pre in (True, False):
        council.hand(Letter(council.seats[1].id, voter.id, Ballot(0, 9, 100, 100, pre=pre, called=False)))
        council.hand(Letter(council.seats[1].id, council.seats[0].id, Ballot(0, 9, 100, 100, pre=pre, called=False)))
    assert council.mail == []
    assert [voter.view, council.seats[0].view] == [1, 1]


def test_a_leader_that_reaches_no_majority_steps_down() -> None:
    """Section 6.2: a leader steps down if an election time-out passes without a heartbeat round to a majority; it
    keeps its term, and takes no further transactions into blocks."""
    council = raft()
    leader = council.seats[0]
    for _ in range(3):
        council.pass_ms(400)
        leader.fire("heartbeat")
        council.deliver()
        leader.fire("election")
    assert leaders(council) == [leader]
    council.pass_ms(1_000)
    leader.fire("election")
    assert leaders(council) == []
    assert (leader.view, leader.active) == (1, False)
    leader.wait_for(1)
    assert [each for each in council.mail if isinstance(each.message, Append)] == []


def test_a_new_leader_begins_with_an_empty_entry() -> None:
    """Section 3.6.2 and protocol.md: the empty entry with which a new leader commits its predecessors' is a log record
    without a block: the next block continues the chain without a gap."""
    council = raft()
    council.seats[0].down = True
    elect(council, council.seats[2])
    council.commit_one()
    assert [each.head.height for each in council.seats[1:]] == [2, 2]
    blockless = [
        entry
        for each in council.seats[2].sent
        if isinstance(each, Append)
        for entry in each.entries
        if entry.block is None
    ]
    assert blockless and {(entry.term, entry.height) for entry in blockless} == {(2, 1)}


def test_a_split_vote_is_resolved_by_other_time_outs() -> None:
    """Section 3.4: time-outs are drawn anew for each election, from the seed of the member: two members with the same
    events draw different ones."""
    council = raft(4)
    drawn = [[] for _ in council.seats]  # type: ignore[var-annotated]
    for _ in range(6):
        council.pass_ms(5_000)
        for seat, own in zip(council.seats[1:], drawn, strict=False):
            seat.fire("election")
            own.append(seat.timers["election"])
        council.mail.clear()
    assert len({tuple(own) for own in drawn[:3]}) == 3
    assert all(500 <= each < 1_000 for own in drawn[:3] for each in own)


@pytest.mark.row("A-2")
@pytest.mark.row("A-3")
@pytest.mark.parametrize("term", [65_600, 2**31 - 1, 2**53])
def test_a_term_far_ahead_moves_nobody(term: int) -> None:
    """One that announces a huge term drags nobody along: terms out of the window are an offence, and commits go on."""
    council = raft()
    liar, member = council.seats[1], council.seats[2]
    council.pass_ms(5_000)
    message = Ballot(0, term, 100, 100, pre=False, called=False)
    council.hand(Letter(liar.id, member.id, message))
    council.hand(Letter(liar.id, member.id, BallotReply(0, term, pre=False, granted=False)))
    assert member.faults() == [(liar.id.hex(), "term_out_of_window")] * 2
    assert member.view == 1
    council.mail.clear()
    council.commit_one()
    assert {seat.head.height for seat in council.seats} == {2}


def test_a_leader_that_stops_in_good_order_names_its_successor() -> None:
    """Section 3.10: a leader that leaves has a member with its whole log start an election at once; the others vote in
    it although they heard from their leader just now, so no time-out is waited for."""
    council = raft()
    council.commit_one()
    first, second, third = council.seats
    first.tell(port.Stopping())
    first.down = True
    assert [type(each).__name__ for each in first.sent][-1] == "Take"
    council.deliver()
    assert len(leaders(council)) == 1
    assert [seat.view for seat in (second, third)] == [2, 2]
    council.commit_one()
    assert {seat.head.height for seat in (second, third)} == {3}


def test_nobody_takes_a_lead_that_is_not_given() -> None:
    """Only the leader of this very term gives its lead away, and only to a member that has executed all it was sent."""
    council = raft()
    member, other = council.seats[1], council.seats[2]
    for source, term in ((other.id, 1), (other.id, 2), (council.seats[0].id, 2)):
        council.hand(Letter(source, member.id, Take(0, term)))
    assert member.view == 1 and council.mail == []


def test_a_successor_first_executes_what_it_was_sent() -> None:
    """The lead is taken once all that the leader sent in front of its last word is executed and durable; what was on
    its way is not lost."""
    council = raft()
    leader, successor, third = council.seats
    leader.wait_for(1)
    made = next(reversed(council.library.values()))
    hidden = council.library.pop(made.ready.block)
    leader.tell(port.Stopping())
    leader.down = True
    council.deliver()
    assert leaders(council) == []
    taker = max((successor, third), key=lambda seat: seat.id)
    council.library[made.ready.block] = hidden
    for seat in (successor, third):
        seat.held[made.ready.block] = hidden
        seat.tell(hidden)
    council.deliver()
    assert leaders(council) == [taker]
    assert {seat.head.height for seat in (successor, third)} == {2}


def test_a_leader_whose_followers_are_gone_names_nobody() -> None:
    """A member that has not been heard of for a time-out is not named; the others elect whom they elect."""
    council = raft()
    leader = council.seats[0]
    council.pass_ms(5_000)
    leader.tell(port.Stopping())
    assert not [each for each in leader.sent if isinstance(each, Take)]
    assert leaders(council) == []
