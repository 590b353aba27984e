"""What a member makes of its folder: lost, restored, shared, torn, damaged."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from zizhu.framework.testkit.history import History
from zizhu.framework.testkit.processes.consortium import Consortium, register_consortium
from zizhu.framework.testkit.processes.load import Load
from zizhu.framework.testkit.processes.member import MemberProcess, environment
from zizhu.framework.testkit.processes.up import is_member
from zizhu.framework.testkit.processes.waiting import until

under_each_engine = pytest.mark.parametrize("consortium", ["pbft", "raft"], indirect=True)


@pytest.fixture
def consortium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Consortium]:
    """Four members, three under Raft, with the register, running and ready."""
    with register_consortium(tmp_path / "net", engine=getattr(request, "param", "pbft")) as made:
        made.start()
        yield made


@pytest.fixture
def load(consortium: Consortium, tmp_path: Path) -> Iterator[Load]:
    """Two clients at work."""
    with Load(consortium, tmp_path / "clients", threads=2, bundle=8) as made:
        made.goes_on(5)
        yield made


def signers(reader: MemberProcess, height: int) -> list[str]:
    """Who signed the certificate of a block, as one member shows it."""
    block = reader.get(f"/api/v1/blocks/{height}")
    assert block is not None
    certificate = cast(dict[str, list[dict[str, str]]], block["certificate"])
    return [signer["name"] for signer in certificate["signers"]]


def signs_above(consortium: Consortium, member: MemberProcess, height: int) -> None:
    """Returns once the member's signature stands in the certificate of a block above `height`: it has voted since."""
    reader = next(each for each in consortium.members if each is not member)
    looked_at = height

    def look() -> bool:
        nonlocal looked_at
        while looked_at < reader.height:
            looked_at += 1
            if member.name in signers(reader, looked_at):
                return True
        return False

    until(look, f"{member.name} signs a block above {height}", explain=consortium.describe)


def stays_silent(consortium: Consortium, member: MemberProcess, *, reason: str) -> None:
    """The member says that it is silent and why, follows the chain, and signs nothing, also after another start."""
    for _ in range(2):
        status = member.in_state("silent")
        assert status["reason"] == reason
        first = consortium.grows(2)
        member.at_height(first)
        for height in range(first - 1, first + 1):
            assert member.name not in signers(consortium.members[0], height), f"it signed height {height}"
        assert member.in_state("silent")["reason"] == reason
        member.stop()
        member.start()
    member.in_state("silent")


def settled(consortium: Consortium, load: Load) -> None:
    """The load ends; all members hold one chain, with everything that was acknowledged, once."""
    acknowledged = load.stop()
    history = History()
    history.extend(consortium.members, int(str(consortium.equal()["height"])))
    assert history.check(acknowledged) == len(acknowledged) > 0


@pytest.mark.row("A-15")
@under_each_engine
def test_a_member_whose_disk_is_lost(consortium: Consortium, load: Load) -> None:
    """A member whose vote log is missing never votes again with that key: it comes back, syncs, stays silent and
    says so, and the chain goes on without it."""
    member = consortium.members[-1]
    member.kill()
    shutil.rmtree(member.folder / "data")
    load.goes_on(5)
    member.start()
    stays_silent(consortium, member, reason="newer_vote_shown")
    settled(consortium, load)


@pytest.mark.row("A-15")
def test_a_member_whose_vote_log_is_lost(consortium: Consortium, load: Load) -> None:
    """A member whose vote log alone is missing knows by itself, from its blocks, that it has voted."""
    member = consortium.members[3]
    member.kill()
    shutil.rmtree(member.folder / "data" / "votes")
    member.start()
    stays_silent(consortium, member, reason="vote_log_missing")
    settled(consortium, load)


@pytest.mark.row("P-12")
@pytest.mark.row("A-15")
@under_each_engine
def test_a_member_restored_from_a_backup(consortium: Consortium, load: Load) -> None:
    """A member whose vote log is restored, and older than a vote a peer shows, never votes again with that key."""
    member = consortium.members[1]
    member.stop()
    backup = member.folder.parent / "backup"
    shutil.copytree(member.folder / "data", backup)
    stopped_at = consortium.height()
    member.start()
    signs_above(consortium, member, stopped_at)
    load.goes_on(5)
    member.stop()
    shutil.rmtree(member.folder / "data")
    backup.rename(member.folder / "data")
    member.start()
    stays_silent(consortium, member, reason="newer_vote_shown")
    settled(consortium, load)


def test_an_orderly_stop_is_no_loss(consortium: Consortium, load: Load) -> None:
    """A member that is stopped and started votes again: the check of its memory does not fail good members."""
    member = consortium.members[1]
    for _ in range(2):
        assert member.stop() == 0
        load.goes_on(5)
        member.start()
        member.in_state("voting")
    assert not member.facts("memory_lost")
    settled(consortium, load)


def test_a_second_process_on_a_folder_is_refused(consortium: Consortium) -> None:
    """It ends with an error that names the folder and the process that holds it, before it recovers or votes; the
    first goes on undisturbed."""
    member = consortium.members[0]
    before = len(member.facts("recovered"))
    child, lifeline = member.spawn()
    try:
        assert child.wait(timeout=20) == 1
    finally:
        child.kill()
    text = member.tail(6)
    assert "storage.locked" in text
    assert str(member.pid) in text
    assert len(member.facts("recovered")) == before
    assert lifeline >= 0
    assert member.in_state("voting")["pid"] == member.pid


def newest_segment(member: MemberProcess, log: str) -> Path:
    """The file that a log is being appended to."""
    return max((member.folder / "data" / log).glob("*.segment"))


def test_a_torn_end_is_cut(consortium: Consortium, load: Load) -> None:
    """The last record of a log, of which a crash left only a part, is cut and repaired: the member says what it cut,
    votes, and comes to equal roots."""
    member = consortium.members[2]
    for count, log in enumerate(("blocks", "votes"), 1):
        assert member.stop() == 0
        segment = newest_segment(member, log)
        whole = segment.read_bytes()
        with segment.open("ab") as stream:
            stream.write(whole[32 : 32 + 20])
        member.start()
        member.in_state("voting")
        cut = member.facts("torn_tail_cut")
        assert len(cut) == count
        last = cut[-1]
        assert (last["log"], last["file"], last["offset"]) == (log, str(segment), len(whole))
        assert last["cut_bytes"] == 20
    settled(consortium, load)


def test_damage_stops_the_member(consortium: Consortium, load: Load) -> None:
    """A byte that changed in front of what was durable, and a durable record that is gone, are damage: the member
    ends with an error that names the file and the place, serves nothing, and the others go on."""
    member = consortium.members[2]
    assert member.stop() == 0, "everything in its logs is durable then"
    for log in ("blocks", "votes"):
        segment = newest_segment(member, log)
        whole = segment.read_bytes()
        middle = bytearray(whole)
        middle[len(whole) // 2] ^= 1
        for damaged in (bytes(middle), whole[:-3]):
            segment.write_bytes(damaged)
            member.start()
            assert member.ended(within_s=30) == 1
            told = member.tail(8)
            assert "storage.damaged" in told
            assert str(segment) in told.replace("\n", "")
            assert "offset" in told
        segment.write_bytes(whole)
    load.goes_on(5)
    member.start()
    member.in_state("voting")
    settled(consortium, load)


def test_a_wrong_passphrase_is_refused(consortium: Consortium) -> None:
    """A member whose keys do not open ends with an error that says so, and shows nothing of them."""
    member = consortium.members[0]
    member.stop()
    path = consortium.directory / "secrets" / "passphrase"
    right = path.read_bytes()
    path.write_bytes(b"wrong\n")
    member.start()
    assert member.ended() != 0
    assert "keystore.passphrase" in member.tail(5)
    path.write_bytes(right)
    member.start()
    member.in_state("voting")


def test_a_member_by_hand(tmp_path: Path) -> None:
    """`zizhu node run` without more runs a member of a local network in the foreground until SIGTERM, and ends with
    0; of a member that is not there it says so and ends with 2."""
    with register_consortium(tmp_path / "net", engine="solo") as consortium:
        member = consortium.members[0]
        command = [sys.executable, "-m", "zizhu", "node", "run", "--dir", str(consortium.directory), "--name"]
        with subprocess.Popen([*command, "node1"], env=environment(), stdin=subprocess.DEVNULL) as child:
            try:
                assert member.in_state("voting")["pid"] == child.pid
                child.terminate()
                assert child.wait(timeout=15) == 0
            finally:
                child.kill()
        done = subprocess.run([*command, "node7"], env=environment(), capture_output=True, text=True, check=False)
        assert (done.returncode, "network.no_such_member" in done.stderr) == (2, True)


def test_member_processes_end_with_the_test(tmp_path: Path) -> None:
    """Leaving a consortium ends what it started: no process of a test outlives it."""
    with register_consortium(tmp_path / "net") as consortium:
        consortium.start()
        pids = [member.pid for member in consortium.members]
    assert [pid for pid in pids if is_member(pid)] == []
