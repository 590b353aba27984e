"""The replicated log of one member, without its blocks: which term and which block stands at which index.

Decides what agrees with what. Refuses to know messages, disks and execution: an entry is here once it is durable and
executed, and the chain up to the base is certified. Source: Ongaro, "Consensus: Bridging Theory and Practice"
(2014), sections 3.3, 3.5 and 5.1.
"""

from dataclasses import dataclass, field

from zizhu.chain.model.ids import BlockHash


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry; `block` is None in a leader's empty one, and `height` then that of the newest block below it."""

    term: int
    height: int
    block: BlockHash | None


@dataclass
class RaftLog:
    """Entries behind the base, ascending. Index 0 is the empty log's base, of term 0."""

    base_index: int = 0
    base_term: int = 0
    base_height: int = 0
    _entries: list[LogEntry] = field(default_factory=list)

    @property
    def last_index(self) -> int:
        """The index of the last entry, or of the base."""
        return self.base_index + len(self._entries)

    @property
    def last_term(self) -> int:
        """The term of the last entry, or of the base."""
        return self._entries[-1].term if self._entries else self.base_term

    @property
    def last_height(self) -> int:
        """The height of the newest block in the log or below its base."""
        return self._entries[-1].height if self._entries else self.base_height

    def at(self, index: int) -> LogEntry | None:
        """The entry at `index`; None at or below the base, and behind the end."""
        place = index - self.base_index - 1
        return self._entries[place] if 0 <= place < len(self._entries) else None

    def term_at(self, index: int) -> int | None:
        """The term of `index`, the base included; None where nothing is known."""
        if index == self.base_index:
            return self.base_term
        entry = self.at(index)
        return None if entry is None else entry.term

    def index_of(self, height: int, block: BlockHash) -> int | None:
        """The index at which this block stands. Heights ascend, so the search starts from the end."""
        for place in range(len(self._entries) - 1, -1, -1):
            entry = self._entries[place]
            if entry.height < height:
                return None
            if entry.block == block:
                return self.base_index + 1 + place
        return None

    def block_below(self, index: int) -> BlockHash | None:
        """The newest block at or below `index`, as far as the log goes down."""
        for place in range(min(index, self.last_index) - self.base_index - 1, -1, -1):
            block = self._entries[place].block
            if block is not None:
                return block
        return None

    def last_of_term(self, index: int, term: int) -> int:
        """The greatest index at or below `index` whose term is at most `term`; the base if there is none."""
        walk = min(index, self.last_index)
        while walk > self.base_index and (self.term_at(walk) or 0) > term:
            walk -= 1
        return walk

    def is_as_new_as(self, index: int, term: int) -> bool:
        """Whether a log that ends with (`index`, `term`) is at least as up to date as this one (section 3.6.1)."""
        return (term, index) >= (self.last_term, self.last_index)

    def append(self, entry: LogEntry) -> int:
        """One more entry at the end; its index."""
        assert entry.term >= self.last_term, "terms ascend along a log"
        assert entry.height == self.last_height + (entry.block is not None), "heights ascend by one along a log"
        self._entries.append(entry)
        return self.last_index

    def cut(self, index: int) -> None:
        """Forget the entry at `index` and all behind it."""
        assert index > self.base_index, "what is certified is never cut"
        del self._entries[index - self.base_index - 1 :]

    def start_behind(self, index: int, term: int, height: int) -> None:
        """The log begins behind `index`, whose entry has `term`; what agrees with that stays, everything else goes."""
        if self.term_at(index) == term:
            del self._entries[: index - self.base_index]
        else:
            self._entries.clear()
        self.base_index, self.base_term, self.base_height = index, term, height

    def forget_up_to(self, index: int) -> None:
        """Let go of entries whose blocks have been certified long ago."""
        entry = self.at(index)
        if entry is not None:
            self.start_behind(index, entry.term, entry.height)
