"""The schedules that the protocol marks, played literally."""

import pytest

from zizhu.chain.consensus.pbft.messages import Vote
from zizhu.chain.consensus.raft.messages import Appended, record_codec
from zizhu.chain.model.certificate import COMMIT
from zizhu.framework.testkit import raft_schedules, schedules
from zizhu.framework.testkit.member import SimulatedMember
from zizhu.framework.testkit.pbft_watch import PbftWatch
from zizhu.framework.testkit.raft_watch import RaftWatch
from zizhu.framework.testkit.stage import Stage

pytestmark = pytest.mark.simulation


@pytest.mark.row("P-1")
def test_two_certificates_of_different_views() -> None:
    """Two certificates of different views (n = 4, four views): what A and C once voted to commit in views 0 and 2
    does not certify P beside Q, which is committed in view 3."""
    stage = schedules.four_views()
    assert stage.heights()[1:] == [1, 1, 1]
    watch = stage.checkers.watch
    assert isinstance(watch, PbftWatch)
    first, second = stage.checkers.chain[1], watch.possible_at[1]
    assert first == second
    assert any(line.startswith("node1 > node2 commit v2") for line in stage.said)


@pytest.mark.row("P-2")
def test_bodies_that_are_withheld() -> None:
    """A prepared block whose bodies are withheld does not exist: nobody prepares what it does not hold, and the
    others go on in the next view."""
    stage = schedules.withheld()
    assert min(stage.heights()[1:]) > 1
    assert not any(" prepare v0 h2" in line for line in stage.said)


@pytest.mark.row("P-3")
def test_prefix_prepared_again() -> None:
    """A prefix prepared again, then a view change: the tip is prepared for all its ancestors at once, so the view
    after it still carries what one member has committed."""
    stage = schedules.prefix_again()
    assert stage.heights() == [2, 2, 2, 2]
    for view in (1, 2):
        assert any(f"proposal v{view} h2" in line for line in stage.said), view
        assert not any(f"proposal v{view} h1" in line for line in stage.said), view


@pytest.mark.row("P-7")
def test_power_loss_of_all_and_one_disk() -> None:
    """Power loss of all members plus the loss of one disk: what one member committed is committed by all."""
    stage = schedules.power_loss()
    assert min(stage.heights()[:3]) >= 2


@pytest.mark.row("A-14")
def test_commit_vote_after_a_crash() -> None:
    """When it restarts it re-sends the same commit and signs another block at that height only in a higher view."""
    stage = Stage(4)
    schedules.commit_again(stage)
    watch = stage.checkers.watch
    assert isinstance(watch, PbftWatch)
    pairs = dict(watch.notes[stage.id(1)].cast)
    assert min(stage.heights()) >= 1
    assert [place for place in pairs if place[1] == COMMIT and place[2] == 1]


@pytest.mark.row("P-12", "A-15")
def test_member_restored_from_a_backup() -> None:
    """A member whose vote log is older than a vote a peer shows never votes with that key again: it stays silent,
    and its status says so."""
    stage = schedules.restored_backup()
    assert stage.kind.state_of(stage.members[1].machine) == "memory lost"
    assert min(height for position, height in enumerate(stage.heights()) if position != 1) >= 2
    assert not any(each.source == 1 and isinstance(each.message, Vote) for each in stage.waiting)
    stage.crash(1)
    stage.restart(1)
    assert stage.kind.state_of(stage.members[1].machine) == "memory lost"


@pytest.mark.row("P-5")
def test_figure_eight_with_signatures() -> None:
    """Figure 8 of the Raft paper with signatures: no certificate for the entry that is overwritten. A majority holds it
    in the end, nobody has signed its block, and all members commit the block of the entry that overwrites it."""
    stage = raft_schedules.figure_eight()
    assert len(set(stage.heights())) == 1 and stage.heights()[0] >= 3
    watch = stage.checkers.watch
    assert isinstance(watch, RaftWatch)
    decided = stage.checkers.chain[2]
    assert {said.signed[2] for said in watch.said.values() if 2 in said.signed} == {decided}
    appended = [record.block for each in stage.members for record in entries(each) if record.height == 2]
    assert len(set(appended) - {None}) == 2, "both blocks of height 2 stood in logs"


def entries(member: SimulatedMember) -> list[Appended]:
    """The entries in a member's vote log, whatever became of them."""
    records = [record_codec.decode(each.data) for each in member.logs["votes"].records()]
    return [record for record in records if isinstance(record, Appended)]
