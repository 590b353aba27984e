"""When a member gives a leader up, and what it does with requests of others to do so."""

from zizhu.chain.consensus import port
from zizhu.chain.consensus.pbft.messages import ViewRequest
from zizhu.chain.consensus.pbft.timing import REQUEST_KEEPS_MS
from zizhu.chain.model.effects import Send
from zizhu.chain.model.ids import Instant
from zizhu.framework.testkit.council import Council


def test_requests_count_although_blocks_are_committed_between_them() -> None:
    """A leader that censors and commits all the time is left: f+1 requests need not fall between two commits."""
    council = Council().start()
    first, second = council.seats[1], council.seats[2]
    first.tell(port.PassedOver())
    council.deliver()
    council.commit_one()
    council.commit_one()
    assert {seat.view for seat in council.seats} == {0}
    second.tell(port.PassedOver())
    council.deliver()
    assert {seat.view for seat in council.seats} == {1}
    assert all(seat.active for seat in council.seats)


def test_a_request_is_forgotten_after_a_while() -> None:
    """A complaint of long ago and one of today are not two that agree."""
    council = Council().start()
    council.seats[1].tell(port.PassedOver())
    council.deliver()
    council.now = Instant(council.now.monotonic_ms + REQUEST_KEEPS_MS + 1, council.now.wall_ms)
    council.seats[2].tell(port.PassedOver())
    council.deliver()
    assert {seat.view for seat in council.seats} == {0}


def test_who_finds_the_leader_bad_says_so_again() -> None:
    """A request that is forgotten by the others is sent again while its reason lasts, and not more often."""
    council = Council().start()
    seat = council.seats[1]

    def requests() -> int:
        effects = seat.engine.step(council.now, port.PassedOver())
        return sum(isinstance(each, Send) and isinstance(each.message, ViewRequest) for each in effects)

    assert [requests(), requests()] == [1, 0]
    council.now = Instant(council.now.monotonic_ms + REQUEST_KEEPS_MS, council.now.wall_ms)
    assert requests() == 1


def test_one_request_moves_nobody() -> None:
    """f members alone cannot end a view, however often they ask."""
    council = Council().start()
    for _ in range(20):
        for seat in council.seats[:3]:
            seat.tell(port.Received(council.seats[3].id, ViewRequest(0, 0, "bored")))
    council.deliver()
    assert {seat.view for seat in council.seats} == {0}
    assert all(seat.active for seat in council.seats)
