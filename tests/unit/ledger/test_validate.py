"""Blocks that must not be voted for, rule by rule."""

import msgspec
import pytest

from zizhu.chain.crypto.hashing import block_hash
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.transactions import part_of_bundle
from zizhu.chain.ledger.validate import Invalid, check_clock, transaction_root, witness_root
from zizhu.chain.model.block import Block, BlockHeader
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.transaction import Bundle, Single, Submission
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, START_MS, Chain, genesis, new_ledger
from zizhu.framework.testkit.fakes.suite import suite

ALICE, BOB, CAROL = ACCOUNTS[:3]


def proposal(chain: Chain) -> Executed:
    """A good block of height 2."""
    chain.commit(chain.call(ALICE, 1, "echo", 1))
    return chain.build(chain.call(ALICE, 2, "echo", 2), chain.call(BOB, 1, "echo", 3))


def follower(chain: Chain) -> Ledger:
    """A ledger that committed the same blocks."""
    ledger = new_ledger(chain.ledger.genesis)
    for done in chain.committed:
        assert not isinstance(ledger.execute(done.executed.block, done.executed.hash), Invalid)
        ledger.commit(done.executed.hash)
    return ledger


def verdict(ledger: Ledger, block: Block) -> str:
    """The code under which a block is refused; "" when it is not."""
    answer = ledger.execute(block, block_hash(suite, block.header))
    return answer.code if isinstance(answer, Invalid) else ""


def headed(block: Block, **changes: object) -> Block:
    """The block with fields of its header changed."""
    return Block(msgspec.structs.replace(block.header, **changes), block.items)


def refilled(block: Block, items: list[Submission], ledger: Ledger) -> Block:
    """The block with other items, and a header that fits them."""
    transactions = [one for item in items for one in ledger.reader.item(item).transactions]
    header = msgspec.structs.replace(
        block.header,
        count=len(transactions),
        transaction_root=transaction_root(suite, transactions),
        witness_root=witness_root(suite, transactions),
    )
    return Block(header, items)


FIELDS: list[tuple[str, object, str]] = [
    ("ledger", bytes(32), "block.ledger"),
    ("epoch", 1, "block.epoch"),
    ("epoch_record", bytes(32), "block.epoch_record"),
    ("height", 3, "block.height"),
    ("parent", bytes(32), "block.parent"),
    ("parent_outcome", bytes(32), "block.parent_outcome"),
    ("time_ms", START_MS + 100, "block.time"),
    ("proposer", bytes(32), "block.proposer"),
    ("count", 1, "block.count"),
    ("transaction_root", bytes(32), "block.transaction_root"),
    ("witness_root", bytes(32), "block.witness_root"),
]


@pytest.mark.row("A-4")
@pytest.mark.parametrize(("field", "value", "code"), FIELDS, ids=[case[0] for case in FIELDS])
def test_a_header_with_one_field_changed_is_refused(field: str, value: object, code: str) -> None:
    """A-4: 0 honest prepares, and no committed block ever fails execution on an honest node: a member never
    executes a block of which one header field is forged, and the refusal names the field."""
    chain = Chain()
    good = proposal(chain)
    ledger = follower(chain)
    assert verdict(ledger, headed(good.block, **{field: value})) == code
    assert len(FIELDS) == len(BlockHeader.__struct_fields__) - 1, "every field but the version, which decoding checks"
    assert verdict(ledger, good.block) == ""


def test_a_hash_that_is_not_the_headers_is_refused() -> None:
    """The hash a block is known by is computed again."""
    chain = Chain()
    good = proposal(chain)
    answer = follower(chain).execute(good.block, chain.ledger.head.block)
    assert isinstance(answer, Invalid) and answer.code == "block.hash" and answer.text and answer.text_zh


def test_a_transaction_twice_in_a_block_is_refused() -> None:
    """Alone twice, alone and in a bundle, or a bundle in two pieces: twice is twice."""
    chain = Chain()
    good = proposal(chain)
    ledger = follower(chain)
    single = good.block.items[0]
    assert verdict(ledger, refilled(good.block, [single, single], ledger)) == "block.duplicate"
    bodies = [chain.body(CAROL, nonce, "echo", 1) for nonce in (1, 2)]
    whole = CAROL.bundle(bodies)
    parts = ledger.reader.submission(whole)
    ids = [bytes(one.id) for one in parts.transactions]
    halves: list[Submission] = [
        Bundle(whole.header, [whole.leaves[0], ids[1]]),
        Bundle(whole.header, [ids[0], whole.leaves[1]]),
    ]
    assert verdict(ledger, refilled(good.block, halves, ledger)) == "block.bundle_twice"
    assert verdict(ledger, refilled(good.block, [whole, CAROL.sign(bodies[0])], ledger)) == "block.duplicate"
    assert verdict(ledger, refilled(good.block, [whole], ledger)) == ""


def test_bundles_of_mostly_ids_are_bounded_before_they_are_hashed() -> None:
    """Every leaf is hashed by every member: a block of few transactions cannot have many leaves, and no leader
    builds one."""
    chain = _limited(block_transactions_max=300)
    bundles = [
        account.bundle([chain.body(account, nonce, "echo", 1) for nonce in range(1, 401)]) for account in ACCOUNTS[:4]
    ]
    thin: list[Submission] = [part_of_bundle(one, [one.transactions[0]]) for one in chain.parse(bundles)]
    built = chain.build(chain.call(ALICE, 500, "echo", 1))
    ledger = new_ledger(chain.ledger.genesis)
    assert verdict(ledger, refilled(built.block, thin, ledger)) == "block.too_many_leaves"
    assert verdict(ledger, refilled(built.block, thin[:3], ledger)) == ""
    full = chain.build(*bundles)
    assert verdict(ledger, full.block) == ""
    assert len(full.transactions) == 300


def test_used_and_expired_transactions_are_refused() -> None:
    """A nonce that is used on the parent, or a height that is past, makes a block invalid."""
    chain = Chain()
    good = proposal(chain)
    ledger = follower(chain)
    again: Single = chain.call(ALICE, 1, "echo", 9)
    assert verdict(ledger, refilled(good.block, [again], ledger)) == "block.nonce"
    late = chain.call(BOB, 1, "echo", 1, valid_until_height=1)
    assert verdict(ledger, refilled(good.block, [late], ledger)) == "block.expired"
    in_time = chain.call(BOB, 1, "echo", 1, valid_until_height=2)
    assert verdict(ledger, refilled(good.block, [in_time], ledger)) == ""


def test_a_malformed_item_makes_the_block_invalid() -> None:
    """A submission that would be refused at the door is refused in a block."""
    chain = Chain()
    good = proposal(chain)
    foreign: list[Submission] = [Chain(new_ledger(genesis(name="other"))).call(ALICE, 5, "echo", 1)]
    assert verdict(follower(chain), Block(good.block.header, foreign)) == "block.item"


def _limited(**limits: int) -> Chain:
    return Chain(new_ledger(genesis(parameters=Parameters(batch_transactions=1, **limits))))


def _refused_above(chain: Chain, calls: list[Single]) -> tuple[int, str]:
    """How many of `calls` a leader takes, and what a member says of a block with one more."""
    built = chain.build(*calls)
    taken = len(built.transactions)
    ledger = new_ledger(chain.ledger.genesis)
    assert verdict(ledger, built.block) == ""
    more: list[Submission] = [*calls[: taken + 1]]
    return taken, verdict(new_ledger(chain.ledger.genesis), refilled(built.block, more, ledger))


LIMITS: list[tuple[dict[str, int], str]] = [
    ({"block_transactions_max": 5}, "block.too_many"),
    ({"block_steps_max": 1000}, "block.steps"),
    ({"block_bytes_max": 4096}, "block.too_long"),
]


@pytest.mark.parametrize(("limits", "code"), LIMITS, ids=[case[1] for case in LIMITS])
def test_a_leader_fills_a_block_to_the_limit_and_a_member_refuses_one_more(limits: dict[str, int], code: str) -> None:
    """Builder and check agree about where a block ends: by count, by steps charged so far, by bytes."""
    chain = _limited(**limits)
    padding = bytes(400) if code == "block.too_long" else b""
    calls = [chain.call(ALICE, nonce, "echo", padding) for nonce in range(1, 30)]
    taken, refused = _refused_above(chain, calls)
    assert 1 < taken < 29
    if code == "block.too_long":  # the builder keeps a little room; two more certainly do not fit
        assert refused in ("", code)
    else:
        assert refused == code


def test_the_clock_is_checked_on_arrival_only_against_the_tolerance() -> None:
    """±2 s of this member's clock pass; parent + 1 ms is never refused."""

    def passes(time_ms: int) -> bool:
        return check_clock(time_ms, parent_time_ms=1000, wall_ms=50_000, tolerance_ms=2000) is None

    assert [passes(time_ms) for time_ms in (47_999, 48_000, 52_000, 52_001, 1001, 1002)] == [
        False, True, True, False, True, False,
    ]  # fmt: skip


def test_block_time_is_the_proposers_clock_or_one_more_than_the_parents() -> None:
    """max(clock, parent + 1 ms)."""
    chain = Chain()
    for wall_ms, wanted in ((START_MS + 50, START_MS + 50), (START_MS - 99, START_MS + 1), (START_MS, START_MS + 1)):
        built = chain.ledger.build(
            chain.ledger.head.block, candidates=[], wall_ms=wall_ms, proposer=chain.ledger.terms.members[0]
        )
        assert built.block.header.time_ms == wanted
