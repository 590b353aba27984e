"""The ledger as a machine: blocks in, outcomes out; branches of executed blocks over one committed head.

Decides what executing, building and committing a block mean, and the outcome that members vote on. Refuses to
know consensus, disks, clocks and signatures. A block is executed once, by one path, and committed once.

The state part of an outcome (docs/protocol/ledger.md): the running hash D(h) covers the write sets since the last
root height R; at a root height the tree of the whole state is brought up to date and D restarts from its root.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from zizhu.chain.contracts.port import CallResult, ContractEngine
from zizhu.chain.crypto.accounts import member_id
from zizhu.chain.crypto.hashing import block_hash, ledger_id, outcome_hash
from zizhu.chain.crypto.hashing import record_hash as hash_of_record
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger import validate
from zizhu.chain.ledger.branches import Branch, Branches, Executed, Footing
from zizhu.chain.ledger.build import Builder
from zizhu.chain.ledger.execute import Executor
from zizhu.chain.ledger.genesis import found
from zizhu.chain.ledger.keys import (
    AccountRecord,
    ContractRecord,
    account_key,
    account_record,
    contract_codec,
    contract_key,
    name_key,
)
from zizhu.chain.ledger.outcomes import Changes, is_root_height, root_outcome, running_outcome
from zizhu.chain.ledger.state import Overlay, State, StateReader
from zizhu.chain.ledger.transactions import Lookup, ParsedSubmission, Reader, nothing_known
from zizhu.chain.ledger.tree import StateTree
from zizhu.chain.ledger.validate import Invalid, Parent, ParsedBlock, Terms
from zizhu.chain.model.block import VERSION, Block, BlockHeader, Outcome
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import ZizhuError
from zizhu.chain.model.genesis import SignedGenesis
from zizhu.chain.model.ids import BlockHash, ContractId, LedgerId, MemberId, OutcomeHash
from zizhu.chain.model.receipt import Receipt
from zizhu.chain.model.transaction import Invoke


@dataclass(frozen=True, slots=True)
class Head:
    """The newest committed block; of a new ledger the genesis (height 0, block = ledger id)."""

    height: int
    block: BlockHash
    outcome_hash: OutcomeHash
    outcome: Outcome
    time_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What became final. `changes` is this block's write set; at a root height `since_root` is the write set of
    all blocks since the previous root height, this one included (what the state store takes), else None."""

    executed: Executed
    changes: Changes
    since_root: Changes | None

    @property
    def is_root_height(self) -> bool:
        """Whether the state can be proved, and is stored, as of this block."""
        return self.since_root is not None


@dataclass(frozen=True, slots=True)
class Restored:
    """What a ledger continues from, at a root height: the whole state, and its tree."""

    head: Head
    state: State
    tree: StateTree


class Ledger:
    """One ledger of one node. Not thread-safe; nothing in it waits."""

    def __init__(
        self,
        signed: SignedGenesis,
        *,
        suite: Suite,
        suites: Mapping[int, Suite],
        engines: Mapping[str, ContractEngine],
        restored: Restored | None = None,
    ) -> None:
        """From a genesis that has been verified (`genesis.verify_signed_genesis`); `suite` is the one it names.

        Raises AskedWrongly (`genesis.contract`) when a contract of the genesis cannot be installed.
        """
        genesis = signed.genesis
        record = genesis.record
        assert suite.name == record.suite, f"the genesis names suite {record.suite}, given is {suite.name}"
        self.genesis = signed
        self.record = record
        self.ledger_id: LedgerId = ledger_id(suite, genesis)
        self.suite = suite
        members = tuple(member_id(suite, member.vote_key) for member in record.members)
        self.terms = Terms(
            suite, self.ledger_id, record.number, hash_of_record(suite, record), members, record.parameters
        )
        self.reader = Reader(suite, suites, self.ledger_id, record.parameters)
        self._executor = Executor(suite, suites, engines)
        if restored is None:
            founded = found(genesis, self.ledger_id, self._executor)
            outcome = founded.outcome
            head = Head(0, BlockHash(self.ledger_id), outcome_hash(suite, outcome), outcome, genesis.time_ms)
            restored = Restored(head, founded.state, founded.tree)
        self.head = restored.head
        self._state = restored.state
        self.state: StateReader = restored.state
        """The committed state, as of `head`, for reading."""
        self._footing = Footing(restored.tree, ())
        self._branches = Branches()

    def parse_block(
        self, block: Block, hash_: BlockHash, *, known: Lookup = nothing_known, block_bytes: bytes | None = None
    ) -> ParsedBlock | Invalid:
        """Parses the items of a block, so that their signatures can be verified before it is executed."""
        verdict = validate.check_leaves(block, self.record.parameters)
        if verdict is not None:
            return verdict
        items = []
        for index, item in enumerate(block.items):
            try:
                items.append(self.reader.item(item, known))
            except ZizhuError as error:
                return validate.malformed_item(index, error)
        transactions = tuple(parsed for item in items for parsed in item.transactions)
        raw = encode(block) if block_bytes is None else block_bytes
        return ParsedBlock(block, hash_, tuple(items), transactions, raw)

    def execute(self, block: Block | ParsedBlock, hash_: BlockHash) -> Executed | Invalid:
        """Checks a block against its parent and executes it there; the parent is the head or an executed block.

        A block that is executed already is answered from memory. Signatures are not looked at.
        """
        done = self._branches.get(hash_)
        if done is not None:
            return done.executed
        header = block.header if isinstance(block, Block) else block.block.header
        parent = self._parent(BlockHash(header.parent))
        if parent is None:
            return validate.refuse(validate.PARENT, found=header.parent, wanted=self.head.block)
        verdict = validate.check_header(header, hash_, parent, self.terms)
        if verdict is not None:
            return verdict
        parsed = self.parse_block(block, hash_) if isinstance(block, Block) else block
        if isinstance(parsed, Invalid):
            return parsed
        verdict = validate.check_body(parsed, self.terms)
        if verdict is not None:
            return verdict
        overlay = Overlay(self._base(parent.block))
        receipts = self._run(parsed, overlay)
        return receipts if isinstance(receipts, Invalid) else self._finish(parsed, overlay, receipts)

    def _run(self, parsed: ParsedBlock, overlay: Overlay) -> list[Receipt] | Invalid:
        """The receipts of a block's transactions, in order; the one path on which a block acts."""
        header = parsed.block.header
        setting = self._executor.setting(header.height, header.time_ms)
        steps, steps_max = 0, self.record.parameters.block_steps_max
        receipts: list[Receipt] = []
        for index, transaction in enumerate(parsed.transactions):
            if steps >= steps_max:
                return validate.refuse(validate.STEPS, found=transaction.id, wanted=steps)
            verdict = validate.check_transaction(transaction, overlay, header.height)
            if verdict is not None:
                return verdict
            receipt = self._executor.run(transaction, overlay, setting, index=index)
            steps += receipt.steps
            receipts.append(receipt)
        return receipts

    def build(
        self, parent: BlockHash, *, candidates: Iterable[ParsedSubmission], wall_ms: int, proposer: MemberId
    ) -> Executed:
        """A new block on `parent` (the head or an executed block) of those candidates that are valid there, up
        to the limits of a block. What it returns is executed."""
        on = self._parent(parent)
        assert on is not None, "a block is built on the head or on an executed block"
        height, time_ms = on.height + 1, max(wall_ms, on.time_ms + 1)
        overlay = Overlay(self._base(parent))
        builder = Builder(self._executor, self.record.parameters, overlay, height=height, time_ms=time_ms)
        in_flight = [branch.ids for branch in self._branches.lineage(parent)]
        for candidate in candidates:
            if not builder.offer(candidate, in_flight):
                break
        transactions = tuple(builder.transactions)
        header = BlockHeader(
            version=VERSION,
            ledger=self.ledger_id,
            epoch=self.terms.epoch,
            epoch_record=self.terms.epoch_record,
            height=height,
            parent=parent,
            parent_outcome=on.outcome_hash,
            time_ms=time_ms,
            proposer=proposer,
            count=len(transactions),
            transaction_root=validate.transaction_root(self.suite, transactions),
            witness_root=validate.witness_root(self.suite, transactions),
        )
        block = Block(header, builder.items)
        raw = encode(block)
        assert len(raw) <= self.record.parameters.block_bytes_max, "the builder keeps to the limit"
        parsed = ParsedBlock(block, block_hash(self.suite, header), (), transactions, raw)
        return self._finish(parsed, overlay, builder.receipts)

    def _finish(self, parsed: ParsedBlock, overlay: Overlay, receipts: list[Receipt]) -> Executed:
        overlay.freeze()
        header = parsed.block.header
        below = self._branches.get(BlockHash(header.parent))
        before = self.head.outcome if below is None else below.executed.outcome
        before_time_ms = self.head.time_ms if below is None else below.executed.block.header.time_ms
        footing = self._footing if below is None else below.footing
        pending = (*footing.pending, overlay.changes())
        since_root: Changes | None = None
        if is_root_height(
            header.height,
            time_ms=header.time_ms,
            before=before,
            before_time_ms=before_time_ms,
            parameters=self.record.parameters,
        ):
            since_root = {key: value for writes in pending for key, value in writes.items()}
            footing = Footing(footing.tree.update(since_root), ())
            outcome = root_outcome(self.suite, header.height, footing.tree.root, receipts)
        else:
            footing = Footing(footing.tree, pending)
            outcome = running_outcome(self.suite, before, overlay.changes(), receipts)
        executed = Executed(
            hash=parsed.hash,
            block=parsed.block,
            block_bytes=parsed.raw,
            height=header.height,
            outcome=outcome,
            outcome_hash=outcome_hash(self.suite, outcome),
            receipts=tuple(receipts),
            transactions=parsed.transactions,
        )
        ids: dict[bytes, None] = dict.fromkeys(transaction.id for transaction in parsed.transactions)
        self._branches.add(Branch(executed, overlay, footing, since_root, ids))
        return executed

    def body_holds(self, parsed: ParsedBlock) -> bool:
        """Whether the items are those that the header commits to, in the one form that a block may have: if not,
        whoever sent them put them there. The roots alone do not say it: a bundle may be cut in two parts."""
        return validate.check_body(parsed, self.terms) is None

    def drop_all(self) -> None:
        """Forgets every executed, uncommitted block."""
        self._branches = Branches()

    def executed(self, hash_: BlockHash) -> Executed | None:
        """The executed, uncommitted block of this hash."""
        branch = self._branches.get(hash_)
        return None if branch is None else branch.executed

    def drop(self, hash_: BlockHash) -> None:
        """Forgets an executed block and its descendants; one that is not there is no error."""
        self._branches.drop(hash_)

    def drop_all_but_lineage(self, hash_: BlockHash) -> None:
        """Keeps an executed block and its ancestors, and forgets its rivals and its descendants."""
        self._branches.keep_lineage(hash_)

    def commit(self, hash_: BlockHash) -> Committed:
        """Makes an executed child of the head final, and forgets its rivals.

        Committing anything else, or the same block again, is our own fault and stops the node.
        """
        branch = self._branches.get(hash_)
        assert branch is not None, f"block {hash_.hex()[:16]} is committed without having been executed"
        executed = branch.executed
        assert branch.parent == self.head.block, "a block is committed that is no child of the head"
        assert executed.height == self.head.height + 1, f"height {executed.height} on head {self.head.height}"
        self._branches.keep_related(hash_)
        self._branches.take(hash_)
        changes = branch.overlay.changes()
        self._state.apply(changes)
        for child in self._branches.children(hash_):
            child.overlay.rebase(self._state)
        self._footing = branch.footing
        header = executed.block.header
        self.head = Head(executed.height, hash_, executed.outcome_hash, executed.outcome, header.time_ms)
        return Committed(executed, changes, branch.since_root)

    def query(self, invoke: Invoke, *, caller: bytes, steps_max: int | None = None) -> CallResult:
        """Calls a read-only method on the committed state, as of the head; never raises for what is asked.

        `steps_max` is at most, and by default, what a transaction may use.
        """
        wall = self.record.parameters.transaction_steps_max
        setting = self._executor.setting(self.head.height, self.head.time_ms)
        steps = wall if steps_max is None else min(steps_max, wall)
        return self._executor.query(invoke, self._state, setting, caller=caller, steps_max=steps)

    def nonce_state(self, account: bytes) -> AccountRecord:
        """Which nonces of an account (20 bytes) are used, in the committed state."""
        return account_record(self._state.get(account_key(account)))

    def contract(self, contract: bytes) -> ContractRecord | None:
        """The record of a contract (20 bytes) in the committed state."""
        stored = self._state.get(contract_key(contract))
        return None if stored is None else contract_codec.decode(stored)

    def contract_named(self, name: str) -> ContractId | None:
        """The id of the contract of this name in the committed state."""
        stored = self._state.get(name_key(name))
        return None if stored is None else ContractId(stored)

    def state_tree(self) -> StateTree:
        """The tree of the newest committed root height (`head.outcome.root_height`), for proofs."""
        return self._footing.tree

    def state_items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value of the committed state, in no particular order."""
        return self._state.items()

    def _parent(self, hash_: BlockHash) -> Parent | None:
        if hash_ == self.head.block:
            return Parent(hash_, self.head.height, self.head.outcome_hash, self.head.time_ms)
        branch = self._branches.get(hash_)
        if branch is None:
            return None
        executed = branch.executed
        return Parent(hash_, executed.height, executed.outcome_hash, executed.block.header.time_ms)

    def _base(self, parent: BlockHash) -> State | Overlay:
        branch = self._branches.get(parent)
        return self._state if branch is None else branch.overlay
