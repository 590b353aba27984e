"""A leader that comes back to a chain that went on without it."""

from zizhu.chain.consensus import port
from zizhu.chain.consensus.pbft.messages import MemoryAnswer, MemoryQuery, Proposal, ViewChange, Vote
from zizhu.chain.model.certificate import COMMIT, PREPARE
from zizhu.chain.model.ids import Instant
from zizhu.framework.testkit.council import Council, Letter, Seat


def _overtaken() -> tuple[Council, Seat]:
    """Leader 0 has proposed heights 2 and 3 and nobody heard it; the others committed another block 2 in view 1."""
    council = Council().start()
    leader, rest = council.seats[0], council.seats[1:]
    for _ in range(2):
        leader.wait_for(500)
    assert max(each.ready.height for each in leader.held.values()) == 3
    council.mail.clear()
    leader.down = True
    for seat in rest:
        seat.wait_for(1)
        seat.fire("view")
    council.deliver()
    assert [seat.head.height for seat in rest] == [2, 2, 2]
    return council, leader


def _sync(council: Council, seat: Seat) -> None:
    """The member commits block 2 as the others have it, and has transactions of its own."""
    other = council.seats[1]
    ready, certificate = other.head, other.committed[-1]
    seat.held[ready.block] = council.library[ready.block]
    seat.committed.append(certificate)
    seat.tell(port.Synced(ready, certificate))
    seat.wait_for(500)


def _joins_again(council: Council, leader: Seat) -> None:
    """The others notice its old view, and the chain goes on with it."""
    assert leader.view == 0
    council.mail.clear()
    for seat in council.seats[1:]:
        seat.tell(port.PeerStatus(leader.id, 0, active=True, height=2))
    council.deliver()
    assert leader.view == 1 and leader.active
    council.commit_one()
    assert {seat.head.height for seat in council.seats} == {3}


def test_a_leader_whose_own_blocks_lost_builds_nothing_on_them() -> None:
    """Still in the view that it leads, it learns of another block at its height: what it built above is no parent."""
    council, leader = _overtaken()
    leader.down = False
    _sync(council, leader)
    _joins_again(council, leader)


def test_a_leader_that_voted_before_it_went_down_does_not_build_in_circles() -> None:
    """Back in the view that it led, on a head of a later one, it cannot propose another block where it has voted, and
    does not build one after the other in vain."""
    council, leader = _overtaken()
    leader.restart()
    _sync(council, leader)
    for _ in range(2):
        council.deliver(lambda letter: isinstance(letter.message, MemoryQuery | MemoryAnswer))
    assert leader.engine.status().voting
    leader.wait_for(500)
    leader.fire("idle")
    _joins_again(council, leader)


def test_a_leader_that_returns_unharmed_proposes_the_same_again() -> None:
    """What it proposed before the crash and nobody got is proposed again, unchanged, and committed."""
    council = Council().start()
    leader = council.seats[0]
    leader.wait_for(500)
    leader.wait_for(500)
    lost = [letter.message for letter in council.mail if letter.target == council.seats[1].id]
    council.mail.clear()
    leader.restart()
    council.deliver()
    proposed = [each for each in leader.sent if each in lost]
    assert len(proposed) == 2 * len(lost)
    assert {seat.head.height for seat in council.seats} == {3}


def _in_view_1(council: Council) -> Seat:
    """The members leave view 0, which brings them nothing; the leader of view 1."""
    council.mail.clear()
    for seat in council.seats:
        seat.wait_for(1)
        seat.fire("view")
    council.deliver()
    assert {(seat.view, seat.active) for seat in council.seats} == {(1, True)}
    return council.seats[1]


def test_a_leader_of_a_later_view_that_returns_proposes_the_same_again() -> None:
    """Its NEW-VIEW is signed again, but the view does not begin anew: the blocks that it proposed in it are kept, and
    proposed again, unchanged."""
    council = Council().start()
    leader = _in_view_1(council)
    for seat in council.seats:
        seat.wait_for(0)
    height = leader.head.height
    for _ in range(2):
        leader.wait_for(500)
    lost = [letter.message for letter in council.mail if letter.target == council.seats[2].id]
    assert len(lost) == 2
    council.mail.clear()
    leader.restart()
    council.deliver()
    assert [each for each in leader.sent if each in lost] == lost * 2
    assert {seat.head.height for seat in council.seats} == {height + 2}


def test_a_leader_that_returns_far_above_the_tip_of_its_view_goes_on() -> None:
    """The tip that its view began with is committed long since, and nobody has to see it proposed again."""
    council = Council().start()
    council.seats[0].wait_for(500)
    council.deliver(lambda letter: not (isinstance(letter.message, Vote) and letter.message.phase == COMMIT))
    leader = _in_view_1(council)
    for _ in range(3):
        council.commit_one()
    height, asked = leader.head.height, len(leader.asked)
    assert height >= 4
    leader.restart()
    council.deliver()
    council.commit_one()
    assert {seat.head.height for seat in council.seats} == {height + 1}
    assert {seat.view for seat in council.seats} == {1}
    assert len(leader.asked) == asked, "a node does not execute again what it has committed"


def test_view_changes_heard_before_the_memory_was_confirmed_are_counted_after_it() -> None:
    """Two of four ask for view 1 while a third still asks what it has voted: once it may vote, it joins them. They
    repeat themselves, and a repetition is not news."""
    council = Council().start()
    first, second, back, dead = council.seats
    dead.down = True
    back.restart()
    council.mail.clear()
    for seat in (first, second):
        seat.wait_for(1)
        seat.fire("view")
    council.deliver(lambda letter: isinstance(letter.message, ViewChange))
    assert not back.engine.status().voting
    back.fire("recall")
    council.deliver()
    for seat in (first, second):
        seat.fire("resend") if "resend" in seat.timers else None
    council.deliver()
    assert [(seat.view, seat.active) for seat in (first, second, back)] == [(1, True)] * 3


def _is_of_preparing(letter: Letter) -> bool:
    """Proposals and prepares; commits are lost."""
    message = letter.message
    return isinstance(message, Proposal) or (isinstance(message, Vote) and message.phase == PREPARE)


def _everybody_comes_back_late() -> tuple[Council, port.Executed]:
    """Leader 0 has proposed height 2; members 1 and 2 prepared it, member 3 never saw it. Then all lose their power,
    and start again an hour later, with nothing in their pools."""
    council = Council().start()
    leader = council.seats[0]
    leader.wait_for(1)
    council.deliver(lambda letter: _is_of_preparing(letter) and letter.target != council.seats[3].id)
    (made,) = [each for each in leader.held.values() if each.ready.height == 2]
    council.mail.clear()
    council.now = Instant(council.now.monotonic_ms + 3_600_000, council.now.wall_ms + 3_600_000)
    for seat in council.seats:
        seat.free = seat.unfinished = 0
        seat.restart()
    return council, made


def test_a_block_that_is_old_after_a_restart_is_proposed_again_as_a_tip() -> None:
    """The leader may propose nothing else there, and whoever never saw it would refuse it for its time; so it asks for
    the next view, whose tip is looked at without a clock, and nobody is left behind."""
    council, made = _everybody_comes_back_late()
    leader = council.seats[0]
    council.deliver()
    assert leader.view == 1 and not leader.active
    assert not any(isinstance(letter.message, Proposal) for letter in council.mail)
    assert all("view" in seat.timers for seat in council.seats[1:3]), "who prepared it waits for it"
    council.seats[1].fire("view")
    council.deliver()
    assert [seat.view for seat in council.seats] == [1, 1, 1, 1]
    assert {seat.head.block for seat in council.seats} == {made.ready.block}


def test_a_block_that_is_still_fresh_after_a_restart_is_proposed_again_as_it_was() -> None:
    """A leader that is back within the tolerance of the clocks sends the same proposal in the same view."""
    council = Council().start()
    leader = council.seats[0]
    leader.wait_for(1)
    council.mail.clear()
    leader.free = leader.unfinished = 0
    leader.restart()
    council.deliver()
    assert [seat.view for seat in council.seats] == [0, 0, 0, 0]
    assert {seat.head.height for seat in council.seats} == {2}
