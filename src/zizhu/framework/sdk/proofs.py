"""Proofs checked at home: against a ledger that the client trusts, never against the proof itself.

Decides where trust comes from (a genesis file or a ledger id) and which strength it demands by default. Refuses to
know what a proven entry means: a scenario does.
"""

from dataclasses import dataclass

from zizhu.chain.consensus.certificate import Strength
from zizhu.chain.crosschain.proofs import ProvenEntry, verify_ledger_proof
from zizhu.chain.ledger.genesis import parse_genesis, verify_signed_genesis
from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.ids import LedgerId
from zizhu.framework.sdk.keys import SUITES, known_suite

LEDGER_ID_BYTES = 32

NO_LEDGER_ID = ErrorCode(
    "sdk.ledger_id",
    "{text!r} is no ledger id",
    "a ledger id has 64 hexadecimal digits; `zizhu up`, `zizhu status` and the page show it",
    "{text!r} 不是账本标识",
    "账本标识为 64 位十六进制数;`zizhu up`、`zizhu status` 和页面都会显示",
)


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed beforehand: the ledger id, and the strength that a certificate must have."""

    ledger: LedgerId
    strength: Strength = Strength.BYZANTINE


def trust_of_genesis(data: bytes) -> Trust:
    """Trust in the ledger of a genesis file, at the strength that its own engine gives.

    Raises SpokeWrongly (`encoding.malformed`), AskedWrongly (`sdk.unknown_suite`, `genesis.*`).
    """
    signed = parse_genesis(data)
    record = signed.genesis.record
    ledger = verify_signed_genesis(known_suite(record.suite), signed)
    match record.engine:
        case "pbft":
            return Trust(ledger, Strength.BYZANTINE)
        case "raft":
            return Trust(ledger, Strength.CRASH)
        case _:
            return Trust(ledger, Strength.SINGLE)


def trust_of_id(text: str, strength: Strength = Strength.BYZANTINE) -> Trust:
    """Trust in the ledger whose id somebody was told. Raises AskedWrongly (`sdk.ledger_id`)."""
    try:
        ledger = bytes.fromhex(text.strip())
    except ValueError:
        ledger = b""
    if len(ledger) != LEDGER_ID_BYTES:
        raise AskedWrongly(NO_LEDGER_ID, text=text[:80])
    return Trust(LedgerId(ledger), strength)


def verify_proof(data: bytes, trust: Trust) -> ProvenEntry:
    """What a proof file shows of the trusted ledger. Raises as `crosschain.proofs.verify_ledger_proof`."""
    return verify_ledger_proof(data, trust=trust.ledger, suites=SUITES, strength=trust.strength)
