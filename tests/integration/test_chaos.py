"""Members whose links are cut, deaf, split, slow or flapping, under load: nothing acknowledged is lost, commits go on."""

from collections.abc import Iterator, Sequence

import pytest

from zizhu.framework.testkit.history import History, as_json
from zizhu.framework.testkit.processes.links import LinkedConsortium, linked_consortium
from zizhu.framework.testkit.processes.load import Load
from zizhu.framework.testkit.processes.member import MemberProcess
from zizhu.framework.testkit.processes.proxy import Way
from zizhu.framework.testkit.processes.verdict import checked, settled
from zizhu.framework.testkit.processes.waiting import now_ms, until

ENGINES = ("pbft", "raft")
FAILOVER_S = 6.0
"""What a leader that nobody hears may cost: as a dead one, three times over, on a shared machine."""
DEAF_S = 10.0
REUNION_S = 10.0
PAUSE_MS_MAX = 3 * 1_000
"""No pause: less than members need to notice that a leader is gone and to take another; three times over, as above."""
AGAIN_S = 60.0
"""A PBFT member that timed out alone takes part again when the others change the view too: by rotation, after 10 s of
load."""


@pytest.fixture(scope="module", params=ENGINES)
def consortium(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinkedConsortium]:
    """Four members under PBFT, three under Raft, with proxies between them, running and ready; one for all tests."""
    with linked_consortium(tmp_path_factory.mktemp("chaos") / "net", engine=request.param, seed=7) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def history(consortium: LinkedConsortium) -> History:
    """The chain of this consortium, read on by each test."""
    return History()


@pytest.fixture(scope="module")
def clients(consortium: LinkedConsortium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Two clients at work through all tests, each at two members at a time."""
    with Load(consortium, tmp_path_factory.mktemp("load"), threads=2, bundle=8) as made:
        yield made


@pytest.fixture
def load(consortium: LinkedConsortium, clients: Load) -> Iterator[Load]:
    """The clients, on links that stand, all of them, and are well. The rest that ended an earlier test is over."""
    consortium.linked()
    clients.goes_on(5)
    consortium.grows(2)
    yield clients
    consortium.links.heal()


def said(**values: object) -> None:
    """A measurement, for whoever runs with -s."""
    print(as_json(values))


def others_of(consortium: LinkedConsortium, member: MemberProcess) -> list[MemberProcess]:
    """All members but this one."""
    return [each for each in consortium.members if each is not member]


def grow(consortium: LinkedConsortium, members: list[MemberProcess], *, by: int, within_s: float) -> int:
    """The greatest height of these members once it grew by so much. Raises TooLate."""

    def highest() -> int:
        return max(member.height for member in members)

    first = highest()
    what = f"{[member.name for member in members]} grow from {first} by {by}"
    return until(
        lambda: now if (now := highest()) >= first + by else None,
        what, within_s=within_s, explain=consortium.describe,
    )  # fmt: skip


def another_leader(consortium: LinkedConsortium, old: MemberProcess, *, within_s: float) -> str:
    """The name of the leader on whom all but the `old` one agree. Raises TooLate."""

    def look() -> str | None:
        names = {str((member.status() or {}).get("leader_name")) for member in others_of(consortium, old)}
        return names.pop() if len(names) == 1 and old.name not in names else None

    return until(look, f"the others leave {old.name}", within_s=within_s, explain=consortium.describe)


def follows(member: MemberProcess, height: int) -> None:
    """A member that was away comes to where the others were, and votes."""
    member.at_height(height)
    member.in_state("voting", within_s=AGAIN_S)


def follower(consortium: LinkedConsortium) -> MemberProcess:
    """A member that does not lead, and whose turn to lead is the last to come."""
    members = consortium.members
    return members[members.index(consortium.leader()) - 1]


def elections(members: list[MemberProcess]) -> int:
    """How often one of these members asked for another view or term that was not due."""
    changes = [fact for member in members for fact in member.facts("view_change") if fact["reason"] != "rotation"]
    return len(changes) + sum(len(member.facts("election")) for member in members)


def refused(consortium: LinkedConsortium, ways: Sequence[Way], more: int) -> None:
    """Returns when each link of these ways refused so many more connections: a clock that shows the cut at work."""
    links = consortium.links
    wanted = {way: links.seen((way,)).refused + more for way in ways}
    until(
        lambda: all(links.seen((way,)).refused >= count for way, count in wanted.items()),
        f"{more} more connections are refused on each link", explain=consortium.describe,
    )  # fmt: skip


def well(consortium: LinkedConsortium, load: Load, history: History) -> None:
    """While the clients rest all members come to one outcome, and what was acknowledged is on every member, once."""
    with load.resting():
        consortium.equal()
        checked(consortium, load, history)


def test_a_leader_that_is_cut_off(consortium: LinkedConsortium, load: Load, history: History) -> None:
    """A leader whose links are all cut costs no more than a dead one, commits nothing alone, and follows once the
    links are healed."""
    links, leader = consortium.links, consortium.leader()
    others, around = others_of(consortium, leader), links.around(leader.name)
    ended, began_ms = links.seen(around).ended, now_ms()
    links.cut(around)
    new = another_leader(consortium, leader, within_s=FAILOVER_S)
    stood = leader.height
    gone_on = grow(consortium, others, by=5, within_s=FAILOVER_S)
    went_on_ms = now_ms() - began_ms
    refused(consortium, around, 2)
    assert leader.height == stood < gone_on
    assert links.seen(around).ended - ended == len(others)
    said(cut_off=leader.name, new=new, went_on_ms=went_on_ms)
    assert went_on_ms <= FAILOVER_S * 1000
    links.heal()
    follows(leader, gone_on)
    well(consortium, load, history)


def test_a_follower_that_is_cut_off(consortium: LinkedConsortium, load: Load, history: History) -> None:
    """Without one follower commits go on with no pause; it stands still meanwhile, and catches up afterwards."""
    links, away = consortium.links, follower(consortium)
    others, around, began = others_of(consortium, away), links.around(away.name), consortium.height()
    links.cut(around)
    grow(consortium, others, by=20, within_s=30.0)
    stood = away.height
    refused(consortium, around, 3)
    gone_on = consortium.height()
    assert away.height == stood < gone_on
    links.heal()
    follows(away, gone_on)
    well(consortium, load, history)
    gap_ms = history.gap_ms(began, gone_on)
    said(cut_off=away.name, gap_ms=gap_ms, stood=stood, gone_on=gone_on)
    assert gap_ms <= PAUSE_MS_MAX


def test_a_leader_that_is_deaf(consortium: LinkedConsortium, load: Load, history: History) -> None:
    """A leader that is heard and hears nothing, on connections that stay open, is left, and follows afterwards."""
    links, leader = consortium.links, consortium.leader()
    others, began_ms = others_of(consortium, leader), now_ms()
    heard = links.seen(links.into(leader.name)).passed_bytes
    spoken = links.seen(links.out_of(leader.name)).passed_bytes
    links.hold(links.into(leader.name))
    new = another_leader(consortium, leader, within_s=DEAF_S)
    stood = leader.height
    gone_on = grow(consortium, others, by=5, within_s=DEAF_S)
    went_on_ms = now_ms() - began_ms
    assert leader.height == stood < gone_on
    assert links.seen(links.out_of(leader.name)).passed_bytes > spoken
    said(deaf=leader.name, new=new, went_on_ms=went_on_ms)
    assert went_on_ms <= DEAF_S * 1000
    links.heal()
    follows(leader, gone_on)
    assert links.seen(links.into(leader.name)).passed_bytes > heard
    well(consortium, load, history)


def test_a_network_that_is_split(consortium: LinkedConsortium, load: Load, history: History) -> None:
    """Where no side has a quorum nothing is committed and no client is told that anything is; once it is whole again,
    it goes on."""
    links, names = consortium.links, [member.name for member in consortium.members]
    across = links.across(names[:2], names[2:]) if len(names) == 4 else links.all
    links.cut(across)
    refused(consortium, across, 4)
    heights = [member.height for member in consortium.members]
    refused(consortium, across, 3)
    assert [member.height for member in consortium.members] == heights
    told = load.acknowledged()
    assert all(each.height <= max(heights) for each in told)
    healed_ms = now_ms()
    links.heal()
    consortium.grows(3, within_s=REUNION_S)
    went_on_ms = now_ms() - healed_ms
    load.goes_on()
    said(split=heights, silent_ms=healed_ms - told[-1].at_ms, went_on_ms=went_on_ms)
    well(consortium, load, history)


def test_links_that_are_slow(consortium: LinkedConsortium, load: Load, history: History) -> None:
    """60 ms give or take 40 on every link: commits go on, and no storm of elections breaks out."""
    links = consortium.links
    links.delay(links.all, delay_ms=60, jitter_ms=40)
    before, waited, began_ms = elections(consortium.members), links.seen(links.all).waited_pieces, now_ms()
    consortium.grows(20)
    load.goes_on()
    took_ms, begun = now_ms() - began_ms, elections(consortium.members) - before
    waited = links.seen(links.all).waited_pieces - waited
    said(took_ms=took_ms, elections=begun, waited=waited)
    assert waited > 20 * len(consortium.members)
    assert begun <= len(consortium.members) * (1 + took_ms // 5000), "one change of all members in five seconds"
    links.heal()
    well(consortium, load, history)


def test_a_link_that_flaps(consortium: LinkedConsortium, load: Load, history: History) -> None:
    """A link between the leader and a follower that comes and goes every 700 ms: commits go on."""
    links, leader, other = consortium.links, consortium.leader(), follower(consortium)
    flapping = (Way(leader.name, other.name), Way(other.name, leader.name))
    ended, first = links.seen(flapping).ended, consortium.height()
    links.flap(flapping, period_ms=700)
    until(lambda: links.seen(flapping).ended >= ended + 4, "four connections are cut", explain=consortium.describe)
    last = consortium.grows(10, within_s=FAILOVER_S)
    links.heal()
    well(consortium, load, history)
    gap_ms = history.gap_ms(first, last)
    said(grew=last - first, gap_ms=gap_ms)
    assert gap_ms <= FAILOVER_S * 1000


def test_a_follower_that_is_paused_for_long(consortium: LinkedConsortium, load: Load, history: History) -> None:
    """A member that stands still (SIGSTOP) until all others have given its links up follows when it goes on."""
    away = follower(consortium)
    height = away.height
    away.pause()
    consortium.shunned(away)
    gone_on = consortium.height()
    assert gone_on > height
    away.resume()
    follows(away, gone_on)
    well(consortium, load, history)


def test_after_all_of_it(consortium: LinkedConsortium, load: Load, history: History) -> None:
    """When the load ends all members come to one outcome, and the register counted what the clients were told."""
    settled(consortium, load, history)
