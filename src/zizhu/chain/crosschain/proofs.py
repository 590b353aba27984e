"""The proof that leaves a ledger: a file that anyone checks against a trust anchor, without network or account.

Decides what the file holds and the one order in which it is checked, each check with a name. Refuses to know where
the file came from, and to trust anything in it: the only thing believed beforehand is the ledger id.

The checks, in order: encoding, suite, ledger (else `proof.other_ledger`), genesis, epoch, header,
certificate, strength, and those of the entry (`ledger.proofs`, `ledger.tree_proof`). A perfect proof from
somebody's own network is refused at `ledger`, before any of its signatures is looked at.
Source: docs/protocol/state-and-proofs.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from zizhu.chain.consensus.certificate import Electorate, Strength, electorate, verify_certificate
from zizhu.chain.crypto.hashing import block_hash, ledger_id, outcome_hash
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.genesis import verify_signed_genesis
from zizhu.chain.ledger.proofs import Entry, verify_entry
from zizhu.chain.ledger.tree_proof import Check
from zizhu.chain.model import limits
from zizhu.chain.model.block import BlockHeader, Outcome
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.encoding import Codec, encode
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, SpokeWrongly
from zizhu.chain.model.genesis import SignedGenesis
from zizhu.chain.model.ids import Height, LedgerId

VERSION = 1
PROOF_BYTES_MAX = limits.GENESIS_BYTES_MAX + limits.TRANSACTION_BYTES_MAX + 1024 * 1024
"""Longest proof file, bytes: the longest genesis, the longest entry, and what binds them."""

OTHER_LEDGER = ErrorCode(
    "proof.other_ledger",
    "other ledger: the proof is of ledger {found}, which calls itself {name!r}; the trusted one is {trust}",
    "ask a member of the ledger you trust for a proof, or, only if you have it from a source you trust, "
    "name the other ledger's id",
    "其他账本:该证明属于账本 {found}(自称 {name!r}),而受信任的账本是 {trust}",
    "请向您信任的账本的成员索取证明;只有当另一账本的标识来自可信来源时,才可改用该标识",
)

ENCODING = Check("encoding", "{cause}", "{cause_zh}")
SUITE = Check(
    "suite",
    "the crypto suite {suite!r} of its genesis is not known here",
    "此处不支持其创世文件所用的密码套件 {suite!r}",
)
GENESIS = Check("genesis", "{cause}", "{cause_zh}")
EPOCH = Check(
    "epoch",
    "it is of epoch {epoch}; only proofs of epoch 0, whose members the genesis names, can be checked so far",
    "它属于纪元 {epoch};目前只能校验纪元 0(其成员由创世文件列出)的证明",
)
HEADER = Check(
    "header",
    "the block header names another ledger or another record of the epoch",
    "区块头所指的账本或纪元记录与此不符",
)
BOUND = Check(
    "certificate-subject",
    "the certificate is not about this {what}",
    "证书所证明的不是该{what_zh}",
)
CERTIFICATE = Check("certificate", "{cause}", "{cause_zh}")
STRENGTH = Check(
    "strength",
    "the certificate is of strength {found}, and {demanded} is demanded; where the members of that ledger are trusted "
    "that far, --strength {found} is enough",
    "证书强度为 {found},而要求的强度为 {demanded};若信任该账本成员至此程度,可使用 --strength {found}",
)

_RANK = {Strength.SINGLE: 0, Strength.CRASH: 1, Strength.BYZANTINE: 2}


class LedgerProof(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The file: who the members are, what they agreed on, that they did, and the entry that follows from it.

    The certificate needs the quorum of its epoch, not every signature there is.
    """

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    genesis: SignedGenesis
    header: BlockHeader
    outcome: Outcome
    certificate: Certificate
    entry: Entry


proof_codec: Codec[LedgerProof] = Codec(LedgerProof, what="ledger proof", bytes_max=PROOF_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """What a proof showed: the entry, as of block `height` made at `time_ms` (block time, wall ms) of the ledger.

    `ledger_name` is what the genesis calls itself; the identity is `ledger`. `strength` is what the certificate has.
    """

    ledger: LedgerId
    ledger_name: str
    height: Height
    time_ms: int
    strength: Strength
    entry: Entry


def build_ledger_proof(
    genesis: SignedGenesis, *, header: BlockHeader, outcome: Outcome, certificate: Certificate, entry: Entry
) -> bytes:
    """The bytes of a proof file. Nothing is checked here: a member proves from what it verified before."""
    return encode(LedgerProof(VERSION, genesis, header, outcome, certificate, entry))


def verify_ledger_proof(
    data: bytes, *, trust: LedgerId, suites: Mapping[str, Suite], strength: Strength
) -> ProvenEntry:
    """What the proof file `data` shows of the ledger `trust`, at `strength` or stronger.

    `suites` are those known here, by name. Raises SpokeWrongly: `proof.other_ledger` for a proof from elsewhere,
    `proof.invalid` for one that does not hold; the value `check` of either names the check that failed.
    """
    try:
        proof = proof_codec.decode(data)
    except SpokeWrongly as error:
        raise ENCODING.error(cause=error.cause(), cause_zh=error.cause("zh")) from error
    voters = _voters(proof, trust, suites)
    _check_header(proof, voters)
    found = _strength(proof, voters)
    if _RANK[found] < _RANK[strength]:
        raise STRENGTH.error(found=found.value, demanded=strength.value)
    verify_entry(voters.suite, proof.entry, header=proof.header, outcome=proof.outcome)
    name = proof.genesis.genesis.name
    return ProvenEntry(trust, name, Height(proof.header.height), proof.header.time_ms, found, proof.entry)


def _voters(proof: LedgerProof, trust: LedgerId, suites: Mapping[str, Suite]) -> Electorate:
    """The members that the trusted genesis names, which all signed it; refuses every genesis but that one."""
    genesis = proof.genesis.genesis
    suite = suites.get(genesis.record.suite)
    if suite is None:
        raise SUITE.error(suite=genesis.record.suite)
    found = ledger_id(suite, genesis)
    if found != trust:
        raise SpokeWrongly(OTHER_LEDGER, check="ledger", found=found.hex(), name=genesis.name, trust=trust.hex())
    try:
        verify_signed_genesis(suite, proof.genesis)
    except AskedWrongly as error:
        raise GENESIS.error(cause=error.cause(), cause_zh=error.cause("zh")) from error
    return electorate(suite, trust, genesis.record)


def _check_header(proof: LedgerProof, voters: Electorate) -> None:
    header = proof.header
    for epoch in (voters.record.number, header.epoch, proof.certificate.epoch):
        if epoch != 0:
            raise EPOCH.error(epoch=epoch)
    if header.ledger != voters.ledger or header.epoch_record != voters.record_hash:
        raise HEADER.error()


def _strength(proof: LedgerProof, voters: Electorate) -> Strength:
    """The strength of the certificate, which is about this very header and outcome."""
    certificate = proof.certificate
    if certificate.height != proof.header.height:
        raise BOUND.error(what="height", what_zh="高度")
    if certificate.block != block_hash(voters.suite, proof.header):
        raise BOUND.error(what="block header", what_zh="区块头")
    if certificate.outcome != outcome_hash(voters.suite, proof.outcome):
        raise BOUND.error(what="outcome", what_zh="执行结果")
    try:
        return verify_certificate(certificate, voters)
    except SpokeWrongly as error:
        raise CERTIFICATE.error(cause=error.cause(), cause_zh=error.cause("zh")) from error
