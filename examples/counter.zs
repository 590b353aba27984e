"""A counter that everybody may add to, and that remembers how much each account added."""

TOTAL = "total"
BY = "by/"


def init(start: int = 0):
    """Begins at `start`: `zizhu contract deploy … --args '[100]'`."""
    put(TOTAL, start)


@public
def add(amount: int):
    """Adds to the counter; gives what it then shows."""
    if amount < 1:
        fail("counter.not_positive")
    mine = BY + caller().hex()
    total = get(TOTAL) + amount
    put(TOTAL, total)
    put(mine, get(mine, 0) + amount)
    emit("added", {"amount": amount, "total": total})
    return total


@view
def value():
    """What the counter shows."""
    return get(TOTAL)


@view
def added_by(account: bytes):
    """How much an account added."""
    return get(BY + account.hex(), 0)
