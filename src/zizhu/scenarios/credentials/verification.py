"""Verification online: is this file a voucher, by what several members say that cannot all be lying?

Decides how many members must give the same answer (f + 1, so that at least one of them is honest), that the custodian
is not among them when its file is checked, and which verdict follows. Refuses to know HTTP: members are readers.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from zizhu.chain.consensus.quorum import one_honest
from zizhu.chain.model.errors import ErrorCode, OperatingFault, ZizhuError
from zizhu.components.evidence.reading import AsOf, EvidenceReader
from zizhu.components.evidence.record import Record
from zizhu.framework.sdk.client import Clock
from zizhu.scenarios.credentials.answers import Answer, Verdict

ROUNDS = 20
"""How often members that disagree are asked again: one may be a block behind."""
PAUSE_MS = 100

NO_AGREEMENT = ErrorCode(
    "voucher.no_agreement",
    "{needed} members must say the same, and at most {found} of those asked do: {reason}",
    "see with `zizhu status` which members run and whether their heights agree",
    "需要 {needed} 个成员给出相同回答,而被询问的成员中最多只有 {found} 个一致:{reason}",
    "请用 `zizhu status` 查看各成员是否运行、高度是否一致",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """A member to ask, by name."""

    name: str
    reader: EvidenceReader


@dataclass(frozen=True, slots=True)
class Agreed(Generic[T]):
    """What `names` said alike, as of the lowest of their heights."""

    value: T
    height: int
    time_ms: int
    names: tuple[str, ...]


def agree(
    sources: Sequence[Source], question: Callable[[EvidenceReader], AsOf[T]], *, needed: int, clock: Clock | None = None
) -> Agreed[T]:
    """What `needed` of `sources` answer alike. Raises OperatingFault (`voucher.no_agreement`).

    An error with a code is an answer too: when `needed` members refuse alike, it is raised.
    """
    clock = clock or Clock()
    most, reason = 0, "no member was asked"
    for _ in range(ROUNDS):
        heard: list[tuple[str, AsOf[T] | ZizhuError]] = []
        for source in sources:
            heard.append((source.name, _asked(source, question)))
            alike = [one for one in heard if _same(one[1], heard[-1][1])]
            most = max(most, len(alike))
            if len(alike) >= needed:
                return _agreed(alike)
        failed = [f"{name}: {said.cause()}" for name, said in heard if isinstance(said, ZizhuError)]
        reason = "; ".join(failed) or "their answers differ"
        clock.pause(PAUSE_MS)
    raise OperatingFault(NO_AGREEMENT, needed=needed, found=most, reason=reason)


def _asked(source: Source, question: Callable[[EvidenceReader], AsOf[T]]) -> AsOf[T] | ZizhuError:
    try:
        return question(source.reader)
    except ZizhuError as error:
        return error


def _same(one: AsOf[T] | ZizhuError, two: AsOf[T] | ZizhuError) -> bool:
    if isinstance(one, OperatingFault) or isinstance(two, OperatingFault):
        return False
    if isinstance(one, ZizhuError) or isinstance(two, ZizhuError):
        return isinstance(one, ZizhuError) and isinstance(two, ZizhuError) and one.code.code == two.code.code
    return one.value == two.value


def _agreed(alike: list[tuple[str, AsOf[T] | ZizhuError]]) -> Agreed[T]:
    answers: list[AsOf[T]] = []
    for _, said in alike:
        if isinstance(said, ZizhuError):
            raise said
        answers.append(said)
    lowest = min(answers, key=lambda one: one.height)
    return Agreed(lowest.value, lowest.height, lowest.time_ms, tuple(name for name, _ in alike))


def needed_of(members: int) -> int:
    """f + 1 of a ledger of `members`: how many equal answers hold an honest one."""
    return one_honest(members)


def verify_digests(
    digests: Mapping[str, bytes], sources: Sequence[Source], *, needed: int, clock: Clock | None = None
) -> Answer:
    """Whether a file with these digests (by algorithm) is a voucher. Raises OperatingFault (`voucher.no_agreement`)."""
    found: list[Record] = []
    last: Agreed[list[Record]] | None = None
    for algorithm, digest in digests.items():
        last = agree(sources, _finding(digest), needed=needed, clock=clock)
        found += [record for record in last.value if record.algorithm == algorithm]
    assert last is not None, "a file has a digest"
    return _with(judge_file(digests, found), last)


def judge_file(digests: Mapping[str, bytes], found: Sequence[Record]) -> Answer:
    """The verdict on a file, from all vouchers `found` for its digests: the best that can be said of it."""
    present = [record for record in found if record.digest == digests[record.algorithm]]
    for record in present:
        if record.revoked is None:
            return Answer(verdict=Verdict.AUTHENTIC, record=record)
    if present:
        return Answer(verdict=Verdict.REVOKED, record=present[0])
    for record in found:
        replaced_ms = _replaced_ms(record, digests[record.algorithm])
        if replaced_ms is not None:
            return Answer(verdict=Verdict.REPLACED, check="file-digest", record=record, replaced_ms=replaced_ms)
    return Answer(
        verdict=Verdict.NOT_ON_THIS_CHAIN,
        check="file-digest",
        reason="no voucher has the digest of this file: it was never registered, or it was changed",
        reason_zh="没有凭证具有该文件的摘要:文件从未登记,或已被改动",
    )


def verify_hosted(
    index: int,
    digests: Mapping[str, bytes] | None,
    sources: Sequence[Source],
    *,
    needed: int,
    clock: Clock | None = None,
) -> Answer:
    """Whether what the custodian gave out as voucher `index` is that voucher; `digests` is None when it gave nothing.

    `sources` are members other than the custodian. Raises OperatingFault (`voucher.no_agreement`), AskedWrongly
    (`voucher.unknown`).
    """
    known = agree(sources, lambda reader: reader.show(index), needed=needed, clock=clock)
    record = known.value
    if digests is None:
        missing = Answer(
            verdict=Verdict.MISSING,
            check="file",
            reason="the custodian does not have the file",
            reason_zh="托管方没有该文件",
            record=record,
        )
        return _with(missing, known)
    digest = digests[record.algorithm]
    if digest == record.digest:
        verdict = Verdict.AUTHENTIC if record.revoked is None else Verdict.REVOKED
        return _with(Answer(verdict=verdict, record=record), known)
    replaced_ms = _replaced_ms(record, digest)
    if replaced_ms is not None:
        old = Answer(verdict=Verdict.REPLACED, check="file-digest", record=record, replaced_ms=replaced_ms)
        return _with(old, known)
    others: list[Record] = []
    for one in digests.values():
        others += agree(sources, _finding(one), needed=needed, clock=clock).value
    return _with(_judge_stranger(record, digest, others), known)


def _judge_stranger(record: Record, digest: bytes, others: Sequence[Record]) -> Answer:
    if others:
        index = others[0].index
        return Answer(
            verdict=Verdict.NOT_THIS_VOUCHER,
            check="file-digest",
            reason=f"the file is that of voucher {index}",
            reason_zh=f"该文件属于凭证 {index}",
            record=record,
        )
    return Answer(
        verdict=Verdict.ALTERED,
        check="file-digest",
        reason=f"the file has the {record.algorithm} digest {digest.hex()}, the ledger holds {record.digest.hex()}",
        reason_zh=f"文件的 {record.algorithm} 摘要为 {digest.hex()},账本记录的是 {record.digest.hex()}",
        record=record,
    )


def _finding(digest: bytes) -> Callable[[EvidenceReader], AsOf[list[Record]]]:
    return lambda reader: reader.find(digest)


def _replaced_ms(record: Record, digest: bytes) -> int | None:
    return next((old.time_ms for old in record.replaced if old.digest == digest), None)


def _with(answer: Answer, agreed: Agreed[T]) -> Answer:
    """The answer, with the height and the members it rests on."""
    return dataclasses.replace(answer, height=agreed.height, time_ms=agreed.time_ms, asked=agreed.names)
