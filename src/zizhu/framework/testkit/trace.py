"""What a simulation did, as lines: hashed always, kept when somebody reads them.

Decides how an event is said in one line. No line contains signature bytes, so that traces are the same under a
suite that draws its own nonces.
"""

import hashlib

import msgspec

from zizhu.chain.consensus.pbft.messages import (
    MemoryAnswer,
    NewView,
    Proposal,
    ViewChange,
    ViewRequest,
    Vote,
)
from zizhu.chain.consensus.raft.messages import (
    Append,
    AppendReply,
    Ballot,
    BallotReply,
    Endorsement,
    Install,
    RaftMemoryAnswer,
)
from zizhu.chain.model.certificate import PREPARE, Certificate
from zizhu.chain.network.messages import (
    CertifiedBlocks,
    FetchBlock,
    FetchCertified,
    FetchItems,
    Gossip,
    Items,
    Status,
    WholeBlock,
)

SHOWN = 6


class Trace:
    """The lines of one run; `digest` tells two runs apart."""

    def __init__(self, *, keep: bool) -> None:
        self.lines: list[str] = []
        self.count = 0
        self._keep = keep
        self._hash = hashlib.sha256()

    def add(self, line: str) -> None:
        """One event."""
        self.count += 1
        self._hash.update(line.encode() + b"\n")
        if self._keep:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        """64 hexadecimal digits over all lines so far."""
        return self._hash.hexdigest()


def short(hash_: bytes) -> str:
    """The head of a hash."""
    return hash_.hex()[:SHOWN]


def certificate_line(certificate: Certificate | None) -> str:
    """A certificate without its signatures."""
    if certificate is None:
        return "none"
    kind = "prepared" if certificate.phase == PREPARE else "commit"
    return f"{kind}({certificate.view},{certificate.height},{short(certificate.block)})"


def message_line(message: msgspec.Struct) -> str:
    """A message without its signatures."""
    match message:
        case Vote():
            kind = "prepare" if message.phase == PREPARE else "commit"
            return f"{kind} v{message.view} h{message.height} {short(message.block)}/{short(message.outcome)}"
        case Proposal():
            header = message.header
            return (
                f"proposal v{message.view} h{header.height} on {short(header.parent)} "
                f"x{len(message.entries)} t{header.time_ms} /{short(message.outcome)}"
            )
        case ViewChange():
            return f"view-change v{message.view} {certificate_line(message.certificate)} of {short(message.member)}"
        case NewView():
            carried = " ".join(certificate_line(each.certificate) for each in message.changes)
            return f"new-view v{message.view} [{carried}]"
        case ViewRequest():
            return f"view-request v{message.view} {message.reason}"
        case MemoryAnswer():
            vote = "none" if message.vote is None else message_line(message.vote)
            change = "none" if message.change is None else message_line(message.change)
            return f"memory-answer {vote}; {change}"
        case Status():
            return f"status v{message.view} {'active' if message.active else 'changing'} h{message.height}"
        case Gossip():
            return f"gossip x{len(message.submissions)}"
        case FetchBlock():
            return f"fetch-block {short(message.block)}"
        case WholeBlock():
            return f"whole-block {short(message.block)} {'-' if message.body is None else message.body.header.height}"
        case FetchItems():
            return f"fetch-items {short(message.block)} x{len(message.positions)}"
        case Items():
            return f"items {short(message.block)} x{len(message.items)}"
        case FetchCertified():
            return f"fetch-certified h{message.start} x{message.count}"
        case CertifiedBlocks():
            return f"certified-blocks h{message.start} x{len(message.blocks)}"
        case _:
            return raft_line(message)


def endorsement_line(endorsement: Endorsement) -> str:
    """An endorsement without its signature."""
    return f"h{endorsement.height} {short(endorsement.block)}/{short(endorsement.outcome)}"


def raft_line(message: msgspec.Struct) -> str:
    """A message of Raft without its signatures; of a message that says nothing else, its name."""
    match message:
        case Ballot():
            kind = "pre-ballot" if message.pre else "ballot"
            return f"{kind} t{message.term} at {message.last_index}/{message.last_term}"
        case BallotReply():
            kind = "pre-ballot" if message.pre else "ballot"
            return f"{kind}-reply t{message.term} {'granted' if message.granted else 'refused'}"
        case Append():
            blocks = " ".join("-" if each.block is None else short(each.block) for each in message.entries)
            certified = " ".join(certificate_line(each) for each in message.certificates)
            return (
                f"append t{message.term} behind {message.previous_index}/{message.previous_term} [{blocks}] "
                f"commit {message.commit_index} h{message.head} [{certified}]"
            )
        case AppendReply():
            signed = ", ".join(endorsement_line(each) for each in message.endorsements)
            agreed = "agreed" if message.agreed else "refused"
            where = f"{agreed} {message.match}/{message.match_term}"
            return f"append-reply t{message.term} {where} [{signed}]"
        case Install():
            return f"install t{message.term} {message.index}/{message.entry_term} h{message.height}"
        case RaftMemoryAnswer():
            signed = "none" if message.endorsement is None else endorsement_line(message.endorsement)
            return f"memory-answer {signed}; t{message.term} up to {message.index}"
        case _:
            return type(message).__name__
