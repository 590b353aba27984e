"""A member that finds its vote log missing does not forget that it did."""

import pytest

from zizhu.chain.consensus.certificate import electorate
from zizhu.chain.consensus.pbft.engine import Pbft
from zizhu.chain.consensus.pbft.messages import Vote
from zizhu.chain.consensus.port import Ready, Setting, Started
from zizhu.chain.crypto.hashing import ledger_id
from zizhu.chain.model.effects import Persist
from zizhu.chain.model.ids import BlockHash, Instant, LedgerId, OutcomeHash
from zizhu.framework.testkit.council import Council, Letter
from zizhu.framework.testkit.fakes import ledger as fakes
from zizhu.framework.testkit.fakes.suite import suite

GENESIS = fakes.genesis()
LEDGER = LedgerId(ledger_id(suite, GENESIS.genesis))
VOTERS = electorate(suite, LEDGER, GENESIS.genesis.record)
HASH = bytes(32)


def engine(votes: tuple[bytes, ...]) -> Pbft:
    """A member whose block log holds ten blocks."""
    head = Ready(10, BlockHash(HASH), BlockHash(HASH), OutcomeHash(HASH), 10, True, 1)
    return Pbft(
        Setting(
            me=VOTERS.members[0],
            voters=VOTERS,
            head=head,
            head_certificate=None,
            epoch_start=0,
            votes=votes,
            disk_was_used=True,
        )
    )


@pytest.mark.row("A-15")
def test_a_missing_vote_log_is_remembered_as_lost() -> None:
    """A member whose vote log is missing never votes again with that key: also not after a second start, when it
    finds the log that the first one began, and also not when the crash came between its first records."""
    effects = engine(()).step(Instant(0, 0), Started())
    written = [record.data for effect in effects if isinstance(effect, Persist) for record in effect.records]
    assert written
    for torn in range(len(written) + 1):
        again = engine(tuple(written[:torn]))
        again.step(Instant(0, 0), Started())
        said = again.status()
        assert (said.voting, said.reason) == (False, "vote_log_missing"), f"after {torn} records"


@pytest.mark.row("A-15")
def test_a_vote_log_older_than_the_members_own_blocks_is_lost_memory() -> None:
    """Votes from a backup, blocks as they were: the member's own certificates show a vote of its key that its log does
    not hold. It does not need a peer to be told, which might have forgotten as well, and it remembers."""
    council = Council().start()
    member = council.seats[2]
    backup = list(member.log)
    council.commit_one()
    own = council.certificate(council.library[member.head.block], view=0)
    member.committed[-1] = own
    member.log = backup
    council.mail.clear()
    member.restart()
    assert (member.engine.status().voting, member.engine.status().reason) == (False, "newer_vote_shown")
    member.committed.pop()
    member.restart()
    assert member.engine.status().reason == "newer_vote_shown"


@pytest.mark.row("A-15")
@pytest.mark.parametrize("late", ["below the head", "of a view that was left"])
def test_a_vote_that_comes_too_late_is_remembered(late: str) -> None:
    """A member whose vote log is older than a vote a peer shows never votes with that key again: also when that vote
    reached its peers after they had committed without it, or had left its view, and stands in no certificate."""
    council = Council().start()
    member = council.seats[2]
    kept = len(member.log)
    held: list[Letter] = []

    def passes(letter: Letter) -> bool:
        own = letter.source == member.id and isinstance(letter.message, Vote)
        held.extend([letter] * own)
        return not own

    for seat in council.seats:
        seat.wait_for(1)
    council.deliver(passes)
    assert held and len(member.log) > kept
    others = [seat for seat in council.seats if seat is not member]
    assert all(seat.head.height == 2 for seat in others), "they needed three, and were three"
    if late == "of a view that was left":
        for seat in others:
            seat.wait_for(1)
        council.deliver(lambda letter: member.id not in (letter.source, letter.target) and not _is_vote(letter))
        for seat in others:
            seat.fire("view")
        council.deliver(lambda letter: member.id not in (letter.source, letter.target))
        assert all(seat.view == 1 for seat in others)
    for letter in held:
        council.hand(letter)
    member.log = member.log[:kept]
    member.committed = member.committed[:1]
    council.mail.clear()
    member.restart()
    council.deliver()
    assert (member.engine.status().voting, member.engine.status().reason) == (False, "newer_vote_shown")


def _is_vote(letter: Letter) -> bool:
    return isinstance(letter.message, Vote)
