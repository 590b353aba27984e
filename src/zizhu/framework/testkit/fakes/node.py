"""A running node without consensus, network and disk: `node.backend.Backend` over a real ledger and archive.

Decides that a submission is final as soon as a block is made of it (at once, or when the test says so). Its four
members sign every certificate, so its proofs hold. Refuses to be anybody's: its secrets are in `fakes.ledger`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zizhu.chain.consensus.certificate import electorate, statement_of
from zizhu.chain.crypto.hashing import vote_message
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.keys import NonceUse
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.records import encode_block_record, encode_commit_record
from zizhu.chain.ledger.transactions import ParsedSubmission
from zizhu.chain.model.certificate import COMMIT, VERSION, Certificate, SignedBy
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import ZizhuError
from zizhu.chain.model.ids import TransactionId
from zizhu.chain.model.transaction import Bundle, Single
from zizhu.chain.node.backend import NodeStatus, PeerStatus
from zizhu.chain.node.events import Accepted, Expired, Final, Rejected
from zizhu.chain.storage.memory.log import MemoryLog
from zizhu.chain.storage.memory.store import MemoryStore
from zizhu.framework.testkit.fakes.ledger import MEMBER_IDS, MEMBERS, SECRETS, SUITES, new_ledger
from zizhu.framework.testkit.fakes.suite import suite

STEP_MS = 100


@dataclass
class FakeNode:
    """The first of the four members of `fakes.ledger`.

    `at_once`: a submission is final when it is accepted; otherwise it waits until `make_block`. What comes after
    `hide` is committed and not yet visible, until `show`.
    """

    ledger: Ledger = field(default_factory=new_ledger)
    at_once: bool = True
    secrets: Sequence[bytes] = tuple(SECRETS)
    suite: Suite = suite
    suites: dict[int, Suite] = field(default_factory=lambda: dict(SUITES))
    http_port: int = 0
    now_ms: Callable[[], int] | None = None
    """The time of new blocks; without it a block comes STEP_MS after the one before."""

    def __post_init__(self) -> None:
        self.ledger_id = self.ledger.ledger_id
        self.log = MemoryLog("blocks")
        self.index = MemoryStore("index")
        self.archive = BlockArchive(self.log, self.index, suite=self.suite)
        self.voters = electorate(self.suite, self.ledger_id, self.ledger.record)
        self.me = self.voters.members[0]
        self.pool: list[ParsedSubmission] = []
        self.refusal: ZizhuError | None = None
        """Refuses every submission when set."""
        self.moved_waiters = 0
        """Who waits for a block."""
        self._visible = 0
        self._hidden = False
        self._moved = asyncio.Event()

    @property
    def visible_height(self) -> int:
        """The highest height that readers may see."""
        return self._visible

    def hide(self) -> None:
        """From here on blocks are committed and not durable."""
        self._hidden = True

    def show(self) -> None:
        """What is committed is durable."""
        self._hidden = False
        self._publish()

    def make_block(self, *submissions: Single | Bundle, bodies: int | None = None) -> Executed:
        """A certified block of what waits (`bodies` submissions of it at most) and of `submissions`."""
        taken, self.pool = self.pool[:bodies], [] if bodies is None else self.pool[bodies:]
        candidates = [*taken, *(self.ledger.reader.submission(one) for one in submissions)]
        head = self.ledger.head
        executed = self.ledger.build(head.block, candidates=candidates, wall_ms=self._wall_ms(), proposer=self.me)
        committed = self.ledger.commit(executed.hash)
        assert committed.executed is executed
        certificate = self._certificate(executed)
        self._index(encode_block_record(executed.block_bytes))
        self._index(encode_commit_record(certificate, executed.outcome, list(executed.receipts)))
        if not self._hidden:
            self._publish()
        return executed

    def make_blocks_until_root(self) -> int:
        """Empty blocks until one has a state root; its height."""
        for _ in range(self.ledger.record.parameters.root_every + 1):
            if self.make_block().outcome.root_height == self.ledger.head.height:
                break
        return self.ledger.head.height

    def status(self) -> NodeStatus:
        """A member that votes, whose peers are up, but for the last."""
        head, record = self.ledger.head, self.ledger.record
        peers = [
            PeerStatus(member.name, member.organisation, id_.hex(), up, head.height if up else 0)
            for member, id_, up in zip(MEMBERS[1:], MEMBER_IDS[1:], (True, True, False), strict=True)
        ]
        return NodeStatus(
            name=record.members[0].name,
            organisation=record.members[0].organisation,
            member=self.me.hex(),
            pid=1,
            ledger=self.ledger_id.hex(),
            ledger_name=self.ledger.genesis.genesis.name,
            suite=self.suite.name,
            engine=record.engine,
            version="0.0.0",
            state="voting",
            reason="",
            view=0,
            leader=self.me.hex(),
            leader_name=record.members[0].name,
            height=self._visible,
            block=head.block.hex(),
            outcome=head.outcome_hash.hex(),
            time_ms=head.time_ms,
            root_height=head.outcome.root_height,
            pool_transactions=len(self.pool),
            pool_bytes=sum(one.size for one in self.pool),
            uptime_ms=1,
            p2p_port=1,
            http_port=self.http_port,
            peers=peers,
        )

    async def submit(self, raws: tuple[bytes, ...]) -> tuple[Accepted | Rejected, ...]:
        """Accepts what is well formed, whatever its signature."""
        outcomes: list[Accepted | Rejected] = []
        for raw in raws:
            try:
                if self.refusal is not None:
                    raise self.refusal
                parsed = self.ledger.reader.submission(raw)
            except ZizhuError as error:
                outcomes.append(Rejected(error))
                continue
            account = self.ledger.nonce_state(parsed.sender)
            if all(account.use_of(one.fields.nonce) is NonceUse.FREE for one in parsed.transactions):
                self.pool.append(parsed)
            outcomes.append(Accepted(tuple(one.id for one in parsed.transactions)))
        if self.at_once and self.pool:
            self.make_block()
        return tuple(outcomes)

    async def receipt(self, transaction: TransactionId, *, timeout_ms: int) -> Final | Expired | None:
        """The final receipt, or that what waits here has expired."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout_ms / 1000
        while True:
            found = self.archive.receipt(transaction)
            if found is not None and found.height <= self._visible:
                return Final(found)
            for waiting in self.pool:
                for one in waiting.transactions:
                    if one.id == transaction and one.fields.valid_until_height < self._visible:
                        return Expired(transaction, self._visible)
            left_ms = int((ends - loop.time()) * 1000)
            if left_ms <= 0:
                return None
            await self.published(self._visible, timeout_ms=left_ms)

    async def published(self, above: int, *, timeout_ms: int) -> int:
        """Waits until the visible height is above `above`."""
        self.moved_waiters += 1
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while self._visible <= above:
                    await self._moved.wait()
        except TimeoutError:
            pass
        finally:
            self.moved_waiters -= 1
        return self._visible

    def _wall_ms(self) -> int:
        return self.ledger.head.time_ms + STEP_MS if self.now_ms is None else self.now_ms()

    def _publish(self) -> None:
        self._visible = self.ledger.head.height
        self._moved.set()
        self._moved = asyncio.Event()

    def _index(self, record: bytes) -> None:
        position = self.log.append([record])[0]
        self.index.write(self.archive.index_changes(position, record), durable=False)

    def _certificate(self, executed: Executed) -> Certificate:
        unsigned = Certificate(
            VERSION, COMMIT, self.voters.record.number, 0, executed.height, executed.hash, executed.outcome_hash, []
        )
        message = vote_message(self.suite, statement_of(unsigned, self.ledger_id))
        signed = [
            SignedBy(id_, self.suite.members.sign(secret, message))
            for id_, secret in zip(self.voters.members, self.secrets, strict=False)
        ]
        signed.sort(key=lambda one: one.member)
        return Certificate(
            VERSION, COMMIT, unsigned.epoch, 0, executed.height, executed.hash, executed.outcome_hash, signed
        )


def encoded(*submissions: Single | Bundle) -> bytes:
    """What is posted to /transactions: a MessagePack array of encoded submissions."""
    return encode([encode(one) for one in submissions])
