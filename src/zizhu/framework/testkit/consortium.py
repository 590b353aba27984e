"""A consortium for tests: n members with their keys, the genesis they signed, and a clock that begins in 2024.

Decides names, keys and parameters, all as functions of n. Refuses to know how anybody behaves.
"""

import hashlib
from dataclasses import dataclass

from zizhu.chain.consensus.certificate import Electorate, electorate
from zizhu.chain.contracts.port import ContractEngine
from zizhu.chain.crypto.accounts import member_id
from zizhu.chain.crypto.hashing import genesis_consent_message, ledger_id
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.genesis import Founding, build_genesis
from zizhu.chain.model.certificate import SignedBy
from zizhu.chain.model.epoch import Member, Parameters
from zizhu.chain.model.genesis import GenesisContract, SignedGenesis
from zizhu.chain.model.ids import LedgerId, MemberId
from zizhu.framework.testkit.fakes.suite import suite as counterfeit

GENESIS_TIME_MS = 1_704_067_200_000


@dataclass(frozen=True)
class Consortium:
    """The members of a test, by position; `secrets` sign votes."""

    suite: Suite
    genesis: SignedGenesis
    ledger: LedgerId
    voters: Electorate
    secrets: dict[MemberId, bytes]
    engines: dict[str, ContractEngine]

    @property
    def members(self) -> tuple[MemberId, ...]:
        """Ids, in the order of the epoch record."""
        return self.voters.members

    def sign(self, member: MemberId, message: bytes) -> bytes:
        """64 bytes by the voting key of `member`, deterministic."""
        return self.suite.members.sign(self.secrets[member], message)


def secret_of(position: int) -> bytes:
    """Voting secret of the member at `position`."""
    return hashlib.sha256(b"simulated member" + position.to_bytes(4, "big")).digest()


def found(
    size: int,
    *,
    suite: Suite = counterfeit,
    parameters: Parameters | None = None,
    contracts: tuple[GenesisContract, ...] = (),
    engines: dict[str, ContractEngine] | None = None,
    engine: str = "pbft",
) -> Consortium:
    """A consortium of `size` members under PBFT or Raft, or of one under solo."""
    secrets = [secret_of(position) for position in range(size)]
    members = tuple(
        Member(f"node{i + 1}", f"org{i + 1}", suite.members.public_key(secret), hashlib.sha256(secret).digest())
        for i, secret in enumerate(secrets)
    )
    founding = Founding(
        name="simulated",
        time_ms=GENESIS_TIME_MS,
        engine=engine,
        suite=suite.name,
        members=members,
        contracts=contracts,
        parameters=parameters or Parameters(),
    )
    genesis = build_genesis(suite, founding)
    ledger = ledger_id(suite, genesis)
    message = genesis_consent_message(suite, ledger)
    ids = [member_id(suite, member.vote_key) for member in members]
    by_id = dict(zip(ids, secrets, strict=True))
    signatures = [SignedBy(each, suite.members.sign(by_id[each], message)) for each in sorted(by_id)]
    return Consortium(
        suite, SignedGenesis(genesis, signatures), ledger, electorate(suite, ledger, genesis.record), by_id,
        engines or {},
    )  # fmt: skip
