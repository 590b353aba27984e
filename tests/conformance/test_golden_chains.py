"""Golden chains: every chain that a release recorded is replayed by this build, and goes on."""

from pathlib import Path

import pytest

from zizhu.chain.consensus.certificate import Strength, electorate, verify_certificate
from zizhu.chain.crypto.hashing import block_hash, genesis_contract_id
from zizhu.chain.ledger.branches import Executed
from zizhu.chain.ledger.genesis import verify_signed_genesis
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.ledger.records import BlockRecord, CommitRecord, decode_record
from zizhu.chain.ledger.validate import ParsedBlock
from zizhu.chain.model.block import block_codec
from zizhu.chain.node.events import Await, Final
from zizhu.framework.testkit.fakes.accounts import Asking, TestAccount, invoking
from zizhu.framework.testkit.golden import BLOCKS_MIN, BY_NAME, ENGINES, SUITES, council_of, main, read

FOLDERS = sorted(path for path in (Path(__file__).parents[1] / "golden").iterdir() if path.is_dir())
pytestmark = pytest.mark.golden
each_chain = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)


def test_there_is_a_chain_of_each_suite() -> None:
    """Small enough to be kept for ever, long enough to say something, with everything in it that can go wrong."""
    assert {read(folder).expected.suite for folder in FOLDERS} == set(BY_NAME)
    for folder in FOLDERS:
        assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
        features = read(folder).expected.features
        assert features["blocks"] >= BLOCKS_MIN
        assert min(features.values()) > 0


@pytest.mark.row("C-8")
@each_chain
def test_a_recorded_chain_replays_to_equal_roots(folder: Path) -> None:
    """When replayed by this build; Then every root equal: outcome hash of every height, receipts as recorded, every
    certificate and every client's signature good, the state root at the end."""
    chain = read(folder)
    suite = BY_NAME[chain.expected.suite]
    ledger = Ledger(chain.genesis, suite=suite, suites=SUITES, engines=ENGINES)
    verify_signed_genesis(suite, chain.genesis)
    voters = electorate(suite, ledger.ledger_id, chain.genesis.genesis.record)
    outcomes: list[str] = []
    blocks: dict[bytes, bytes] = {}
    for data in chain.blocks:
        record = decode_record(data)
        if isinstance(record, BlockRecord):
            block = block_codec.decode(record.block)
            blocks[block_hash(suite, block.header)] = record.block
            continue
        assert isinstance(record, CommitRecord)
        certificate = record.certificate
        block = block_codec.decode(blocks[certificate.block])
        hash_ = block_hash(suite, block.header)
        parsed = ledger.parse_block(block, hash_)
        assert isinstance(parsed, ParsedBlock)
        for item in parsed.items:
            assert SUITES[item.suite_code].accounts.verify(*item.signature)
        assert verify_certificate(certificate, voters) is Strength.BYZANTINE
        executed = ledger.execute(parsed, hash_)
        assert isinstance(executed, Executed)
        assert list(executed.receipts) == record.receipts, certificate.height
        outcomes.append(executed.outcome_hash.hex())
        assert outcomes[-1] == chain.expected.outcomes[certificate.height - 1], certificate.height
        ledger.commit(hash_)
    assert outcomes == chain.expected.outcomes
    outcome = ledger.head.outcome
    assert (outcome.root.hex(), outcome.root_height) == (chain.expected.root, chain.expected.root_height)


@pytest.mark.row("C-8")
@each_chain
def test_members_on_a_recorded_chain_go_on(folder: Path) -> None:
    """Then every root equal: the members boot from what was recorded, remember their votes, and make the next block
    of a new transaction."""
    chain = read(folder)
    council = council_of(chain).start()
    height = len(chain.expected.outcomes)
    assert all(seat.height >= height for seat in council.seats)
    suite = BY_NAME[chain.expected.suite]
    account = TestAccount(suite, 77)
    body = invoking(account, Asking(council.consortium.ledger, 1), genesis_contract_id(suite, "counter"), "add", [1])
    submission = account.sign(body)
    council.seats[2].submit(submission)
    council.gossip()
    for seat in council.seats:
        assert seat.height > height
        assert seat.machine.status().voting
        client = seat.ask(Await(council.id_of(seat, submission)))
        reply = seat.answers[client]
        assert isinstance(reply, Final) and reply.receipt.code == ""
    assert len({seat.machine.ledger.head.outcome_hash for seat in council.seats}) == 1


def test_a_recording_is_never_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was recorded under a name stays what it is: recording it again is refused, before any work."""
    (tmp_path / "v9-guomi").mkdir()
    assert main(["--record", "--out", str(tmp_path), "--name", "v9"]) == 1
    assert "never recorded again" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["v9-guomi"]
