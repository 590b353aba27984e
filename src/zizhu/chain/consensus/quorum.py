"""The arithmetic of quorums, for every engine. n is the number of voting members of one epoch.

Source: docs/protocol/quorums.md; two quorums share at least f+1 members, and n - f >= quorum.
"""


def faults_tolerated(n: int) -> int:
    """f: how many of `n` members may be Byzantine."""
    assert n >= 1
    return (n - 1) // 3


def quorum(n: int) -> int:
    """q = floor((n + f) / 2) + 1."""
    return (n + faults_tolerated(n)) // 2 + 1


def majority(n: int) -> int:
    """Raft's own majority: floor(n / 2) + 1."""
    assert n >= 1
    return n // 2 + 1


def one_honest(n: int) -> int:
    """f + 1: at least one of them is honest."""
    return faults_tolerated(n) + 1
