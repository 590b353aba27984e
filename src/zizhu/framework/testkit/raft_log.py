"""The logs of Raft members as their vote logs hold them, and the tree that all of them make.

Decides what a member's durable log is, that logs match, and which entries are committed: those a majority
acknowledged in a term whose leader had added an entry of its own at or above them (Raft, section 5.4.2, figure 8).
Refuses to know elections and signatures: `raft_watch` watches those.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zizhu.chain.consensus.raft.messages import Appended, Installed
from zizhu.chain.model.ids import MemberId


@dataclass
class DurableLog:
    """One member's log: certified up to `base`, then `entries`, one an index."""

    base: int = 0
    base_term: int = 0
    base_height: int = 0
    entries: list[Appended] = field(default_factory=list)
    _held_to: int = 0

    @property
    def last(self) -> int:
        """The last index; up to there nothing is missing."""
        return self.base + len(self.entries)

    def at(self, index: int) -> Appended | None:
        """The entry at an index above the base."""
        return self.entries[index - self.base - 1] if self.base < index <= self.last else None

    def term_at(self, index: int) -> int | None:
        """The term of the entry at an index; None where there is none, or it is no longer known."""
        if index == self.base:
            return self.base_term
        entry = self.at(index)
        return None if entry is None else entry.term

    def entry_of(self, block: bytes) -> Appended | None:
        """The newest entry of a block."""
        return next((each for each in reversed(self.entries) if each.block == block), None)

    def append(self, record: Appended) -> None:
        """A record survives: it cuts off what stood at its index and behind. One behind a gap holds nothing."""
        del self.entries[max(0, record.index - self.base - 1) :]
        self._held_to = min(self._held_to, record.index - 1)
        if record.index == self.last + 1:
            self.entries.append(record)

    def install(self, record: Installed) -> None:
        """The log begins behind an index: what stands behind it stays if it grew on that very entry."""
        grew_on_it = self.term_at(record.index) == record.term
        self.entries = self.entries[record.index - self.base :] if grew_on_it else []
        self.base, self.base_term, self.base_height = record.index, record.term, record.height

    def first_not_held(self, up_to: int, blocks: Mapping[bytes, bool]) -> Appended | None:
        """The first entry at or below an index whose block is not among those held; None if there is none."""
        for index in range(max(self._held_to, self.base) + 1, min(up_to, self.last) + 1):
            entry = self.at(index)
            assert entry is not None
            if entry.block is not None and entry.block not in blocks:
                return entry
            self._held_to = index
        return None


@dataclass
class Grown:
    """An entry somebody holds durably: `previous_term` is the term of the one below it, None if nobody showed it."""

    block: bytes | None
    height: int
    previous_term: int | None


class Tree:
    """Every entry that was ever durable at an honest member. Logs match, so (index, term) names one, and what lies
    below it."""

    def __init__(self, majority: int) -> None:
        self.majority = majority
        self.grown: dict[tuple[int, int], Grown] = {}
        self.newest: dict[int, int] = {}
        self.acknowledged: dict[int, dict[MemberId, int]] = {}
        self.committed: dict[int, int] = {}

    def grow(self, log: DurableLog, record: Appended) -> str:
        """An entry became durable on top of `log`; why it does not match the other logs, "" if it does."""
        below = 0 if record.index == 1 else log.term_at(record.index - 1)
        place = (record.index, record.term)
        known = self.grown.setdefault(place, Grown(record.block, record.height, below))
        if known.previous_term is None:
            known.previous_term = below
        self.newest[record.term] = max(self.newest.get(record.term, 0), record.index)
        if (known.block, known.height) != (record.block, record.height):
            return (
                f"entry {place} is of height {record.height} here, of height {known.height} or another block elsewhere"
            )
        if below is not None and below != known.previous_term:
            return f"entry {place} stands on one of term {below} here, of term {known.previous_term} elsewhere"
        return ""

    def term_under(self, index: int, term: int, *, at: int) -> int | None:
        """The term of the entry at index `at` of the log that ends with (index, term); None if that is not known."""
        while index > at:
            known = self.grown.get((index, term))
            if known is None or known.previous_term is None:
                return None
            index, term = index - 1, known.previous_term
        return term if index == at else None

    def acknowledge(self, member: MemberId, term: int, match: int) -> str:
        """A follower of the leader of `term` says that its log is durable up to `match`, and agrees. "" or what two
        majorities contradict each other in.

        The leader holds whatever a follower can acknowledge, so a majority is one less of the others.
        """
        said = self.acknowledged.setdefault(term, {})
        said[member] = max(said.get(member, 0), match)
        if len(said) < self.majority - 1:
            return ""
        index = sorted(said.values(), reverse=True)[self.majority - 2]
        return self._commit(index, term) if (index, term) in self.grown else ""

    def _commit(self, index: int, term: int) -> str:
        while index > 0 and index not in self.committed:
            self.committed[index] = term
            known = self.grown.get((index, term))
            if known is None or known.previous_term is None:
                return ""
            index, term = index - 1, known.previous_term
        if index > 0 and self.committed[index] != term:
            return f"index {index} is committed with an entry of term {self.committed[index]} and with one of {term}"
        return ""
