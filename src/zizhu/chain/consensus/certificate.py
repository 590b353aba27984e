"""The one check of a certificate: live votes, sync, snapshots, light clients and bridges all come here.

Decides whether a certificate holds and how strong it is. Refuses to know where it came from, and never
answers a plain yes: a strength is what a caller compares with the strength it demands.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from zizhu.chain.consensus.quorum import majority, quorum
from zizhu.chain.crypto.hashing import member_id, record_hash, vote_message
from zizhu.chain.crypto.port import Signed, Suite
from zizhu.chain.model.certificate import COMMIT, Certificate, SignedBy, VoteStatement
from zizhu.chain.model.epoch import EpochRecord
from zizhu.chain.model.errors import ErrorCode, SpokeWrongly
from zizhu.chain.model.ids import LedgerId, MemberId

INVALID = ErrorCode(
    "certificate.invalid",
    "the certificate of height {height} does not hold: {reason}",
    "fetch the block again from another member; report the member that served it",
    "高度 {height} 的证书无效:{reason}",
    "请从另一成员重新获取该区块,并报告提供该证书的成员",
)


class Strength(Enum):
    """What a certificate withstands. SINGLE satisfies no channel or bridge."""

    BYZANTINE = "byzantine"
    CRASH = "crash"
    SINGLE = "single"


@dataclass(frozen=True)
class Electorate:
    """Who votes in one epoch: the record, its hash, and the keys of the members by id."""

    ledger: LedgerId
    record: EpochRecord
    record_hash: bytes
    suite: Suite
    members: tuple[MemberId, ...]
    keys: dict[MemberId, bytes]

    @property
    def size(self) -> int:
        """n."""
        return len(self.members)

    @property
    def needed(self) -> int:
        """How many signatures certify a block under this epoch's engine."""
        match self.record.engine:
            case "solo":
                return 1
            case "raft":
                return majority(len(self.members))
            case _:
                return quorum(len(self.members))


def electorate(suite: Suite, ledger: LedgerId, record: EpochRecord) -> Electorate:
    """The electorate of `record`; members keep the record's order."""
    members = tuple(member_id(suite, member.vote_key) for member in record.members)
    keys = dict(zip(members, (member.vote_key for member in record.members), strict=True))
    assert len(keys) == len(members), "two members of an epoch record share a voting key"
    return Electorate(ledger, record, record_hash(suite, record), suite, members, keys)


def statement_of(certificate: Certificate, ledger: LedgerId) -> VoteStatement:
    """What every signature of `certificate` must have signed."""
    return VoteStatement(
        ledger,
        certificate.epoch,
        certificate.view,
        certificate.phase,
        certificate.height,
        certificate.block,
        certificate.outcome,
    )


def verify_certificate(
    certificate: Certificate, voters: Electorate, *, phase: int = COMMIT, known: Sequence[SignedBy] = ()
) -> Strength:
    """The strength of a certificate that holds for `voters`.

    Distinct members of this very epoch, in ascending order of id, at least the quorum, each with a good
    signature over one statement. `known` are votes verified before over this same statement (live votes);
    they are looked up as (member, signature), so that nobody's good signature counts for
    somebody else. Raises SpokeWrongly (`certificate.invalid`).
    """

    def refuse(reason: str) -> SpokeWrongly:
        return SpokeWrongly(INVALID, height=certificate.height, reason=reason)

    if certificate.phase != phase:
        raise refuse(f"phase {certificate.phase} where {phase} is needed")
    if certificate.epoch != voters.record.number:
        raise refuse(f"of epoch {certificate.epoch}, not {voters.record.number}")
    signers = [MemberId(signed.member) for signed in certificate.signatures]
    if any(earlier >= later for earlier, later in itertools.pairwise(signers)):
        raise refuse("signers are not distinct and in ascending order")
    for signer in signers:
        if signer not in voters.keys:
            raise refuse(f"signer {signer.hex()[:16]} is not a member of epoch {certificate.epoch}")
    if len(signers) < voters.needed:
        raise refuse(f"{len(signers)} signatures where {voters.needed} are needed")
    message = vote_message(voters.suite, statement_of(certificate, voters.ledger))
    unknown = [signed for signed in certificate.signatures if signed not in known]
    verdicts = voters.suite.members.verify_many(
        [Signed(voters.keys[MemberId(signed.member)], message, signed.signature) for signed in unknown]
    )
    for signed, good in zip(unknown, verdicts, strict=True):
        if not good:
            raise refuse(f"signature of member {signed.member.hex()[:16]} is wrong")
    return _strength(voters)


def _strength(voters: Electorate) -> Strength:
    match voters.record.engine:
        case "pbft":
            return Strength.BYZANTINE
        case "raft":
            return Strength.CRASH
        case _:
            return Strength.SINGLE
