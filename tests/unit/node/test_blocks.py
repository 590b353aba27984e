"""A node's blocks on their way: what waits and since when, and receipts that are certified and not durable yet."""

from zizhu.chain.consensus import port as engine
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.pool import Pool
from zizhu.chain.model.certificate import COMMIT, Certificate, SignedBy
from zizhu.chain.model.effects import Persist, Report
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import BlockHash, Instant, TransactionId
from zizhu.chain.model.transaction import Single
from zizhu.chain.node.blocks import Blocks
from zizhu.chain.node.clients import Admission
from zizhu.chain.node.events import Accepted, Answer, Effect, Final, Keep, Published, Submitted
from zizhu.chain.storage.memory.log import MemoryLog
from zizhu.chain.storage.memory.store import MemoryStore
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, MEMBER_IDS, START_MS, Chain
from zizhu.framework.testkit.fakes.suite import suite


class Late:
    """Blocks, pool and clients of one member whose disk is slow: nothing is durable before `sync`."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.now_ms = 0
        self.log, self.index = MemoryLog(), MemoryStore("index")
        self.archive = BlockArchive(self.log, self.index, suite=suite)
        self.pool = Pool(self.chain.ledger.nonce_state)
        self.admission = Admission(self.chain.ledger, self.pool, self.archive)
        self.effects: list[Effect] = []
        self.blocks = Blocks(MEMBER_IDS[0], self.chain.ledger, self.pool, self.admission, self.effects.append)

    @property
    def now(self) -> Instant:
        """The clocks."""
        return Instant(self.now_ms, START_MS + 1_000 + self.now_ms)

    def at(self, now_ms: int) -> engine.Waiting:
        """What the engine hears of the pool at that time."""
        self.now_ms = now_ms
        return self.blocks.waiting(self.now)

    def add(self, account: int, nonce: int) -> Single:
        """A verified transaction of a client."""
        call = self.chain.call(ACCOUNTS[account], nonce, "increment", b"counter")
        self.pool.add(self.chain.ledger.reader.submission(call), self.now_ms)
        return call

    def id_of(self, call: Single) -> TransactionId:
        """Of its transaction."""
        return self.chain.ledger.reader.submission(call).transactions[0].id

    def build(self, parent: BlockHash | None = None) -> BlockHash:
        """The block that the leader would propose now."""
        head = self.chain.ledger.head.block
        built = self.blocks.build(self.now, engine.Build(head if parent is None else parent, empty=False))
        assert built is not None
        return built.ready.block

    def commit(self, block: BlockHash) -> None:
        """Its certificate is there."""
        executed = self.chain.ledger.executed(block)
        assert executed is not None
        signatures = [SignedBy(MEMBER_IDS[0], bytes(64))]
        certificate = Certificate(1, COMMIT, 0, 0, executed.height, block, executed.outcome_hash, signatures)
        self.blocks.commit(self.now, certificate, agreed_now=True)

    def sync(self) -> None:
        """What was to be written is durable, and the index knows."""
        for effect in self.effects:
            if isinstance(effect, Persist):
                for record in effect.records:
                    position = self.log.append([record.data])[0]
                    self.index.write(self.archive.index_changes(position, record.data), durable=False)
        self.log.sync()
        self.effects.clear()

    def answers(self) -> list[Answer]:
        """What clients were told since the last look."""
        out, self.admission.out = self.admission.out, []
        return [each for each in out if isinstance(each, Answer)]


def test_a_batch_is_as_old_as_what_stands_in_no_block() -> None:
    """Its age begins when something waits that is in no block, grows with time, and ends when a block takes it."""
    late = Late()
    assert late.at(0) == engine.Waiting(0, 0, 0)
    late.now_ms = 100
    late.add(0, 1)
    assert late.at(100) == engine.Waiting(1, 0, 1)
    late.add(1, 1)
    assert late.at(140) == engine.Waiting(2, 40, 2)
    late.build()
    assert late.at(150) == engine.Waiting(0, 0, 2)


def test_a_block_in_flight_makes_nothing_behind_it_older() -> None:
    """What comes while a block is on its way has its own age, not that of what is in the block."""
    late = Late()
    late.add(0, 1)
    assert late.at(0).free == 1
    late.now_ms = 500
    first = late.build()
    late.add(1, 1)
    assert late.at(510) == engine.Waiting(1, 0, 2)
    assert late.at(530) == engine.Waiting(1, 20, 2)
    late.commit(first)
    assert late.at(540) == engine.Waiting(1, 30, 1)


def test_what_stood_in_a_block_that_lost_waits_again_from_now() -> None:
    """Dropped, its transactions are free again; their age begins then, so that no batch is hurried by a dead block."""
    late = Late()
    late.add(0, 1)
    late.at(0)
    lost = late.build()
    late.now_ms = 900
    late.blocks.drop(late.now, ())
    assert late.chain.ledger.executed(lost) is None
    assert late.at(900) == engine.Waiting(1, 0, 1)
    assert late.at(1_000) == engine.Waiting(1, 100, 1)


def test_a_block_that_a_rival_replaced_counts_no_more() -> None:
    """Of two blocks with the same transactions one is committed; the other holds nothing back."""
    late = Late()
    late.add(0, 1)
    rival = late.build()
    late.now_ms += 1
    late.add(1, 1)
    winner = late.build()
    assert rival != winner
    late.commit(winner)
    assert late.chain.ledger.executed(rival) is None
    late.add(2, 1)
    assert late.at(50) == engine.Waiting(1, 0, 1)


def test_an_empty_block_is_built_only_when_it_is_asked_for() -> None:
    """Without transactions there is no block, nothing is written, and nothing is left in the ledger."""
    late = Late()
    head = late.chain.ledger.head.block
    assert late.blocks.build(late.now, engine.Build(head, empty=False)) is None
    assert late.effects == []
    built = late.blocks.build(late.now, engine.Build(head, empty=True))
    assert built is not None and built.ready.count == 0
    assert [type(effect) for effect in late.effects] == [Persist]


def test_a_commit_is_written_before_anything_is_shown() -> None:
    """The barrier first, then (at a root height) the state, then the height that may be seen; a receipt is answered
    behind them all."""
    late = Late()
    for nonce in range(1, 11):
        call = late.add(0, nonce)
        block = late.build()
        late.effects.clear()
        late.admission.wait(nonce, late.id_of(call))
        assert late.answers() == []
        late.commit(block)
        shown = [type(effect) for effect in late.effects]
        assert shown == [Persist, *([Keep] if nonce == 10 else []), Published, Report]
        (answer,) = late.answers()
        assert answer.client == nonce and isinstance(answer.reply, Final)


def test_a_receipt_that_is_certified_and_not_durable_is_known() -> None:
    """Between commit and index a client that asks is answered, and a submission of the same transaction is accepted,
    not called a used nonce; afterwards the archive says the same, and the memory is let go."""
    late = Late()
    call = late.add(0, 1)
    late.commit(late.build())
    transaction = late.id_of(call)
    assert late.archive.receipt(transaction) is None

    def asked() -> list[object]:
        late.admission.wait(1, transaction)
        late.admission.submit(2, (encode(call),), late.now_ms)
        return [each.reply for each in late.answers()]

    before = asked()
    assert isinstance(before[0], Final)
    assert before[1] == Submitted((Accepted((transaction,)),))
    late.sync()
    late.add(1, 1)
    late.commit(late.build())
    assert late.archive.receipt(transaction) == before[0].receipt
    assert len(late.admission._undurable) == 1 and transaction not in late.admission._undurable
    assert asked() == before
