"""Spreading submissions: each is sent once per link, in batches.

Decides when a batch leaves. Only the member that took a submission from a client sends it, to all; a member
that a cut link leaves without it fetches it when it is proposed, or brings it to the leader when it is passed over.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from zizhu.chain.model.effects import Send, SetTimer
from zizhu.chain.model.ids import MemberId
from zizhu.chain.model.transaction import Submission
from zizhu.chain.network.messages import Gossip

BATCH_SUBMISSIONS = 200
BATCH_BYTES = 256 * 1024
BATCH_WAIT_MS = 2
TIMER = "gossip"


@dataclass
class GossipQueue:
    """Submissions that wait for the next batch. `others` are all members but this one."""

    others: tuple[MemberId, ...]
    waiting: list[Submission] = field(default_factory=list)
    waiting_bytes: int = 0

    def add(self, submission: Submission, size_bytes: int) -> list[Send | SetTimer]:
        """Take one in; the effects are a full batch, or the timer of a new one."""
        if not self.others:
            return []
        self.waiting.append(submission)
        self.waiting_bytes += size_bytes
        if len(self.waiting) >= BATCH_SUBMISSIONS or self.waiting_bytes >= BATCH_BYTES:
            return self.flush()
        return [SetTimer(TIMER, BATCH_WAIT_MS)] if len(self.waiting) == 1 else []

    def flush(self) -> list[Send | SetTimer]:
        """The batch as it stands."""
        if not self.waiting:
            return []
        batch, self.waiting, self.waiting_bytes = self.waiting, [], 0
        return [Send(self.others, Gossip(batch))]


def first_batch(waiting: Iterable[tuple[Submission, int]]) -> Gossip:
    """As many of `waiting`, each with its size in bytes, as make one batch; at least the first, which must be there."""
    batch: list[Submission] = []
    size = 0
    for submission, size_bytes in waiting:
        size += size_bytes
        if batch and (size > BATCH_BYTES or len(batch) == BATCH_SUBMISSIONS):
            break
        batch.append(submission)
    return Gossip(batch)
