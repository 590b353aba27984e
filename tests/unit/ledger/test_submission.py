"""Parsing submissions: what is well formed for a ledger, and each refusal."""

from collections.abc import Callable

import msgspec
import pytest

from zizhu.chain.ledger.transactions import ParsedSubmission, parse_submission, part_of_bundle
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.errors import AskedWrongly, SpokeWrongly
from zizhu.chain.model.transaction import Bundle, Single, TransactionBody
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, SUITES, Chain
from zizhu.framework.testkit.fakes.suite import suite

CHAIN = Chain()
ALICE, BOB = ACCOUNTS[:2]


def parse(given: bytes | Single | Bundle, parameters: Parameters | None = None) -> ParsedSubmission:
    """Parsed for the ledger of CHAIN."""
    return parse_submission(
        given, suite=suite, suites=SUITES, ledger_id=CHAIN.ledger.ledger_id, parameters=parameters or Parameters()
    )


def body(**changes: object) -> TransactionBody:
    """ALICE's transaction, with fields changed."""
    return msgspec.structs.replace(CHAIN.body(ALICE, 1, "echo", 1), **changes)


def test_a_single_transaction_says_what_to_verify() -> None:
    """The signature to verify is over the id, by the key of the sender, under the sender's suite."""
    parsed = parse(encode(ALICE.sign(body())))
    (one,) = parsed.transactions
    assert parsed.suite_code == suite.code and parsed.sender == ALICE.id
    assert parsed.signature.message == one.id and suite.accounts.verify(*parsed.signature)
    assert parsed.size >= len(encode(parsed.submission))


def test_a_bundle_says_what_to_verify() -> None:
    """One signature over the statement covers all transactions of a bundle."""
    bundle = ALICE.bundle([body(nonce=nonce) for nonce in range(1, 8)])
    parsed = parse(encode(bundle))
    assert [one.fields.nonce for one in parsed.transactions] == list(range(1, 8))
    assert suite.accounts.verify(*parsed.signature)
    assert len({one.witness_hash for one in parsed.transactions}) == 7
    assert parsed.size >= len(encode(bundle))


def test_a_part_of_a_bundle_in_a_block_has_the_same_witnesses() -> None:
    """With ids in place of bodies the root still holds, and what remains is the same transactions."""
    whole = parse(ALICE.bundle([body(nonce=nonce) for nonce in range(1, 6)]))
    part = part_of_bundle(whole, [whole.transactions[1], whole.transactions[4]])
    again = CHAIN.ledger.reader.item(part)
    wanted = [whole.transactions[1], whole.transactions[4]]
    assert [one.id for one in again.transactions] == [one.id for one in wanted]
    assert [one.witness_hash for one in again.transactions] == [one.witness_hash for one in wanted]
    assert again.signature == whole.signature
    remembered = CHAIN.ledger.reader.item(part, lambda id_: whole)
    assert remembered.transactions == (whole.transactions[1], whole.transactions[4])


def test_a_forged_bundle_is_not_taken_for_the_one_remembered() -> None:
    """A block's bundle with the remembered ids but another signature is parsed on its own."""
    whole = parse(ALICE.bundle([body(nonce=nonce) for nonce in range(1, 4)]))
    assert isinstance(whole.submission, Bundle)
    header = msgspec.structs.replace(whole.submission.header, signature=b"\x01" * 64)
    forged = CHAIN.ledger.reader.item(Bundle(header, whole.submission.leaves), lambda id_: whole)
    assert forged.signature.signature == b"\x01" * 64
    assert forged.transactions[0].witness_hash != whole.transactions[0].witness_hash


def _bundle(change: Callable[[Bundle], Bundle]) -> Bundle:
    return change(ALICE.bundle([body(nonce=nonce) for nonce in range(1, 4)]))


def _header(bundle: Bundle, **changes: object) -> Bundle:
    return Bundle(msgspec.structs.replace(bundle.header, **changes), bundle.leaves)


REFUSED: list[tuple[str, Callable[[], Single | Bundle], str]] = [
    ("another ledger", lambda: ALICE.sign(body(ledger=bytes(32))), "transaction.wrong_ledger"),
    ("sender is not the signer", lambda: BOB.sign(body()), "transaction.wrong_sender"),
    (
        "unknown suite",
        lambda: msgspec.structs.replace(ALICE.sign(body()), suite=9),
        "transaction.unknown_suite",
    ),
    ("too many steps", lambda: ALICE.sign(body(steps_max=1_000_001)), "transaction.too_many_steps"),
    ("root of others", lambda: _bundle(lambda b: _header(b, root=bytes(32))), "transaction.bundle"),
    ("wrong count", lambda: _bundle(lambda b: _header(b, count=2)), "transaction.bundle"),
    (
        "a leaf changed",
        lambda: _bundle(lambda b: Bundle(b.header, [*b.leaves[:2], encode(body())])),
        "transaction.bundle",
    ),
    ("an id as a leaf", lambda: _bundle(lambda b: Bundle(b.header, [bytes(32), *b.leaves[1:]])), "transaction.bundle"),
    ("twice the same", lambda: ALICE.bundle([body(), body()]), "transaction.bundle"),
    (
        "two senders",
        lambda: ALICE.bundle([body(), CHAIN.body(BOB, 1, "echo", 1)]),
        "transaction.bundle",
    ),
    ("another's bundle", lambda: BOB.bundle([body()]), "transaction.wrong_sender"),
]


@pytest.mark.parametrize(("make", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_each_rule_has_its_refusal(make: Callable[[], Single | Bundle], code: str) -> None:
    """What breaks a rule is refused with the rule's code."""
    with pytest.raises(AskedWrongly) as refused:
        parse(encode(make()))
    assert refused.value.code.code == code


def test_what_can_never_stand_in_a_block_is_refused() -> None:
    """A transaction above the ledger's limit, or above what a block holds, does not wait for ever."""
    big = ALICE.sign(CHAIN.body(ALICE, 1, "echo", bytes(4000)))
    for parameters in (Parameters(transaction_bytes_max=2048), Parameters(block_bytes_max=4096)):
        with pytest.raises(AskedWrongly) as refused:
            parse(encode(big), parameters)
        assert refused.value.code.code == "transaction.too_long"


@pytest.mark.parametrize("payload", [b"", b"\xc0", b"\x93\xa1x\xa1y\xa1z", encode((bytes(20), "", b"\x90"))])
def test_a_malformed_payload_is_refused(payload: bytes) -> None:
    """A payload that is not its kind's structure never enters."""
    with pytest.raises(SpokeWrongly):
        parse(encode(ALICE.sign(body(payload=payload))))


def test_every_byte_of_a_submission_matters() -> None:
    """Any one byte changed is refused, or gives another id, or another witness."""
    raw = encode(ALICE.sign(body()))
    good = parse(raw).transactions[0]
    for at in range(len(raw)):
        altered = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        try:
            (one,) = parse(altered).transactions
        except (AskedWrongly, SpokeWrongly):
            continue
        assert (one.id, one.witness_hash) != (good.id, good.witness_hash), at
        assert not suite.accounts.verify(*parse(altered).signature), at
