"""The pool: order of service, bounds, nonces, expiry, and who was passed over."""

import pytest

from zizhu.chain.ledger.keys import NEW_ACCOUNT, AccountRecord
from zizhu.chain.ledger.pool import Pool
from zizhu.chain.ledger.transactions import Parsed, ParsedSubmission
from zizhu.chain.model.errors import AskedWrongly, Busy
from zizhu.chain.model.ids import AccountId
from zizhu.chain.model.transaction import Single
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, Chain


class Waiting:
    """A pool and what its nonce view answers."""

    def __init__(self, **bounds: int) -> None:
        self.chain = Chain()
        self.records: dict[AccountId, AccountRecord] = {}
        self.pool = Pool(lambda account: self.records.get(account, NEW_ACCOUNT), **bounds)

    def make(self, account: int, nonce: int, **terms: int) -> ParsedSubmission:
        """A parsed transaction."""
        call = self.chain.call(ACCOUNTS[account], nonce, "echo", nonce, **terms)
        return self.chain.ledger.reader.submission(call)

    def bundle(self, account: int, nonces: range) -> ParsedSubmission:
        """A parsed bundle."""
        bodies = [self.chain.body(ACCOUNTS[account], nonce, "echo", nonce) for nonce in nonces]
        return self.chain.ledger.reader.submission(ACCOUNTS[account].bundle(bodies))

    def add(self, account: int, nonce: int, now_ms: int = 0, **terms: int) -> Parsed:
        """Adds a transaction."""
        (parsed,) = self.pool.add(self.make(account, nonce, **terms), now_ms)
        return parsed

    def served(self, limit: int = 100) -> list[tuple[int, int]]:
        """(account, nonce) in the order of service."""
        number = {account.id: at for at, account in enumerate(ACCOUNTS)}
        return [(number[one.sender], one.fields.nonce) for taken in self.pool.take(limit) for one in taken.transactions]


def test_senders_take_turns_whatever_one_of_them_sends() -> None:
    """A sender with a hundred waiting delays nobody's first."""
    waiting = Waiting()
    for nonce in range(1, 6):
        waiting.add(0, nonce)
    waiting.add(1, 1)
    waiting.add(2, 1)
    assert waiting.served() == [(0, 1), (1, 1), (2, 1), (0, 2), (0, 3), (0, 4), (0, 5)]


def test_who_was_served_goes_to_the_end() -> None:
    """Senders are served in the order in which their first waiting transaction became first."""
    waiting = Waiting()
    first, _, _ = waiting.add(0, 1), waiting.add(0, 2), waiting.add(1, 1)
    waiting.pool.remove([first.id], 10)
    assert waiting.served() == [(1, 1), (0, 2)]


def test_the_same_transaction_twice_is_one_entry() -> None:
    """A repeated submission is known, not new, and counts once."""
    waiting = Waiting()
    waiting.add(0, 1)
    assert waiting.pool.add(waiting.make(0, 1), 5) == ()
    assert waiting.pool.waiting == 1


@pytest.mark.row("P-8")
def test_another_witness_of_a_known_id_changes_nothing() -> None:
    """P-8: a bad witness costs the link peer, never the id: the pool holds verified submissions only, and a second
    witness neither replaces the first nor keeps the id from being removed when it is committed."""
    waiting = Waiting()
    good = waiting.make(0, 1)
    assert isinstance(good.submission, Single)
    other = Single(good.submission.body, good.submission.suite, good.submission.public_key, b"\x00" * 64)
    parsed_other = waiting.chain.ledger.reader.submission(other)
    assert parsed_other.transactions[0].id == good.transactions[0].id
    assert parsed_other.transactions[0].witness_hash != good.transactions[0].witness_hash
    waiting.pool.add(good, 0)
    assert waiting.pool.add(parsed_other, 1) == ()
    assert waiting.pool.get(good.transactions[0].id) is good
    proposed = waiting.chain.ledger.reader.item(other, waiting.pool.get)
    assert proposed.transactions[0].witness_hash == parsed_other.transactions[0].witness_hash
    waiting.pool.committed(proposed.transactions, 2)
    assert waiting.pool.waiting == 0


def test_a_full_pool_says_busy_by_count_and_by_bytes() -> None:
    """At the bound a newcomer is told when to come again, and nothing of it stays."""
    waiting = Waiting(count_max=3)
    for account in range(3):
        waiting.add(account, 1)
    with pytest.raises(Busy) as busy:
        waiting.add(3, 1)
    assert busy.value.code.code == "pool.busy" and busy.value.retry_after_ms > 0
    assert waiting.pool.waiting == 3
    small = Waiting(bytes_max=400)
    small.add(0, 1)
    with pytest.raises(Busy):
        small.add(1, 1)
    assert small.pool.bytes <= 400


def test_over_half_full_nobody_holds_more_than_a_share() -> None:
    """One sender cannot fill the pool; another still finds room."""
    waiting = Waiting(count_max=10)
    for nonce in range(1, 11):
        waiting.add(0, nonce)
    with pytest.raises(Busy):
        waiting.add(0, 11)
    assert waiting.pool.waiting == 10
    shared = Waiting(count_max=10)
    shared.add(1, 1)
    for nonce in range(1, 6):
        shared.add(0, nonce)
    with pytest.raises(Busy):
        shared.add(0, 6)
    assert shared.pool.waiting == 6
    shared.add(2, 1)


def test_nonces_are_checked_on_the_way_in() -> None:
    """Used, too old, too far and already waiting nonces are refused, each with its own code."""
    waiting = Waiting()
    waiting.records[ACCOUNTS[0].id] = NEW_ACCOUNT.using(3000)
    waiting.add(0, 3002)
    codes = {}
    for nonce in (3000, 1975, 3001 + (1 << 20)):
        with pytest.raises(AskedWrongly) as refused:
            waiting.add(0, nonce)
        codes[nonce] = refused.value.code.code
    assert list(codes.values()) == ["pool.nonce_used", "pool.nonce_too_old", "pool.nonce_too_far"]
    with pytest.raises(AskedWrongly) as refused:
        waiting.add(0, 3002, steps_max=5_000)
    assert refused.value.code.code == "pool.nonce_waiting"


def test_more_than_1024_above_the_lowest_waiting_is_busy() -> None:
    """What one account has waiting spans at most 1,024 nonces; when the lowest goes, the window moves."""
    waiting = Waiting()
    lowest = waiting.add(0, 5)
    waiting.add(0, 5 + 1024)
    with pytest.raises(Busy):
        waiting.add(0, 6 + 1024)
    waiting.pool.remove([lowest.id], 0)
    waiting.add(0, 6 + 1024)


def test_a_bundle_waits_as_one_and_goes_one_by_one() -> None:
    """A bundle is served once; its entry leaves when its last transaction has."""
    waiting = Waiting()
    bundle = waiting.bundle(0, range(1, 5))
    assert len(waiting.pool.add(bundle, 0)) == 4
    ids = [one.id for one in bundle.transactions]
    waiting.pool.remove(ids[:3], 1)
    assert waiting.pool.waiting == 1 and waiting.pool.get(ids[3]) is bundle and waiting.pool.bytes > 0
    waiting.pool.remove(ids[3:], 1)
    assert waiting.pool.waiting == 0 and waiting.pool.bytes == 0 and waiting.pool.oldest_waiting_ms is None


def test_a_bundle_of_which_some_are_used_waits_for_the_rest() -> None:
    """Sent again after a part was executed, only the rest of a bundle is new."""
    waiting = Waiting()
    waiting.records[ACCOUNTS[0].id] = NEW_ACCOUNT.using(1).using(2)
    new = waiting.pool.add(waiting.bundle(0, range(1, 5)), 0)
    assert [one.fields.nonce for one in new] == [3, 4]


def test_a_bundle_that_is_nearly_used_up_is_refused() -> None:
    """A bundle costs every member a hash a leaf: with less than a quarter left it is to be signed anew."""
    waiting = Waiting()
    waiting.pool.add(waiting.bundle(0, range(1, 10)), 0)
    nearly, enough = waiting.bundle(0, range(1, 12)), waiting.bundle(0, range(1, 13))
    with pytest.raises(AskedWrongly) as refused:
        waiting.pool.add(nearly, 0)
    assert refused.value.code.code == "pool.bundle_stale"
    assert len(waiting.pool.add(enough, 0)) == 3
    assert waiting.pool.waiting == 12


def test_expired_and_too_old_get_their_final_answers() -> None:
    """Past its height a transaction is `pool.expired`; below the nonce map it is `pool.nonce_too_old`."""
    waiting = Waiting()
    expiring, old, kept = waiting.add(0, 1, valid_until_height=7), waiting.add(1, 1), waiting.add(2, 1)
    assert waiting.pool.expire(6, 0) == []
    (gone,) = waiting.pool.expire(7, 0)
    assert gone.transaction is expiring and gone.answer.code.code == "pool.expired"
    waiting.records[ACCOUNTS[1].id] = NEW_ACCOUNT.using(2000)
    waiting.pool.committed([waiting.make(1, 2000).transactions[0]], 1)
    (gone,) = waiting.pool.expire(8, 1)
    assert gone.transaction is old and gone.answer.code.code == "pool.nonce_too_old"
    assert waiting.pool.has(kept.id) and waiting.pool.waiting == 1


def test_what_is_both_expired_and_used_is_answered_once() -> None:
    """A transaction leaves once, with one answer; heights that nobody waits for are forgotten."""
    waiting = Waiting()
    waiting.add(0, 1, valid_until_height=3)
    waiting.records[ACCOUNTS[0].id] = NEW_ACCOUNT.using(2000)
    waiting.pool.committed([waiting.make(0, 2000).transactions[0]], 1)
    assert [gone.answer.code.code for gone in waiting.pool.expire(3, 1)] == ["pool.expired"]
    assert waiting.pool.expire(10_000, 1) == [] and waiting.pool.waiting == 0


def test_the_oldest_is_the_oldest_that_still_waits() -> None:
    """The age of the oldest is what the batch timer goes by."""
    waiting = Waiting()
    first, _ = waiting.add(0, 1, now_ms=10), waiting.add(1, 1, now_ms=20)
    assert waiting.pool.oldest_waiting_ms == 10
    waiting.pool.remove([first.id], 30)
    assert waiting.pool.oldest_waiting_ms == 20


def test_a_censored_sender_is_passed_over() -> None:
    """First for 2 s and overtaken by one that became first more than 1 s later: passed over, and after 2 s more of
    the same still so."""
    waiting = Waiting()
    victim = waiting.add(0, 1, now_ms=0)
    for turn in range(1, 6):
        rival = waiting.add(1, turn, now_ms=turn * 900)
        waiting.pool.committed([rival], turn * 900 + 50)
    assert waiting.pool.passed_over(1999, 2000) == []
    (found,) = waiting.pool.passed_over(4600, 2000)
    assert found.parsed.transactions[0] is victim
    assert [one.parsed.transactions[0] for one in waiting.pool.passed_over(4600, 4000)] == [victim]


def test_a_slow_leader_that_keeps_the_order_passes_nobody_over() -> None:
    """Waiting alone is no offence: without an overtaking, nobody was passed over."""
    waiting = Waiting()
    waiting.add(0, 1, now_ms=500)
    rival = waiting.add(1, 1, now_ms=900)
    waiting.pool.committed([rival], 5000)
    assert waiting.pool.passed_over(60_000, 2000) == []


def test_one_sender_served_again_and_again_overtakes() -> None:
    """A leader that serves one sender's second while another's first has waited for long is found out."""
    waiting = Waiting()
    both = [waiting.add(1, 1, now_ms=0), waiting.add(1, 2, now_ms=0)]
    victim = waiting.add(0, 1, now_ms=10)
    waiting.pool.committed(both, 2500)
    (found,) = waiting.pool.passed_over(2600, 2000)
    assert found.parsed.transactions[0] is victim
    waiting.pool.restart_turns(2700)
    assert waiting.pool.passed_over(2800, 2000) == []
