"""Accounts of a client: opened from key files, used here, and never sent anywhere.

Decides how a key file becomes an account that can sign. Refuses to know where a passphrase comes from (`crypto.
passphrase`), and to give the secret to anything but a signature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zizhu.chain.crypto.accounts import account_id
from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.keystore import COST_OF_PERSONS, Cost, StoredKey, read_key, read_label, write_key
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.ids import AccountId

SUITES: Mapping[str, Suite] = {guomi.name: guomi, international.name: international}
"""The crypto suites a client knows, by name."""
SUITES_BY_CODE: Mapping[int, Suite] = {suite.code: suite for suite in SUITES.values()}

UNKNOWN_SUITE = ErrorCode(
    "sdk.unknown_suite",
    "the crypto suite {suite!r} is not known here",
    "use guomi or international, or a newer version of zizhu",
    "此处不支持密码套件 {suite!r}",
    "请使用 guomi 或 international,或更新 zizhu 的版本",
)
NOT_AN_ACCOUNT = ErrorCode(
    "sdk.not_an_account",
    "{path} holds a key of {scheme}, which is no account key of suite {suite}",
    "give the key file of an account; those of members vote, they do not sign transactions",
    "{path} 中的密钥属于 {scheme},不是套件 {suite} 的账户密钥",
    "请给出账户的密钥文件;成员的密钥用于投票,不能签署交易",
)


@dataclass(frozen=True, slots=True)
class Account:
    """An opened account. `id` and `public_key` may be shown; `secret` (32 bytes) is never printed."""

    suite: Suite
    secret: bytes = field(repr=False)

    @property
    def public_key(self) -> bytes:
        """The encoded public key."""
        return self.suite.accounts.public_key(self.secret)

    @property
    def id(self) -> AccountId:
        """20 bytes."""
        return account_id(self.suite, self.public_key)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self.suite.accounts.sign(self.secret, message)


def known_suite(name: str) -> Suite:
    """The suite of this name; raises AskedWrongly (`sdk.unknown_suite`)."""
    suite = SUITES.get(name)
    if suite is None:
        raise AskedWrongly(UNKNOWN_SUITE, suite=name)
    return suite


def create_account(path: Path, suite: Suite, *, passphrase: bytes, cost: Cost = COST_OF_PERSONS) -> Account:
    """A fresh account in the new key file `path`, encrypted with `passphrase`. Raises as `keystore.write_key`."""
    account = Account(suite, suite.accounts.generate())
    stored = StoredKey(
        suite=suite.name, scheme=suite.accounts.name, public_key=account.public_key, secret=account.secret
    )
    write_key(path, stored, passphrase=passphrase, cost=cost)
    return account


def open_account(path: Path, *, passphrase: bytes) -> Account:
    """The account in the key file `path`.

    Raises as `keystore.read_key`, and AskedWrongly (`sdk.unknown_suite`, `sdk.not_an_account`).
    """
    stored = read_key(path, passphrase=passphrase)
    suite = known_suite(stored.suite)
    if stored.scheme != suite.accounts.name:
        raise AskedWrongly(NOT_AN_ACCOUNT, path=path, scheme=stored.scheme, suite=suite.name)
    return Account(suite, stored.secret)


def account_of(path: Path) -> AccountId:
    """The id of the account in the key file `path`, without its passphrase. Raises as `keystore.read_label`."""
    label = read_label(path)
    return account_id(known_suite(label.suite), label.public_key)
