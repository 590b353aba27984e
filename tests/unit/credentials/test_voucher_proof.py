"""The offline proof of a voucher: yes for the very file on the trusted ledger, and no, with the check, otherwise."""

import io
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from zizhu.chain.consensus.certificate import Strength
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.ledger.genesis import encode_genesis
from zizhu.chain.ledger.keys import account_key, data_key
from zizhu.chain.ledger.proofs import receipt_entry
from zizhu.components.evidence.record import record_key
from zizhu.framework.sdk.proofs import Trust, trust_of_genesis, trust_of_id
from zizhu.scenarios.credentials.answers import Answer, Verdict, explanation, headline
from zizhu.scenarios.credentials.proof import verify_file

if TYPE_CHECKING:
    from .conftest import MakeTown, Town

FILE = "发票 №1\n金额:¥1,024.00\n".encode() * 40


def verified(data: bytes, proof: bytes, trust: Trust) -> Answer:
    """The answer for a file of these bytes."""
    return verify_file(io.BytesIO(data), proof, trust)


def trust_in(town: "Town") -> Trust:
    """Trust from the genesis file alone."""
    return trust_of_genesis(encode_genesis(town.consortium.genesis))


def test_the_file_and_its_proof_are_a_yes(each_town: "Town") -> None:
    """Yes, authentic, as of the height and time of the proof, for every type; no node is asked."""
    for number, type_ in enumerate(each_town.custodians[0].reader.types()):
        data = FILE + bytes([number])
        record = each_town.record(data, type_=type_)
        answer = verified(data, each_town.proof(record.index), trust_in(each_town))
        assert (answer.verdict, answer.check, answer.record) == (Verdict.AUTHENTIC, "", record)
        assert (answer.height, answer.time_ms) == (each_town.backends[0].visible_height, each_town.consortium.time_ms)
        assert (answer.ledger, answer.strength) == (each_town.consortium.ledger_id.hex(), "byzantine")
        said = "\n".join(explanation(answer, "en"))
        assert f"as of height {answer.height}" in said and "visible online only" in said


def test_trust_by_ledger_id_is_as_good_as_the_genesis(town: "Town") -> None:
    """The id that somebody was told suffices; spaces around it do no harm."""
    proof = town.proof(town.record(FILE).index)
    assert verified(FILE, proof, trust_of_id(f" {town.consortium.ledger_id.hex()} ")).is_yes


@pytest.mark.slow
def test_every_single_byte_of_a_proof_counts(each_town: "Town") -> None:
    """Each byte of a proof, changed, makes it a no that names the check."""
    proof = each_town.proof(each_town.record(FILE).index)
    trust = trust_in(each_town)
    generator = random.Random(1)
    checks: Counter[str] = Counter()
    for at in range(len(proof)):
        changed = bytearray(proof)
        changed[at] ^= generator.randrange(1, 256)
        answer = verified(FILE, bytes(changed), trust)
        assert not answer.is_yes and answer.check, f"byte {at}"
        checks[answer.check] += 1
    assert {"encoding", "ledger", "genesis", "certificate-subject", "certificate", "state-root"} <= set(checks)


def test_a_shorter_or_longer_proof_is_refused(town: "Town") -> None:
    """Nothing may be cut off or put behind."""
    proof = town.proof(town.record(FILE).index)
    for cut in (0, 1, len(proof) // 2, len(proof) - 1):
        assert verified(FILE, proof[:cut], trust_in(town)).check == "encoding"
    assert verified(FILE, proof + b"\x00", trust_in(town)).check == "encoding"


@pytest.mark.slow
def test_a_thousand_random_bytes_of_a_file_count(each_town: "Town") -> None:
    """Each byte of the file, changed, is "no: altered", naming file-digest."""
    proof = each_town.proof(each_town.record(FILE).index)
    trust = trust_in(each_town)
    generator = random.Random(2)
    for _ in range(1_000 if each_town.suite is international else 100):
        changed = bytearray(FILE)
        changed[generator.randrange(len(FILE))] ^= generator.randrange(1, 256)
        answer = verified(bytes(changed), proof, trust)
        assert (answer.verdict, answer.check) == (Verdict.ALTERED, "file-digest")
        assert headline(answer, "en") == "no: altered"


def test_a_perfect_proof_of_another_network_is_refused(each_town: "Town", make_town: "MakeTown") -> None:
    """The same file, registered on a network of somebody's own: "no: other ledger"."""
    own = make_town(each_town.suite, name="own")
    proof = own.proof(own.record(FILE).index)
    assert verified(FILE, proof, trust_in(own)).is_yes
    answer = verified(FILE, proof, trust_in(each_town))
    assert (answer.verdict, answer.check) == (Verdict.OTHER_LEDGER, "ledger")
    assert headline(answer, "en") == "no: other ledger" and headline(answer, "zh") == "否:其他账本"


def test_a_revoked_voucher_is_authentic_revoked(town: "Town") -> None:
    """Yes, with the reason and time of the revocation; a proof from before cannot know, and says so."""
    index = town.record(FILE).index
    before = town.proof(index)
    town.run(town.custodians[0].revoke(index, "金额有误"))
    after = verified(FILE, town.proof(index), trust_in(town))
    assert after.verdict is Verdict.REVOKED and after.is_yes
    assert any("金额有误" in line for line in explanation(after, "zh"))
    early = verified(FILE, before, trust_in(town))
    assert early.verdict is Verdict.AUTHENTIC
    assert "a later revocation or replacement is visible online only" in explanation(early, "en")


def test_a_replaced_file_is_a_no_with_its_time(town: "Town") -> None:
    """The old file verifies as replaced at the block time of the replacement; the new one is authentic."""
    index = town.record(FILE).index
    town.replace(index, b"new")
    replaced_ms = town.consortium.time_ms
    proof = town.proof(index)
    old = verified(FILE, proof, trust_in(town))
    assert (old.verdict, old.replaced_ms, old.is_yes) == (Verdict.REPLACED, replaced_ms, False)
    assert verified(b"new", proof, trust_in(town)).is_yes


def test_a_solo_ledger_says_that_one_signed(make_town: "MakeTown") -> None:
    """The genesis of a developer's ledger demands no more than it can give; who demands byzantine gets a no."""
    solo = make_town(members=1)
    proof = solo.proof(solo.record(FILE).index)
    answer = verified(FILE, proof, trust_in(solo))
    assert answer.is_yes and answer.strength == "single"
    strict = verified(FILE, proof, Trust(solo.consortium.ledger_id, Strength.BYZANTINE))
    assert (strict.verdict, strict.check) == (Verdict.BAD_PROOF, "strength")


def test_true_proofs_of_other_things_are_no_proofs_of_vouchers(town: "Town") -> None:
    """Another key of the contract, another contract, an account, an absent voucher, a receipt: each names its check."""
    index = town.record(FILE).index
    trust = trust_in(town)
    other = b"\x07" * 20
    assert verified(FILE, town.proof_of(record_key(other, index)), trust).check == "voucher-key"
    assert verified(FILE, town.proof_of(account_key(town.accounts[0].id)), trust).check == "voucher-key"
    assert verified(FILE, town.proof_of(data_key(town.contract, b"n")), trust).check == "voucher-key"
    assert verified(FILE, town.proof_of(data_key(town.contract, b"v")), trust).check == "voucher-key"
    assert verified(FILE, town.proof_of(record_key(town.contract, index + 1)), trust).check == "voucher-absent"
    town.record(b"something else")
    commit = town.backends[0].archive.commit(town.backends[0].visible_height)
    assert commit is not None
    receipt = town.proof_with(receipt_entry(town.suite, commit.receipts, 0))
    assert verified(FILE, receipt, trust).check == "voucher-entry"


def test_a_proof_tells_nothing_of_other_vouchers(town: "Town") -> None:
    """S1.7: the proof of one voucher holds no digest, holder or transaction of another one."""
    records = [town.record(b"document %d" % number, at=number % 4) for number in range(12)]
    proof = town.proof(records[0].index)
    for record in records[1:]:
        assert record.digest not in proof and record.transaction not in proof and record.salt not in proof
    assert records[1].issuer not in proof


def test_no_bytes_make_the_verifier_crash(town: "Town") -> None:
    """Junk, cut and spliced proofs, MessagePack of all shapes: always a no with a check, never an exception."""
    proof = town.proof(town.record(FILE).index)
    trust = trust_in(town)
    generator = random.Random(3)
    for _ in range(300):
        junk = bytearray(generator.choice([b"", proof, proof[: generator.randrange(len(proof))], b"\x96" * 64]))
        for _ in range(generator.randrange(1, 30)):
            at = generator.randrange(len(junk) + 1)
            junk[at : at + generator.randrange(4)] = generator.randbytes(generator.randrange(5))
        if bytes(junk) != proof:
            answer = verified(FILE, bytes(junk), trust)
            assert not answer.is_yes and answer.check
