"""What one verification costs on this machine now: the unit in which the bench is honest.

Decides how it is measured: processor time of this process, keys known before, messages that differ, the best of
several batches, because noise only ever adds.
"""

import time

from zizhu.chain.crypto.port import Signed, Suite

KEYS = 64
EACH = 4
BATCHES = 7


def verification_us(suite: Suite) -> float:
    """Processor microseconds of one account signature's verification, in batches, by the rung that nodes use."""
    scheme = suite.accounts
    batch = []
    for number in range(KEYS):
        secret = suite.digest(b"zizhu calibration %d" % number)
        public_key = scheme.public_key(secret)
        for message in (suite.digest(b"%d/%d" % (number, each)) for each in range(EACH)):
            batch.append(Signed(public_key, message, scheme.sign(secret, message)))
    assert all(scheme.verify_many(batch)), "a good signature is refused"
    best = float("inf")
    for _ in range(BATCHES):
        began = time.process_time_ns()
        scheme.verify_many(batch)
        best = min(best, (time.process_time_ns() - began) / len(batch) / 1000)
    return best


def rung_of(suite: Suite) -> str:
    """How this machine verifies account signatures."""
    return str(getattr(suite.accounts, "rung", suite.accounts.name))
