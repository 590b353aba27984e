"""The load of the bench: what it signs, whose turn it is, and that a run can be repeated."""

from itertools import islice

import pytest

from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.transactions import Reader
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.ids import LedgerId
from zizhu.framework.devtools.load import Press, make_signers
from zizhu.framework.devtools.workloads import OPENED_AT_ONCE, Transfers

LEDGER = LedgerId(bytes(range(32)))


def press_of(suite: Suite, *, bundle: int, seed: int = 1) -> Press:
    return Press(suite, LEDGER, make_signers(suite, count=3), bundle, Transfers(10).calls(suite, seed=seed))


@pytest.mark.parametrize("bundle", [1, 4])
def test_every_submission_is_well_formed_and_its_signature_good(bundle: int) -> None:
    """What the load signs is what a node takes: parsed for its ledger, ids as announced, signature good."""
    reader = Reader(international, {international.code: international}, LEDGER, Parameters())
    made = press_of(international, bundle=bundle).make(12)
    for submission in made:
        parsed = reader.submission(submission.raw)
        assert tuple(one.id for one in parsed.transactions) == submission.ids
        assert international.accounts.verify(*parsed.signature)
        assert len(submission.ids) == bundle


def test_signers_take_turns_with_their_nonces_in_order() -> None:
    """Submissions go round the signers, so that no account waits with more than the map of nonces holds."""
    reader = Reader(international, {international.code: international}, LEDGER, Parameters())
    parsed = [reader.submission(each.raw) for each in press_of(international, bundle=1).make(9)]
    assert len({each.sender for each in parsed[:3]}) == 3
    assert [each.sender for each in parsed[3:6]] == [each.sender for each in parsed[:3]]
    assert [each.transactions[0].fields.nonce for each in parsed] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_load_can_be_repeated_and_clients_differ() -> None:
    """One seed gives one load; another seed gives other calls."""
    first = [each.ids for each in press_of(international, bundle=1).make(6)]
    assert first == [each.ids for each in press_of(international, bundle=1).make(6)]
    assert first != [each.ids for each in press_of(international, bundle=1, seed=2).make(6)]


def test_the_preparation_opens_every_account_that_is_drawn() -> None:
    """All targets and all signers have a balance before the clock starts."""
    workload = Transfers(OPENED_AT_ONCE + 10)
    signers = [signer.id for signer in make_signers(international, count=2)]
    opened: list[object] = []
    for call in workload.preparation(international, signers):
        (accounts,) = call.arguments
        assert isinstance(accounts, list) and len(accounts) <= OPENED_AT_ONCE
        opened += accounts
    drawn = [call.arguments[0] for call in islice(workload.calls(international, seed=1), 50)]
    assert len(opened) == OPENED_AT_ONCE + 12
    assert all(account in opened for account in [*drawn, *signers])
