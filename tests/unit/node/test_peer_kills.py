"""Nothing that one peer sends stops a member: not with a proposal, not with a body, not with a certified block."""

import msgspec
import pytest

from zizhu.chain.consensus.pbft.messages import Proposal
from zizhu.chain.consensus.port import Execute
from zizhu.chain.crypto.hashing import transaction_id
from zizhu.chain.model.block import Block
from zizhu.chain.model.compact import BundleEntry
from zizhu.chain.model.transaction import Bundle
from zizhu.chain.network.messages import Certified, CertifiedBlocks, Status, WholeBlock
from zizhu.chain.node.assembly import GRACE_MS
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat


def _proposed_bundle() -> tuple[NodeCouncil, Proposal]:
    """Leader 0 proposes a bundle of four that everybody holds; the proposal is on nobody's table yet."""
    council = NodeCouncil().start()
    for seat in reversed(council.seats):
        seat.submit(council.bundle(2, range(1, 5)))
    proposals = [letter.message for letter in council.mail if isinstance(letter.message, Proposal)]
    council.mail.clear()
    return council, proposals[0]


@pytest.mark.row("A-18")
def test_an_entry_with_more_leaves_than_its_bundle_is_the_leaders_fault() -> None:
    """Then reject and penalise: an entry that takes a leaf which the bundle held here does not have is refused, the
    leader is named, and the member goes on."""
    council, proposal = _proposed_bundle()
    leader, follower = council.seats[0], council.seats[1]
    entry = proposal.entries[0]
    assert isinstance(entry, BundleEntry)
    longer = msgspec.structs.replace(entry, transactions=[*entry.transactions, bytes(32)], taken=b"\x1f")
    follower.hears(leader, msgspec.structs.replace(proposal, entries=[longer]))
    # What does not fit what is held here may be another bundle, on its way by gossip: it is given its time first.
    council.pass_ms(GRACE_MS)
    follower.fire("assembly")
    assert follower.faults() == [(leader.id.hex(), "block_refused")]
    follower.hears(council.seats[2], Status(0, 0, True, 1, bytes(32)))


def _in_two_parts(council: NodeCouncil, block: Block) -> Block:
    """The same transactions under the same header, with the bundle standing in it twice, each time with one half."""
    whole = block.items[0]
    assert isinstance(whole, Bundle)
    ids = [bytes(transaction_id(council.consortium.suite, leaf)) for leaf in whole.leaves]
    first = Bundle(whole.header, [*whole.leaves[:2], *ids[2:]])
    second = Bundle(whole.header, [*ids[:2], *whole.leaves[2:]])
    return Block(block.header, [first, second])


def _behind_by_a_bundle() -> tuple[NodeCouncil, NodeSeat, Certified]:
    """Members 0, 1, 2 have certified a block with a bundle; member 3 knows nothing of it."""
    council, proposal = _proposed_bundle()
    late = council.seats[3]
    for seat in council.seats[1:3]:
        seat.hears(council.seats[0], proposal)
    council.deliver(lambda letter: letter.target != late.id)
    archive = council.seats[0].machine.archive
    block, commit = archive.block(2), archive.commit(2)
    assert block is not None and commit is not None and late.height == 1
    return council, late, Certified(block, commit.certificate)


@pytest.mark.row("A-18")
def test_a_certified_block_with_its_bundle_in_two_parts_is_its_senders_fault() -> None:
    """Then reject and penalise: both roots hold for a body that no rule allows. Who sends it is to blame and not asked
    for a while; the member does not stop, and syncs from another."""
    council, late, certified = _behind_by_a_bundle()
    liar, honest = council.seats[1], council.seats[2]
    late.hears(liar, Status(0, 0, True, 2, certified.certificate.block))
    council.pass_ms(200)
    late.fire("sync")
    split = Certified(_in_two_parts(council, certified.block), certified.certificate)
    late.hears(liar, CertifiedBlocks(2, [split]))
    assert late.faults() == [(liar.id.hex(), "sync_body")]
    assert late.height == 1
    late.hears(honest, Status(0, 0, True, 2, certified.certificate.block))
    council.pass_ms(200)
    late.fire("sync")
    late.hears(honest, CertifiedBlocks(2, [certified]))
    assert late.height == 2


@pytest.mark.row("A-18")
def test_a_whole_block_with_its_bundle_in_two_parts_is_its_senders_fault() -> None:
    """Then reject and penalise: the block itself is not refused for what one of its sources made of it."""
    council, late, certified = _behind_by_a_bundle()
    liar, honest = council.seats[1], council.seats[2]
    block = certified.certificate.block
    wanted = Execute(block, None, (), (liar.id, honest.id), fresh=False)  # type: ignore[arg-type]
    late.machine._assembler.want(council.now, wanted)
    late.hears(liar, WholeBlock(block, _in_two_parts(council, certified.block)))
    assert late.faults() == [(liar.id.hex(), "block_body")]
    late.hears(honest, WholeBlock(block, certified.block))
    assert late.machine.ledger.executed(block) is not None  # type: ignore[arg-type]
