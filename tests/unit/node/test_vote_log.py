"""A vote log that has grown long is shortened without forgetting what binds the member."""

from zizhu.chain.consensus.certificate import electorate
from zizhu.chain.consensus.pbft.engine import Pbft
from zizhu.chain.consensus.pbft.messages import Opened, Prepared, Voted, VoteRecord
from zizhu.chain.consensus.port import Ready, Setting
from zizhu.chain.crypto.hashing import ledger_id
from zizhu.chain.model.certificate import COMMIT, PREPARE, Certificate, SignedBy
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import BlockHash, LedgerId, OutcomeHash
from zizhu.framework.testkit.fakes import ledger as fakes
from zizhu.framework.testkit.fakes.suite import suite

GENESIS = fakes.genesis()
LEDGER = LedgerId(ledger_id(suite, GENESIS.genesis))
VOTERS = electorate(suite, LEDGER, GENESIS.genesis.record)
HEAD = 1_000


def block(height: int) -> bytes:
    """A hash that stands for the block of a height."""
    return suite.digest(height.to_bytes(8, "big"))


def votes_of(height: int) -> list[VoteRecord]:
    """What a member writes for one height in view 0."""
    signatures = [SignedBy(member, bytes(64)) for member in sorted(VOTERS.members)[:3]]
    certificate = Certificate(1, PREPARE, 0, 0, height, block(height), block(height), signatures)
    return [
        Voted(0, 0, PREPARE, height, block(height), block(height)),
        Prepared(certificate),
        Voted(0, 0, COMMIT, height, block(height), block(height)),
    ]


def engine(records: list[bytes]) -> Pbft:
    """A member at HEAD with this vote log."""
    head = Ready(HEAD, BlockHash(block(HEAD)), BlockHash(block(HEAD - 1)), OutcomeHash(block(HEAD)), HEAD, True, 1)
    return Pbft(
        Setting(
            me=VOTERS.members[0],
            voters=VOTERS,
            head=head,
            head_certificate=None,
            epoch_start=0,
            votes=tuple(records),
            disk_was_used=True,
        )
    )


def test_a_shortened_log_remembers_the_same() -> None:
    """What is kept restores the same view, certificate, newest vote and votes near the head, and is much shorter."""
    records = [encode(Opened(LEDGER))]
    records += [encode(record) for height in range(1, HEAD + 4) for record in votes_of(height)]
    whole = engine(records)
    kept = list(whole.remembered())
    assert len(kept) < 100
    short = engine(kept)
    assert short.status() == whole.status()
    assert short.status().reason == "recalling"
    assert short.remembered() == tuple(kept)
    for height in range(HEAD - 10, HEAD + 4):
        for record in votes_of(height):
            if isinstance(record, Voted):
                assert encode(record) in kept
    assert encode(votes_of(HEAD + 3)[1]) in kept


def test_the_newest_vote_stays_even_when_it_is_far_below_the_head() -> None:
    """A member that synced far ahead keeps its last vote: without it, a peer that shows it would look newer."""
    records = [encode(Opened(LEDGER)), *(encode(record) for record in votes_of(5))]
    assert encode(votes_of(5)[2]) in engine(records).remembered()
