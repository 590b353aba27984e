"""PBFT as a value you step: events in, effects out.

Decides which part of the protocol sees which event. The parts: proposals (execute, then vote), votes
(certificates), view_change (tip, NEW-VIEW), memory (restart), timing (timers, leaving a leader).
"""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from zizhu.chain.consensus.pbft import memory, proposals, timing, view_change, votes
from zizhu.chain.consensus.pbft.messages import (
    MESSAGES,
    MemoryAnswer,
    MemoryQuery,
    NewView,
    Proposal,
    ViewChange,
    ViewRequest,
    Vote,
)
from zizhu.chain.consensus.pbft.state import VIEW_AHEAD_MAX, State
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
from zizhu.chain.model.effects import Send
from zizhu.chain.model.ids import Instant, MemberId


class Pbft:
    """A member of a PBFT epoch."""

    messages: tuple[type[msgspec.Struct], ...] = MESSAGES

    def __init__(self, setting: Setting) -> None:
        others = tuple(member for member in setting.voters.members if member != setting.me)
        self._state = State(
            setting=setting,
            voters=setting.voters,
            me=setting.me,
            others=others,
            head=setting.head,
            head_certificate=setting.head_certificate,
        )
        self._state.by_height[setting.head.height] = setting.head.block
        memory.restore(self._state)
        for executed in setting.tentative:
            self._state.learn(executed)

    def step(self, now: Instant, event: Event) -> Sequence[Effect]:
        s = self._state
        s.now = now
        match event:
            case Received():
                self._received(event.peer, event.message)
            case Signed():
                self._signed(event)
            case Executed():
                s.learn(event)
            case Refused():
                proposals.refused(s, event.block, event.code)
            case Built():
                proposals.built(s, event.executed)
            case Waiting():
                s.waiting = event
                timing.arm_view_timer(s)
            case TimerFired():
                self._timer(event.name)
            case Synced():
                votes.new_head(s, event.ready, event.certificate)
                votes.remember(s, event.certificate)
            case PeerStatus():
                self._peer_status(event)
            case PassedOver():
                timing.request_view_change(s, "passed_over")
            case Stopping():
                # Nobody leaves a leader on its own word: f + 1 must find it bad, or its time runs out.
                pass
            case Started():
                memory.begin(s)
            case _:
                assert_never(event)
        self._settle()
        out, s.out = s.out, []
        return out

    def _settle(self) -> None:
        """Draw the consequences of what the event changed: certificates, commits, proposals, a change of view."""
        s = self._state
        votes.advance(s)
        for height in sorted(s.slots):
            proposals.consider(s, height)
        if s.leave is not None:
            (view, reason), s.leave = s.leave, None
            if s.voting and view > s.view:
                view_change.start(s, view, reason)
        proposals.maybe_propose(s)

    def status(self) -> EngineStatus:
        s = self._state
        reason = s.lost or ("recalling" if s.recalling else "")
        return EngineStatus("pbft", s.view, s.active, s.leader(s.view), s.voting, reason)

    def remembered(self) -> tuple[bytes, ...]:
        """See `ConsensusEngine`."""
        return memory.remembered(self._state)

    def _received(self, peer: MemberId, message: msgspec.Struct) -> None:
        s = self._state
        if peer not in s.voters.keys or peer == s.me:
            s.fault(peer, "not_a_member")
            return
        assert isinstance(message, MESSAGES)
        if message.epoch != s.voters.record.number:  # type: ignore[attr-defined]
            s.fault(peer, "epoch")
            return
        match message:
            case Proposal() | Vote() | ViewRequest():
                self._in_view(peer, message)
            case ViewChange():
                view_change.receive(s, peer, message)
            case NewView():
                view_change.receive_new_view(s, peer, message)
                self._replay_early()
            case MemoryQuery():
                memory.answer(s, peer)
            case MemoryAnswer():
                memory.receive(s, peer, message)

    def _in_view(self, peer: MemberId, message: Proposal | Vote | ViewRequest) -> None:
        """Messages that belong to one view: past ones are stale, those of a view to come are kept."""
        s = self._state
        if message.view > s.view + VIEW_AHEAD_MAX:
            s.fault(peer, "view_out_of_window", view=message.view)
            return
        if isinstance(message, Vote):
            votes.heard(s, peer, message)
        if message.view > s.view or (message.view == s.view and not s.active):
            s.keep_early(peer, message)
            return
        if message.view < s.view:
            if s.new_view is not None and s.active and isinstance(message, Proposal):
                s.out.append(Send((peer,), s.new_view))
            return
        match message:
            case Proposal():
                proposals.receive(s, peer, message)
            case Vote():
                votes.receive_vote(s, peer, message)
            case ViewRequest():
                s.requests[peer] = (message.view, s.now.monotonic_ms)
                timing.requests_counted(s)

    def _replay_early(self) -> None:
        """The view was entered: hear what was said in it before."""
        s = self._state
        if not s.active:
            return
        early, s.early = s.early, {}
        for peer in sorted(early):
            for message in early[peer]:
                assert isinstance(message, Proposal | Vote | ViewRequest)
                if message.view >= s.view:
                    self._in_view(peer, message)

    def _signed(self, event: Signed) -> None:
        s = self._state
        pending = s.pending.pop(event.purpose, None)
        if pending is None or pending.view != s.view:
            return
        match pending.kind:
            case "vote":
                vote = votes.vote_signed(s, pending, event.signature)
                votes.send_vote(s, vote)
            case "proposal":
                proposals.proposal_signed(s, pending, event.signature)
            case "view-change":
                view_change.change_signed(s, pending, event.signature)
            case "new-view":
                view_change.new_view_signed(s, pending, event.signature)
                self._replay_early()
            case other:
                raise AssertionError(f"signature for {other}")

    def _timer(self, name: str) -> None:
        s = self._state
        match name:
            case "view":
                timing.view_timer_fired(s)
            case "idle":
                s.due = True
                timing.arm_view_timer(s)
            case "batch":
                proposals.batch_due(s)
            case "resend":
                view_change.resend(s)
            case "recall":
                memory.ask(s)
            case other:
                raise AssertionError(f"timer {other}")

    def _peer_status(self, event: PeerStatus) -> None:
        """Help a peer that missed something: the NEW-VIEW, votes, or notice that it is ahead."""
        s = self._state
        peer = event.peer
        if event.height > s.head.height:
            s.out.append(Behind(peer, event.height))
        behind_in_view = event.view < s.view or (event.view == s.view and not event.active)
        if s.active and s.new_view is not None and behind_in_view:
            s.out.append(Send((peer,), s.new_view))
        stuck = s.last_height.get(peer) == event.height
        s.last_height[peer] = event.height
        if stuck and s.active and event.view == s.view and event.active:
            votes.resend(s, peer, event.height)


def build(setting: Setting) -> Pbft:
    """Factory of the entry point `zizhu.consensus`."""
    return Pbft(setting)
