"""Executed blocks that are not committed: a tree of branches over the head.

Decides what belongs to a branch and what goes with it when it is dropped. Refuses to know how blocks come about.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from zizhu.chain.ledger.outcomes import Changes
from zizhu.chain.ledger.state import Overlay
from zizhu.chain.ledger.transactions import Parsed
from zizhu.chain.ledger.tree import StateTree
from zizhu.chain.model.block import Block, Outcome
from zizhu.chain.model.ids import BlockHash, OutcomeHash
from zizhu.chain.model.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Executed:
    """A block and what executing it did. `block_bytes` are its canonical bytes."""

    hash: BlockHash
    block: Block
    block_bytes: bytes
    height: int
    outcome: Outcome
    outcome_hash: OutcomeHash
    receipts: tuple[Receipt, ...]
    transactions: tuple[Parsed, ...]


@dataclass(frozen=True, slots=True)
class Footing:
    """What the next block stands on: the tree as of the last root height, and the write sets since."""

    tree: StateTree
    pending: tuple[Changes, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """An executed block, its overlay, the footing it leaves, and, at a root height, all writes since the last."""

    executed: Executed
    overlay: Overlay
    footing: Footing
    since_root: Changes | None
    ids: dict[bytes, None]

    @property
    def parent(self) -> BlockHash:
        """Hash of the block below."""
        return BlockHash(self.executed.block.header.parent)


class Branches:
    """All branches of one ledger, by block hash."""

    def __init__(self) -> None:
        self._branches: dict[BlockHash, Branch] = {}

    def __len__(self) -> int:
        return len(self._branches)

    def get(self, hash_: BlockHash) -> Branch | None:
        """The branch that ends in this block."""
        return self._branches.get(hash_)

    def add(self, branch: Branch) -> None:
        """Takes in an executed block."""
        self._branches[branch.executed.hash] = branch

    def take(self, hash_: BlockHash) -> Branch:
        """Removes one block, which becomes final, and leaves its descendants."""
        return self._branches.pop(hash_)

    def children(self, hash_: BlockHash) -> Iterator[Branch]:
        """The branches right above a block."""
        return (branch for branch in self._branches.values() if branch.parent == hash_)

    def lineage(self, hash_: BlockHash) -> list[Branch]:
        """An executed block and its uncommitted ancestors, newest first."""
        lineage = []
        branch = self._branches.get(hash_)
        while branch is not None:
            lineage.append(branch)
            branch = self._branches.get(branch.parent)
        return lineage

    def drop(self, hash_: BlockHash) -> None:
        """Forgets a block and its descendants."""
        self._keep([at for at in self._branches if hash_ not in self._hashes(at)])

    def keep_lineage(self, hash_: BlockHash) -> None:
        """Keeps a block and its ancestors; forgets the rest."""
        ancestors = self._hashes(hash_)
        self._keep([at for at in self._branches if at in ancestors])

    def keep_related(self, hash_: BlockHash) -> None:
        """Keeps a block, its ancestors and its descendants; forgets the rest."""
        ancestors = self._hashes(hash_)
        self._keep([at for at in self._branches if at in ancestors or hash_ in self._hashes(at)])

    def _hashes(self, hash_: BlockHash) -> list[BlockHash]:
        return [branch.executed.hash for branch in self.lineage(hash_)]

    def _keep(self, kept: list[BlockHash]) -> None:
        self._branches = {at: self._branches[at] for at in kept}
