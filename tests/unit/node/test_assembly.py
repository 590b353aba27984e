"""Holding a block whole: whom a member asks, whom it believes, and who is to blame."""

from collections.abc import Callable

import msgspec
import pytest

from zizhu.chain.consensus.pbft.messages import Proposal, ViewRequest, Vote
from zizhu.chain.consensus.port import Execute
from zizhu.chain.crypto.hashing import block_hash, single_witness_hash, transaction_id, vote_message
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.model.block import BlockHeader
from zizhu.chain.model.certificate import PREPARE, VoteStatement
from zizhu.chain.model.compact import BundleEntry, SingleEntry
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import BlockHash
from zizhu.chain.model.transaction import Bundle, Single
from zizhu.chain.network.messages import FetchBlock, FetchItems, Gossip, Items, WholeBlock
from zizhu.chain.node import assembly
from zizhu.framework.testkit.council import Letter
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat


def _proposed(*submissions: Callable[[NodeCouncil], Single | Bundle]) -> tuple[NodeCouncil, Proposal]:
    """Leader 0 proposes what only it holds; the proposal is on nobody's table yet."""
    council = NodeCouncil().start()
    council.seats[0].submit(*(make(council) for make in submissions))
    proposals = [letter.message for letter in council.mail if isinstance(letter.message, Proposal)]
    council.mail.clear()
    return council, proposals[0]


def _asked(seat: NodeSeat, kind: type[msgspec.Struct] = FetchItems) -> list[Letter]:
    """The questions of one kind that a member has sent."""
    return [letter for letter in seat.sent if isinstance(letter.message, kind)]


def _block_of(council: NodeCouncil, proposal: Proposal) -> Executed:
    block = block_hash(council.consortium.suite, proposal.header)
    executed = council.seats[0].machine.ledger.executed(block)
    assert executed is not None
    return executed


def _prepared(seat: NodeSeat) -> bool:
    """Whether a member has sent its prepare for height 2."""
    return any(isinstance(letter.message, Vote) and letter.message.height == 2 for letter in seat.sent)


def _gossip_had_time(council: NodeCouncil, *seats: NodeSeat) -> None:
    """Let the while pass in which gossip may still bring what a fresh proposal names."""
    council.pass_ms(assembly.GRACE_MS)
    for seat in seats:
        seat.fire("assembly")


THREE = (lambda c: c.call(0, 1), lambda c: c.call(1, 1), lambda c: c.bundle(2, range(1, 5)))


def test_what_the_pool_lacks_is_fetched_from_who_proposed() -> None:
    """Positions of what is missing, all in one question; the answer is executed and voted for."""
    council, proposal = _proposed(*THREE)
    follower = council.seats[1]
    follower.submit(council.call(1, 1))
    follower.hears(council.seats[0], proposal)
    assert not _asked(follower)
    _gossip_had_time(council, follower)
    question = _asked(follower)[0]
    assert question.target == council.seats[0].id
    executed = _block_of(council, proposal)
    at = [n for n, item in enumerate(executed.block.items) if item != council.call(1, 1)]
    assert isinstance(question.message, FetchItems) and question.message.positions == at
    assert not _prepared(follower)
    follower.hears(council.seats[0], Items(executed.hash, [executed.block.items[n] for n in at]))
    assert _prepared(follower)
    assert not follower.faults()


def test_wrong_items_cost_their_sender_and_are_asked_of_another_source() -> None:
    """What a peer sent wrongly is that peer's fault; the next source is asked at once, and its answer counts."""
    council, proposal = _proposed(*THREE)
    follower = council.seats[1]
    executed = _block_of(council, proposal)
    sources = (council.seats[0].id, council.seats[2].id)
    follower.machine._assembler.want(council.now, Execute(executed.hash, None, (), sources, fresh=False))
    follower.hears(council.seats[0], proposal)
    follower.hears(council.seats[0], Items(executed.hash, [council.call(5, 1)]))
    assert follower.faults() == [(council.seats[0].id.hex(), "items_differ")]
    assert [letter.target for letter in _asked(follower)][-1] == council.seats[2].id
    follower.hears(council.seats[2], Items(executed.hash, list(executed.block.items)))
    assert _prepared(follower)
    assert len(follower.faults()) == 1


def test_an_answer_to_an_earlier_question_is_no_offence() -> None:
    """Gossip may bring an item while the question is on its way: the honest answer holds more than is missing."""
    council, proposal = _proposed(*THREE)
    follower = council.seats[1]
    follower.hears(council.seats[0], proposal)
    executed = _block_of(council, proposal)
    _gossip_had_time(council, follower)
    follower.hears(council.seats[0], Gossip([council.call(0, 1)]))
    council.pass_ms(assembly.ASK_AGAIN_MS)
    follower.fire("assembly")
    assert len(_asked(follower)) == 2
    follower.hears(council.seats[0], Items(executed.hash, list(executed.block.items)))
    assert follower.faults() == []
    assert _prepared(follower)


def test_a_silent_source_is_followed_by_the_next_and_given_up_in_the_end() -> None:
    """Each question waits its time, sources take turns, and nobody is asked for ever."""
    council, proposal = _proposed(*THREE)
    follower = council.seats[1]
    executed = _block_of(council, proposal)
    sources = (council.seats[0].id, council.seats[2].id)
    follower.machine._assembler.want(
        council.now, Execute(executed.hash, proposal.header, tuple(proposal.entries), sources, fresh=False)
    )
    follower.tell(_nothing(council))
    for _ in range(assembly.ASKS_MAX + 5):
        council.pass_ms(assembly.ASK_AGAIN_MS)
        if "assembly" not in follower.timers:
            break
        follower.fire("assembly")
    targets = [letter.target for letter in _asked(follower)]
    assert len(targets) == assembly.ASKS_MAX
    assert targets[:4] == [sources[0], sources[1], sources[0], sources[1]]
    assert "assembly" not in follower.timers
    assert any(each.fact == "assembly_given_up" for each in follower.reports)


def _nothing(council: NodeCouncil) -> object:
    from zizhu.chain.node.events import LinkChanged

    return LinkChanged(council.seats[2].id, up=True)


@pytest.mark.row("P-8")
@pytest.mark.row("A-18")
def test_another_witness_of_the_same_id_is_fetched_as_proposed() -> None:
    """A member that holds another witness of a proposed transaction fetches the proposed one, and votes: the id with
    a witness of its own costs nobody anything."""
    council, proposal = _proposed(lambda c: c.call(0, 1))
    follower = council.seats[1]
    good = council.call(0, 1)
    other = Single(good.body, good.suite, good.public_key, bytes(64))
    follower.hears(council.seats[2], Gossip([other]))
    assert follower.faults() == [(council.seats[2].id.hex(), "witness")], "a bad witness costs the link peer"
    follower.hears(council.seats[0], proposal)
    executed = _block_of(council, proposal)
    follower.hears(council.seats[0], Items(executed.hash, [other]))
    assert follower.faults()[-1] == (council.seats[0].id.hex(), "items_differ")
    follower.hears(council.seats[0], Items(executed.hash, [good]))
    assert _prepared(follower)


def _signed_again(council: NodeCouncil, proposal: Proposal) -> Proposal:
    """The proposal under the leader's signature for its changed header."""
    header = proposal.header
    ledger = council.consortium.ledger
    block = block_hash(council.consortium.suite, header)
    said = VoteStatement(ledger, 0, proposal.view, PREPARE, header.height, block, proposal.outcome)
    signature = council.consortium.sign(council.seats[0].id, vote_message(council.consortium.suite, said))
    return msgspec.structs.replace(proposal, signature=signature)


def _first_single_elsewhere(proposal: Proposal) -> Proposal:
    entries = [
        SingleEntry(bytes(32), each.witness) if isinstance(each, SingleEntry) and not n else each
        for n, each in enumerate(proposal.entries)
    ]
    return msgspec.structs.replace(proposal, entries=entries)


def _without_last(proposal: Proposal) -> Proposal:
    return msgspec.structs.replace(proposal, entries=proposal.entries[:-1])


def _first_twice(proposal: Proposal) -> Proposal:
    return msgspec.structs.replace(proposal, entries=[proposal.entries[0], *proposal.entries])


def _other_leaf(proposal: Proposal) -> Proposal:
    entries = [
        msgspec.structs.replace(each, taken=bytes([each.taken[0] & ~1])) if isinstance(each, BundleEntry) else each
        for each in proposal.entries
    ]
    return msgspec.structs.replace(proposal, entries=entries)


def _leaf_beyond(proposal: Proposal) -> Proposal:
    entries = [
        msgspec.structs.replace(each, taken=each.taken + b"\xff") if isinstance(each, BundleEntry) else each
        for each in proposal.entries
    ]
    return msgspec.structs.replace(proposal, entries=entries)


@pytest.mark.row("A-18")
@pytest.mark.parametrize("lie", [_first_single_elsewhere, _without_last, _first_twice, _other_leaf, _leaf_beyond])
@pytest.mark.parametrize("pooled", [False, True])
def test_entries_that_differ_from_the_header_are_the_leaders_fault(
    lie: Callable[[Proposal], Proposal], pooled: bool
) -> None:
    """Then reject and penalise: entries and header say the same twice. When they disagree, the leader is named, no
    honest source is asked in vain, nobody votes, and another leader is wanted."""
    council, proposal = _proposed(*THREE)
    follower, leader = council.seats[1], council.seats[0]
    if pooled:
        follower.submit(*(make(council) for make in THREE))
    follower.hears(leader, lie(proposal))
    if not pooled or "assembly" in follower.timers:
        _gossip_had_time(council, follower)
    assert follower.faults() == [(leader.id.hex(), "block_refused")]
    assert not _asked(follower)
    assert not _prepared(follower)
    assert any(isinstance(letter.message, ViewRequest) for letter in follower.sent)


@pytest.mark.parametrize("in_time", [True, False])
def test_a_block_refused_for_its_entries_is_still_committed_once_certified(in_time: bool) -> None:
    """A leader that lies about the entries to one member only cannot keep it from the block, whether the member finds
    the lie before the others certify the block or while it waits for gossip."""
    council, proposal = _proposed(*THREE)
    victim, leader = council.seats[3], council.seats[0]
    victim.hears(leader, _without_last(proposal))
    if in_time:
        _gossip_had_time(council, victim)
    for seat in council.seats[1:3]:
        seat.hears(leader, proposal)
    _gossip_had_time(council, *council.seats[1:3])
    council.deliver()
    assert [seat.height for seat in council.seats] == [2, 2, 2, 2]
    assert victim.faults() == ([(leader.id.hex(), "block_refused")] if in_time else [])


def test_a_bad_signature_in_a_block_refuses_the_block() -> None:
    """What the block itself has wrong is its proposer's: a transaction nobody signed is in no certified block."""
    council = NodeCouncil().start()
    leader, follower = council.seats[0], council.seats[1]
    good = council.call(0, 1)
    forged = Single(good.body, good.suite, good.public_key, b"\x01" * 64)
    parsed = leader.machine.ledger.reader.submission(forged)
    executed = leader.machine.ledger.build(
        leader.machine.ledger.head.block, candidates=[parsed], wall_ms=council.now.wall_ms, proposer=leader.id
    )
    entries = list(assembly.entries_of(executed.block, executed.transactions))
    proposal = Proposal(0, 0, executed.block.header, entries, executed.outcome_hash, bytes(64))
    follower.hears(leader, _signed_again(council, proposal))
    follower.hears(leader, Items(executed.hash, [forged]))
    assert follower.faults() == [(leader.id.hex(), "block_refused")]
    assert not _prepared(follower)
    assert {each.values.get("code") for each in follower.reports} >= {"block.signature"}


def test_a_block_known_by_its_hash_is_fetched_whole_and_its_parents_first() -> None:
    """From a signer; a wrong body costs the peer; a parent that is missing is fetched before it is executed."""
    council = NodeCouncil().start()
    leader, follower = council.seats[0], council.seats[3]
    for number in (1, 2):
        leader.submit(council.call(number, 1))
        council.pass_ms(20)
        leader.fire("engine:batch") if "engine:batch" in leader.timers else None
    written = leader.machine.blocks.written
    second, third = sorted(written, key=lambda each: written[each])[-2:]
    council.mail.clear()
    ledger = leader.machine.ledger
    body_two, body_three = ledger.executed(second), ledger.executed(third)
    assert body_two is not None and body_three is not None and body_three.height == body_two.height + 1
    wanted = Execute(third, None, (), (leader.id, council.seats[1].id), fresh=False)
    follower.machine._assembler.want(council.now, wanted)
    follower.hears(leader, WholeBlock(third, body_two.block))
    assert follower.faults() == [(leader.id.hex(), "block_hash")]
    without = msgspec.structs.replace(body_three.block, items=[])
    follower.hears(leader, WholeBlock(third, without))
    assert follower.faults()[-1] == (leader.id.hex(), "block_body")
    follower.hears(leader, WholeBlock(third, body_three.block))
    assert FetchBlock(second) in [letter.message for letter in _asked(follower, FetchBlock)]
    assert follower.machine.ledger.executed(third) is None
    follower.hears(leader, WholeBlock(second, body_two.block))
    assert follower.machine.ledger.executed(third) is not None


@pytest.mark.parametrize("message", [Items(bytes(32), []), WholeBlock(bytes(32), None)])
def test_answers_that_nobody_asked_for_change_nothing(message: msgspec.Struct) -> None:
    """Not an offence either: a question may have been given up meanwhile."""
    council = NodeCouncil().start()
    council.seats[0].hears(council.seats[1], message)
    assert not council.seats[0].faults()


def test_more_items_than_a_block_has_is_an_offence() -> None:
    """An answer longer than any question."""
    council, proposal = _proposed(lambda c: c.call(0, 1))
    follower = council.seats[1]
    follower.hears(council.seats[0], proposal)
    executed = _block_of(council, proposal)
    follower.hears(council.seats[0], Items(executed.hash, [council.call(0, 1)] * 2))
    assert follower.faults() == [(council.seats[0].id.hex(), "items_unasked")]


def test_names_of_entries_and_items_agree() -> None:
    """An item is found by what its entry says: id with witness, or signed header."""
    council, proposal = _proposed(*THREE)
    executed = _block_of(council, proposal)
    suite = council.consortium.suite
    for item, entry in zip(executed.block.items, proposal.entries, strict=True):
        if isinstance(item, Single):
            assert isinstance(entry, SingleEntry)
            witness = single_witness_hash(suite, code=item.suite, public_key=item.public_key, signature=item.signature)
            assert (entry.transaction, entry.witness) == (transaction_id(suite, item.body), witness)
        else:
            assert isinstance(entry, BundleEntry)
            assert encode(entry.header) == encode(item.header)

    assert BlockHash(executed.hash) == block_hash(suite, proposal.header)


HEADER_FIELDS = [name for name in BlockHeader.__struct_fields__ if name != "version"]


@pytest.mark.row("A-4")
@pytest.mark.parametrize("field", HEADER_FIELDS)
def test_a_header_with_one_field_changed_gets_no_prepare(field: str) -> None:
    """Then 0 honest prepares, view change within timeout, and no committed block ever fails execution on an honest
    node: the leader signs the changed header well, and nobody follows it; the next leader's block is committed."""
    council, proposal = _proposed(lambda c: c.call(0, 1))
    leader, followers = council.seats[0], council.seats[1:]
    old = getattr(proposal.header, field)
    wrong = bytes(32) if isinstance(old, bytes) else old + 5_000
    if wrong == old:
        wrong = b"\x01" * 32
    lie = _signed_again(council, _with_header(proposal, field, wrong))
    for seat in followers:
        seat.hears(leader, Gossip([council.call(0, 1)]))
        seat.hears(leader, lie)
    council.deliver(lambda letter: letter.target != leader.id)
    leader.down = True
    for _ in range(2):
        council.pass_ms(1_000)
        for seat in followers:
            for timer in ("assembly", "gossip", "engine:view"):
                if timer in seat.timers and seat.height == 1:
                    seat.fire(timer)
        council.deliver()
    assert not [
        letter
        for seat in followers
        for letter in seat.sent
        if isinstance(letter.message, Vote) and letter.message.view == 0 and letter.message.height > 1
    ]
    assert {seat.machine.status().view for seat in followers} == {1}
    assert {seat.height for seat in followers} == {2}
    assert len({seat.machine.ledger.head.outcome_hash for seat in followers}) == 1


def _with_header(proposal: Proposal, field: str, value: object) -> Proposal:
    header = msgspec.structs.replace(proposal.header, **{field: value})
    return msgspec.structs.replace(proposal, header=header)
