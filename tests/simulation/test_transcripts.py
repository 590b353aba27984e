"""Golden transcripts: named situations read as they did when somebody last looked at them."""

from pathlib import Path

import pytest

from zizhu.framework.testkit.transcripts import SITUATIONS, transcript

pytestmark = [pytest.mark.simulation, pytest.mark.golden]

FOLDER = Path(__file__).parent / "transcripts"


@pytest.mark.parametrize("name", list(SITUATIONS))
def test_transcript(name: str) -> None:
    """What members say in this situation is what the checked-in transcript says, word for word."""
    assert transcript(name) == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def test_no_transcript_is_forgotten() -> None:
    """Every file in the folder belongs to a situation."""
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == sorted(SITUATIONS)
