"""What a node gives its peers, and what it takes from them: blocks, items, certified stretches of the chain.

Decides the bounds of an answer, and whether a certified block that a peer sent may be adopted.
"""

import itertools

from zizhu.chain.consensus.certificate import Electorate, verify_certificate
from zizhu.chain.crypto.hashing import block_hash
from zizhu.chain.ledger.archive import BlockArchive
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.pool import Pool
from zizhu.chain.ledger.validate import Invalid, decode_block
from zizhu.chain.model.effects import Report, Send
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.ids import BlockHash, MemberId
from zizhu.chain.network.messages import (
    SYNC_BYTES_MAX,
    Certified,
    CertifiedBlocks,
    FetchCertified,
    FetchItems,
    Items,
    WholeBlock,
)


def items_asked(ledger: Ledger, peer: MemberId, asked: FetchItems) -> Send | Report:
    """Items of a block that was executed here; none if it was not. Positions that do not ascend are an offence: an
    item asked for many times would make an answer of any length from a block of bounded length."""
    if any(earlier >= later for earlier, later in itertools.pairwise(asked.positions)):
        return Report("peer_fault", {"peer": peer.hex(), "rule": "items_order"})
    executed = ledger.executed(BlockHash(asked.block))
    items = [] if executed is None else executed.block.items
    found = [items[position] for position in asked.positions if position < len(items)]
    return Send((peer,), Items(asked.block, found))


def block_asked(ledger: Ledger, archive: BlockArchive, block: BlockHash) -> WholeBlock:
    """A block that is executed, committed or only written here: a view may have dropped what a later one carries."""
    executed = ledger.executed(block)
    body = None if executed is None else executed.block
    if body is None and (height := archive.height_of(block)) is not None:
        body = archive.block(height)
    if body is None and (raw := archive.tentative_bytes(block)) is not None:
        body = decode_block(raw)
    return WholeBlock(block, body)


def stretch_asked(archive: BlockArchive, asked: FetchCertified) -> CertifiedBlocks:
    """Certified blocks from a height on. Durable ones only: the archive is told of a record once it is synced."""
    blocks: list[Certified] = []
    size = 0
    for height in range(asked.start, asked.start + asked.count):
        block, commit, raw = archive.block(height), archive.commit(height), archive.block_bytes(height)
        if block is None or commit is None or raw is None:
            break
        size += len(raw)
        if blocks and size > SYNC_BYTES_MAX:
            break
        blocks.append(Certified(block, commit.certificate))
    return CertifiedBlocks(asked.start, blocks)


def execute_certified(ledger: Ledger, pool: Pool, voters: Electorate, certified: Certified) -> Executed | str:
    """The certified child of the head, executed; or the rule that the peer's answer breaks.

    The header is certified, so wrong items are the serving peer's; anything else that is refused here although a
    quorum certified it means that this node is broken, and it stops.
    """
    header, certificate = certified.block.header, certified.certificate
    head, block = ledger.head, block_hash(ledger.suite, header)
    if header.height != head.height + 1 or header.parent != head.block:
        return "sync_not_next"
    if certificate.block != block or certificate.height != header.height:
        return "sync_certificate"
    try:
        verify_certificate(certificate, voters)
    except SpokeWrongly:
        return "sync_certificate"
    parsed = ledger.parse_block(certified.block, block, known=pool.get)
    if isinstance(parsed, Invalid) or not ledger.body_holds(parsed):
        return "sync_body"
    executed = ledger.execute(parsed, block)
    assert isinstance(executed, Executed), f"height {header.height} is certified and refused here: {executed}"
    assert executed.outcome_hash == certificate.outcome, (
        f"height {header.height}: own outcome {executed.outcome_hash.hex()}, certified {certificate.outcome.hex()}"
    )
    return executed
