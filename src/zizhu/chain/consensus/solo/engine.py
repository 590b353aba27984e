"""Solo: one member, one signature, for a developer's machine. No tolerance of anything; it says so.

Decides when the one member makes a block. Its certificates have the strength `single`, which satisfies no
channel and no bridge. The record of a vote is durable before it is signed, so a restart signs no second block
at a height.
"""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from zizhu.chain.consensus.port import (
    Build,
    Built,
    Commit,
    Effect,
    EngineStatus,
    Event,
    Executed,
    PassedOver,
    PeerStatus,
    Received,
    Refused,
    Setting,
    Signed,
    Started,
    Stopping,
    Synced,
    TimerFired,
    Waiting,
)
from zizhu.chain.crypto.hashing import vote_message
from zizhu.chain.model import certificate as model
from zizhu.chain.model.certificate import COMMIT, Certificate, SignedBy, VoteStatement
from zizhu.chain.model.effects import Persist, Record, Report, SetTimer, Sign
from zizhu.chain.model.encoding import Codec, Count, Hash32, encode
from zizhu.chain.model.ids import Instant

PURPOSE = b"solo"


class SoloVote(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """Vote log: this member is about to sign this block, and no other at its height."""

    epoch: Count
    height: Count
    block: Hash32
    outcome: Hash32


_codec: Codec[SoloVote] = Codec(SoloVote, what="vote log record", bytes_max=4096)


class Solo:
    """The one member of a solo epoch."""

    messages: tuple[type[msgspec.Struct], ...] = ()

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._head = setting.head
        self._signing: Executed | None = None
        self._waiting = Waiting(0, 0, 0)
        self._due = False
        self._voted: SoloVote | None = None
        for data in setting.votes:
            vote = _codec.decode(data)
            if vote.epoch == setting.voters.record.number:
                self._voted = vote

    def step(self, now: Instant, event: Event) -> Sequence[Effect]:
        """See `ConsensusEngine`."""
        match event:
            case Started():
                return self._begin()
            case Waiting():
                self._waiting = event
                return self._next()
            case TimerFired():
                self._due = True
                return self._next()
            case Built():
                return self._built(event.executed)
            case Signed():
                return self._certified(event.signature)
            case Received() | PeerStatus() | PassedOver() | Stopping() | Synced() | Executed() | Refused():
                return []
            case _:
                assert_never(event)

    def status(self) -> EngineStatus:
        """See `ConsensusEngine`."""
        return EngineStatus("solo", 0, True, self._setting.me, True, "")

    def remembered(self) -> tuple[bytes, ...]:
        """The last vote."""
        return self._setting.votes[-1:]

    def _begin(self) -> list[Effect]:
        """Sign again what was written down and not certified before a restart; otherwise the first block."""
        voted = self._voted
        if voted is not None and voted.height == self._head.height + 1:
            for executed in self._setting.tentative:
                if executed.ready.block == voted.block:
                    return self._sign(executed)
        if self._head.height == self._setting.epoch_start:
            self._due = True
        return [*self._idle(), *self._next()]

    def _idle(self) -> list[Effect]:
        parameters = self._setting.voters.record.parameters
        wait_ms = parameters.idle_block_ms if self._head.has_root else parameters.root_wait_ms
        return [SetTimer("idle", wait_ms)]

    def _next(self) -> list[Effect]:
        if self._signing is not None or not (self._waiting.free or self._due):
            return []
        return [Build(self._head.block, self._due)]

    def _built(self, executed: Executed | None) -> list[Effect]:
        if executed is None or self._signing is not None or executed.ready.parent != self._head.block:
            self._waiting = Waiting(0, 0, self._waiting.unfinished)
            return []
        return self._sign(executed)

    def _sign(self, executed: Executed) -> list[Effect]:
        ready = executed.ready
        epoch = self._setting.voters.record.number
        vote = SoloVote(epoch, ready.height, ready.block, ready.outcome)
        assert self._voted is None or self._voted.height < ready.height or self._voted == vote, "a second vote"
        self._voted, self._signing, self._due = vote, executed, False
        voters = self._setting.voters
        statement = VoteStatement(voters.ledger, epoch, 0, COMMIT, ready.height, ready.block, ready.outcome)
        record = Persist((Record("votes", encode(vote)),))
        return [record, Sign(PURPOSE, vote_message(voters.suite, statement))]

    def _certified(self, signature: bytes) -> list[Effect]:
        assert self._signing is not None
        ready = self._signing.ready
        epoch = self._setting.voters.record.number
        signatures = [SignedBy(self._setting.me, signature)]
        certificate = Certificate(model.VERSION, COMMIT, epoch, 0, ready.height, ready.block, ready.outcome, signatures)
        self._head, self._signing = ready, None
        self._waiting = Waiting(0, 0, 0)
        return [Commit(certificate), Report("solo", {"height": ready.height}), *self._idle()]


def build(setting: Setting) -> Solo:
    """Factory of the entry point `zizhu.consensus`."""
    assert len(setting.voters.members) == 1, "solo is for one member"
    return Solo(setting)
