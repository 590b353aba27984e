"""The ledger: branches, commits, roots, and that a transaction is executed once, whatever happens."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.crypto.hashing import outcome_hash
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.ledger import Committed, Ledger
from zizhu.chain.ledger.outcomes import running_after, running_at_root
from zizhu.chain.ledger.tree import StateTree
from zizhu.chain.ledger.validate import Invalid
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.errors import AskedWrongly
from zizhu.chain.model.ids import BlockHash
from zizhu.chain.model.transaction import Bundle, Invoke, Single
from zizhu.chain.model.value import Value, encode_arguments
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, BANK, MEMBER_IDS, Chain, genesis, new_ledger
from zizhu.framework.testkit.fakes.suite import suite

ALICE, BOB, CAROL = ACCOUNTS[:3]


def follow(ledger: Ledger, executed: Executed) -> Committed:
    """Executes and commits a block on another ledger; the outcome is the same."""
    copy = ledger.execute(executed.block, executed.hash)
    assert isinstance(copy, Executed), copy
    assert copy.outcome_hash == executed.outcome_hash and copy.receipts == executed.receipts
    return ledger.commit(executed.hash)


def counter(ledger: Ledger, key: bytes = b"k") -> int:
    """What the bank's counter at `key` stands at, in the committed state."""
    value = ledger.query(Invoke(BANK, "get", encode_arguments([key])), caller=bytes(20)).value
    return int.from_bytes(value, "big") if isinstance(value, bytes) else 0


def test_height_zero_is_the_genesis() -> None:
    """The block hash of height 0 is the ledger id, and it is a root height."""
    ledger = new_ledger()
    head = ledger.head
    assert (head.height, head.block, head.outcome.root_height) == (0, BlockHash(ledger.ledger_id), 0)
    assert head.outcome.root == ledger.state_tree().root
    assert head.outcome_hash == outcome_hash(suite, head.outcome)
    assert head.outcome.running == running_at_root(suite, head.outcome.root)


def test_blocks_are_built_on_executed_blocks_before_they_are_committed() -> None:
    """A pipeline: three blocks are in flight, each sees the writes of those below, none repeats a transaction."""
    chain = Chain()
    calls = [chain.call(ALICE, nonce, "increment", b"k") for nonce in range(1, 7)]
    one = chain.build(*calls[:2])
    two = chain.build(*calls[:4], on=one.hash)
    three = chain.build(*calls, on=two.hash)
    assert [len(block.transactions) for block in (one, two, three)] == [2, 2, 2]
    assert counter(chain.ledger) == 0
    other = new_ledger()
    for block in (one, two, three):
        assert not isinstance(other.execute(block.block, block.hash), Invalid)
    for block in (one, two, three):
        assert other.commit(block.hash).executed.receipts == chain.ledger.commit(block.hash).executed.receipts
    assert counter(chain.ledger) == counter(other) == 6


def test_a_rival_is_dropped_and_leaves_no_trace() -> None:
    """Of two blocks on one parent one is committed; the other is gone with its descendants and its writes."""
    chain = Chain()
    loser = chain.build(chain.call(ALICE, 1, "increment", b"k"))
    loser_child = chain.build(chain.call(ALICE, 2, "increment", b"k"), on=loser.hash)
    winner = chain.build(chain.call(BOB, 1, "put", b"w", b"1"))
    winner_child = chain.build(chain.call(BOB, 2, "put", b"w", b"2"), on=winner.hash)
    chain.ledger.commit(winner.hash)
    assert chain.ledger.executed(loser.hash) is None and chain.ledger.executed(loser_child.hash) is None
    assert chain.ledger.executed(winner_child.hash) is winner_child
    assert counter(chain.ledger) == 0
    fresh = Chain()
    follow(fresh.ledger, winner)
    assert fresh.ledger.head == chain.ledger.head


def test_drop_takes_a_block_and_its_descendants_only() -> None:
    """Dropping a block in the middle keeps what is below and beside it."""
    chain = Chain()
    one = chain.build(chain.call(ALICE, 1, "echo", 1))
    two = chain.build(chain.call(ALICE, 2, "echo", 1), on=one.hash)
    three = chain.build(chain.call(ALICE, 3, "echo", 1), on=two.hash)
    beside = chain.build(chain.call(BOB, 1, "echo", 1), on=one.hash)
    chain.ledger.drop(two.hash)
    kept = [block for block in (one, two, three, beside) if chain.ledger.executed(block.hash)]
    assert kept == [one, beside]
    above = chain.build(chain.call(BOB, 2, "echo", 1), on=beside.hash)
    chain.ledger.drop_all_but_lineage(beside.hash)
    assert chain.ledger.executed(one.hash) and chain.ledger.executed(beside.hash)
    assert chain.ledger.executed(above.hash) is None


@pytest.mark.row("A-7")
def test_a_height_is_applied_exactly_once() -> None:
    """A-7: apply(h) is called exactly once per h per node, enforced by an assertion in production code."""
    chain = Chain()
    one = chain.build(chain.call(ALICE, 1, "increment", b"k"))
    rival = chain.build(chain.call(BOB, 1, "increment", b"k"))
    two = chain.build(chain.call(ALICE, 2, "increment", b"k"), on=one.hash)
    with pytest.raises(AssertionError):
        chain.ledger.commit(two.hash)
    chain.ledger.commit(one.hash)
    for wrong in (one.hash, rival.hash, BlockHash(chain.ledger.ledger_id)):
        with pytest.raises(AssertionError):
            chain.ledger.commit(wrong)
    again = chain.ledger.execute(one.block, one.hash)
    assert isinstance(again, Invalid) and again.code == "block.parent"
    assert counter(chain.ledger) == 1


def test_root_heights_follow_the_rule() -> None:
    """Every `root_every` heights, and a second of block time after a parent without a root; else D runs on."""
    chain = Chain(new_ledger(genesis(parameters=Parameters(root_every=4))))
    roots = []
    for turn in range(1, 14):
        if turn == 7:
            chain.step_ms = 1000
        elif turn == 9:
            chain.step_ms = 999
        before = chain.ledger.head.outcome
        done = chain.commit(chain.call(ALICE, turn, "increment", b"k"))
        outcome = done.executed.outcome
        if done.is_root_height:
            roots.append(turn)
            assert outcome.root_height == turn and outcome.running == running_at_root(suite, outcome.root)
        else:
            assert (outcome.root, outcome.root_height) == (before.root, before.root_height)
            assert outcome.running == running_after(suite, before.running, done.changes)
    assert roots == [4, 7, 11]  # 5 and 6 follow too soon; 7 waits long enough; 8 has a parent with a root


def test_the_root_is_that_of_the_whole_state() -> None:
    """At a root height the root is that of a tree built from every key and value."""
    chain = Chain(step_ms=1000)
    stored: dict[bytes, bytes | None] = {}
    for turn in range(1, 8):
        done = chain.commit(chain.call(ALICE, turn, "put", str(turn).encode(), b"v"))
        stored.update(done.since_root or {})
        if done.is_root_height:
            rebuilt = StateTree.build(suite.hash, chain.ledger.state_items())
            assert rebuilt.root == done.executed.outcome.root == chain.ledger.state_tree().root
            items = dict(chain.ledger.state_items())
            assert all(items.get(key) == value for key, value in stored.items())


@pytest.mark.row("D-2")
def test_the_order_of_writes_changes_no_hash() -> None:
    """D-2: given write sets inserted in every permutation: same root (and the same running hash)."""
    writes: list[tuple[bytes, bytes | None]] = [(b"a", b"1"), (b"b", b"2"), (b"c", None), (b"", b"3"), (b"ab", b"4")]
    empty = StateTree.empty(suite.hash)
    orders = list(permutations(writes))
    assert len({running_after(suite, bytes(32), dict(order)) for order in orders}) == 1
    assert len({empty.update(dict(order)).root for order in orders}) == 1


@pytest.mark.row("D-7")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=4)), min_size=1, max_size=4, unique_by=lambda e: e[0])
)
def test_moving_a_boundary_changes_the_hash(entries: list[tuple[bytes, bytes]]) -> None:
    """D-7: given any list of byte strings; when boundaries are moved, items merged, split, reordered; then hash
    differs; all hashing via one domain-separated, length-prefixed encoder."""
    original: dict[bytes, bytes | None] = dict(entries)
    variants: list[dict[bytes, bytes | None]] = [original]
    key, value = entries[0]
    moved = [(key + value[:1], value[1:]), (key[:-1], key[-1:] + value), (key, value + b"\x00"), (key + value, b"")]
    variants += [{**dict(entries[1:]), name: content} for name, content in moved]
    variants.append({**original, key: None})
    distinct = [variant for at, variant in enumerate(variants) if variant not in variants[:at]]
    hashes = {running_after(suite, bytes(32), variant) for variant in distinct}
    assert len(hashes) == len(distinct)


@pytest.mark.row("D-4")
def test_a_transaction_that_failed_is_recorded_exactly_once() -> None:
    """D-4: given a tx that fails; when resubmitted before and after nonce change, in the same and later block,
    through two nodes; then recorded exactly once."""
    chain, other = Chain(), Chain()
    failing = chain.call(ALICE, 2, "fail", "native.no")
    first = chain.build(failing, failing)
    assert len(first.transactions) == 1
    later = chain.build(failing, chain.call(ALICE, 1, "echo", 1), on=first.hash)
    assert [one.fields.nonce for one in later.transactions] == [1]
    for block in (first, later):
        chain.ledger.commit(block.hash)
        follow(other.ledger, block)
    for node in (chain, other):
        assert len(node.build(failing, node.call(ALICE, 5000, "echo", 1)).transactions) == 1
    far = chain.commit(chain.call(ALICE, 5000, "echo", 1))
    follow(other.ledger, far.executed)
    assert len(other.build(failing).transactions) == 0


@pytest.mark.row("G-4")
def test_a_signed_transaction_is_executed_exactly_once_overall() -> None:
    """G-4: given a signed tx, when replayed on another chain id, to two nodes at once, alone and in a bundle,
    outside its window: executed exactly once overall."""
    chain, other = Chain(), Chain()
    bodies = [chain.body(ALICE, nonce, "increment", b"k") for nonce in (1, 2, 3)]
    single, bundle = ALICE.sign(bodies[1]), ALICE.bundle(bodies)
    mine = chain.build(single, bundle, single)
    theirs = other.build(bundle, single)
    assert len(mine.transactions) == len(theirs.transactions) == 3
    chain.ledger.commit(mine.hash)
    follow(other.ledger, mine)
    for node in (chain, other):
        assert node.build(single, bundle).transactions == ()
        assert counter(node.ledger) == 3
    foreign = new_ledger(genesis(name="another"))
    for submission in (single, bundle):
        with pytest.raises(AskedWrongly) as refused:
            foreign.reader.submission(submission)
        assert refused.value.code.code == "transaction.wrong_ledger"


def test_a_bundle_is_taken_in_parts_when_a_block_is_full() -> None:
    """What does not fit of a bundle stands in the next block, under the same signed header."""
    chain = Chain(new_ledger(genesis(parameters=Parameters(block_transactions_max=3, batch_transactions=3))))
    bundle = ALICE.bundle([chain.body(ALICE, nonce, "increment", b"k") for nonce in range(1, 8)])
    other = new_ledger(chain.ledger.genesis)
    sizes = []
    for _ in range(3):
        executed = chain.build(bundle)
        (item,) = executed.block.items
        assert isinstance(item, Bundle) and item.header == bundle.header
        sizes.append(len(executed.transactions))
        chain.ledger.commit(executed.hash)
        follow(other, executed)
    assert sizes == [3, 3, 1] and counter(other) == 7


CALLS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(1, 12),
        st.sampled_from(["increment", "transfer", "fail", "burn", "put", "delete", "echo"]),
        st.integers(0, 60),
    ),
    max_size=8,
)


def _call(chain: Chain, account: int, nonce: int, method: str, number: int) -> Single:
    arguments: dict[str, list[Value]] = {
        "increment": [b"k%d" % (number % 3)],
        "transfer": [bytes(ACCOUNTS[number % 4].id), number * 40],
        "fail": ["native.no"],
        "burn": [number],
        "put": [b"k%d" % (number % 5), b"\x01"],
        "delete": [b"k%d" % (number % 5)],
        "echo": [number],
    }
    return chain.call(ACCOUNTS[account], nonce, method, *arguments[method], steps_max=60 + 3 * number)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(CALLS, st.booleans(), st.sampled_from([1, 400, 1000])), min_size=1, max_size=6))
def test_two_ledgers_that_execute_the_same_blocks_are_equal(
    plan: list[tuple[list[tuple[int, int, str, int]], bool, int]],
) -> None:
    """Whoever built, followed, or had rivals and pipelines in between: same outcomes, receipts, states."""
    builder, follower = Chain(), new_ledger()
    for calls, rival, step_ms in plan:
        builder.step_ms = step_ms
        if rival:
            noise = builder.build(builder.call(CAROL, 99, "increment", b"k0"))
            builder.build(builder.call(CAROL, 98, "increment", b"k0"), on=noise.hash)
        executed = builder.build(*[_call(builder, *call) for call in calls])
        done = builder.ledger.commit(executed.hash)
        assert follow(follower, executed).changes == done.changes
    assert dict(builder.ledger.state_items()) == dict(follower.state_items())
    assert builder.ledger.head == follower.head


def test_a_proposer_stands_in_the_header() -> None:
    """Who builds names itself."""
    chain = Chain()
    built = chain.ledger.build(chain.ledger.head.block, candidates=[], wall_ms=0, proposer=MEMBER_IDS[2])
    assert built.block.header.proposer == MEMBER_IDS[2] and built.transactions == ()
