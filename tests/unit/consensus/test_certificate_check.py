"""The one check of certificates: what it refuses, what it counts, and that nobody else counts signatures."""

import ast
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from zizhu.chain.consensus.certificate import Electorate, Strength, electorate, verify_certificate
from zizhu.chain.crypto.hashing import vote_message
from zizhu.chain.model import limits
from zizhu.chain.model.certificate import COMMIT, PREPARE, Certificate, SignedBy, VoteStatement, certificate_codec
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.framework.testkit.council import Council

SOURCES = Path(__file__).resolve().parents[3] / "src" / "zizhu"
COUNCIL = Council()
VOTERS = COUNCIL.consortium.voters
BLOCK = COUNCIL.block(COUNCIL.genesis.block, proposer=COUNCIL.seats[0].id)
GOOD = COUNCIL.certificate(BLOCK)


def _refused(certificate: Certificate, voters: Electorate = VOTERS, **terms: int) -> str:
    with pytest.raises(SpokeWrongly) as caught:
        verify_certificate(certificate, voters, **terms)  # type: ignore[arg-type]
    assert caught.value.code.code == "certificate.invalid"
    return str(caught.value)


def _with(signatures: list[SignedBy]) -> Certificate:
    return msgspec.structs.replace(GOOD, signatures=signatures)


def _signed(index: int, **changes: object) -> SignedBy:
    """Member `index`'s own good signature over a statement that differs from the certificate's in `changes`."""
    said = msgspec.structs.replace(COUNCIL.statement(BLOCK, phase=COMMIT), **changes)
    member = GOOD.signatures[index].member
    return SignedBy(member, COUNCIL.consortium.sign(member, vote_message(VOTERS.suite, said)))  # type: ignore[arg-type]


def test_a_quorum_of_distinct_members_certifies() -> None:
    """Any three of four and all four, with the strength of the engine."""
    assert verify_certificate(GOOD, VOTERS) is Strength.BYZANTINE
    for left_out in range(4):
        some = [signed for index, signed in enumerate(GOOD.signatures) if index != left_out]
        assert verify_certificate(_with(some), VOTERS) is Strength.BYZANTINE


STRANGER = COUNCIL.consortium.suite.hash(b"member", b"nobody")
LIES: dict[str, Callable[[], list[SignedBy]]] = {
    "too few": lambda: GOOD.signatures[:2],
    "none": list,
    "the same signer twice": lambda: [GOOD.signatures[0], GOOD.signatures[0], *GOOD.signatures[1:3]],
    "one signer three times": lambda: [GOOD.signatures[0]] * 3,
    "not in ascending order": lambda: GOOD.signatures[::-1],
    "two signatures swapped": lambda: [
        SignedBy(GOOD.signatures[0].member, GOOD.signatures[1].signature),
        SignedBy(GOOD.signatures[1].member, GOOD.signatures[0].signature),
        *GOOD.signatures[2:],
    ],
    "one good signature under every name": lambda: [
        SignedBy(each.member, GOOD.signatures[0].signature) for each in GOOD.signatures
    ],
    "a signer who is no member": lambda: sorted(
        [*GOOD.signatures[:2], SignedBy(STRANGER, GOOD.signatures[2].signature)], key=lambda each: each.member
    ),
    "an empty signature": lambda: [*GOOD.signatures[:2], SignedBy(GOOD.signatures[2].member, bytes(64))],
    "over another height": lambda: [*GOOD.signatures[:2], _signed(2, height=2)],
    "over another ledger": lambda: [*GOOD.signatures[:2], _signed(2, ledger=bytes(32))],
    "over another phase": lambda: [*GOOD.signatures[:2], _signed(2, phase=PREPARE)],
    "over another view": lambda: [*GOOD.signatures[:2], _signed(2, view=1)],
    "over another epoch": lambda: [*GOOD.signatures[:2], _signed(2, epoch=1)],
    "over another block": lambda: [*GOOD.signatures[:2], _signed(2, block=bytes(32))],
    "over another outcome": lambda: [*GOOD.signatures[:2], _signed(2, outcome=bytes(32))],
}


@pytest.mark.row("A-21")
@pytest.mark.parametrize("lie", LIES)
def test_a_certificate_that_is_none_is_refused(lie: str) -> None:
    """Then invalid; 2f+1 counts distinct members of the set **at that height**."""
    _refused(_with(LIES[lie]()))


@pytest.mark.row("A-21")
@pytest.mark.parametrize("lie", LIES)
def test_votes_known_before_save_nobody(lie: str) -> None:
    """Then invalid: a signature known as good is good for its own member only."""
    signatures = LIES[lie]()
    with pytest.raises(SpokeWrongly):
        verify_certificate(_with(signatures), VOTERS, known=GOOD.signatures)


@pytest.mark.parametrize(
    "field", ["epoch", "view", "height", "block", "outcome", "phase"], ids=lambda field: f"another {field}"
)
def test_signatures_cover_every_field(field: str) -> None:
    """A certificate whose field was changed after signing does not hold, for whatever phase it is asked."""
    old = getattr(GOOD, field)
    new = bytes(32) if isinstance(old, bytes) else PREPARE if field == "phase" else old + 1
    changed = msgspec.structs.replace(GOOD, **{field: new})
    _refused(changed)
    _refused(changed, phase=PREPARE)


@pytest.mark.row("A-21")
def test_a_prepared_certificate_is_no_commit_certificate() -> None:
    """Then invalid: right signatures over another phase."""
    prepared = COUNCIL.certificate(BLOCK, phase=PREPARE)
    assert verify_certificate(prepared, VOTERS, phase=PREPARE) is Strength.BYZANTINE
    _refused(prepared)


@pytest.mark.row("A-21")
def test_members_of_another_set_count_for_nothing() -> None:
    """Then invalid: 2f+1 counts distinct members of the set at that height, not of a former or later one."""
    later = msgspec.structs.replace(VOTERS.record, members=VOTERS.record.members[2:] + VOTERS.record.members[:1])
    _refused(GOOD, electorate(VOTERS.suite, VOTERS.ledger, later))
    next_epoch = msgspec.structs.replace(VOTERS.record, number=1)
    _refused(GOOD, electorate(VOTERS.suite, VOTERS.ledger, next_epoch))


@pytest.mark.row("A-22")
def test_time_and_quorum_come_from_the_same_signatures() -> None:
    """Then time, evidence and quorum are computed from the same validated set: a certificate has no field that its
    signatures do not cover, and votes beyond the quorum are checked like the others."""
    covered = {name for name in Certificate.__struct_fields__ if name not in ("version", "signatures")}
    assert covered | {"ledger"} == set(VoteStatement.__struct_fields__)
    bad_fourth = [*GOOD.signatures[:3], SignedBy(GOOD.signatures[3].member, bytes(64))]
    _refused(_with(bad_fourth))


@pytest.mark.row("A-20")
@pytest.mark.parametrize("index", [-1, 4, 2**31])
def test_a_signer_is_no_index(index: int) -> None:
    """Then rejected; signer looked up by key, not by index."""
    plain = msgspec.msgpack.decode(encode(GOOD))
    plain[-1][0][0] = index
    with pytest.raises(SpokeWrongly):
        certificate_codec.decode(msgspec.msgpack.encode(plain))
    named = index.to_bytes(32, "big", signed=True)
    _refused(_with(sorted([*GOOD.signatures[:3], SignedBy(named, bytes(64))], key=lambda each: each.member)))


def test_what_a_solo_member_signs_is_single() -> None:
    """Strength `single` satisfies no channel and no bridge, and is never mistaken for more."""
    from zizhu.framework.testkit.consortium import found

    solo = found(1, engine="solo")
    said = VoteStatement(solo.ledger, 0, 0, COMMIT, 1, bytes(32), bytes(32))
    signature = solo.sign(solo.members[0], vote_message(solo.suite, said))
    made = Certificate(1, COMMIT, 0, 0, 1, bytes(32), bytes(32), [SignedBy(solo.members[0], signature)])
    assert verify_certificate(made, solo.voters) is Strength.SINGLE


def test_as_many_signers_as_there_may_be_members() -> None:
    """The largest certificate fits its codec, and one more signature does not decode."""
    signatures = [SignedBy(number.to_bytes(32, "big"), bytes(64)) for number in range(limits.MEMBERS_MAX)]
    most = _with(signatures)
    assert certificate_codec.decode(encode(most)) == most
    with pytest.raises(SpokeWrongly):
        certificate_codec.decode(encode(_with([*signatures, SignedBy(b"\xff" * 32, bytes(64))])))


# -- one function, all callers -------------------------------------------------------------------------------------


def _calls(tree: ast.AST) -> list[str]:
    """Names of everything called in a module, the last part of each."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            names.append(function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", ""))
    return names


def _modules() -> list[tuple[str, ast.AST]]:
    """Every module of the product, with its tree; the test kit checks by itself, on purpose."""
    found = []
    for path in sorted(SOURCES.rglob("*.py")):
        name = path.relative_to(SOURCES).as_posix()
        if not name.startswith("framework/testkit/"):
            found.append((name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


LOOKS_AT_SIGNATURES = {
    "chain/consensus/certificate.py": "the one check",
    "chain/consensus/pbft/votes.py": "writes the signatures of a certificate it makes, and names its signers",
    "chain/consensus/pbft/proposals.py": "names signers as sources of a body",
    "chain/consensus/pbft/view_change.py": "names signers as sources of a body",
    "chain/consensus/pbft/memory.py": "keeps the newest vote of each signer, for members that ask",
    "chain/consensus/raft/endorsing.py": "keeps each signer's newest endorsement, for members that ask",
    "chain/consensus/raft/state.py": "this member's own endorsements, which are no certificate's",
    "chain/consensus/raft/election.py": "the same",
    "chain/consensus/raft/following.py": "the same",
    "chain/node/api/reading.py": "shows the names of the signers",
    "chain/ledger/genesis.py": "the consents to a genesis, by all members, before there is a chain",
}


@pytest.mark.row("A-24")
def test_one_function_checks_certificates_for_all_callers() -> None:
    """Then each runs the **same** `verify_certificate` as live consensus (test asserts call graph: one function, all
    callers): live votes, view changes, sync and offline proofs call it, it is defined once, and no other module looks
    into the signatures of a certificate or computes how many are needed."""
    callers, definitions, lookers, counters = set(), [], set(), set()
    for name, tree in _modules():
        called = _calls(tree)
        if "verify_certificate" in called:
            callers.add(name)
        definitions += [
            name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "verify_certificate"
        ]
        if any(isinstance(node, ast.Attribute) and node.attr == "signatures" for node in ast.walk(tree)):
            lookers.add(name)
        if "quorum" in called:
            counters.add(name)
    assert definitions == ["chain/consensus/certificate.py"]
    assert callers >= {
        "chain/consensus/pbft/votes.py",
        "chain/consensus/pbft/view_change.py",
        "chain/consensus/raft/endorsing.py",
        "chain/node/serving.py",
        "chain/crosschain/proofs.py",
    }
    assert {name for name in lookers if name.startswith("chain/")} <= set(LOOKS_AT_SIGNATURES)
    # The terminal says how many members are missing; it looks at no signature.
    assert counters - {"cli/status.py"} == {"chain/consensus/certificate.py"}
