"""A consortium in one process without consensus: real ledgers, real certificates, a backend for each member.

Decides blocks by itself: what is handed in stands in the next block at once, and every member's key signs it. So
faces of a node (HTTP routes, services, clients) are tested on true blocks, receipts and proofs, without waiting. Time
is counted: a block takes `STEP_MS`, and one that somebody waits for the root interval, so that proofs can be cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from zizhu.chain.contracts.port import ContractEngine
from zizhu.chain.contracts.script.engine import engine as script
from zizhu.chain.crypto.accounts import member_id
from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.hashing import block_hash, outcome_hash, vote_message
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.genesis import Founding, build_genesis, sign_genesis
from zizhu.chain.ledger.keys import NonceUse
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.records import encode_block_record, encode_commit_record
from zizhu.chain.ledger.transactions import ParsedSubmission
from zizhu.chain.model.certificate import COMMIT, VERSION, Certificate, SignedBy, VoteStatement
from zizhu.chain.model.epoch import Member, Parameters
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, ZizhuError
from zizhu.chain.model.genesis import GenesisContract, SignedGenesis
from zizhu.chain.model.ids import LedgerId, MemberId, TransactionId
from zizhu.chain.node.backend import NodeStatus, PeerStatus
from zizhu.chain.node.clients import SIGNATURE
from zizhu.chain.node.events import Accepted, Expired, Final, Rejected
from zizhu.chain.storage.memory.log import MemoryLog
from zizhu.chain.storage.memory.store import MemoryStore
from zizhu.framework.testkit.fakes.suite import suite as counterfeit

START_MS = 1_700_000_000_000
STEP_MS = 100
ENGINES: Mapping[str, ContractEngine] = {script.name: script}

NONCE = ErrorCode("fake.nonce", "nonce {nonce} is {use}", "take another", "nonce {nonce} 为 {use}", "请换一个")


@dataclass
class _Replica:
    """One member's copy: its ledger, its archive and the log below it."""

    name: str
    id: MemberId
    secret: bytes
    ledger: Ledger
    log: MemoryLog
    archive: BlockArchive
    index: MemoryStore


class FakeConsortium:
    """`members` replicas of one ledger, of engine "pbft" (at least four) or "solo" (one)."""

    def __init__(
        self,
        *,
        suite: Suite = counterfeit,
        members: int = 4,
        name: str = "fake",
        contracts: Sequence[GenesisContract] = (),
        parameters: Parameters | None = None,
    ) -> None:
        self.suite = suite
        self.suites = {one.code: one for one in (guomi, international, suite)}
        self.genesis = _found(suite, members, name, contracts, parameters or Parameters())
        self.replicas = [
            self._replica(number, member.name) for number, member in enumerate(self.genesis.genesis.record.members)
        ]
        self.ledger_id: LedgerId = self.replicas[0].ledger.ledger_id
        self.time_ms = START_MS
        self.holding: list[ParsedSubmission] | None = None
        """While a list, what is handed in waits there, and stands in the next block that is committed."""

    def _replica(self, number: int, name: str) -> _Replica:
        ledger = Ledger(self.genesis, suite=self.suite, suites=self.suites, engines=ENGINES)
        log, index = MemoryLog(), MemoryStore("archive")
        archive = BlockArchive(log, index, suite=self.suite)
        archive.recover()
        secret = _secret(self.genesis.genesis.name, number, self.suite)
        return _Replica(
            name, member_id(self.suite, self.suite.members.public_key(secret)), secret, ledger, log, archive, index
        )

    def backend(self, number: int) -> "FakeBackend":
        """Member `number` (from 0), as the faces of its node see it."""
        return FakeBackend(self, number)

    def commit(self, *candidates: ParsedSubmission, step_ms: int = STEP_MS) -> Executed:
        """The next block, of these submissions and those held back, in every replica."""
        self.time_ms += step_ms
        leader = self.replicas[0].ledger
        waiting = (*(self.holding or ()), *candidates)
        if self.holding is not None:
            self.holding = []
        done = leader.build(leader.head.block, candidates=waiting, wall_ms=self.time_ms, proposer=self.replicas[0].id)
        certificate = self._certificate(done)
        for replica in self.replicas:
            executed = done if replica.ledger is leader else replica.ledger.execute(done.block, done.hash)
            assert isinstance(executed, Executed) and executed.outcome_hash == done.outcome_hash
            replica.ledger.commit(done.hash)
            records = [
                encode_block_record(done.block_bytes),
                encode_commit_record(certificate, done.outcome, list(done.receipts)),
            ]
            for position, data in zip(replica.log.append(records), records, strict=True):
                replica.index.write(replica.archive.index_changes(position, data), durable=True)
        return done

    def root(self) -> Executed:
        """A block of a root height, so that everything before it can be proved."""
        self.commit()
        return self.commit(step_ms=self.replicas[0].ledger.record.parameters.root_wait_ms)

    def _certificate(self, done: Executed) -> Certificate:
        header = done.block.header
        what = (header.height, block_hash(self.suite, header), outcome_hash(self.suite, done.outcome))
        statement = VoteStatement(self.ledger_id, header.epoch, 0, COMMIT, *what)
        message = vote_message(self.suite, statement)
        voters = sorted(self.replicas, key=lambda replica: replica.id)
        signatures = [SignedBy(one.id, self.suite.members.sign(one.secret, message)) for one in voters]
        return Certificate(VERSION, COMMIT, header.epoch, 0, *what, signatures)


class FakeBackend:
    """One member; see `node.backend.Backend`."""

    def __init__(self, consortium: FakeConsortium, number: int) -> None:
        replica = consortium.replicas[number]
        self._consortium = consortium
        self._replica = replica
        self.suite = consortium.suite
        self.suites = consortium.suites
        self.ledger_id = consortium.ledger_id
        self.ledger = replica.ledger
        self.archive = replica.archive
        self.me = replica.id
        self.refusals: list[ZizhuError] = []
        """As long as there are some, each submission is refused with the next one."""
        self.handed_in: list[bytes] = []
        """Every submission, in order."""

    @property
    def visible_height(self) -> int:
        """All that is committed is durable."""
        return self.ledger.head.height

    def status(self) -> NodeStatus:
        """The member, as if it had peers."""
        head, record = self.ledger.head, self.ledger.record
        peers = [
            PeerStatus(one.name, f"org of {one.name}", one.id.hex(), one is not self._replica, head.height)
            for one in self._consortium.replicas
        ]
        return NodeStatus(
            name=self._replica.name,
            organisation=f"org of {self._replica.name}",
            member=self.me.hex(),
            pid=0,
            ledger=self.ledger_id.hex(),
            ledger_name=self.ledger.genesis.genesis.name,
            suite=self.suite.name,
            engine=record.engine,
            version="fake",
            state="voting",
            reason="",
            view=0,
            leader=self._consortium.replicas[0].id.hex(),
            leader_name=self._consortium.replicas[0].name,
            height=head.height,
            block=head.block.hex(),
            outcome=head.outcome_hash.hex(),
            time_ms=head.time_ms,
            root_height=head.outcome.root_height,
            pool_transactions=0,
            pool_bytes=0,
            uptime_ms=0,
            p2p_port=0,
            http_port=0,
            peers=peers,
        )

    async def submit(self, raws: tuple[bytes, ...]) -> tuple[Accepted | Rejected, ...]:
        """Everything acceptable stands in the next block, which is made at once unless the consortium holds back."""
        outcomes: list[Accepted | Rejected] = []
        fresh: list[ParsedSubmission] = []
        for raw in raws:
            try:
                parsed = self._checked(raw)
            except ZizhuError as error:
                outcomes.append(Rejected(error))
                continue
            if self.archive.receipt(parsed.transactions[0].id) is None:
                fresh.append(parsed)
            outcomes.append(Accepted(tuple(one.id for one in parsed.transactions)))
        if self._consortium.holding is not None:
            self._consortium.holding += fresh
        elif fresh:
            self._consortium.commit(*fresh)
        return tuple(outcomes)

    def _checked(self, raw: bytes) -> ParsedSubmission:
        self.handed_in.append(raw)
        if self.refusals:
            raise self.refusals.pop(0)
        parsed = self.ledger.reader.submission(raw)
        if not self.suites[parsed.suite_code].accounts.verify(*parsed.signature):
            raise AskedWrongly(SIGNATURE)
        if self.archive.receipt(parsed.transactions[0].id) is None:
            for one in parsed.transactions:
                use = self.ledger.nonce_state(one.sender).use_of(one.fields.nonce)
                if use is not NonceUse.FREE:
                    raise AskedWrongly(NONCE, nonce=one.fields.nonce, use=use.value)
        return parsed

    async def receipt(self, transaction: TransactionId, *, timeout_ms: int) -> Final | Expired | None:
        """The receipt, or None at once: nothing comes by waiting here."""
        found = self.archive.receipt(transaction)
        return None if found is None else Final(found)

    async def published(self, above: int, *, timeout_ms: int) -> int:
        """Whoever waits gets a block of a root height."""
        if self.visible_height <= above:
            self._consortium.root()
        return self.visible_height


def _secret(name: str, number: int, suite: Suite) -> bytes:
    return suite.digest(f"{name} {number}".encode())


def _found(
    suite: Suite, count: int, name: str, contracts: Sequence[GenesisContract], parameters: Parameters
) -> SignedGenesis:
    secrets = [_secret(name, number, suite) for number in range(count)]
    members = tuple(
        Member(f"node{number}", f"org{number}", suite.members.public_key(secret), suite.digest(secret))
        for number, secret in enumerate(secrets, 1)
    )
    founding = Founding(
        name=name,
        time_ms=START_MS,
        engine="solo" if count == 1 else "pbft",
        suite=suite.name,
        members=members,
        contracts=tuple(contracts),
        parameters=parameters,
    )
    genesis = build_genesis(suite, founding)
    consents = [
        sign_genesis(suite, genesis, partial(suite.members.sign, secret), one.vote_key)
        for secret, one in zip(secrets, members, strict=True)
    ]
    return SignedGenesis(genesis, consents)
