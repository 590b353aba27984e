"""Raft replication: logs that agree, flow control, entries cut off, logs shortened, members that lag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zizhu.chain.consensus.raft.engine import build
from zizhu.chain.consensus.raft.log import LogEntry, RaftLog
from zizhu.chain.consensus.raft.messages import Append, Appended, AppendReply, Install, record_codec
from zizhu.chain.consensus.raft.replication import AHEAD_MAX
from zizhu.chain.consensus.raft.state import LOG_KEPT, LOG_SLACK
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.ids import BlockHash
from zizhu.framework.testkit.council import Council, Letter, Seat

WIDE = Parameters(window=64, batch_transactions=1)


def raft(size: int = 3, *, parameters: Parameters | None = None) -> Council:
    """Members of a Raft epoch who have committed the first block."""
    return Council(size, engine="raft", factory=build, parameters=parameters).start()


def elect(council: Council, seat: Seat) -> None:
    """`seat` leads from now on, if the others let it."""
    council.pass_ms(5_000)
    seat.fire("election")
    council.deliver()


def entries(seat: Seat) -> list[tuple[int, int, bytes | None]]:
    """(index, term, block) of a member's durable log."""
    log: dict[int, tuple[int, int, bytes | None]] = {}
    for data in seat.log:
        record = record_codec.decode(data)
        if isinstance(record, Appended):
            log = {index: each for index, each in log.items() if index < record.index}
            log[record.index] = (record.index, record.term, record.block)
    return list(log.values())


def propose(council: Council, leader: Seat, blocks: int) -> None:
    """The leader makes so many blocks; nothing is delivered."""
    for _ in range(blocks):
        leader.wait_for(1)


# -- the log by itself -----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=30), st.integers(0, 30))
def test_a_log_behind_a_base_answers_as_the_whole_one(steps: list[tuple[bool, int]], cut: int) -> None:
    """Section 5.1: a log whose beginning was let go of says of what it keeps just what it said before."""
    whole, short = RaftLog(), RaftLog()
    term, height = 1, 0
    for number, (is_block, rise) in enumerate(steps):
        term, height = term + rise, height + is_block
        entry = LogEntry(term, height, BlockHash(number.to_bytes(32, "big")) if is_block else None)
        whole.append(entry)
        short.append(entry)
    short.forget_up_to(cut)
    assert (short.last_index, short.last_term, short.last_height) == (
        whole.last_index,
        whole.last_term,
        whole.last_height,
    )
    for index in range(short.base_index, whole.last_index + 1):
        assert short.term_at(index) == whole.term_at(index)
        for asked in (1, term):
            assert short.last_of_term(index, asked) == max(short.base_index, whole.last_of_term(index, asked))
    again = RaftLog()
    again.start_behind(short.base_index, short.base_term, short.base_height)
    assert again.last_index == short.base_index


# -- replication -----------------------------------------------------------------------------------------------------


def test_followers_come_to_the_leaders_log() -> None:
    """Log Matching (section 3.5): entries that earlier leaders left on a minority are cut off, and every log comes to
    agree with the leader's, entry for entry; what was committed is in all of them."""
    council = raft(parameters=WIDE)
    first, second, third = council.seats
    propose(council, first, 3)
    council.mail.clear()
    first.down = True
    elect(council, second)
    propose(council, second, 2)
    council.deliver()
    assert [seat.head.height for seat in (second, third)] == [3, 3]
    first.restart()
    council.deliver()
    second.fire("heartbeat")
    council.deliver()
    council.catch_up(first)
    second.fire("heartbeat")
    council.deliver()
    assert entries(first) == entries(second) == entries(third)
    assert any(each.fact == "entries_cut" for each in first.reports)
    council.commit_one()
    assert {seat.head.height for seat in council.seats} == {4}


def test_an_old_append_cuts_nothing_off() -> None:
    """Section 3.5: appends may come late, twice and in any order: one that says less than the log holds is agreed to,
    and what stands behind it stays."""
    council = raft(parameters=WIDE)
    leader, follower = council.seats[0], council.seats[1]
    for _ in range(4):
        leader.wait_for(1)
    sent = [letter for letter in council.mail if letter.target == follower.id and isinstance(letter.message, Append)]
    for letter in (*sent, *reversed(sent), sent[0]):
        council.hand(letter)
    assert entries(follower) == entries(leader)
    assert len(entries(follower)) == 5
    council.deliver()
    assert {seat.head.height for seat in council.seats} == {5}


def test_appends_are_sent_ahead_of_their_answers() -> None:
    """Section 10.2.1, pipelining: a leader sends entry after entry to a follower without waiting for its answers, and
    a follower that does not answer is sent no more than a bound (flow control)."""
    council = raft(parameters=Parameters(window=64, batch_transactions=1))
    leader, slow = council.seats[0], council.seats[1]
    propose(council, leader, 40)
    sent = [
        entry
        for letter in council.mail
        if letter.target == slow.id and isinstance(letter.message, Append)
        for entry in letter.message.entries
    ]
    assert len(sent) == 40
    assert leader.head.height == 1
    reached: list[int] = []

    def passes(letter: Letter) -> bool:
        if letter.target == slow.id and isinstance(letter.message, Append):
            reached.append(letter.message.previous_index + len(letter.message.entries))
        return slow.id not in (letter.source, letter.target)

    for _ in range(3):
        council.deliver(passes)
        propose(council, leader, 60)
    council.deliver(passes)
    assert leader.head.height > AHEAD_MAX + 10
    assert max(reached) == 1 + AHEAD_MAX


def test_lost_appends_are_sent_again() -> None:
    """A heartbeat finds out what was lost on the way: the follower says where it stands, and is sent the rest."""
    council = raft(parameters=WIDE)
    leader, follower = council.seats[0], council.seats[1]
    propose(council, leader, 5)
    council.deliver(lambda letter: letter.target != follower.id)
    assert follower.head.height == 1
    leader.fire("heartbeat")
    council.deliver()
    leader.fire("heartbeat")
    council.deliver()
    assert entries(follower) == entries(leader)


def test_a_follower_acknowledges_what_is_durable_and_executed() -> None:
    """protocol.md, Durability: before a Raft ack, the entry with its bodies is durable. A follower whose node does not
    hold the block yet answers with what it has."""
    council = raft()
    leader, follower = council.seats[0], council.seats[1]
    leader.wait_for(1)
    made = next(reversed(council.library.values()))
    hidden = council.library.pop(made.ready.block)
    council.deliver(lambda letter: letter.source == leader.id and letter.target == follower.id)
    answers = [each for each in follower.sent if isinstance(each, AppendReply)]
    assert answers[-1].match == 1
    assert len(entries(follower)) == 1
    council.library[made.ready.block] = hidden
    follower.held[made.ready.block] = hidden
    follower.tell(hidden)
    answers = [each for each in follower.sent if isinstance(each, AppendReply)]
    assert answers[-1].match == 2
    assert len(entries(follower)) == 2


def test_the_acknowledgement_stands_behind_its_records() -> None:
    """Before a Raft ack leaves, the entry is durable: a follower that stops between any two effects has acknowledged
    no entry that its log does not hold."""
    for effects in range(8):
        council = raft()
        leader, follower = council.seats[0], council.seats[1]
        follower.crash_after = effects
        leader.wait_for(1)
        council.deliver()
        acknowledged = max(each.match for each in follower.sent if isinstance(each, AppendReply))
        assert acknowledged <= len(entries(follower))
        assert leader.head.height == 2, "the other two are a majority"


def test_the_log_is_shortened_and_a_member_behind_it_is_sent_to_the_chain() -> None:
    """Chapter 5: a log does not grow for ever: entries of certified blocks are let go of, and a follower that needs
    them is told so: it catches up by certified blocks, begins its log behind them and goes on."""
    council = raft()
    leader, behind = council.seats[0], council.seats[2]
    blocks = LOG_KEPT + LOG_SLACK + 8
    for _ in range(blocks):
        leader.wait_for(1)
        council.deliver(lambda letter: behind.id not in (letter.source, letter.target))
    assert leader.head.height == blocks + 1
    for _ in range(3):
        leader.fire("heartbeat")
        council.deliver()
    assert any(isinstance(each, Install) for each in leader.sent)
    assert behind.behind and behind.head.height == 1
    council.catch_up(behind)
    for _ in range(3):
        leader.fire("heartbeat")
        council.deliver()
    assert any(each.fact == "log_installed" for each in behind.reports)
    council.commit_one()
    assert {seat.head.height for seat in council.seats} == {blocks + 2}
    behind.restart()
    council.deliver()
    council.commit_one()
    assert {seat.head.height for seat in council.seats} == {blocks + 3}


def test_what_a_long_vote_log_must_keep() -> None:
    """A vote log that is shortened at a start restores to the same member: term, vote, log and signatures."""
    council = raft()
    for _ in range(LOG_KEPT + LOG_SLACK + 4):
        council.commit_one()
    member = council.seats[1]
    member.restart()
    kept = list(member.engine.remembered())
    assert len(kept) < len(member.log)
    member.log = kept
    member.restart()
    assert list(member.engine.remembered()) == kept
    council.deliver()
    council.commit_one()
    assert len({seat.head.height for seat in council.seats}) == 1


@pytest.mark.parametrize("size", [3, 4, 5])
def test_a_minority_that_is_down_changes_nothing(size: int) -> None:
    """Any majority goes on; nobody else does."""
    council = raft(size)
    spare = (size - 1) // 2
    for seat in council.seats[size - spare :]:
        seat.down = True
    council.commit_one()
    assert {seat.head.height for seat in council.seats[: size - spare]} == {2}
    council.seats[size - spare - 1].down = True
    council.commit_one()
    assert {seat.head.height for seat in council.seats[: size - spare - 1]} == {2}


def test_a_block_that_breaks_a_rule_is_not_followed() -> None:
    """A leader whose block is refused is broken: it is named, it is not followed any further in its term, and another
    one is elected."""
    council = raft()
    leader, follower = council.seats[0], council.seats[1]
    made = council.block(leader.head.block, proposer=leader.id, count=1)
    council.bad[made.ready.block] = None
    leader.wait_for(1)
    council.deliver()
    assert leader.head.height == 1
    assert (leader.id.hex(), "block_refused") in follower.faults()
    assert not follower.active
    council.bad.clear()
    leader.down = True
    elect(council, follower)
    council.deliver()
    assert {seat.head.height for seat in council.seats[1:]} == {1}
    council.commit_one()
    assert {seat.head.height for seat in council.seats[1:]} == {2}
