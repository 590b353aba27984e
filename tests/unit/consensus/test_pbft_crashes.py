"""A member that stops between any two effects comes back as the same voter: the same vote again, never another."""

import itertools

import pytest

from zizhu.chain.consensus import port
from zizhu.chain.consensus.pbft.messages import (
    MemoryAnswer,
    NewView,
    Proposal,
    ViewChange,
    Vote,
    Voted,
    vote_record_codec,
)
from zizhu.chain.model.certificate import COMMIT, PREPARE
from zizhu.chain.model.encoding import encode
from zizhu.framework.testkit.council import Council, Seat

Place = tuple[str, int, int, int]


def _said(seat: Seat) -> dict[Place, list[bytes]]:
    """Everything a member has signed and sent, by what it must never contradict."""
    said: dict[Place, list[bytes]] = {}
    for message in seat.sent:
        match message:
            case Proposal():
                place = ("vote", message.view, PREPARE, message.header.height)
                said.setdefault(place, []).append(encode((message.header, message.outcome)))
            case Vote():
                place = ("vote", message.view, message.phase, message.height)
                said.setdefault(place, []).append(encode((message.block, message.outcome)))
            case ViewChange():
                said.setdefault(("change", message.view, 0, 0), []).append(encode(message))
            case NewView():
                said.setdefault(("new-view", message.view, 0, 0), []).append(encode(message.changes))
            case _:
                pass
    return said


def _signed(seat: Seat) -> dict[bytes, list[bytes]]:
    """What a member asked its key to sign, by purpose. A leader's prepare is signed as "proposal" or again as vote."""
    signed: dict[bytes, list[bytes]] = {}
    for purpose, message in seat.signed:
        signed.setdefault(purpose.replace(b"\xa8proposal", b"\xa4vote"), []).append(message)
    return signed


def _story(council: Council, victim: Seat) -> None:
    """Two pipelined blocks, a view change with a prepared tip, a block after it; deaf where it makes it harder. When
    the victim goes down it comes back at once, and hears everything from then on."""

    def go_on(passes: object = None) -> None:
        for _ in range(3):
            council.deliver(passes or (lambda _: True))  # type: ignore[arg-type]
            if victim.down:
                victim.restart()
                council.catch_up(victim)
                council.deliver(passes or (lambda _: True))  # type: ignore[arg-type]

    for _ in range(2):
        council.leader.wait_for(500)
    go_on(lambda letter: not (isinstance(letter.message, Vote) and letter.message.phase == COMMIT))
    for seat in council.seats:
        if not seat.down:
            seat.wait_for(1)
            if "view" in seat.timers:
                seat.fire("view")
    go_on()
    for _ in range(4):
        council.tell_statuses()
        council.catch_up(victim)
        go_on()
        for seat in council.seats:
            for timer in ("recall", "resend", "view"):
                if council.seats[0].head.height < 3 and timer in seat.timers and not seat.down:
                    seat.fire(timer)
        go_on()
    council.commit_one()
    go_on()


def _effects_of(position: int) -> int:
    """How many durable effects the member at `position` has in the whole story, undisturbed."""
    council = Council().start()
    victim = council.seats[position]
    victim.crash_after = 1_000_000
    _story(council, victim)
    assert not victim.down and victim.crash_after is not None
    return 1_000_000 - victim.crash_after


@pytest.mark.row("A-15")
@pytest.mark.parametrize("position", range(4), ids=["leader", "next leader", "third", "fourth"])
def test_a_crash_between_any_two_effects_makes_no_second_vote(position: int) -> None:
    """Then (a) never two different votes for (height, view, phase), (b) the identical vote can be re-sent."""
    effects = _effects_of(position)
    assert effects > 15
    for at in range(effects):
        council = Council().start()
        victim = council.seats[position]
        victim.crash_after = at
        _story(council, victim)
        for place, bodies in _said(victim).items():
            assert len(set(bodies)) == 1, (at, place)
        for purpose, messages in _signed(victim).items():
            assert len(set(messages)) == 1, (at, purpose)
        assert {seat.engine.status().voting for seat in council.seats} == {True}, at
        heads = {seat.head.block for seat in council.seats}
        assert len(heads) == 1 and council.seats[0].head.height >= 3, (at, [s.head.height for s in council.seats])


@pytest.mark.row("A-15")
def test_nothing_is_signed_or_sent_before_its_record_is_durable() -> None:
    """Then (a) never two different votes: the order is Persist, Sign, Send for each vote, view change and new view."""
    council = Council().start()
    seen: list[str] = []
    for seat in council.seats:
        inner = seat._act

        def note(effect: port.Effect, seat: Seat = seat, inner: object = inner) -> list[port.Event]:
            if isinstance(effect, port.Send) and isinstance(effect.message, Vote | Proposal | ViewChange | NewView):
                records = [vote_record_codec.decode(data) for data in seat.log]
                match effect.message:
                    case Vote() as vote:
                        pair = (vote.view, vote.phase, vote.height, vote.block)
                    case Proposal() as proposal:
                        pair = None
                        assert any(
                            isinstance(each, Voted)
                            and (each.view, each.phase, each.height) == (proposal.view, PREPARE, proposal.header.height)
                            for each in records
                        )
                    case other:
                        pair = None
                        assert any(getattr(each, "view", None) == other.view for each in records)
                if pair is not None:
                    assert any(
                        isinstance(each, Voted) and (each.view, each.phase, each.height, each.block) == pair
                        for each in records
                    )
                seen.append(type(effect.message).__name__)
            return inner(effect)  # type: ignore[operator,no-any-return]

        seat._act = note  # type: ignore[method-assign]
    _story(council, council.seats[3])
    assert {"Vote", "Proposal", "ViewChange", "NewView"} <= set(seen)


@pytest.mark.row("A-14")
def test_a_commit_that_was_sent_is_sent_again_and_binds() -> None:
    """Then it re-sends the same commit and signs another block at that height only in a higher view with a valid new
    view."""
    council = Council().start()
    victim, rest = council.seats[1], [council.seats[0], *council.seats[2:]]
    council.leader.wait_for(1)
    council.deliver(lambda letter: not (isinstance(letter.message, Vote) and letter.message.phase == COMMIT))
    sent = [each for each in victim.sent if isinstance(each, Vote) and each.phase == COMMIT and each.height == 2]
    assert len(sent) == 1
    victim.restart()
    council.deliver()
    again = [each for each in victim.sent if isinstance(each, Vote) and each.phase == COMMIT and each.height == 2]
    for seat in rest:
        victim.tell(port.PeerStatus(seat.id, 0, active=True, height=1))
        victim.tell(port.PeerStatus(seat.id, 0, active=True, height=1))
    rival = council.block(victim.head.block, proposer=council.seats[0].id, salt=9)
    victim.tell(port.Received(council.seats[0].id, council.proposal(rival)))
    again = [each for each in victim.sent if isinstance(each, Vote) and each.phase == COMMIT and each.height == 2]
    assert set(map(encode, again)) == {encode(sent[0])}
    place = ("vote", 0, PREPARE, 2)
    assert len(set(_said(victim)[place])) == 1
    for seat in council.seats:
        seat.tell(port.PassedOver())
    council.deliver()
    assert {seat.head.block for seat in council.seats} == {sent[0].block}


@pytest.mark.row("A-15")
def test_a_leader_that_stops_around_its_new_view_sends_the_identical_one() -> None:
    """Then (b) the identical vote can be re-sent: whether it had written, signed or sent its NEW-VIEW, the one after
    the restart carries the same VIEW-CHANGEs."""
    for at in range(14):
        council = Council().start()
        leader = council.seats[1]
        for seat in council.seats[1:]:
            seat.wait_for(1)
        council.mail.clear()
        leader.crash_after = at
        for seat in council.seats[1:]:
            seat.fire("view")
        council.deliver()
        if leader.down:
            leader.restart()
            council.deliver()
            for seat in council.seats[1:]:
                if "resend" in seat.timers:
                    seat.fire("resend")
            council.deliver()
        sent = [encode(each) for each in leader.sent if isinstance(each, NewView) and each.view == 1]
        assert len(set(sent)) <= 1, at


# -- lost memory ---------------------------------------------------------------------------------------------------


def _without_log(seat: Seat, records: int) -> None:
    """The member's vote log is that of a backup: its first `records` records."""
    seat.log = seat.log[:records]
    seat.restart()


@pytest.mark.row("P-12")
@pytest.mark.parametrize("kept", range(1, 5))
def test_a_member_restored_from_a_backup_never_votes_again(kept: int) -> None:
    """A member restored from a backup votes again: not here. Any peer that shows a newer vote of its own key silences
    it for ever, across restarts, and `status` says why."""
    council = Council().start()
    for _ in range(3):
        council.commit_one()
    victim = council.seats[2]
    assert len(victim.log) > 5
    victim.committed = victim.committed[:1]
    _without_log(victim, kept)
    council.deliver()
    for _ in range(2):
        status = victim.engine.status()
        assert not status.voting and status.reason in ("newer_vote_shown", "newer_view_change_shown")
        signed = len(victim.signed)
        council.commit_one()
        assert len(victim.signed) == signed
        victim.restart()
        council.deliver()
    assert {seat.head.height for seat in council.seats if seat is not victim} == {6}


@pytest.mark.row("P-12")
@pytest.mark.row("A-15")
def test_a_member_whose_log_is_gone_never_votes_again() -> None:
    """Then a member whose vote log is missing, restored or older than a vote a peer shows never votes with that key
    again: a folder with blocks and no vote log says so by itself."""
    council = Council().start()
    council.commit_one()
    victim = council.seats[2]
    _without_log(victim, 0)
    council.deliver()
    status = victim.engine.status()
    assert (status.voting, status.reason) == (False, "vote_log_missing")
    assert any(each.fact == "memory_lost" for each in victim.reports)
    council.commit_one()
    victim.restart()
    assert victim.engine.status().reason == "vote_log_missing"


@pytest.mark.parametrize("answers", [0, 1])
def test_too_few_answers_keep_a_member_silent(answers: int) -> None:
    """A member votes only after q - 1 others have answered, asks again until they have, and takes an answer once."""
    council = Council().start()
    victim = council.seats[2]
    victim.restart()
    council.mail.clear()
    for _ in range(3):
        for seat in council.seats[:answers]:
            victim.tell(port.Received(seat.id, MemoryAnswer(0, None, None)))
    assert victim.engine.status().reason == "recalling"
    victim.fire("recall")
    assert len([letter for letter in council.mail if letter.source == victim.id]) == 3 - answers
    assert "recall" in victim.timers


def test_the_vote_log_of_any_prefix_restores() -> None:
    """Whatever prefix of the vote log a crash left, a member restores from it without an exception, in a view not
    below any it has left, and votes for nothing that contradicts it."""
    council = Council().start()
    _story(council, council.seats[3])
    log = list(council.seats[1].log)
    assert len(log) > 10
    for length in range(1, len(log) + 1):
        seat = council.seats[1]
        seat.log = log[:length]
        seat.restart()
        views = [getattr(vote_record_codec.decode(data), "view", 0) for data in seat.log]
        assert seat.view >= max(views)


def test_every_order_of_restarts_ends_in_one_chain() -> None:
    """Power loss of all members in any order of return: the chain goes on, with equal heads."""
    for order in itertools.permutations(range(4)):
        council = Council().start()
        council.leader.wait_for(1)
        council.deliver(lambda letter: not (isinstance(letter.message, Vote) and letter.message.phase == COMMIT))
        for seat in council.seats:
            seat.down = True
        council.mail.clear()
        for position in order:
            council.seats[position].restart()
            council.deliver()
        for seat in council.seats:
            if "recall" in seat.timers:
                seat.fire("recall")
        council.deliver()
        for _ in range(2):
            for seat, peer in itertools.permutations(council.seats, 2):
                status = peer.engine.status()
                seat.tell(port.PeerStatus(peer.id, status.view, status.active, peer.head.height))
            council.deliver()
        council.commit_one()
        assert {seat.head.height for seat in council.seats} == {3}, order
