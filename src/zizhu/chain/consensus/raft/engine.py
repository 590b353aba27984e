"""Raft as a value you step: events in, effects out.

Decides which part of the protocol sees which event. The parts: election (terms and votes), replication (the leader's
log), following (a follower's), endorsing (signatures and certificates of what has committed), proposing (when a block
is made), memory (restart).
"""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from zizhu.chain.consensus.port import (
    Behind,
    Built,
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
from zizhu.chain.consensus.raft import election, endorsing, following, memory, proposing, replication, terms
from zizhu.chain.consensus.raft.dice import Dice
from zizhu.chain.consensus.raft.messages import (
    MESSAGES,
    Append,
    AppendReply,
    Ballot,
    BallotReply,
    Install,
    RaftMemoryAnswer,
    RaftMemoryQuery,
    Take,
)
from zizhu.chain.consensus.raft.state import State
from zizhu.chain.model.ids import Instant, MemberId


class Raft:
    """A member of a Raft epoch."""

    messages: tuple[type[msgspec.Struct], ...] = MESSAGES

    def __init__(self, setting: Setting) -> None:
        others = tuple(member for member in setting.voters.members if member != setting.me)
        self._state = State(
            setting=setting,
            voters=setting.voters,
            me=setting.me,
            others=others,
            head=setting.head,
            dice=Dice(setting.seed),
        )
        self._state.by_height[setting.head.height] = setting.head.block
        for executed in setting.tentative:
            self._state.known[executed.ready.block] = executed
        memory.restore(self._state)

    def step(self, now: Instant, event: Event) -> Sequence[Effect]:
        s = self._state
        s.now = now
        match event:
            case Received():
                self._received(event.peer, event.message)
            case Signed():
                endorsing.signed(s, event)
            case Executed():
                following.executed(s, event)
                endorsing.commit_certified(s)
                endorsing.endorse_committed(s)
            case Refused():
                following.refused(s, event.block, event.code)
            case Built():
                proposing.built(s, event.executed)
            case Waiting():
                s.waiting = event
            case TimerFired():
                self._timer(event.name)
            case Synced():
                endorsing.new_head(s, event.ready, event.certificate)
                following.drain(s)
                endorsing.commit_certified(s)
            case PeerStatus():
                if event.height > s.head.height:
                    s.out.append(Behind(event.peer, event.height))
            case PassedOver():
                # A Raft leader is believed to be honest; what it lacks is brought to it by the node.
                pass
            case Stopping():
                election.leave(s)
            case Started():
                memory.begin(s)
            case _:
                assert_never(event)
        self._settle()
        out, s.out = s.out, []
        return out

    def _settle(self) -> None:
        """Draw the consequences of what the event changed: commits, certificates, blocks, and what others hear."""
        s = self._state
        if s.leading:
            replication.advance_commit(s)
            endorsing.certify(s)
            proposing.maybe_propose(s)
            replication.tell_all(s)
            return
        if s.owes_reply:
            following.acknowledge(s, above=s.head.height)
        if s.taking:
            election.take_when_whole(s)

    def status(self) -> EngineStatus:
        s = self._state
        reason = s.lost or ("recalling" if s.recalling else "")
        return EngineStatus("raft", s.term, s.leader is not None, s.leader, s.voting, reason)

    def remembered(self) -> tuple[bytes, ...]:
        """See `ConsensusEngine`."""
        return memory.remembered(self._state)

    def _received(self, peer: MemberId, message: msgspec.Struct) -> None:
        s = self._state
        if peer not in s.voters.keys or peer == s.me:
            s.fault(peer, "not_a_member")
            return
        assert isinstance(message, MESSAGES)
        if message.epoch != s.epoch:  # type: ignore[attr-defined]
            s.fault(peer, "epoch")
            return
        match message:
            case Append():
                following.receive(s, peer, message)
            case AppendReply():
                replication.receive_reply(s, peer, message)
            case Ballot():
                election.receive(s, peer, message)
            case BallotReply():
                election.receive_reply(s, peer, message)
            case Install():
                following.install(s, peer, message)
            case Take():
                election.take(s, peer, message)
            case RaftMemoryQuery():
                memory.answer(s, peer)
            case RaftMemoryAnswer():
                memory.receive(s, peer, message)

    def _timer(self, name: str) -> None:
        s = self._state
        match name:
            case terms.TIMER:
                election.fired(s)
            case "heartbeat":
                replication.heartbeat(s)
            case "idle":
                s.due = True
            case "batch":
                proposing.batch_due(s)
            case "recall":
                memory.ask(s)
            case other:
                raise AssertionError(f"timer {other}")


def build(setting: Setting) -> Raft:
    """Factory of the entry point `zizhu.consensus`."""
    return Raft(setting)
