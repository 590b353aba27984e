"""Reading what the evidence contract holds, from whoever answers queries: a node's own ledger, or a member far away.

Decides the questions and that a failed one is an error with words. Refuses to know how a question travels.
"""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from zizhu.chain.model.value import Value
from zizhu.components.evidence.package import failure
from zizhu.components.evidence.record import (
    Act,
    Algorithm,
    Record,
    read_history,
    read_record,
    read_records,
    read_types,
)
from zizhu.framework.sdk.client import QueryAnswer

T = TypeVar("T")


class Query(Protocol):
    """Calls a view of the evidence contract of one ledger at one member."""

    def __call__(self, method: str, *arguments: Value) -> QueryAnswer: ...


@dataclass(frozen=True, slots=True)
class AsOf(Generic[T]):
    """What was read, and the block (height and block time, ms) it was true at."""

    value: T
    height: int
    time_ms: int


class EvidenceReader:
    """The views of the contract, typed.

    All raise what the query raises, AskedWrongly (`voucher.*`) when the contract refuses, and SpokeWrongly
    (`evidence.record`) when what comes back is nothing that the contract returns.
    """

    def __init__(self, query: Query) -> None:
        self._query = query

    def show(self, index: int) -> AsOf[Record]:
        """The record of a voucher."""
        found = self._ask("show", index)
        return AsOf(read_record(found.value), found.height, found.time_ms)

    def history(self, index: int, *, after: int = 0, limit: int = 50) -> AsOf[list[Act]]:
        """At most `limit` (50) acts behind number `after`, in order."""
        found = self._ask("history", index, after, limit)
        return AsOf(read_history(found.value), found.height, found.time_ms)

    def page(self, *, after: int = 0, limit: int = 20) -> AsOf[list[Record]]:
        """At most `limit` (20) records behind index `after`, in order."""
        found = self._ask("page", after, limit)
        return AsOf(read_records(found.value), found.height, found.time_ms)

    def find(self, digest: bytes) -> AsOf[list[Record]]:
        """The first 20 vouchers that have, or once had, this digest, in order of index."""
        found = self._ask("find", digest)
        return AsOf(read_records(found.value), found.height, found.time_ms)

    def types(self) -> dict[str, Algorithm]:
        """The types, each with the algorithm agreed for it."""
        return read_types(self._ask("types").value)

    def _ask(self, method: str, *arguments: Value) -> QueryAnswer:
        found = self._query(method, *arguments)
        if found.code != "":
            raise failure(found.code, method=method)
        return found
