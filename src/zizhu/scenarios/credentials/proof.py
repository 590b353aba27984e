"""The proof of a voucher, checked offline: is this file the one whose digest the trusted ledger holds?

Decides what a ledger proof must show to be the proof of a voucher, and names the check that fails. Refuses to trust
the proof: the ledger comes from elsewhere (`sdk.proofs.Trust`). Needs no node, no network and no account.

The checks, after those of the ledger proof (`crosschain.proofs`): `voucher-entry` it is about a state entry,
`voucher-key` the entry is a record of the contract that the genesis calls "vouchers", `voucher-absent` there is such
a record, `voucher-record` it is one, `file-digest` the file has its digest by the algorithm agreed for its type.
"""

import dataclasses
from typing import BinaryIO

from zizhu.chain.crosschain.proofs import ProvenEntry, proof_codec
from zizhu.chain.crypto.hashing import genesis_contract_id
from zizhu.chain.ledger.proofs import StateEntry
from zizhu.chain.model.errors import ErrorCode, SpokeWrongly
from zizhu.components.evidence.digests import digest_stream
from zizhu.components.evidence.record import Record, record_at, record_key
from zizhu.framework.sdk.keys import known_suite
from zizhu.framework.sdk.proofs import Trust, verify_proof
from zizhu.scenarios.credentials.answers import Answer, Verdict
from zizhu.scenarios.credentials.contract import CONTRACT_NAME

OTHER_LEDGER = "proof.other_ledger"

BAD_PROOF = ErrorCode(
    "voucher.proof",
    "this is not the proof of that voucher: {reason}",
    "ask another member for the proof",
    "这不是该凭证的证明:{reason_zh}",
    "请向其他成员索取证明",
)


class _Refused(Exception):
    """A check of this module fails. Never leaves it."""

    def __init__(self, check: str, reason: str, reason_zh: str) -> None:
        self.check = check
        self.reason = reason
        self.reason_zh = reason_zh
        super().__init__(check)


def verify_file(file: BinaryIO, proof: bytes, trust: Trust) -> Answer:
    """Whether the bytes of `file` are the voucher that `proof` proves of the ledger that is trusted.

    Never raises for anything that the proof holds; OSError from reading the file is the caller's.
    """
    try:
        proven = verify_proof(proof, trust)
    except SpokeWrongly as error:
        other = error.code.code == OTHER_LEDGER
        verdict = Verdict.OTHER_LEDGER if other else Verdict.BAD_PROOF
        check = str(error.values.get("check", "encoding"))
        return Answer(verdict=verdict, check=check, reason=error.cause("en"), reason_zh=error.cause("zh"), offline=True)
    try:
        record = _proven_record(proven, proof)
    except _Refused as refused:
        answer = Answer(
            verdict=Verdict.BAD_PROOF, check=refused.check, reason=refused.reason, reason_zh=refused.reason_zh
        )
    else:
        answer = _judged(record, digest_stream(file, (record.algorithm,))[record.algorithm])
    return dataclasses.replace(
        answer,
        height=proven.height,
        time_ms=proven.time_ms,
        ledger=proven.ledger.hex(),
        strength=proven.strength.value,
        offline=True,
        contract=_contract(proof),
    )


def _contract(proof: bytes) -> bytes:
    """The id of the voucher contract of a proof that has been verified: it decodes, and its genesis is trusted."""
    return genesis_contract_id(known_suite(proof_codec.decode(proof).genesis.genesis.record.suite), CONTRACT_NAME)


def check_voucher_proof(proof: bytes, trust: Trust, index: int) -> int:
    """The height as of which `proof` shows the record of voucher `index`; what a proof is worth before it is handed on.

    Raises SpokeWrongly (`proof.other_ledger`, `proof.invalid`, `voucher.proof`).
    """
    proven = verify_proof(proof, trust)
    try:
        record = _proven_record(proven, proof)
    except _Refused as refused:
        raise SpokeWrongly(BAD_PROOF, reason=refused.reason, reason_zh=refused.reason_zh) from None
    if record.index != index:
        raise SpokeWrongly(BAD_PROOF, reason=f"it is of voucher {record.index}", reason_zh=f"它属于凭证 {record.index}")
    return proven.height


def _proven_record(proven: ProvenEntry, proof: bytes) -> Record:
    """The record that a verified proof is about. Raises _Refused."""
    entry = proven.entry
    if not isinstance(entry, StateEntry):
        raise _Refused("voucher-entry", "the proof is not about the state of the ledger", "该证明与账本状态无关")
    prefix = record_key(_contract(proof), 0)[:-8]
    if not entry.key.startswith(prefix) or len(entry.key) != len(prefix) + 8:
        raise _Refused(
            "voucher-key",
            "the entry is not a record of the contract that the genesis calls vouchers",
            "该条目不是创世文件中名为 vouchers 的合约的记录",
        )
    index = int.from_bytes(entry.key[-8:], "big")
    if entry.value is None:
        raise _Refused("voucher-absent", f"there is no voucher {index}", f"没有索引为 {index} 的凭证")
    try:
        record = record_at(entry.value)
    except SpokeWrongly as error:
        raise _Refused("voucher-record", error.cause("en"), error.cause("zh")) from None
    if record.index != index:
        raise _Refused("voucher-record", "the record is that of another voucher", "该记录属于另一凭证")
    return record


def _judged(record: Record, digest: bytes) -> Answer:
    """The verdict on a file of this digest; where and when it was proven is the caller's."""
    if digest == record.digest:
        return Answer(verdict=Verdict.AUTHENTIC if record.revoked is None else Verdict.REVOKED, record=record)
    for old in record.replaced:
        if old.digest == digest:
            return Answer(
                verdict=Verdict.REPLACED,
                check="file-digest",
                reason="another file took its place",
                reason_zh="已有新文件取代",
                record=record,
                replaced_ms=old.time_ms,
            )
    return Answer(
        verdict=Verdict.ALTERED,
        check="file-digest",
        reason=f"the file has the {record.algorithm} digest {digest.hex()}, the ledger holds {record.digest.hex()}",
        reason_zh=f"文件的 {record.algorithm} 摘要为 {digest.hex()},账本记录的是 {record.digest.hex()}",
        record=record,
    )
