"""Keys and transactions of a client: what is signed here is what a ledger accepts."""

from pathlib import Path

import pytest

from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.keystore import Cost, StoredKey, write_key
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.transactions import parse_submission
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.errors import AskedWrongly
from zizhu.chain.model.ids import LedgerId
from zizhu.chain.model.transaction import Deploy
from zizhu.framework.sdk.keys import SUITES_BY_CODE, Account, account_of, create_account, open_account
from zizhu.framework.sdk.transactions import (
    Call,
    Numbers,
    Target,
    call_body,
    deploy_body,
    sign_bundle,
    sign_single,
)

CHEAP = Cost(n=2)
SUITES = pytest.mark.parametrize("suite", [guomi, international], ids=lambda suite: suite.name)
LEDGERS = pytest.mark.parametrize("ledger_suite", [guomi, international], ids=lambda suite: f"on-{suite.name}")


@SUITES
def test_an_account_comes_back_from_its_file(tmp_path: Path, suite: Suite) -> None:
    """Made, closed, opened: the same account; its id is known without the passphrase, its secret never shown."""
    path = tmp_path / "account.json"
    made = create_account(path, suite, passphrase=b"secret", cost=CHEAP)
    again = open_account(path, passphrase=b"secret")
    assert again == made and again.id == account_of(path)
    assert made.secret.hex() not in repr(made) and repr(made.secret) not in repr(made)
    with pytest.raises(AskedWrongly) as error:
        open_account(path, passphrase=b"wrong")
    assert error.value.code.code == "keystore.passphrase"


def test_a_members_key_is_no_account(tmp_path: Path) -> None:
    """An Ed25519 voting key does not sign transactions."""
    path = tmp_path / "vote.key"
    scheme = international.members
    secret = scheme.generate()
    stored = StoredKey(
        suite=international.name, scheme=scheme.name, public_key=scheme.public_key(secret), secret=secret
    )
    write_key(path, stored, passphrase=b"x", cost=CHEAP)
    with pytest.raises(AskedWrongly) as error:
        open_account(path, passphrase=b"x")
    assert error.value.code.code == "sdk.not_an_account"


@SUITES
@LEDGERS
def test_what_is_signed_here_is_well_formed_and_verifies(suite: Suite, ledger_suite: Suite) -> None:
    """Calls, deployments and bundles, of accounts of either suite, on ledgers of either suite."""
    account = Account(suite, suite.digest(b"account"))
    target = Target(LedgerId(b"l" * 32), ledger_suite)
    call = Call(b"c" * 20, "method", ("text", 7, b"bytes"))
    bodies = [call_body(account, target, call, Numbers(nonce=n, valid_until_height=9)) for n in range(1, 65)]
    deploy = deploy_body(account, target, Deploy("n", "script", b"", b""), Numbers(nonce=65, valid_until_height=9))
    made = (
        sign_single(account, target, bodies[0]),
        sign_single(account, target, deploy),
        sign_bundle(account, target, bodies),
    )
    for signed in made:
        parsed = parse_submission(
            signed.raw,
            suite=ledger_suite,
            suites=SUITES_BY_CODE,
            ledger_id=target.ledger,
            parameters=Parameters(),
        )
        assert suite.accounts.verify(*parsed.signature)
        assert tuple(one.id for one in parsed.transactions) == signed.ids
        assert tuple(one.fields.nonce for one in parsed.transactions) == signed.nonces
        assert parsed.sender == account.id and signed.valid_until_height == 9


def test_a_bundle_has_one_to_1024_transactions() -> None:
    """None, and one too many, are refused."""
    account = Account(international, international.digest(b"account"))
    target = Target(LedgerId(b"l" * 32), international)
    body = call_body(account, target, Call(b"c" * 20, "m"), Numbers(nonce=1, valid_until_height=1))
    for bodies in ([], [body] * 1_025):
        with pytest.raises(AskedWrongly) as error:
            sign_bundle(account, target, bodies)
        assert error.value.code.code == "sdk.bundle"
