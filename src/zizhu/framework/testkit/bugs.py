"""Bugs on purpose: patches of the product's source, applied in memory, that the checkers must catch.

Decides which rule each patch breaks and how it is caught. The product has no switch for any of this: the source of
one function is changed as text, compiled, and its code put in place of the function's for as long as the bug is on.
"""

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType


@dataclass(frozen=True)
class Patch:
    """In `module`, in the function `name` (Class.method for a method), `old` becomes `new`."""

    module: str
    name: str
    old: str
    new: str


@dataclass(frozen=True)
class Bug:
    """A patch set, the row it belongs to ("" if none), and what catches it: a schedule, or a seed of a kind of
    node; `check` is the promise that is broken then."""

    name: str
    row: str
    patches: tuple[Patch, ...]
    kind: str = "small"
    seed: int | None = None
    schedule: str = ""
    check: str = ""


def _function(patch: Patch) -> FunctionType:
    """The function that a patch changes."""
    found: object = importlib.import_module(patch.module)
    for part in patch.name.split("."):
        found = inspect.getattr_static(found, part)
    if isinstance(found, property):
        found = found.fget
    assert isinstance(found, FunctionType), f"{patch.name} is no function"
    return found


def _patched(patches: list[Patch]) -> FunctionType:
    """One function as the changed source defines it."""
    patch = patches[0]
    module = importlib.import_module(patch.module)
    body = changed_body = inspect.getsource(_function(patch))
    for each in patches:
        assert body.count(each.old) == 1, f"{each.module}.{each.name}: {body.count(each.old)} times {each.old!r}"
        changed_body = changed_body.replace(each.old, each.new)
    source = inspect.getsource(module)
    assert source.count(body) == 1, f"{patch.module}.{patch.name} stands there more than once"
    changed = source.replace(body, changed_body)
    scratch: dict[str, object] = {"__name__": module.__name__}
    exec(compile(changed, f"<{patch.module} with a bug>", "exec"), scratch)  # noqa: S102  # our own source
    first, *rest = patch.name.split(".")
    found = scratch[first]
    for part in rest:
        found = inspect.getattr_static(found, part)
    if isinstance(found, property):
        found = found.fget
    assert isinstance(found, FunctionType)
    return found


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """While open, the product has this bug. Whoever imported the function has it too."""
    by_function: dict[tuple[str, str], list[Patch]] = {}
    for patch in bug.patches:
        by_function.setdefault((patch.module, patch.name), []).append(patch)
    made = [(_function(patches[0]), _patched(patches)) for patches in by_function.values()]
    kept = [function.__code__ for function, _ in made]
    for function, buggy in made:
        function.__code__ = buggy.__code__
    try:
        yield
    finally:
        for (function, _), code in zip(made, kept, strict=True):
            function.__code__ = code


PBFT = "zizhu.chain.consensus.pbft."

VIEWLESS = (
    Patch(
        "zizhu.chain.crypto.hashing",
        "vote_message",
        'suite.hash(b"vote", encode(statement))',
        'suite.hash(b"vote", encode(type(statement)(statement.ledger, statement.epoch, '
        "statement.view if statement.phase == 1 else 0, statement.phase, statement.height, statement.block, "
        "statement.outcome)))",
    ),
    Patch(
        PBFT + "view_change",
        "start",
        "s.slots.clear()",
        "kept = {h: each.commits for h, each in s.slots.items()}; s.slots.clear(); "
        "[s.slot(h).commits.update(commits) for h, commits in kept.items()]",
    ),
    Patch(
        PBFT + "view_change",
        "enter",
        "s.slots.clear()",
        "kept = {h: each.commits for h, each in s.slots.items()}; s.slots.clear(); "
        "[s.slot(h).commits.update(commits) for h, commits in kept.items()]",
    ),
    Patch(
        PBFT + "engine",
        "Pbft._in_view",
        "if message.view < s.view:",
        "if message.view < s.view and isinstance(message, Vote) and message.phase == 2:\n"
        "            votes.receive_vote(s, peer, message)\n"
        "            return\n"
        "        if message.view < s.view:",
    ),
)

BUGS: tuple[Bug, ...] = (
    Bug("commits without the view", "P-1", VIEWLESS, schedule="P-1", check="agreement"),
    Bug(
        "quorum of 2f+1 at n = 5 and 6",
        "P-11",
        (
            Patch(
                "zizhu.chain.consensus.quorum",
                "quorum",
                "(n + faults_tolerated(n)) // 2 + 1",
                "2 * faults_tolerated(n) + 1",
            ),
        ),
        seed=0,
        check="every certificate is valid",
    ),
    Bug(
        "a vote before the block is held and executed",
        "P-2",
        (
            Patch(
                PBFT + "proposals",
                "consider",
                "if slot.block in s.known:",
                "votes.prepare_ready(s, height)\n    if slot.block in s.known:",
            ),
            Patch(
                PBFT + "votes",
                "prepare_ready",
                "    if executed is None:\n        return\n",
                "    if executed is None:\n"
                "        pair = (slot.block, slot.proposal.outcome)\n"
                "        if may_cast(s, PREPARE, height, pair):\n"
                "            slot.prepare_cast = True\n"
                "            cast(s, PREPARE, height, pair)\n"
                "        return\n",
            ),
        ),
        schedule="P-2",
        check="nothing undurable leaves",
    ),
    Bug(
        "ancestors of the tip prepared again one by one",
        "P-3",
        (
            Patch(
                PBFT + "view_change",
                "_start_from",
                "        s.tip = tip\n",
                "        walk = s.known.get(BlockHash(tip.block))\n"
                "        while walk is not None and walk.ready.height > s.head.height + 1 "
                "and walk.ready.parent in s.known:\n"
                "            walk = s.known[walk.ready.parent]\n"
                "        if walk is not None:\n"
                "            tip = type(tip)(tip.version, tip.phase, tip.epoch, tip.view, walk.ready.height, "
                "walk.ready.block, walk.ready.outcome, tip.signatures)\n"
                "        s.tip = tip\n",
            ),
        ),
        schedule="P-3",
        check="later prepared certificates descend from what is committed",
    ),
    Bug(
        "a vote leaves before it is durable",
        "P-7",
        (Patch(PBFT + "votes", "cast", "s.persist(*((before, record) if before is not None else (record,)))", "pass"),),
        schedule="P-7",
        check="nothing undurable leaves",
    ),
    Bug(
        "a certificate may name a signer twice",
        "A-21",
        (
            Patch(
                "zizhu.chain.consensus.certificate",
                "verify_certificate",
                "if any(earlier >= later for earlier, later in itertools.pairwise(signers)):",
                "if False:",
            ),
        ),
        seed=48,
        check="every certificate is valid",
    ),
    Bug(
        "the tip is the highest certificate, whatever its view",
        "",
        (
            Patch(
                PBFT + "view_change",
                "tip_of",
                "key=certificate_order",
                "key=lambda c: (-1, -1, -1) if c is None else (c.height, c.view, c.phase)",
            ),
        ),
        schedule="tip",
        check="later prepared certificates descend from what is committed",
    ),
    Bug(
        "a view starts without its tip",
        "",
        (
            Patch(
                PBFT + "view_change",
                "_start_from",
                "        s.tip = tip\n        s.start, s.start_height = BlockHash(tip.block), tip.height\n"
                "        s.drop_all_but(s.start)",
                "        s.start, s.start_height = s.head.block, s.head.height\n        s.drop_all_but(None)",
            ),
        ),
        seed=9,
        check="later prepared certificates descend from what is committed",
    ),
    Bug(
        "a view change forgets what was prepared",
        "",
        (
            Patch(
                PBFT + "view_change", "own_greatest", "return max(s.best, head, key=certificate_order)", "return head"
            ),
        ),
        seed=9,
        check="later prepared certificates descend from what is committed",
    ),
    Bug(
        "a restart forgets the votes cast",
        "A-15",
        (Patch(PBFT + "memory", "restore", "for data in s.setting.votes:", "for data in s.setting.votes[:1]:"),),
        schedule="A-15",
        check="no double vote",
    ),
    Bug(
        "a commit vote without its prepared certificate on disk",
        "P-7",
        (Patch(PBFT + "votes", "_commit_vote", "before: Prepared | None = Prepared(certificate)", "before = None"),),
        seed=0,
        check="nothing undurable leaves",
    ),
    Bug(
        "the witness that failed is remembered under the transaction's id",
        "P-8",
        (
            Patch(
                "zizhu.chain.node.clients",
                "Admission.verified",
                'self.out.append(_fault(item.peer, "witness"))',
                "self._good.update({(one.id, b'', b''): None for one in item.parsed.transactions})",
            ),
            Patch(
                "zizhu.chain.node.clients",
                "Admission.is_known",
                "waiting = [one for one in parsed.transactions if not self.pool.has(one.id)]",
                "waiting = [one for one in parsed.transactions if not self.pool.has(one.id)"
                " and (one.id, b'', b'') not in self._good]",
            ),
        ),
        kind="whole",
        seed=185,
        check="liveness",
    ),
    Bug(
        "a block is applied twice",
        "A-7",
        (
            Patch(
                "zizhu.chain.node.blocks",
                "Blocks.commit",
                'self.put(Persist((Record("blocks", record),)))',
                'self.put(Persist((Record("blocks", record), Record("blocks", record))))',
            ),
        ),
        kind="whole",
        seed=0,
        check="each height applied once, in order",
    ),
    Bug(
        "readers see a block before its certificate is durable",
        "",
        (
            Patch(
                "zizhu.chain.node.blocks",
                "Blocks.commit",
                'self.put(Persist((Record("blocks", record),)))',
                'self.put(Published(executed.height)); self.put(Persist((Record("blocks", record),)))',
            ),
        ),
        kind="whole",
        seed=0,
        check="an answer is durable",
    ),
    Bug(
        "the map of used nonces is off by one",
        "G-4",
        (
            Patch(
                "zizhu.chain.ledger.keys", "AccountRecord.using", "used |= 1 << (-above - 1)", "used |= 1 << (-above)"
            ),
            Patch(
                "zizhu.chain.ledger.keys",
                "AccountRecord.using",
                "(used << above) | (1 << (above - 1))",
                "(used << above) | (1 << above)",
            ),
        ),
        kind="whole",
        seed=3,
        check="exactly once",
    ),
)
