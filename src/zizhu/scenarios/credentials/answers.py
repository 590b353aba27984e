"""What a verification says: one verdict, why, as of when, and the words for it in both languages.

Decides the verdicts and their texts. Refuses to know how they were come by: `proof` offline, `verification` online.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from zizhu.components.evidence.record import Record


class Verdict(Enum):
    """The answer to "is this file the voucher?". All but the first two are "no"."""

    AUTHENTIC = "authentic"
    REVOKED = "authentic, revoked"
    REPLACED = "replaced"
    ALTERED = "altered"
    NOT_THIS_VOUCHER = "not this voucher"
    MISSING = "missing"
    NOT_ON_THIS_CHAIN = "not on this chain"
    OTHER_LEDGER = "other ledger"
    BAD_PROOF = "proof refused"


YES = (Verdict.AUTHENTIC, Verdict.REVOKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A verdict. `check` names what failed ("" for yes), `reason` and `reason_zh` say more about it.

    True as of block `height` of time `time_ms` of ledger `ledger` (hex); 0 and "" where nothing was proven.
    `record` is the voucher that the answer is about. `strength` is what the certificate of a proof withstands;
    online it is "". `offline` answers do not see what happened after `height`. `asked` names members that agreed.
    `contract` is the id (20 bytes) of the contract that a proof is about, b"" where none was needed.
    """

    verdict: Verdict
    check: str = ""
    reason: str = ""
    reason_zh: str = ""
    record: Record | None = None
    replaced_ms: int | None = None
    height: int = 0
    time_ms: int = 0
    ledger: str = ""
    strength: str = ""
    offline: bool = False
    asked: tuple[str, ...] = ()
    contract: bytes = b""

    @property
    def is_yes(self) -> bool:
        """Whether the file is the voucher (a revoked one is; the answer says so)."""
        return self.verdict in YES


_WORDS = {
    Verdict.AUTHENTIC: ("yes: authentic", "是:真实"),
    Verdict.REVOKED: ("yes: authentic, revoked", "是:真实,但已撤销"),
    Verdict.REPLACED: ("no: replaced at {when}", "否:已于 {when} 被换发"),
    Verdict.ALTERED: ("no: altered", "否:已被篡改"),
    Verdict.NOT_THIS_VOUCHER: ("no: not this voucher", "否:不是该凭证"),
    Verdict.MISSING: ("no: missing", "否:文件缺失"),
    Verdict.NOT_ON_THIS_CHAIN: ("no: not on this chain", "否:本链上没有"),
    Verdict.OTHER_LEDGER: ("no: other ledger", "否:其他账本"),
    Verdict.BAD_PROOF: ("no: the proof does not hold", "否:证明无效"),
}
_AS_OF = ("as of height {height}, {when}", "截至高度 {height},{when}")
_OFFLINE = (
    "a later revocation or replacement is visible online only",
    "此后的撤销或换发只能在线查询",
)
_CHECK = ("failed check: {check}", "未通过的检查:{check}")
_REVOKED = ("revoked at {when}: {reason}", "已于 {when} 撤销:{reason}")
_FIRST = ("voucher {first} of another issuer had this digest first", "另一签发人的凭证 {first} 更早登记了该摘要")
_STRENGTH = ("certificate: {strength}", "证书强度:{strength}")
_ASKED = ("read from {members}", "读取自 {members}")


def moment(time_ms: int) -> str:
    """A block time as people write it: UTC, to the second."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso_moment(time_ms: int) -> str:
    """A block time as programs read it: ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"


def headline(answer: Answer, language: str) -> str:
    """The verdict in one line."""
    words = _WORDS[answer.verdict][language == "zh"]
    return words.format(when=moment(answer.replaced_ms or 0))


def explanation(answer: Answer, language: str) -> list[str]:
    """What else there is to say, a line each."""
    zh = language == "zh"
    lines = []
    if answer.check:
        lines.append(_CHECK[zh].format(check=answer.check))
    if answer.reason:
        lines.append(answer.reason_zh if zh and answer.reason_zh else answer.reason)
    record = answer.record
    if record is not None and record.revoked is not None:
        lines.append(_REVOKED[zh].format(when=moment(record.revoked.time_ms), reason=record.revoked.reason))
    if record is not None and record.first is not None:
        lines.append(_FIRST[zh].format(first=record.first))
    if answer.height:
        lines.append(_AS_OF[zh].format(height=answer.height, when=moment(answer.time_ms)))
    if answer.strength:
        lines.append(_STRENGTH[zh].format(strength=answer.strength))
    if answer.asked:
        lines.append(_ASKED[zh].format(members=", ".join(answer.asked)))
    if answer.offline and answer.height:
        lines.append(_OFFLINE[zh])
    return lines
