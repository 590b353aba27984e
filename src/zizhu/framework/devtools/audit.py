"""Whether a run counts: what the members' logs say after all members have stopped.

Decides the conditions of validity: equal chains and outcomes on every member, every acknowledged transaction in
every log exactly once, and enough signatures verified. Reads the logs as they lie on the disk; asks no node.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zizhu.chain.crypto.hashing import block_hash
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.records import BlockRecord, CommitRecord, decode_record
from zizhu.chain.model.block import Block, block_codec
from zizhu.chain.model.receipt import SUCCEEDED
from zizhu.chain.model.transaction import Single
from zizhu.chain.storage.files.log import open_log


@dataclass(frozen=True, slots=True)
class Height:
    """A committed height in a log: hashes, block time, transactions, how many signatures its items carry."""

    block: bytes
    outcome: bytes
    time_ms: int
    count: int
    signatures: int


@dataclass
class Chain:
    """What one member's log holds. `ids` has a number for each transaction: how often it was committed."""

    heights: list[Height] = field(default_factory=list)
    ids: dict[bytes, int] = field(default_factory=dict)
    failed: int = 0
    bundles: dict[bytes, None] = field(default_factory=dict)
    """Roots of the bundles seen, so that one that spans blocks counts as one signature."""


def read_chain(folder: Path, suite: Suite) -> Chain:
    """The chain in a member's data folder; the member must have stopped. Raises OperatingFault (`storage.*`)."""
    log = open_log(folder / "blocks")
    chain = Chain()
    written: dict[bytes, Block] = {}
    try:
        for record in log.records():
            found = decode_record(record.data)
            if isinstance(found, BlockRecord):
                block = block_codec.decode(found.block)
                written[block_hash(suite, block.header)] = block
            else:
                _commit(chain, found, written)
    finally:
        log.close()
    return chain


def _commit(chain: Chain, record: CommitRecord, written: dict[bytes, Block]) -> None:
    block = written[record.certificate.block]
    signatures = 0
    for item in block.items:
        if isinstance(item, Single):
            signatures += 1
        elif item.header.root not in chain.bundles:
            chain.bundles[item.header.root] = None
            signatures += 1
    for receipt in record.receipts:
        chain.ids[receipt.transaction] = chain.ids.get(receipt.transaction, 0) + 1
        chain.failed += receipt.status != SUCCEEDED
    header, certificate = block.header, record.certificate
    chain.heights.append(Height(certificate.block, certificate.outcome, header.time_ms, header.count, signatures))
    for other in [hash_ for hash_, each in written.items() if each.header.height <= header.height]:
        del written[other]


def faults(chains: Sequence[Chain], acknowledged: bytes, verified: Sequence[int]) -> list[str]:
    """Why a run does not count; empty when it does. `acknowledged` are ids of 32 bytes, one behind the other;
    `verified` how many signatures each member says that it checked."""
    found = []
    first = chains[0]
    for number, chain in enumerate(chains[1:], 2):
        if [(each.block, each.outcome) for each in chain.heights] != [(e.block, e.outcome) for e in first.heights]:
            found.append(f"member {number} has another chain than member 1")
    ids = [acknowledged[at : at + 32] for at in range(0, len(acknowledged), 32)]
    for number, chain in enumerate(chains, 1):
        missing = sum(chain.ids.get(id_, 0) == 0 for id_ in ids)
        twice = sum(times > 1 for times in chain.ids.values())
        if missing or twice:
            found.append(f"member {number}: {missing} acknowledged transactions missing, {twice} more than once")
    needed = sum(each.signatures for each in first.heights)
    for number, checked in enumerate(verified, 1):
        if checked < needed:
            found.append(f"member {number} verified {checked} signatures, {needed} stand in the chain")
    failed = first.failed
    if failed:
        found.append(f"{failed} transactions failed")
    return found
