"""A Raft member after a restart: what it remembers, what its peers remember of it, and when it stays silent."""

import pytest

from zizhu.chain.consensus import port
from zizhu.chain.consensus.raft.engine import build
from zizhu.chain.consensus.raft.messages import (
    Append,
    AppendReply,
    Ballot,
    BallotReply,
    Endorsed,
    RaftMemoryAnswer,
    record_codec,
)
from zizhu.framework.testkit.council import Council, Letter, Seat


def raft(size: int = 3) -> Council:
    """Members of a Raft epoch who have committed the first block."""
    return Council(size, engine="raft", factory=build).start()


def promises(seat: Seat) -> int:
    """How many acknowledgements, votes and signatures have left a member."""
    return sum(
        (isinstance(each, AppendReply) and each.agreed) or (isinstance(each, BallotReply) and each.granted)
        for each in seat.sent
    )


def is_silent(council: Council, seat: Seat, reason: str) -> None:
    """It says why, and promises nothing whatever is asked of it, also after another start."""
    for _ in range(2):
        status = seat.engine.status()
        assert (status.voting, status.reason) == (False, reason)
        before = promises(seat), len(seat.signed)
        council.commit_one()
        council.pass_ms(5_000)
        council.hand(Letter(council.seats[0].id, seat.id, Ballot(0, seat.view + 1, 900, 900, pre=False, called=False)))
        council.deliver()
        assert (promises(seat), len(seat.signed)) == before
        assert "election" not in seat.timers
        seat.restart()
        council.deliver()


@pytest.mark.row("A-15")
def test_a_missing_vote_log() -> None:
    """A member whose vote log is missing never votes with that key again."""
    council = raft()
    member = council.seats[2]
    member.log.clear()
    member.restart()
    council.deliver()
    is_silent(council, member, "vote_log_missing")
    assert {seat.head.height for seat in council.seats[:2]} == {3}


@pytest.mark.row("P-12")
@pytest.mark.row("A-15")
def test_a_restored_vote_log() -> None:
    """A member whose vote log is that of a backup, older than a signature, a term or an acknowledgement that a peer
    has seen, never votes again: any prefix of its log is found out by any one of the others."""
    council = raft()
    for _ in range(3):
        council.commit_one()
    member = council.seats[2]
    log, committed = list(member.log), list(member.committed)
    for kept in range(1, len(log)):
        for witness in council.seats[:2]:
            member.log, member.committed = log[:kept], committed[:1]
            council.mail.clear()
            member.restart()
            council.deliver(lambda letter, peer=witness: {letter.source, letter.target} == {member.id, peer.id})  # type: ignore[misc]
            status = member.engine.status()
            if witness is council.seats[0]:
                assert not status.voting, f"{kept} of {len(log)} records"
                assert status.reason in ("newer_vote_shown", "longer_log_shown", "newer_term_shown")
    council.mail.clear()
    member.log, member.committed = log, committed
    member.restart()
    council.deliver()
    assert member.engine.status().voting


@pytest.mark.row("A-15")
def test_a_vote_log_older_than_the_members_own_certificates() -> None:
    """Blocks as they were and votes from a backup: the member's own certificates show a signature of its key that its
    log does not hold. It needs nobody to tell it."""
    council = raft()
    member = council.seats[2]
    backup = list(member.log)
    council.commit_one()
    own = council.certificate(council.library[member.head.block], view=0)
    member.committed[-1] = own
    member.log = backup
    council.mail.clear()
    member.restart()
    assert (member.engine.status().voting, member.engine.status().reason) == (False, "newer_vote_shown")


@pytest.mark.row("P-12")
def test_a_vote_that_was_given_is_remembered_by_who_got_it() -> None:
    """A member that gave its vote, and forgot, does not give it again: the candidate tells it of its newer term."""
    council = raft()
    candidate, member = council.seats[1], council.seats[2]
    backup = list(member.log)
    council.seats[0].down = True
    council.pass_ms(5_000)
    candidate.fire("election")
    council.deliver(lambda letter: True)
    assert candidate.view == 2
    member.log = backup
    member.restart()
    council.deliver()
    assert member.engine.status().reason == "newer_term_shown"


@pytest.mark.parametrize("size", [3, 4, 5])
def test_too_few_answers_keep_a_member_silent(size: int) -> None:
    """protocol.md: the member votes only after majority - 1 others have answered; it asks again until they have, and
    takes an answer once."""
    council = raft(size)
    member = council.seats[2]
    member.restart()
    council.mail.clear()
    needed = size // 2
    for seat in council.seats[:1] * 3:
        assert member.engine.status().reason == "recalling"
        if needed == 1:
            break
        member.tell(port.Received(seat.id, RaftMemoryAnswer(0, None, 0, 0, 1, 1, 1)))
    member.fire("recall")
    assert [letter for letter in council.mail if letter.source == member.id]
    council.deliver()
    assert member.engine.status().voting


def test_any_prefix_of_a_vote_log_restores() -> None:
    """Whatever prefix of the vote log a crash left, a member restores from it without an exception; what it has signed
    stays signed."""
    council = raft()
    for _ in range(3):
        council.commit_one()
    council.seats[0].down = True
    council.pass_ms(5_000)
    council.seats[1].fire("election")
    council.deliver()
    council.commit_one()
    member = council.seats[2]
    log = list(member.log)
    for length in range(1, len(log) + 1):
        member.log = log[:length]
        member.committed = member.committed[: max(1, length // 4)]
        member.restart()
        council.mail.clear()


@pytest.mark.row("B-2")
def test_an_entry_whose_block_was_never_durable_is_no_entry() -> None:
    """Given a crash between block write and entry write (two files, of which a power loss may spare either), then replay
    is idempotent: an entry without its block was promised to nobody, and the member begins below it."""
    council = raft()
    leader, member = council.seats[0], council.seats[1]
    leader.wait_for(1)
    council.deliver(lambda letter: letter.target == member.id)
    made = next(reversed(council.library.values()))
    assert any(isinstance(each, AppendReply) and each.match == 2 for each in member.sent)
    del member.held[made.ready.block]
    hidden = council.library.pop(made.ready.block)
    member.sent.clear()
    council.mail.clear()
    member.restart()
    for _ in range(2):
        council.deliver(lambda letter: member.id in {letter.source, letter.target})
        leader.fire("heartbeat")
    assert max(each.match for each in member.sent if isinstance(each, AppendReply)) == 1
    council.library[made.ready.block] = hidden
    for _ in range(2):
        council.deliver()
        leader.fire("heartbeat")
    council.deliver()
    assert made.ready.block in member.held
    assert {seat.head.height for seat in council.seats} == {2}


@pytest.mark.row("B-1")
@pytest.mark.parametrize("position", [0, 1])
def test_a_crash_between_any_two_effects(position: int) -> None:
    """Given n = 3, when a crash comes at any boundary after the acknowledgement, the write is present after restart: a
    leader and a follower stop between any two effects of three blocks, come back at once, and all members come to one
    chain with every block that anybody had committed."""
    effects = 0
    while True:
        council = raft()
        victim = council.seats[position]
        victim.crash_after = effects
        committed: dict[int, bytes] = {}
        crashed = False
        for _ in range(3):
            council.commit_one()
            for seat in council.seats:
                for certificate in seat.committed:
                    assert committed.setdefault(certificate.height, certificate.block) == certificate.block
            if victim.down:
                crashed = True
                victim.restart()
                council.deliver()
        victim.crash_after = None
        _come_together(council)
        for seat in council.seats:
            assert [each.block for each in seat.committed][: len(committed)] == list(committed.values())
            heights = [r.height for r in map(record_codec.decode, seat.log) if isinstance(r, Endorsed)]
            assert len(heights) == len(set(heights)), "one record a height"
        if not crashed:
            break
        effects += 1
    assert effects > 8


def _come_together(council: Council) -> None:
    """Time passes, somebody leads, and who lacks a block gets it as the node's catching up would bring it."""
    for _ in range(4):
        council.pass_ms(5_000)
        for seat in council.seats:
            for timer in ("recall", "heartbeat", "election"):
                if timer in seat.timers:
                    seat.fire(timer)
                    council.deliver()
        for seat in council.seats:
            council.catch_up(seat)
        council.deliver()
    height = council.seats[0].head.height
    council.commit_one()
    assert {seat.head.height for seat in council.seats} == {height + 1}


def wiped(seat: Seat) -> None:
    """Its disk is a new one."""
    seat.log, seat.held, seat.committed = [], {}, []


@pytest.mark.row("A-15")
def test_a_first_leader_whose_disk_was_lost_does_not_lead_again() -> None:
    """The first leader leads term 1 without an election only when all others have answered and hold no entry: with its
    disk lost, and everybody's memory with the power, it would write other entries of the same index and term."""
    council = raft(4)
    for seat in council.seats:
        seat.committed = []
    wiped(council.seats[0])
    council.mail.clear()
    for seat in council.seats:
        seat.restart()
    council.deliver()
    for _ in range(6):
        if "recall" in council.seats[0].timers:
            council.seats[0].fire("recall")
            council.deliver()
    assert "heartbeat" not in council.seats[0].timers
    _come_together(council)


def test_a_first_leader_that_misses_somebody_waits_for_an_election() -> None:
    """At a first start with a member missing nobody leads unasked; the others elect a leader."""
    council = Council(4, engine="raft", factory=build)
    council.seats[3].down = True
    for seat in council.seats[:3]:
        seat.tell(port.Started())
    council.deliver()
    for _ in range(6):
        if "recall" in council.seats[0].timers:
            council.seats[0].fire("recall")
            council.deliver()
    assert council.seats[0].engine.status().voting
    assert not [seat for seat in council.seats if "heartbeat" in seat.timers]
    council.pass_ms(5_000)
    council.seats[1].fire("election")
    council.deliver()
    assert {seat.head.height for seat in council.seats[:3]} == {1}
    assert {seat.view for seat in council.seats[:3]} == {2}


@pytest.mark.row("A-15")
def test_an_empty_log_votes_for_who_is_as_new_as_what_it_was_told_of() -> None:
    """A member whose disk was lost when everybody's memory went with the power is not found out. It votes as if the
    newest log that it was told of were its own, so a candidate without what it had acknowledged is not elected."""
    council = raft(5)
    leader, holder, victim, empty, other = council.seats
    leader.wait_for(1)
    council.deliver(lambda letter: {letter.source, letter.target} <= {leader.id, holder.id, victim.id})
    assert leader.head.height == 2
    for seat in council.seats:
        seat.committed = []
    wiped(victim)
    leader.down = True
    council.mail.clear()
    for seat in (holder, victim, empty, other):
        seat.restart()
    council.deliver()
    assert victim.engine.status().voting
    council.pass_ms(5_000)
    empty.fire("election")
    council.deliver()
    assert "heartbeat" not in empty.timers
    holder.fire("election")
    council.deliver()
    assert "heartbeat" in holder.timers
    assert {seat.head.height for seat in (holder, empty, other)} == {2}


def test_a_bar_that_nobody_can_reach_any_more_is_lowered() -> None:
    """A member with an empty log was told of an entry that its leader held alone, and the leader's disk is lost. It goes
    on asking: what n - majority + 1 of the others hold between them is enough to cover whatever it may have
    acknowledged, so the rest can elect a leader again."""
    council = Council(4, engine="raft", factory=build)
    leader, barred, second, third = council.seats
    for seat in council.seats:
        seat.tell(port.Started())
    council.deliver(lambda letter: not isinstance(letter.message, Append))
    assert "heartbeat" in leader.timers and len(leader.log) > 2
    council.mail.clear()
    barred.restart()
    council.deliver(lambda letter: {letter.source, letter.target} & {leader.id, second.id} != set()
                    and letter.target != third.id and letter.source != third.id)  # fmt: skip
    assert barred.engine.status().voting
    leader.down = True
    for _ in range(3):
        for seat in (barred, second, third):
            if "recall" in seat.timers:
                seat.fire("recall")
        council.deliver()
    council.pass_ms(5_000)
    second.fire("election")
    council.deliver()
    assert {seat.head.height for seat in (barred, second, third)} == {1}
