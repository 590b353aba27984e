"""Catching up: whom to ask for certified blocks, and when.

Decides from what peers say of their heights; whether a block is good is for the certificate check to say, so a
liar about heights costs a question and no more. Refuses to know blocks.
"""

from dataclasses import dataclass, field

from zizhu.chain.model.ids import MemberId
from zizhu.chain.network.messages import SYNC_BLOCKS_MAX, FetchCertified

TIMER = "sync"
TICK_MS = 100
GRACE_MS = 150
"""How long a small gap may close by itself, by the votes under way."""
SMALL_GAP = 8
ANSWER_WAIT_MS = 1_000
BLAME_MS = 2_000
"""How long a peer that failed us is not asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked of whom, when."""

    peer: MemberId
    start: int
    asked_ms: int


@dataclass
class Sync:
    """Heights of the peers, the question under way, and who is not asked for a while."""

    heights: dict[MemberId, int] = field(default_factory=dict)
    question: Question | None = None
    blamed_until_ms: dict[MemberId, int] = field(default_factory=dict)
    behind_since_ms: int | None = None
    behind_at: int = 0
    turns: dict[MemberId, int] = field(default_factory=dict)
    """The number of the last question to each peer. They take turns: a slow one must not set the pace."""
    questions: int = 0

    def heard(self, peer: MemberId, height: int) -> None:
        """A peer says that it holds certified blocks up to `height`."""
        self.heights[peer] = height

    def at_least(self, peer: MemberId, height: int) -> None:
        """Evidence that a peer holds certified blocks up to `height`."""
        self.heights[peer] = max(height, self.heights.get(peer, 0))

    def lost(self, peer: MemberId) -> None:
        """The link to `peer` is down."""
        self.heights.pop(peer, None)
        if self.question is not None and self.question.peer == peer:
            self.question = None

    def blame(self, peer: MemberId, now_ms: int) -> None:
        """A peer did not answer, or answered with what does not hold."""
        self.blamed_until_ms[peer] = now_ms + BLAME_MS
        self.heights.pop(peer, None)
        if self.question is not None and self.question.peer == peer:
            self.question = None

    def answered(self, peer: MemberId, start: int) -> bool:
        """Whether this answer belongs to the question under way; it is then closed."""
        asked = self.question
        if asked is None or asked.peer != peer or asked.start != start:
            return False
        self.question = None
        return True

    def next_question(self, now_ms: int, head: int) -> tuple[MemberId, FetchCertified] | None:
        """What to ask now, if anything, once a gap does not close by itself: of the peers above `head` the one that was
        asked longest ago, the best of these."""
        if self.question is not None:
            if now_ms - self.question.asked_ms < ANSWER_WAIT_MS:
                return None
            self.blame(self.question.peer, now_ms)
        ahead = [
            (height, peer)
            for peer, height in sorted(self.heights.items())
            if height > head and self.blamed_until_ms.get(peer, 0) <= now_ms
        ]
        if not ahead:
            self.behind_since_ms = None
            return None
        if self.behind_since_ms is None or self.behind_at != head:
            self.behind_since_ms, self.behind_at = now_ms, head
        if max(ahead)[0] - head <= SMALL_GAP and now_ms - self.behind_since_ms < GRACE_MS:
            return None
        height, peer = min(ahead, key=lambda each: (self.turns.get(each[1], 0), -each[0]))
        self.questions += 1
        self.turns[peer] = self.questions
        self.question = Question(peer, head + 1, now_ms)
        return peer, FetchCertified(head + 1, min(SYNC_BLOCKS_MAX, height - head))

    @property
    def wants_timer(self) -> bool:
        """Whether something is to be looked at again soon."""
        return self.question is not None or self.behind_since_ms is not None
