"""Signatures that wait to be verified: two queues, worked off in slices.

Decides how much is verified in one go, and that no signature is verified twice because a block wanted it out of
turn. Refuses to know when it gets its turn (`node.runtime` says) and what a verdict leads to (`node.clients`).
"""

from collections import deque
from collections.abc import Mapping

from zizhu.chain.crypto.port import Suite
from zizhu.chain.node.events import SignatureCheck, Verified, Verify

VERIFY_SLICE = 16
"""Signatures verified before votes and proposals get a turn again."""
SETTLED_MAX = 16_384
"""Good signatures remembered that a block wanted before their own turn came."""

Job = tuple[int, tuple[SignatureCheck, ...], list[bool]]
"""A batch whose signatures are being verified: its number, the checks, the verdicts so far."""


class Verifying:
    """The batches of one node. `suites` by code; `verified` counts the signatures checked, good and bad."""

    def __init__(self, suites: Mapping[int, Suite], *, settled_max: int = SETTLED_MAX) -> None:
        self.verified = 0
        self._suites = suites
        self._settled_max = settled_max
        self._calm: deque[Job] = deque()
        self._urgent: deque[Job] = deque()
        self._settled: dict[SignatureCheck, None] = {}

    @property
    def urgent(self) -> bool:
        """Whether a block waits for signatures."""
        return bool(self._urgent)

    @property
    def calm(self) -> bool:
        """Whether submissions wait that no block needs yet."""
        return bool(self._calm)

    def put(self, batch: Verify) -> None:
        """Take a batch in, behind those of its kind."""
        queue = self._urgent if batch.urgent else self._calm
        queue.append((batch.batch, batch.checks, []))

    def turn(self) -> tuple[Verified, ...]:
        """Verify one slice of the batch in front, an urgent one first; the batch's verdicts, once it is whole.

        What a block wanted out of turn is remembered when it is good, so that it costs nothing when its own turn
        comes. Only to be called while something waits.
        """
        urgent = self.urgent
        queue = self._urgent if urgent else self._calm
        batch, checks, verdicts = queue[0]
        part = checks[len(verdicts) : len(verdicts) + VERIFY_SLICE]
        verdicts += self._checked(part, urgent=urgent)
        if len(verdicts) < len(checks):
            return ()
        queue.popleft()
        return (Verified(batch, tuple(verdicts)),)

    def _checked(self, part: tuple[SignatureCheck, ...], *, urgent: bool) -> list[bool]:
        settled = self._settled
        by_suite: dict[int, list[int]] = {}
        found = [False] * len(part)
        for position, check in enumerate(part):
            if settled and check in settled:
                if not urgent:
                    del settled[check]
                found[position] = True
            else:
                by_suite.setdefault(check.suite, []).append(position)
        for code, positions in by_suite.items():
            results = self._suites[code].accounts.verify_many([part[position].signed for position in positions])
            self.verified += len(positions)
            for position, good in zip(positions, results, strict=True):
                found[position] = good
                if urgent and good:
                    settled[part[position]] = None
        while len(settled) > self._settled_max:
            del settled[next(iter(settled))]
        return found
