"""A consortium of four with a voucher service at each member, in one process and without sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from zizhu.chain.crosschain.proofs import build_ledger_proof
from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.hashing import genesis_contract_id
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.proofs import Entry, state_entry
from zizhu.components.evidence.record import Record, record_key
from zizhu.framework.sdk.keys import Account
from zizhu.framework.testkit.fakes.backend import FakeConsortium
from zizhu.scenarios.credentials.contract import CONTRACT_NAME, genesis_contract
from zizhu.scenarios.credentials.service import Custodian, Registration
from zizhu.scenarios.credentials.verification import Source

T = TypeVar("T")


class Town:
    """Four members; `custodians[n]` is the service of member n."""

    def __init__(self, folder: Path, suite: Suite, *, name: str = "town", members: int = 4) -> None:
        self.suite = suite
        self.folder = folder
        self.consortium = FakeConsortium(suite=suite, members=members, name=name, contracts=[genesis_contract()])
        self.contract = genesis_contract_id(suite, CONTRACT_NAME)
        self.backends = [self.consortium.backend(number) for number in range(members)]
        self.accounts = [Account(suite, suite.digest(b"issuer %d" % number)) for number in range(members)]
        self.custodians = [self.custodian(number) for number in range(members)]
        self._runner = asyncio.Runner()

    def custodian(self, number: int) -> Custodian:
        """A service of member `number`, as after a restart of its node."""
        return Custodian(self.backends[number], self.accounts[number], folder=self.folder / f"member{number}")

    def run(self, work: Coroutine[object, object, T]) -> T:
        """What a coroutine gives."""
        return self._runner.run(work)

    def close(self) -> None:
        """Ends the loop."""
        self._runner.close()

    def register(
        self, data: bytes, *, type_: str = "document", at: int = 0, digest: bytes | None = None
    ) -> Registration:
        """A file, registered at member `at`."""
        return self.run(self.custodians[at].register(type_, pieces(data), named_digest=digest))

    def replace(self, index: int, data: bytes, *, at: int = 0, digest: bytes | None = None) -> Record:
        """Another file in the place of a voucher's."""
        return self.run(self.custodians[at].replace(index, pieces(data), named_digest=digest)).value

    def record(self, data: bytes, *, type_: str = "document", at: int = 0) -> Record:
        """The record of a file, registered at member `at`."""
        return self.register(data, type_=type_, at=at).found.value

    def sources(self, *, without: int | None = None) -> list[Source]:
        """The members as readers; `without` one of them."""
        numbers = [number for number in range(len(self.custodians)) if number != without]
        return [Source(f"node{number + 1}", self.custodians[number].reader) for number in numbers]

    def proof(self, index: int) -> bytes:
        """The proof of a voucher, as of a new root height."""
        return self.proof_of(record_key(self.contract, index))

    def proof_of(self, key: bytes) -> bytes:
        """The proof of any state key."""
        self.consortium.root()
        ledger = self.backends[0].ledger
        return self.proof_with(state_entry(ledger.state_tree(), key=key, value=ledger.state.get(key)))

    def proof_with(self, entry: Entry) -> bytes:
        """The proof of an entry, of the newest block."""
        archive = self.backends[0].archive
        block, commit = archive.block(archive.head_height), archive.commit(archive.head_height)
        assert block is not None and commit is not None
        return build_ledger_proof(
            self.consortium.genesis,
            header=block.header,
            outcome=commit.outcome,
            certificate=commit.certificate,
            entry=entry,
        )


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    """A body as it comes from a socket."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


MakeTown = Callable[..., Town]


@pytest.fixture
def make_town(tmp_path: Path) -> Iterator[MakeTown]:
    """Makes towns: `make_town(suite, name=…, members=…)`."""
    towns: list[Town] = []

    def make(suite: Suite = international, *, name: str = "town", members: int = 4) -> Town:
        town = Town(tmp_path / f"{name}{len(towns)}", suite, name=name, members=members)
        towns.append(town)
        return town

    yield make
    for town in towns:
        town.close()


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    """One of the international suite."""
    return make_town()


@pytest.fixture(params=[guomi, international], ids=["guomi", "international"])
def each_town(request: pytest.FixtureRequest, make_town: MakeTown) -> Town:
    """One of each suite."""
    return make_town(request.param)
