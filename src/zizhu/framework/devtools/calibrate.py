"""What one verification costs on this machine now: the unit in which the bench is honest.

Decides how it is measured: processor time of this thread, keys known before, messages that differ. Measured while
the load runs it is slowed by the same neighbours as the members are, so that the ratio of the two is steady where
neither is. Refuses to know what it is compared with.
"""

import statistics
import time

from zizhu.chain.crypto.port import Signed, Suite

KEYS = 32
EACH = 2
BATCHES = 7


class Calibration:
    """Good signatures of a suite, made once; `sample` measures."""

    def __init__(self, suite: Suite) -> None:
        self._scheme = suite.accounts
        self._batch: list[Signed] = []
        for number in range(KEYS):
            secret = suite.digest(b"zizhu calibration %d" % number)
            public_key = self._scheme.public_key(secret)
            for each in range(EACH):
                message = suite.digest(b"%d/%d" % (number, each))
                self._batch.append(Signed(public_key, message, self._scheme.sign(secret, message)))
        assert all(self._scheme.verify_many(self._batch)), "a good signature is refused"

    def sample(self) -> float:
        """Processor microseconds of one verification, in batches, by the rung that nodes use: the median of a few."""
        found = []
        for _ in range(BATCHES):
            began = time.thread_time_ns()
            self._scheme.verify_many(self._batch)
            found.append((time.thread_time_ns() - began) / len(self._batch) / 1000)
        return statistics.median(found)


def rung_of(suite: Suite) -> str:
    """How this machine verifies account signatures."""
    return str(getattr(suite.accounts, "rung", suite.accounts.name))
