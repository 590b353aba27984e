"""Messages altered, exaggerated and contradicting themselves: rejected, the link peer named, nothing moved.

The cases are generated from the schemas, so that a new field is covered by being there.
"""

import sys
from collections.abc import Iterator

import msgspec
import pytest

from zizhu.chain.consensus import port
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
from zizhu.chain.consensus.pbft.state import EARLY_MESSAGES_MAX, VIEW_AHEAD_MAX
from zizhu.chain.model import limits
from zizhu.chain.model.certificate import COMMIT, PREPARE
from zizhu.chain.model.compact import SingleEntry
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.network.messages import MESSAGES as NETWORK_MESSAGES
from zizhu.chain.network.wire import Wire
from zizhu.framework.testkit.council import Council, Seat
from zizhu.framework.testkit.malform import at, places, put, variants

WIRE = Wire((*NETWORK_MESSAGES, *MESSAGES))
HUGE = [0, 2**31 - 1, 2**63 - 1, 2**63, 2**64 - 1, -1]


class Scene:
    """Four members at height 1, one of them (`target`) told things by another (`peer`)."""

    def __init__(self) -> None:
        self.council = Council().start()
        self.target: Seat = self.council.seats[3]
        self.peer = self.council.seats[1]
        self.leader = self.council.seats[0]
        self.made = self.council.block(self.target.head.block, proposer=self.leader.id, count=1)
        self.below = self.council.library[self.target.head.block]

    def change(self, seat: Seat, view: int = 1) -> ViewChange:
        """The VIEW-CHANGE of a member, signed, with its certificate of height 1."""
        seat.engine.step(self.council.now, port.Waiting(1, 0, 1))
        seat.engine.step(self.council.now, port.TimerFired("view"))
        for message in self.signed(seat, view):
            return message
        raise AssertionError("no view change")

    def signed(self, seat: Seat, view: int) -> Iterator[ViewChange]:
        """What the member sends once its signature is there."""
        from zizhu.chain.consensus.pbft.view_change import change_message, own_greatest

        state = seat.engine._state
        unsigned = ViewChange(0, view, own_greatest(state), seat.id, bytes(64))
        signature = self.council.consortium.sign(seat.id, change_message(self.council.consortium.voters, unsigned))
        yield msgspec.structs.replace(unsigned, signature=signature)

    def new_view(self, view: int = 1) -> NewView:
        """A NEW-VIEW by the leader of `view` with three VIEW-CHANGEs, its own among them."""
        from zizhu.chain.consensus.pbft.view_change import new_view_message

        council = self.council
        leader = council.seats[view % 4]
        chosen = sorted((seat for seat in (leader, *council.seats[:3]) if seat), key=lambda seat: seat.id)
        unique = list({seat.id: seat for seat in chosen}.values())[:3]
        if leader not in unique:
            unique = sorted([leader, *unique[:2]], key=lambda seat: seat.id)
        changes = [next(self.signed(seat, view)) for seat in unique]
        message = new_view_message(council.consortium.voters, epoch=0, view=view, changes=changes)
        return NewView(0, view, changes, council.consortium.sign(leader.id, message))

    def good(self, kind: type[msgspec.Struct]) -> tuple[Seat, msgspec.Struct]:
        """A valid message of one type, and who may send it to `target` now."""
        council = self.council
        if kind is Proposal:
            return self.leader, council.proposal(self.made)
        if kind is Vote:
            return self.peer, council.vote(self.peer.id, self.made, phase=PREPARE)
        if kind is ViewChange:
            return self.peer, next(self.signed(self.peer, 1))
        if kind is NewView:
            return self.peer, self.new_view()
        if kind is ViewRequest:
            return self.peer, ViewRequest(0, 0, "slow")
        if kind is MemoryQuery:
            return self.peer, MemoryQuery(0)
        vote = council.vote(self.target.id, self.below, phase=COMMIT)
        return self.peer, MemoryAnswer(0, vote, next(self.signed(self.target, 1)))

    def tell(self, sender: Seat, message: msgspec.Struct) -> None:
        self.target.tell(port.Received(sender.id, message))

    def state(self) -> tuple[object, ...]:
        """What no bad message may move."""
        status = self.target.engine.status()
        return (status.view, status.active, status.voting, self.target.head, tuple(self.target.log))


def _decodes(message: msgspec.Struct) -> bool:
    try:
        WIRE.decode(encode(message))
    except SpokeWrongly:
        return False
    return True


SIGNED = [ViewChange, NewView]
"""Each byte of these is under a signature of their member or leader, and they are relayed."""


@pytest.mark.row("A-1")
@pytest.mark.parametrize("kind", SIGNED, ids=lambda kind: kind.__name__)
def test_a_signed_message_altered_anywhere_is_rejected(kind: type[msgspec.Struct]) -> None:
    """Then every honest node rejects it, counts one offence for the **link peer**, and the view is unchanged.
    Repeat for each field of each message type (generated)."""
    scene = Scene()
    sender, good = scene.good(kind)
    tried = 0
    for path, altered in variants(good):
        if not _decodes(altered):
            continue
        tried += 1
        before, faults = scene.state(), len(scene.target.faults())
        scene.tell(sender, altered)
        assert scene.state() == before, path
        assert scene.target.faults()[faults:][:1] == [(sender.id.hex(), scene.target.faults()[-1][1])], path
        assert len(scene.target.faults()) == faults + 1, path
    assert tried > 20
    scene.tell(sender, good)
    assert len(scene.target.faults()) == tried, "the message itself is good"


@pytest.mark.row("A-1")
def test_a_proposal_altered_anywhere_is_rejected() -> None:
    """Then every honest node rejects it, counts one offence for the **link peer**, and the view is unchanged: all of
    the header and the outcome are under the leader's prepare; entries are under the header's roots (test_assembly)."""
    tried = 0
    _, good = Scene().good(Proposal)
    for path, altered in variants(good):
        if path[0] == "entries" or not _decodes(altered):
            continue
        scene = Scene()
        height = at(altered, ("header", "height"))
        before = scene.state()
        scene.tell(scene.leader, altered)
        assert not [each for each in scene.target.sent if isinstance(each, Vote) and each.height > 1], path
        assert (scene.state()[0], scene.state()[3:]) == (before[0], before[3:]), path
        if path == ("view",):
            continue  # a view to come: kept, and judged when that view is entered; the far future is a fault
        if path[-1] == "height" and (height <= 1 or height > 20):
            continue  # of no use now: dropped, or a sign of being behind
        assert scene.target.faults()[:1] and scene.target.faults()[0][0] == scene.leader.id.hex(), path
        tried += 1
    assert tried > 20


@pytest.mark.row("A-1")
def test_an_altered_vote_never_counts() -> None:
    """Then every honest node rejects it, counts one offence for the **link peer**, and the view is unchanged: as soon
    as the height is decided, whatever field of the vote was altered and whichever pair it then speaks for."""
    for phase in (PREPARE, COMMIT):
        example = Scene()
        right = example.council.vote(example.peer.id, example.made, phase=phase)
        for path, altered in variants(right):
            place = (altered.epoch, altered.view, altered.phase, altered.height)  # type: ignore[attr-defined]
            if place != (0, 0, phase, 2) or not _decodes(altered):
                continue  # another place: not of this round at all
            scene = Scene()
            council, liar = scene.council, scene.peer
            scene.tell(liar, altered)
            honest = [scene.leader, council.seats[2]]
            scene.tell(scene.leader, council.proposal(scene.made))
            for voting in (PREPARE, COMMIT):
                for seat in (*honest, *([liar] if voting != phase else [])):
                    if not (voting == PREPARE and seat is scene.leader):
                        scene.tell(seat, council.vote(seat.id, scene.made, phase=voting))
            assert scene.target.head.height == 2, (phase, path)
            assert scene.target.faults() == [(liar.id.hex(), "vote_signature")], (phase, path)
            certified = [signed.member for signed in scene.target.committed[-1].signatures]
            assert phase == PREPARE or liar.id not in certified


@pytest.mark.row("A-1")
def test_an_altered_memory_is_not_believed() -> None:
    """Then every honest node rejects it, counts one offence for the **link peer**: what a peer shows of one's own
    votes is under one's own signature, and only that can make a member silent."""
    good = Scene().good(MemoryAnswer)[1]
    answers = [msgspec.structs.replace(good, vote=None), msgspec.structs.replace(good, change=None)]
    tried = 0
    for path, altered in (each for answer in answers for each in variants(answer)):
        if not _decodes(altered):
            continue
        scene = Scene()
        scene.target.restart()
        scene.council.mail.clear()
        scene.tell(scene.peer, altered)
        tried += 1
        assert scene.target.engine.status().reason == "recalling", path
        assert [peer for peer, _ in scene.target.faults()] == [scene.peer.id.hex()], path
        for seat in (scene.leader, scene.council.seats[2]):
            scene.tell(seat, MemoryAnswer(0, None, None))
        assert scene.target.engine.status().voting, path
    assert tried > 15


@pytest.mark.row("A-18")
def test_an_answer_about_another_epoch_silences_nobody() -> None:
    """Then reject and penalise: a genuine vote of one's own in another epoch, under the present epoch's number, does
    not count as a vote that was forgotten."""
    scene = Scene()
    council, target = scene.council, scene.target
    from zizhu.chain.crypto.hashing import vote_message

    said = msgspec.structs.replace(council.statement(scene.below, phase=COMMIT, view=9), epoch=7)
    signature = council.consortium.sign(target.id, vote_message(council.consortium.suite, said))
    vote = Vote(7, 9, COMMIT, said.height, said.block, said.outcome, signature)
    target.restart()
    council.mail.clear()
    scene.tell(scene.peer, MemoryAnswer(0, vote, None))
    assert target.engine.status().reason == "recalling"
    assert target.faults() == [(scene.peer.id.hex(), "memory_vote")]


@pytest.mark.row("A-3")
@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_integers_of_any_size_do_no_harm(kind: type[msgspec.Struct]) -> None:
    """Then decode rejects out-of-window values (view <= cur + W, height <= cur + W): what no codec takes is refused,
    what it takes is ignored or named, never an exception, and it leaves nothing behind that grows."""
    sender, good = Scene().good(kind)
    tried = 0
    for path in places(good):
        old = at(good, path)
        if isinstance(old, bool) or not isinstance(old, int):
            continue
        for value in HUGE:
            changed = put(good, path, value)
            tried += 1
            if not 0 <= value <= limits.NUMBER_MAX:
                assert not _decodes(changed), (path, value)
                continue
            if not _decodes(changed) or value == old:
                continue
            scene = Scene()
            size = _held(scene.target)
            before = scene.state()
            for _ in range(3):
                scene.tell(scene.council.by_id[sender.id], changed)
            assert scene.state()[0] == before[0] and scene.state()[3] == before[3], (path, value)
            assert _held(scene.target) <= size + 3, (path, value)
    assert tried >= len(HUGE)


def _held(seat: Seat) -> int:
    """How many things a member keeps about messages."""
    state = seat.engine._state
    slots = sum(len(slot.prepares) + len(slot.commits) + (slot.proposal is not None) for slot in state.slots.values())
    return slots + sum(map(len, state.early.values())) + len(state.slots)


@pytest.mark.row("A-3")
def test_a_view_far_ahead_is_an_offence_and_a_near_one_is_kept_bounded() -> None:
    """Then decode rejects out-of-window values (view <= cur + W): 65,536 views ahead is too far, and of what is
    nearer a member keeps a bounded number of messages, and of proposals no more than a leader may have in flight."""
    scene = Scene()
    vote = scene.council.vote(scene.peer.id, scene.made, phase=PREPARE)
    scene.tell(scene.peer, msgspec.structs.replace(vote, view=VIEW_AHEAD_MAX + 1))
    assert scene.target.faults() == [(scene.peer.id.hex(), "view_out_of_window")]
    for view in range(1, 3 * EARLY_MESSAGES_MAX):
        scene.tell(scene.peer, msgspec.structs.replace(vote, view=view))
    state = scene.target.engine._state
    assert len(state.early[scene.peer.id]) == EARLY_MESSAGES_MAX
    big = scene.council.proposal(scene.made)
    big = msgspec.structs.replace(big, entries=[SingleEntry(bytes(32), bytes(32))] * 100)
    for view in range(1, 1_000):
        scene.tell(scene.peer, msgspec.structs.replace(big, view=view))
    kept = [each for each in state.early[scene.peer.id] if isinstance(each, Proposal)]
    assert 0 < len(kept) <= scene.council.consortium.voters.record.parameters.window + 1
    assert all(state.leader(each.view) == scene.peer.id for each in kept)


def _proposal_epoch(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    header = msgspec.structs.replace(scene.made.header, epoch=1)
    good = scene.council.proposal(scene.made)
    return scene.leader, msgspec.structs.replace(good, header=header), "proposal_epoch"


def _proposal_of_another(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    return scene.peer, scene.council.proposal(scene.made), "proposal_not_leader"


def _outer_epoch(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    good = scene.council.vote(scene.peer.id, scene.made, phase=PREPARE)
    return scene.peer, msgspec.structs.replace(good, epoch=1), "epoch"


def _change_member(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    return scene.peer, next(scene.signed(scene.council.seats[2], 1)), "view_change_member"


def _change_certificate_view(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    from zizhu.chain.consensus.pbft.view_change import change_message

    certificate = scene.council.certificate(scene.below, phase=PREPARE, view=1)
    unsigned = ViewChange(0, 1, certificate, scene.peer.id, bytes(64))
    voters = scene.council.consortium.voters
    signature = scene.council.consortium.sign(scene.peer.id, change_message(voters, unsigned))
    return scene.peer, msgspec.structs.replace(unsigned, signature=signature), "view_change_certificate"


def _change_certificate_epoch(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    from zizhu.chain.consensus.pbft.view_change import change_message

    certificate = msgspec.structs.replace(scene.council.certificate(scene.below), epoch=1)
    unsigned = ViewChange(0, 1, certificate, scene.peer.id, bytes(64))
    voters = scene.council.consortium.voters
    signature = scene.council.consortium.sign(scene.peer.id, change_message(voters, unsigned))
    return scene.peer, msgspec.structs.replace(unsigned, signature=signature), "view_change_certificate"


def _new_view_signed(scene: Scene, changes: list[ViewChange], view: int = 1) -> NewView:
    from zizhu.chain.consensus.pbft.view_change import new_view_message

    consortium = scene.council.consortium
    message = new_view_message(consortium.voters, epoch=0, view=view, changes=changes)
    return NewView(0, view, changes, consortium.sign(consortium.members[view % 4], message))


def _new_view_mixed(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    changes = scene.new_view().changes
    other = next(scene.signed(scene.council.by_id[changes[0].member], 2))  # type: ignore[index]
    return scene.peer, _new_view_signed(scene, [other, *changes[1:]]), "new_view_quorum"


def _new_view_too_few(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    return scene.peer, _new_view_signed(scene, scene.new_view().changes[:2]), "new_view_quorum"


def _new_view_one_member_thrice(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    return scene.peer, _new_view_signed(scene, scene.new_view().changes[:1] * 3), "new_view_members"


def _new_view_unordered(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    return scene.peer, _new_view_signed(scene, scene.new_view().changes[::-1]), "new_view_members"


def _new_view_by_another(scene: Scene) -> tuple[Seat, msgspec.Struct, str]:
    from zizhu.chain.consensus.pbft.view_change import new_view_message

    consortium = scene.council.consortium
    good = scene.new_view()
    message = new_view_message(consortium.voters, epoch=0, view=1, changes=good.changes)
    return (
        scene.peer,
        NewView(0, 1, good.changes, consortium.sign(consortium.members[2], message)),
        ("new_view_signature"),
    )


CONTRADICTIONS = [
    _proposal_epoch, _proposal_of_another, _outer_epoch, _change_member, _change_certificate_view,
    _change_certificate_epoch, _new_view_mixed, _new_view_too_few, _new_view_one_member_thrice, _new_view_unordered,
    _new_view_by_another,
]  # fmt: skip


@pytest.mark.row("A-18")
@pytest.mark.parametrize("lie", CONTRADICTIONS, ids=lambda lie: lie.__name__[1:])
def test_fields_that_say_the_same_must_agree(lie: object) -> None:
    """Then reject and penalise (generator walks the schema): every pair of fields of our messages that say the same
    thing twice, whole and well signed but for the contradiction."""
    scene = Scene()
    sender, message, rule = lie(scene)  # type: ignore[operator]
    before = scene.state()
    scene.tell(sender, message)
    assert scene.target.faults() == [(sender.id.hex(), rule)]
    assert scene.state() == before


@pytest.mark.row("A-19")
def test_lengths_that_lie_end_in_a_decode_error() -> None:
    """Then decode error, no exception escapes the codec: a bitmap, a list or a byte string of another length than its
    count says, in every message there is."""
    from zizhu.framework.testkit.malformed import malformed

    tried = 0
    for kind in (*MESSAGES, *NETWORK_MESSAGES):
        for what, data in malformed(kind):
            if "length" not in what and "items" not in what and "cut" not in what:
                continue
            with pytest.raises(SpokeWrongly):
                WIRE.decode(data)
            tried += 1
    assert tried > 1_000


@pytest.mark.row("A-2")
def test_one_huge_view_drags_nobody() -> None:
    """Then others move only on f+1 distinct valid claims, commits continue."""
    council = Council().start()
    scene = Scene()
    liar = council.seats[3]
    for number in range(50):
        view = 60_000 + number
        change = next(scene.signed(scene.council.seats[3], view))
        for seat in council.seats[:3]:
            seat.tell(port.Received(liar.id, change))
            seat.tell(port.Received(liar.id, next(scene.signed(scene.council.seats[3], 10**6 + number))))
        council.commit_one()
    assert {seat.view for seat in council.seats} == {0}
    assert {seat.head.height for seat in council.seats} == {51}
    assert {rule for _, rule in council.seats[0].faults()} == {"view_out_of_window"}


def test_every_message_type_is_covered() -> None:
    """A new message of this engine needs a place in `Scene.good`, or these tests say nothing about it."""
    scene = Scene()
    for kind in MESSAGES:
        assert type(scene.good(kind)[1]) is kind
    assert sys.getsizeof(encode(scene.good(NewView)[1])) < limits.MESSAGE_BYTES_MAX
