"""How a leader fills a block: candidate after candidate, each executed as it is taken.

Decides which candidates stand in the block and where it stops. Refuses to know where candidates come from and in
which order they should be served (the pool).
"""

from collections.abc import Sequence

from zizhu.chain.ledger.execute import Executor
from zizhu.chain.ledger.state import Overlay
from zizhu.chain.ledger.transactions import (
    BLOCK_ROOM_BYTES,
    Parsed,
    ParsedSubmission,
    bundle_room_bytes,
    leaves_max,
    part_of_bundle,
)
from zizhu.chain.ledger.validate import check_transaction
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.receipt import Receipt
from zizhu.chain.model.transaction import Bundle, Single, Submission


class Builder:
    """A block in the making: `items`, `transactions` and `receipts` so far."""

    def __init__(
        self, executor: Executor, parameters: Parameters, overlay: Overlay, *, height: int, time_ms: int
    ) -> None:
        self.items: list[Submission] = []
        self.transactions: list[Parsed] = []
        self.receipts: list[Receipt] = []
        self._executor = executor
        self._parameters = parameters
        self._overlay = overlay
        self._height = height
        self._setting = executor.setting(height, time_ms)
        self._steps = 0
        self._room_bytes = parameters.block_bytes_max - BLOCK_ROOM_BYTES
        self._bundles: dict[bytes, None] = {}
        self._leaves_left = leaves_max(parameters)

    def offer(self, candidate: ParsedSubmission, in_flight: Sequence[dict[bytes, None]]) -> bool:
        """Takes what is valid of a candidate and not `in_flight` (in an ancestor); False once the block is full."""
        match candidate.submission:
            case Single():
                return self._offer_single(candidate, in_flight)
            case Bundle():
                return self._offer_bundle(candidate, in_flight)

    def _offer_single(self, candidate: ParsedSubmission, in_flight: Sequence[dict[bytes, None]]) -> bool:
        transaction = candidate.transactions[0]
        if not self._wanted(transaction, in_flight):
            return True
        if self._is_full() or candidate.size > self._room_bytes:
            return False
        self._room_bytes -= candidate.size
        self._run(transaction)
        self.items.append(candidate.submission)
        return True

    def _offer_bundle(self, candidate: ParsedSubmission, in_flight: Sequence[dict[bytes, None]]) -> bool:
        assert isinstance(candidate.submission, Bundle)
        root = candidate.submission.header.root
        if root in self._bundles:
            return True
        room_bytes = bundle_room_bytes(len(candidate.leaf_ids))
        if len(candidate.leaf_ids) > self._leaves_left:
            return False
        taken: list[Parsed] = []
        more = True
        for transaction in candidate.transactions:
            if not self._wanted(transaction, in_flight):
                continue
            if self._is_full() or room_bytes + transaction.size > self._room_bytes:
                more = False
                break
            room_bytes += transaction.size
            self._run(transaction)
            taken.append(transaction)
        if taken:
            self._room_bytes -= room_bytes
            self._leaves_left -= len(candidate.leaf_ids)
            self._bundles[root] = None
            self.items.append(part_of_bundle(candidate, taken))
        return more

    def _wanted(self, transaction: Parsed, in_flight: Sequence[dict[bytes, None]]) -> bool:
        if any(transaction.id in ids for ids in in_flight):
            return False
        return check_transaction(transaction, self._overlay, self._height) is None

    def _is_full(self) -> bool:
        return (
            self._steps >= self._parameters.block_steps_max
            or len(self.transactions) >= self._parameters.block_transactions_max
        )

    def _run(self, transaction: Parsed) -> None:
        receipt = self._executor.run(transaction, self._overlay, self._setting, index=len(self.transactions))
        self._steps += receipt.steps
        self.transactions.append(transaction)
        self.receipts.append(receipt)
