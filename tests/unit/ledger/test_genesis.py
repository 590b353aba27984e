"""The genesis: what may open a ledger, and everybody's signature under it."""

from collections.abc import Callable

import msgspec
import pytest

from zizhu.chain.ledger.genesis import (
    Founding,
    build_genesis,
    encode_genesis,
    genesis_engines,
    parse_genesis,
    verify_signed_genesis,
)
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.model.certificate import SignedBy
from zizhu.chain.model.epoch import Member, Parameters
from zizhu.chain.model.errors import AskedWrongly, SpokeWrongly
from zizhu.chain.model.genesis import GenesisContract, Rule, SignedGenesis
from zizhu.framework.testkit.fakes import engine as native
from zizhu.framework.testkit.fakes.ledger import ENGINES, MEMBERS, START_MS, SUITES, genesis, new_ledger, signed
from zizhu.framework.testkit.fakes.suite import suite


def founding(**changes: object) -> Founding:
    """A sound founding with fields changed."""
    fields: dict[str, object] = {
        "name": "test", "time_ms": START_MS, "engine": "pbft", "suite": suite.name, "members": MEMBERS,
    }  # fmt: skip
    return Founding(**(fields | changes))  # type: ignore[arg-type]


def test_the_file_is_read_back_and_holds() -> None:
    """What four members signed verifies to the ledger id."""
    made = genesis()
    read = parse_genesis(encode_genesis(made))
    assert read == made and verify_signed_genesis(suite, read) == new_ledger(read).ledger_id
    assert genesis_engines(read.genesis, {}) == [native.NAME] and genesis_engines(read.genesis, ENGINES) == []


def test_another_name_is_another_ledger() -> None:
    """The id is the hash of all of it."""
    assert new_ledger(genesis(name="a")).ledger_id != new_ledger(genesis(name="b")).ledger_id


def joined(name: str, vote_key: bytes = b"\x02" * 33, tls_pin: bytes = bytes(32)) -> tuple[Member, ...]:
    """The four members and a fifth."""
    return (*MEMBERS, Member(name, "org", vote_key, tls_pin))


BANK = GenesisContract("bank", native.NAME, native.SOURCE, b"\x90")
UNSOUND: list[tuple[str, dict[str, object], str]] = [
    ("three members", {"members": MEMBERS[:3]}, "genesis.too_few_members"),
    ("no such suite", {"suite": "guomi"}, "genesis.suite"),
    ("a name twice", {"members": joined(MEMBERS[0].name)}, "genesis.twice"),
    ("a key twice", {"members": joined("x", vote_key=MEMBERS[0].vote_key)}, "genesis.twice"),
    ("a TLS key twice", {"members": joined("x", tls_pin=MEMBERS[0].tls_pin)}, "genesis.twice"),
    ("a key of another suite", {"members": joined("x", vote_key=bytes(32))}, "genesis.member"),
    ("no name", {"members": joined("")}, "genesis.member"),
    ("a name too long in bytes", {"members": joined("成" * 22)}, "genesis.member"),
    ("a contract twice", {"contracts": (BANK, BANK)}, "genesis.twice"),
    ("a rule twice", {"rules": (Rule("a", "ALL"), Rule("a", "ANY"))}, "genesis.twice"),
    ("a batch above the block", {"parameters": Parameters(block_transactions_max=10)}, "genesis.parameters"),
    ("a time-out above its cap", {"parameters": Parameters(view_timeout_ms=9000)}, "genesis.parameters"),
]


@pytest.mark.parametrize(("changes", "code"), [case[1:] for case in UNSOUND], ids=[case[0] for case in UNSOUND])
def test_an_unsound_founding_is_refused(changes: dict[str, object], code: str) -> None:
    """Each contradiction has its code, before anybody signs."""
    with pytest.raises(AskedWrongly) as refused:
        build_genesis(suite, founding(**changes))
    assert refused.value.code.code == code and refused.value.cause("zh") and refused.value.fix()


def test_solo_needs_one_member_only() -> None:
    """A developer's machine may stand alone, and says so by its engine."""
    made = signed(founding(engine="solo", members=MEMBERS[:1]))
    assert verify_signed_genesis(suite, made)


def _with(entry: SignedBy, other: SignedBy) -> SignedBy:
    return SignedBy(entry.member, other.signature)


FORGED: list[tuple[str, Callable[[list[SignedBy]], list[SignedBy]], str]] = [
    ("one missing", lambda all_: all_[:3], "genesis.unsigned"),
    ("one twice", lambda all_: [*all_, all_[0]], "genesis.signature"),
    ("one wrong", lambda all_: [*all_[:3], SignedBy(all_[3].member, bytes(64))], "genesis.signature"),
    ("two swapped", lambda all_: [*all_[:2], _with(all_[2], all_[3]), _with(all_[3], all_[2])], "genesis.signature"),
    ("a stranger", lambda all_: [*all_, SignedBy(bytes(32), bytes(64))], "genesis.signature"),
]


@pytest.mark.parametrize(("change", "code"), [case[1:] for case in FORGED], ids=[case[0] for case in FORGED])
def test_every_member_signs_once_and_nobody_else(change: Callable[[list[SignedBy]], list[SignedBy]], code: str) -> None:
    """Missing, doubled, wrong, swapped and foreign signatures are refused."""
    made = genesis()
    with pytest.raises(AskedWrongly) as refused:
        verify_signed_genesis(suite, SignedGenesis(made.genesis, change(made.signatures)))
    assert refused.value.code.code == code


def test_a_changed_genesis_is_not_what_was_signed() -> None:
    """The signatures of one genesis hold for no other."""
    made = genesis()
    other = msgspec.structs.replace(made.genesis, time_ms=START_MS + 1)
    with pytest.raises(AskedWrongly):
        verify_signed_genesis(suite, SignedGenesis(other, made.signatures))


@pytest.mark.parametrize("data", [b"", b"\x92", b"nonsense", b"\xc1" * 40])
def test_a_file_that_is_no_genesis_is_refused(data: bytes) -> None:
    """Any bytes get an error with a code."""
    with pytest.raises(SpokeWrongly):
        parse_genesis(data)


def test_a_contract_that_cannot_be_installed_opens_no_ledger() -> None:
    """The error names the contract and says why."""
    bad = GenesisContract("bad", native.NAME, b"gibberish", b"\x90")
    with pytest.raises(AskedWrongly) as refused:
        Ledger(signed(founding(contracts=(bad,))), suite=suite, suites=SUITES, engines=ENGINES)
    assert refused.value.code.code == "genesis.contract" and "bad" in str(refused.value)
