"""Timers: how long a dead leader costs, when an idle chain moves, when leadership passes on, when a batch leaves."""

import pytest

from zizhu.chain.consensus import port
from zizhu.chain.consensus.pbft.messages import Proposal
from zizhu.chain.consensus.pbft.timing import FALL_BACK_BLOCKS, NETWORK_DELAY_MS, cap_ms
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.ids import Instant
from zizhu.framework.testkit.council import Council, Seat


def _dead_leaders(council: Council, dead: int) -> int:
    """Kill the leaders of the next `dead` views and let the others time out until a block is committed; the ms that
    passed. The present leader is the first of them."""
    first = council.leader.view
    members = council.consortium.members
    for number in range(dead):
        council.by_id[members[(first + number) % len(members)]].down = True
    running = [seat for seat in council.seats if not seat.down]
    height = running[0].head.height
    for seat in running:
        seat.wait_for(1)
    council.deliver()
    waited = 0
    while {seat.head.height for seat in running} == {height}:
        waited += running[0].timers["view"]
        for seat in running:
            seat.fire("view")
        council.deliver()
    return waited


@pytest.mark.parametrize("dead", [1, 2, 3])
def test_dead_leaders_in_a_row(dead: int) -> None:
    """One dead leader costs at most 2 s, k in a row at most 2^k s."""
    council = Council(10).start()
    assert _dead_leaders(council, dead) <= 1_000 * 2**dead
    assert all(seat.active for seat in council.seats if not seat.down)


def test_the_timeout_falls_back_after_progress() -> None:
    """After two dead leaders one block is no reason to hurry; eight blocks of a view bring the first time-out again."""
    council = Council(10).start()
    _dead_leaders(council, 2)
    running = [seat for seat in council.seats if not seat.down]
    timeouts = []
    for _ in range(FALL_BACK_BLOCKS):
        for seat in running:
            seat.wait_for(1)
        timeouts.append([seat.timers["view"] for seat in running])
        council.deliver()
    assert timeouts[0] == [2_000] * len(running)
    assert timeouts[-1] == [500] * len(running)


def test_the_timeout_doubles_up_to_its_cap() -> None:
    """500 ms, doubled with each view that brings nothing, never above the cap."""
    council = Council().start()
    seen: list[int] = []
    for seat in council.seats:
        seat.wait_for(1)
    council.mail.clear()
    for _ in range(8):
        seen.append(council.seats[1].timers["view"])
        for seat in council.seats:
            seat.fire("view")
        council.deliver(lambda letter: type(letter.message).__name__ == "ViewChange")
    assert seen == [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000, 8_000]


def _parameters() -> list[Parameters]:
    """The defaults, and every combination of the ends of what bears on the cap."""
    made = [Parameters()]
    for window in (1, 4, 64):
        for first in (50, 500, 60_000):
            for cap in (first, 8_000, 600_000):
                if cap >= first:
                    made.append(Parameters(window=window, view_timeout_ms=first, view_timeout_cap_ms=cap))
    return made


@pytest.mark.parametrize(
    "parameters", _parameters(), ids=lambda p: f"{p.window}-{p.view_timeout_ms}-{p.view_timeout_cap_ms}"
)
def test_the_cap_leaves_room_for_a_full_window(parameters: Parameters) -> None:
    """The cap of the back-off is at least window x worst execution + 8 network delays; the worst execution is a
    quarter of the first view time-out."""
    worst_execution_ms = parameters.view_timeout_ms / 4
    assert cap_ms(parameters) >= parameters.window * worst_execution_ms + 8 * NETWORK_DELAY_MS
    assert cap_ms(parameters) >= max(parameters.view_timeout_cap_ms, parameters.view_timeout_ms)


def test_the_default_cap_needs_no_correction() -> None:
    """With default parameters the cap is the one that the record says."""
    assert cap_ms(Parameters()) == Parameters().view_timeout_cap_ms


def test_a_member_alone_does_not_run_ahead() -> None:
    """After VIEW-CHANGE(v) the timer towards v+1 starts only with q VIEW-CHANGEs for views >= v: a member cut off
    stays in the view it asked for, and repeats its VIEW-CHANGE."""
    council = Council().start()
    lonely = council.seats[2]
    lonely.wait_for(1)
    lonely.fire("view")
    assert lonely.view == 1 and not lonely.active
    for _ in range(5):
        assert "view" not in lonely.timers
        sent = len(lonely.sent)
        lonely.fire("resend")
        assert len(lonely.sent) == sent + 1 and lonely.sent[-1] == lonely.sent[-2]
    assert lonely.view == 1


def test_f_plus_one_are_joined_at_the_smallest_of_their_views() -> None:
    """f+1 VIEW-CHANGEs above its own view make a member join the smallest of them."""
    council = Council().start()
    for seat, times in ((council.seats[1], 3), (council.seats[2], 2)):
        for _ in range(times):
            seat.engine._state.leave_for(seat.view + 1, "test")
            seat.tell(port.Waiting(0, 0, 0))
    newest = {}
    for letter in council.mail:
        newest[(letter.source, letter.target)] = letter
    council.mail = [letter for letter in newest.values() if letter.target == council.seats[3].id]
    assert [letter.message.view for letter in council.mail] == [3, 2]  # type: ignore[attr-defined]
    council.deliver(lambda letter: letter.target == council.seats[3].id)
    assert council.seats[3].view == 2


# -- idle ----------------------------------------------------------------------------------------------------------


def test_an_idle_chain_gets_a_root_after_a_second_and_a_block_every_minute() -> None:
    """After 1 s without a block if the tip has no root, and at least every 60 s; empty blocks."""
    council = Council().start()
    assert {seat.timers["idle"] for seat in council.seats} == {1_000}
    while council.seats[0].head.height < 10:
        for seat in council.seats:
            seat.fire("idle")
        council.deliver()
    assert {seat.head.has_root for seat in council.seats} == {True}
    assert {seat.timers["idle"] for seat in council.seats} == {60_000}
    assert all("view" not in seat.timers for seat in council.seats), "an idle chain waits for nobody"
    for seat in council.seats:
        seat.fire("idle")
    council.deliver()
    assert {seat.head.height for seat in council.seats} == {11}
    assert {seat.head.count for seat in council.seats} == {0}


def test_a_leader_that_keeps_an_idle_chain_waiting_is_left() -> None:
    """Members' timers enforce the idle rule: a due block is unfinished."""
    council = Council().start()
    council.seats[0].down = True
    for seat in council.seats[1:]:
        seat.fire("idle")
        assert seat.timers["view"] == 500
        seat.fire("view")
    council.deliver()
    assert {seat.view for seat in council.seats[1:]} == {1}
    for seat in council.seats[1:]:
        seat.fire("idle")
    council.deliver()
    assert {seat.head.height for seat in council.seats[1:]} == {2}


# -- rotation ------------------------------------------------------------------------------------------------------


def test_leadership_passes_on_after_so_many_blocks() -> None:
    """After rotation_blocks blocks of a view, by an ordinary view change that starts from the last certificate."""
    council = Council(parameters=Parameters(rotation_blocks=5)).start()
    for _ in range(4):
        assert {seat.view for seat in council.seats} == {0}
        council.commit_one()
    assert {seat.view for seat in council.seats} == {1}
    assert all(seat.active for seat in council.seats)
    council.commit_one()
    assert {seat.head.height for seat in council.seats} == {6}
    last = council.library[council.seats[0].head.block]
    assert last.header.proposer == council.seats[1].id


def test_leadership_passes_on_after_so_much_load() -> None:
    """After rotation_load_ms of block time with transactions; a pause counts as one second, empty blocks as nothing."""
    council = Council(parameters=Parameters(rotation_load_ms=100)).start()
    for _ in range(9):
        council.commit_one()
        assert {seat.view for seat in council.seats} == {0}
    for seat in council.seats:
        seat.fire("idle")
    council.deliver()
    assert {seat.view for seat in council.seats} == {0}
    council.commit_one()
    assert {seat.view for seat in council.seats} == {1}


# -- batches -------------------------------------------------------------------------------------------------------


def _proposals(seat: Seat) -> int:
    return sum(isinstance(each, Proposal) for each in seat.sent)


@pytest.mark.parametrize(
    ("free", "oldest_ms", "leaves"), [(1, 0, False), (499, 9, False), (500, 0, True), (1, 10, True), (0, 0, False)]
)
def test_what_waits_behind_a_block_in_flight(free: int, oldest_ms: int, leaves: bool) -> None:
    """Propose at once if nothing is in flight; otherwise when 500 wait or the oldest waits 10 ms."""
    council = Council().start()
    leader = council.seats[0]
    before = _proposals(leader)
    leader.wait_for(1)
    assert _proposals(leader) == before + 1
    leader.wait_for(free, oldest_ms=oldest_ms)
    assert _proposals(leader) == before + 1 + leaves
    if free and not leaves:
        assert leader.timers["batch"] == 10 - oldest_ms
        leader.fire("batch")
        assert _proposals(leader) == before + 2


@pytest.mark.parametrize("window", [1, 4])
def test_no_more_blocks_in_flight_than_the_window(window: int) -> None:
    """Up to the window; there is room for the next once one is committed."""
    council = Council(parameters=Parameters(window=window)).start()
    leader = council.seats[0]
    before = _proposals(leader)
    for _ in range(window + 3):
        leader.wait_for(500)
    assert _proposals(leader) == before + window
    council.deliver()
    leader.wait_for(500)
    assert _proposals(leader) == before + window + 1
    council.deliver()
    assert {seat.head.height for seat in council.seats} == {window + 2}


def test_time_of_the_machine_is_only_told() -> None:
    """The engine reads no clock: an hour between two steps changes nothing by itself."""
    council = Council().start()
    council.now = Instant(council.now.monotonic_ms + 3_600_000, council.now.wall_ms + 3_600_000)
    council.commit_one()
    assert {seat.head.height for seat in council.seats} == {2}


def test_a_block_that_comes_during_a_change_of_view_does_not_end_it() -> None:
    """The timer towards the next view runs once q members have asked for this one, and goes on when a block is synced
    meanwhile: they only repeat themselves, and members that stop at different views would wait for ever."""
    council = Council().start()
    council.seats[1].down = True
    running = [council.seats[position] for position in (0, 2, 3)]
    for seat in running:
        seat.wait_for(1)
    council.mail.clear()
    for seat in running:
        seat.fire("view")
    council.deliver()
    assert [(seat.view, seat.active) for seat in running] == [(1, False)] * 3
    assert all("view" in seat.timers for seat in running)
    made = council.block(running[0].head.block, proposer=council.seats[0].id, count=1)
    certificate = council.certificate(made, view=0)
    for seat in running:
        seat.held[made.ready.block] = made
        seat.committed.append(certificate)
        seat.tell(port.Synced(made.ready, certificate))
        assert "view" in seat.timers
        seat.fire("view")
    council.deliver()
    assert [(seat.view, seat.active) for seat in running] == [(2, True)] * 3
