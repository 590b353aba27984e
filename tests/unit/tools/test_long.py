"""Long runs add up exactly while the rooms under test stay the same."""

import json
from pathlib import Path

import long


def entry(digest: str, seeds: int, minutes: float) -> dict[str, object]:
    """A recorded run."""
    return {"digest": digest, "counts": {"seeds": seeds}, "minutes": minutes}


def test_runs_with_the_same_digest_add_up(tmp_path: Path) -> None:
    """Counts and minutes of equal digests are summed; others are left out."""
    path = tmp_path / "long" / "simulation.json"
    for each in (entry("a", 5, 1.5), entry("b", 100, 9.0), entry("a", 7, 2.0)):
        long.append(path, each)
    assert long.totals(path, "a") == ({"seeds": 12}, 3.5)
    assert long.totals(path, "c") == ({}, 0.0)
    assert len(json.loads(path.read_text(encoding="utf-8"))) == 3


def test_a_changed_room_starts_again(tmp_path: Path) -> None:
    """Content, name and place of a file change the digest; a file of another room does not."""
    room = tmp_path / "src" / "room"
    room.mkdir(parents=True)
    (room / "a.py").write_text("x = 1\n", encoding="utf-8")
    first = long.digest(tmp_path, ["src/room"])
    (tmp_path / "src" / "other.py").write_text("", encoding="utf-8")
    assert long.digest(tmp_path, ["src/room"]) == first
    (room / "a.py").rename(room / "b.py")
    second = long.digest(tmp_path, ["src/room"])
    (room / "b.py").write_text("x = 2\n", encoding="utf-8")
    assert len({first, second, long.digest(tmp_path, ["src/room"])}) == 3
