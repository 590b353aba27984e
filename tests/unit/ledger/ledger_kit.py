"""A small ledger for tests: four members of the counterfeit suite and one native contract."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from zizhu.chain.crypto.accounts import member_id
from zizhu.chain.crypto.hashing import genesis_contract_id
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.genesis import Founding, build_genesis, sign_genesis
from zizhu.chain.ledger.ledger import Committed, Ledger
from zizhu.chain.ledger.transactions import ParsedSubmission
from zizhu.chain.model.epoch import Member, Parameters
from zizhu.chain.model.genesis import GenesisContract, SignedGenesis
from zizhu.chain.model.ids import BlockHash
from zizhu.chain.model.transaction import Bundle, Single, TransactionBody
from zizhu.chain.model.value import Value, encode_arguments
from zizhu.framework.testkit.fakes import engine as native
from zizhu.framework.testkit.fakes.accounts import Asking, TestAccount, invoking
from zizhu.framework.testkit.fakes.suite import suite

START_MS = 1_700_000_000_000
SUITES = {suite.code: suite}
ENGINES = {native.NAME: native.engine}
BANK = genesis_contract_id(suite, "bank")
SECRETS = [bytes([number]) * 32 for number in range(1, 5)]
MEMBERS = tuple(
    Member(f"node{number}", f"org{number}", suite.members.public_key(secret), bytes([number]) * 32)
    for number, secret in enumerate(SECRETS, 1)
)
MEMBER_IDS = [member_id(suite, member.vote_key) for member in MEMBERS]
ACCOUNTS = [TestAccount(suite, number) for number in range(20)]


def genesis(*, parameters: Parameters | None = None, name: str = "test", engine: str = "pbft") -> SignedGenesis:
    """A signed genesis in which each of ACCOUNTS has 1,000 in the bank."""
    balances: list[Value] = [part for account in ACCOUNTS for part in (bytes(account.id), 1000)]
    bank = GenesisContract("bank", native.NAME, native.SOURCE, encode_arguments(balances))
    founding = Founding(
        name=name,
        time_ms=START_MS,
        engine=engine,
        suite=suite.name,
        members=MEMBERS,
        contracts=(bank,),
        parameters=parameters or Parameters(),
    )
    return signed(founding)


def signed(founding: Founding) -> SignedGenesis:
    """The genesis of a founding by MEMBERS, with everybody's signature."""
    built = build_genesis(suite, founding)
    consents = [
        sign_genesis(suite, built, lambda message, secret=secret: suite.members.sign(secret, message), member.vote_key)
        for secret, member in zip(SECRETS, founding.members, strict=False)
    ]
    return SignedGenesis(built, consents)


def new_ledger(signed_genesis: SignedGenesis | None = None) -> Ledger:
    """A ledger at height 0."""
    return Ledger(signed_genesis or genesis(), suite=suite, suites=SUITES, engines=ENGINES)


@dataclass
class Chain:
    """A ledger that one drives block by block; time goes on 100 ms a block."""

    ledger: Ledger = field(default_factory=new_ledger)
    step_ms: int = 100
    committed: list[Committed] = field(default_factory=list)

    def call(self, account: TestAccount, nonce: int, method: str, *arguments: Value, **terms: int) -> Single:
        """A signed call of the bank."""
        return account.sign(self.body(account, nonce, method, *arguments, **terms))

    def body(self, account: TestAccount, nonce: int, method: str, *arguments: Value, **terms: int) -> TransactionBody:
        """The body of a call of the bank."""
        asking = Asking(self.ledger.ledger_id, nonce, **terms)
        return invoking(account, asking, BANK, method, arguments)

    def parse(self, submissions: Sequence[Single | Bundle]) -> list[ParsedSubmission]:
        """Parsed as gossip would."""
        return [self.ledger.reader.submission(submission) for submission in submissions]

    def build(self, *submissions: Single | Bundle, on: BlockHash | None = None) -> Executed:
        """An executed block of these submissions."""
        parent = self.ledger.head.block if on is None else on
        above = self.ledger.executed(parent)
        time_ms = (self.ledger.head.time_ms if above is None else above.block.header.time_ms) + self.step_ms
        return self.ledger.build(
            parent, candidates=self.parse(submissions), wall_ms=time_ms, proposer=MEMBER_IDS[0]
        )

    def commit(self, *submissions: Single | Bundle) -> Committed:
        """A committed block of these submissions."""
        done = self.ledger.commit(self.build(*submissions).hash)
        self.committed.append(done)
        return done
