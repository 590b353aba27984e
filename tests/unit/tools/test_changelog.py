"""News fragments become a section, in the order of kinds; a misnamed one is refused."""

from pathlib import Path

import pytest

import changelog


def test_fragments_stand_in_the_order_of_kinds(tmp_path: Path) -> None:
    """New before fixed, each with both languages under one bullet."""
    (tmp_path / "a.fixed.md").write_text("It stops.\n它会停止。\n", encoding="utf-8")
    (tmp_path / "b.new.md").write_text("It runs.\n它会运行。\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("how", encoding="utf-8")
    text = changelog.section("1.0", changelog.fragments(tmp_path))
    assert text.index("New") < text.index("- It runs.\n  它会运行。") < text.index("Fixed") < text.index("- It stops.")
    assert "how" not in text


@pytest.mark.parametrize("name", ["a.md", "a.nice.md", "a.b.new.md"])
def test_a_misnamed_fragment_is_refused(tmp_path: Path, name: str) -> None:
    """A fragment that nobody would find again names itself."""
    (tmp_path / name).write_text("x\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="SUBJECT"):
        changelog.fragments(tmp_path)
