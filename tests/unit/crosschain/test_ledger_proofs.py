"""The proof that leaves a ledger: believed for its trust anchor alone, and bound to its last byte."""

from collections.abc import Callable

import msgspec
import pytest

from zizhu.chain.consensus.certificate import Strength
from zizhu.chain.crosschain.proofs import LedgerProof, ProvenEntry, build_ledger_proof, proof_codec, verify_ledger_proof
from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.hashing import (
    block_hash,
    genesis_consent_message,
    ledger_id,
    member_id,
    outcome_hash,
    record_hash,
    transaction_id,
    vote_message,
)
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.merkle import merkle_root
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.outcomes import events_root, receipts_root
from zizhu.chain.ledger.proofs import (
    Entry,
    event_entry,
    receipt_entry,
    state_entry,
    transaction_entry,
)
from zizhu.chain.ledger.tree import StateTree
from zizhu.chain.model.block import BlockHeader, Outcome
from zizhu.chain.model.certificate import COMMIT, PREPARE, Certificate, SignedBy, VoteStatement
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import EpochRecord, Member, Parameters
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.genesis import Genesis, SignedGenesis
from zizhu.chain.model.ids import ZERO_HASH, Height, LedgerId
from zizhu.chain.model.receipt import SUCCEEDED, Event, Receipt
from zizhu.chain.model.transaction import INVOKE, TransactionBody
from zizhu.framework.testkit.fakes.suite import suite as counterfeit

HEIGHT = 20
TIME_MS = 1_700_000_000_000
STATE = {b"key %d" % number: b"value %d" % number for number in range(100)}
SUITES = {counterfeit.name: counterfeit, guomi.name: guomi, international.name: international}
replace = msgspec.structs.replace


class Consortium:
    """A ledger of `count` members with one block at a root height, and every proof that can be made from it."""

    def __init__(self, seed: str = "ours", *, engine: str = "pbft", suite: Suite = counterfeit) -> None:
        self.suite = suite
        secrets = [suite.digest(f"{seed} {number}".encode()) for number in range(4)]
        self.secrets = {member_id(suite, suite.members.public_key(secret)): secret for secret in secrets}
        members = [
            Member(f"node{number}", f"org{number}", suite.members.public_key(secret), suite.digest(secret))
            for number, secret in enumerate(secrets, 1)
        ]
        self.record = EpochRecord(1, 0, engine, suite.name, members, Parameters())
        self.genesis = Genesis(1, f"ledger of {seed}", 1, self.record, [], [])
        self.id = ledger_id(suite, self.genesis)
        self.signed = SignedGenesis(self.genesis, self.signatures(genesis_consent_message(suite, self.id), 4))
        body = encode(TransactionBody(1, INVOKE, self.id, bytes(20), 1, 99, 1000, b"payload"))
        ids = [transaction_id(suite, body)] * 3
        receipts = [
            Receipt(1, ids[0], HEIGHT, n, SUCCEEDED, "", 7, b"", [Event(bytes(20), "e", b"")]) for n in range(3)
        ]
        tree = StateTree.build(suite.hash, STATE.items())
        self.header = BlockHeader(
            version=1,
            ledger=self.id,
            epoch=0,
            epoch_record=record_hash(suite, self.record),
            height=HEIGHT,
            parent=ZERO_HASH,
            parent_outcome=ZERO_HASH,
            time_ms=TIME_MS,
            proposer=ZERO_HASH,
            count=3,
            transaction_root=merkle_root(suite.hash, ids),
            witness_root=ZERO_HASH,
        )
        self.outcome = Outcome(
            1, HEIGHT, tree.root, ZERO_HASH, receipts_root(suite, receipts), events_root(suite, receipts), ZERO_HASH
        )
        self.entries: dict[str, Entry] = {
            "transaction": transaction_entry(suite, ids=ids, index=1, body=body),
            "receipt": receipt_entry(suite, receipts, 1),
            "event": event_entry(suite, receipts, transaction=ids[0], index=0),
            "value": state_entry(tree, key=b"key 3", value=b"value 3"),
            "absence": state_entry(tree, key=b"absent", value=None),
        }

    def signatures(self, message: bytes, count: int) -> list[SignedBy]:
        """Those of the first `count` members, in ascending order of id."""
        ids = sorted(self.secrets)[:count]
        return [SignedBy(identity, self.suite.members.sign(self.secrets[identity], message)) for identity in ids]

    def certificate(self, header: BlockHeader, outcome: Outcome, *, count: int = 3, phase: int = COMMIT) -> Certificate:
        """Signed by `count` members over this header and outcome, whatever they say."""
        what = (header.height, block_hash(self.suite, header), outcome_hash(self.suite, outcome))
        statement = VoteStatement(self.id, 0, 0, phase, *what)
        return Certificate(1, phase, 0, 0, *what, self.signatures(vote_message(self.suite, statement), count))

    def proof(self, entry: str = "value") -> LedgerProof:
        """A true proof of one entry."""
        certificate = self.certificate(self.header, self.outcome)
        return LedgerProof(1, self.signed, self.header, self.outcome, certificate, self.entries[entry])

    def certified(self, *, header: BlockHeader | None = None, outcome: Outcome | None = None) -> LedgerProof:
        """A proof whose header or outcome is another one, certified by the members all the same."""
        header, outcome = header or self.header, outcome or self.outcome
        return replace(self.proof(), header=header, outcome=outcome, certificate=self.certificate(header, outcome))


OURS = Consortium()


def verify(data: bytes, *, trust: LedgerId = OURS.id, strength: Strength = Strength.BYZANTINE) -> ProvenEntry:
    """`verify_ledger_proof` as a user of the trusted ledger calls it."""
    return verify_ledger_proof(data, trust=trust, suites=SUITES, strength=strength)


def refusal(proof: LedgerProof | bytes, *, trust: LedgerId = OURS.id) -> object:
    """The check that refuses the proof."""
    with pytest.raises(SpokeWrongly) as error:
        verify(proof if isinstance(proof, bytes) else encode(proof), trust=trust)
    assert error.value.code.code in {"proof.invalid", "proof.other_ledger"}
    assert error.value.cause("zh") != error.value.cause("en")
    return error.value.values["check"]


@pytest.mark.parametrize("kind", sorted(OURS.entries))
def test_a_true_proof_shows_its_entry(kind: str) -> None:
    """A proof of each kind of entry is believed, and says of which ledger, height, time and strength it is."""
    proof = OURS.proof(kind)
    data = build_ledger_proof(
        proof.genesis,
        header=proof.header,
        outcome=proof.outcome,
        certificate=proof.certificate,
        entry=proof.entry,
    )
    shown = verify(data)
    expected = (OURS.id, "ledger of ours", Height(HEIGHT), TIME_MS, Strength.BYZANTINE, OURS.entries[kind])
    assert shown == ProvenEntry(*expected)


@pytest.mark.parametrize("suite", [guomi, international], ids=["guomi", "international"])
def test_a_true_proof_holds_under_every_real_suite(suite: Suite) -> None:
    """Under the suites that ledgers use, a proof is believed with its signatures and refused without one of them."""
    theirs = Consortium("real", suite=suite)
    proof = theirs.proof()
    assert verify(encode(proof), trust=theirs.id).entry == theirs.entries["value"]
    signed = proof.certificate.signatures
    forged = [SignedBy(signed[0].member, signed[1].signature), *signed[1:]]
    assert refusal(replace(proof, certificate=replace(proof.certificate, signatures=forged)), trust=theirs.id) == (
        "certificate"
    )


@pytest.mark.parametrize("kind", sorted(OURS.entries))
def test_every_byte_of_the_file_is_bound(kind: str) -> None:
    """Every single byte of a proof changed: refused, and the check that failed is named."""
    data = encode(OURS.proof(kind))
    named = set()
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ (1 + at % 255)]) + data[at + 1 :]
        named.add(refusal(changed))
    assert {"encoding", "ledger", "genesis", "header", "certificate-subject", "certificate"} <= named
    for cut in (b"", data[:-1], data + b"\x00", data[1:]):
        assert refusal(cut) == "encoding"


def test_another_ledgers_perfect_proof_is_of_another_ledger() -> None:
    """A perfect proof of the same entry from a second network of one's own is "other ledger", not a weaker yes."""
    theirs = Consortium("theirs")
    data = encode(theirs.proof())
    assert verify(data, trust=theirs.id).ledger_name == "ledger of theirs"
    with pytest.raises(SpokeWrongly) as error:
        verify(data)
    assert error.value.code.code == "proof.other_ledger"
    assert error.value.values["check"] == "ledger"
    assert "other ledger" in error.value.cause()
    assert OURS.id.hex() in error.value.cause("zh")


def test_the_trust_anchor_is_checked_before_any_signature() -> None:
    """A forged proof of another ledger is refused as that: nothing else of it is looked at."""
    theirs = Consortium("theirs")
    forged = replace(theirs.proof(), genesis=SignedGenesis(theirs.genesis, [SignedBy(ZERO_HASH, bytes(64))]))
    assert refusal(forged) == "ledger"


def test_a_foreign_block_under_our_genesis_is_refused() -> None:
    """Their certified block with our genesis in front of it, or with our ledger's id in its header: refused."""
    theirs = Consortium("theirs")
    assert refusal(replace(theirs.proof(), genesis=OURS.signed)) == "header"
    renamed = replace(theirs.header, ledger=OURS.id, epoch_record=OURS.header.epoch_record)
    assert refusal(replace(theirs.certified(header=renamed), genesis=OURS.signed)) == "certificate"


def test_an_unknown_suite_is_said() -> None:
    """A genesis of a suite that is not installed is refused by that name, not by a wrong hash."""
    record = replace(OURS.record, suite="unheard-of")
    genesis = SignedGenesis(replace(OURS.genesis, record=record), OURS.signed.signatures)
    assert refusal(replace(OURS.proof(), genesis=genesis)) == "suite"


def test_a_genesis_that_may_open_no_ledger_is_refused() -> None:
    """A genesis, trusted or not, in which two members have one voting key is no electorate."""
    record = replace(OURS.record, members=[*OURS.record.members, OURS.record.members[0]])
    genesis = replace(OURS.genesis, record=record)
    proof = replace(OURS.proof(), genesis=SignedGenesis(genesis, OURS.signed.signatures))
    assert refusal(proof, trust=ledger_id(counterfeit, genesis)) == "genesis"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda signatures: signatures[:3],
        lambda signatures: [*signatures[:3], signatures[0]],
        lambda signatures: [*signatures, signatures[0]],
        lambda signatures: [*signatures[:3], SignedBy(ZERO_HASH, signatures[3].signature)],
        lambda signatures: [*signatures[:3], SignedBy(signatures[3].member, bytes(64))],
        lambda signatures: [*signatures[:3], SignedBy(signatures[3].member, signatures[0].signature)],
    ],
    ids=["missing", "twice", "extra", "stranger", "wrong", "of another"],
)
def test_all_members_signed_the_genesis(spoil: Callable[[list[SignedBy]], list[SignedBy]]) -> None:
    """One good signature of each member, no fewer, no others."""
    signed = SignedGenesis(OURS.genesis, spoil(OURS.signed.signatures))
    assert refusal(replace(OURS.proof(), genesis=signed)) == "genesis"


def test_later_epochs_are_refused_by_name() -> None:
    """A header or certificate of a later epoch is refused at `epoch` until epoch records can be proven."""
    assert refusal(OURS.certified(header=replace(OURS.header, epoch=1))) == "epoch"
    assert refusal(replace(OURS.proof(), certificate=replace(OURS.proof().certificate, epoch=1))) == "epoch"


def test_a_header_of_another_ledger_or_record_is_refused() -> None:
    """A certified header that names another ledger or another epoch record is refused at `header`."""
    assert refusal(OURS.certified(header=replace(OURS.header, ledger=ZERO_HASH))) == "header"
    assert refusal(OURS.certified(header=replace(OURS.header, epoch_record=ZERO_HASH))) == "header"


def test_the_certificate_is_about_this_header_and_outcome() -> None:
    """A true certificate of another height, block or outcome proves nothing here."""
    true = OURS.proof()
    for proof in (
        replace(true, certificate=replace(true.certificate, height=HEIGHT + 1)),
        replace(true, header=replace(true.header, time_ms=TIME_MS + 1)),
        replace(true, outcome=replace(true.outcome, root=ZERO_HASH)),
    ):
        assert refusal(proof) == "certificate-subject"


@pytest.mark.row("A-21")
def test_only_q_distinct_members_certify() -> None:
    """Duplicate signers, swapped signatures, a signer not in the set, the wrong phase, too few: invalid."""
    true = OURS.proof()
    signed = true.certificate.signatures
    stranger = max(Consortium("theirs").secrets)
    spoiled = [
        signed[:2],
        [signed[0], signed[1], signed[1]],
        [signed[1], signed[0], signed[2]],
        [SignedBy(signed[0].member, signed[1].signature), SignedBy(signed[1].member, signed[0].signature), signed[2]],
        sorted([*signed, SignedBy(stranger, bytes(64))], key=lambda one: one.member),
    ]
    for signatures in spoiled:
        assert refusal(replace(true, certificate=replace(true.certificate, signatures=signatures))) == "certificate"
    prepared = OURS.certificate(OURS.header, OURS.outcome, phase=PREPARE)
    assert refusal(replace(true, certificate=prepared)) == "certificate"
    other_view = replace(true.certificate, view=1)
    assert refusal(replace(true, certificate=other_view)) == "certificate"


def test_more_signatures_than_the_quorum_are_welcome() -> None:
    """A certificate of all four members proves what one of three does."""
    full = OURS.certificate(OURS.header, OURS.outcome, count=4)
    assert verify(encode(replace(OURS.proof(), certificate=full))).height == HEIGHT


@pytest.mark.parametrize(("engine", "found"), [("solo", Strength.SINGLE), ("raft", Strength.CRASH)])
def test_strength_is_demanded_and_shown(engine: str, found: Strength) -> None:
    """A weaker ledger's proof passes only who demands no more, and says what it is."""
    weaker = Consortium("weaker", engine=engine)
    data = encode(weaker.proof())
    assert refusal(data, trust=weaker.id) == "strength"
    assert verify(data, trust=weaker.id, strength=found).strength is found
    assert verify(encode(OURS.proof()), strength=found).strength is Strength.BYZANTINE


def test_state_is_proven_at_root_heights_only() -> None:
    """A certified block whose outcome names an earlier root proves no state."""
    assert refusal(OURS.certified(outcome=replace(OURS.outcome, root_height=HEIGHT - 1))) == "state-height"


def test_the_file_has_a_longest_length() -> None:
    """A file longer than any proof is refused before it is decoded."""
    assert refusal(bytes(proof_codec.bytes_max + 1)) == "encoding"
