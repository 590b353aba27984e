"""What a load does: the contract it calls, how the ledger is made ready for it, and its endless calls.

Decides the workloads of the bench. Refuses to know keys, signatures, members and clocks. A workload is a pure
function of its seed, so that two runs send the same calls.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from zizhu.chain.crypto.hashing import genesis_contract_id
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.genesis import GenesisContract
from zizhu.chain.model.ids import AccountId
from zizhu.chain.model.value import encode_arguments
from zizhu.framework.sdk.transactions import Call

BANK = "bench-bank"
OPENED_AT_ONCE = 2_500
"""Accounts that one transaction opens: well inside the steps that a transaction may use."""
ACCOUNT_BYTES = 20

BANK_SOURCE = b'''"""A bank: accounts with a balance, and transfers between them."""

OPENING = 1000000000


def init():
    return None


@public
def open_accounts(accounts: list):
    for account in accounts:
        put(account, OPENING)
    return len(accounts)


@public
def transfer(target: bytes, amount: int):
    if amount <= 0 or len(target) != 20:
        fail("bank.arguments")
    source = caller()
    balance = get(source, 0)
    if balance < amount:
        fail("bank.funds")
    put(source, balance - amount)
    put(target, get(target, 0) + amount)


@view
def balance_of(account: bytes):
    return get(account, 0)
'''


STORE = "bench-store"
VALUE_BYTES = 256
STORE_SOURCE = b'''"""A store: the newest value of each key."""


def init():
    return None


@public
def write(key: bytes, value: bytes):
    put(key, value)
'''


class Workload(Protocol):
    """A workload of one ledger."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def contract(self) -> GenesisContract:
        """What the genesis installs."""
        ...

    def preparation(self, suite: Suite, signers: Sequence[AccountId]) -> list[Call]:
        """Calls that must be final before the clock starts."""
        ...

    def calls(self, suite: Suite, *, seed: int) -> Iterator[Call]:
        """Calls without end; `seed` tells one client's from another's."""
        ...


@dataclass(frozen=True)
class Transfers:
    """Transfers of one unit from the account that signs to one of `accounts` accounts, drawn evenly."""

    accounts: int
    name: str = "transfer"

    def contract(self) -> GenesisContract:
        """The bank."""
        return GenesisContract(BANK, "script", BANK_SOURCE, encode_arguments([]))

    def preparation(self, suite: Suite, signers: Sequence[AccountId]) -> list[Call]:
        """Every account gets its opening balance: the signers, and all targets."""
        contract = genesis_contract_id(suite, BANK)
        everyone: list[bytes] = [*signers, *(target(number) for number in range(self.accounts))]
        parts = [everyone[at : at + OPENED_AT_ONCE] for at in range(0, len(everyone), OPENED_AT_ONCE)]
        return [Call(contract, "open_accounts", ([*part],)) for part in parts]

    def calls(self, suite: Suite, *, seed: int) -> Iterator[Call]:
        """Transfers to accounts that were opened."""
        contract = genesis_contract_id(suite, BANK)
        dice = random.Random(seed)
        while True:
            yield Call(contract, "transfer", (target(dice.randrange(self.accounts)), 1))


@dataclass(frozen=True)
class Registrations:
    """Registrations of vouchers with the contract `package`: a new digest of type `kind` each."""

    package: GenesisContract
    kind: str
    algorithm: str
    name: str = "voucher"

    def contract(self) -> GenesisContract:
        """The contract that keeps vouchers, as the caller gave it."""
        return self.package

    def preparation(self, suite: Suite, signers: Sequence[AccountId]) -> list[Call]:
        """Nothing: the first voucher needs no other."""
        del suite, signers
        return []

    def calls(self, suite: Suite, *, seed: int) -> Iterator[Call]:
        """Digests and salts that nobody registered before."""
        contract = genesis_contract_id(suite, self.package.name)
        dice = random.Random(seed)
        while True:
            yield Call(contract, "register", (self.kind, self.algorithm, dice.randbytes(32), dice.randbytes(32)))


@dataclass(frozen=True)
class Values:
    """Values of 256 bytes under one of `keys` keys, drawn evenly: what a key-value store is measured with."""

    keys: int
    name: str = "value"

    def contract(self) -> GenesisContract:
        """The store."""
        return GenesisContract(STORE, "script", STORE_SOURCE, encode_arguments([]))

    def preparation(self, suite: Suite, signers: Sequence[AccountId]) -> list[Call]:
        """Nothing: a key is there once it is written."""
        del suite, signers
        return []

    def calls(self, suite: Suite, *, seed: int) -> Iterator[Call]:
        """Writes of values that nobody wrote before."""
        contract = genesis_contract_id(suite, STORE)
        dice = random.Random(seed)
        while True:
            yield Call(contract, "write", (target(dice.randrange(self.keys)), dice.randbytes(VALUE_BYTES)))


def target(number: int) -> bytes:
    """Account `number` of the bank: 20 bytes, spread as hashes are."""
    return hashlib.sha256(number.to_bytes(8, "big")).digest()[:ACCOUNT_BYTES]
