"""Collects the fragments of changes/ into CHANGELOG.md when a release is made.

Decides the order of kinds and what a fragment has to look like. Without a version it prints what it would write.
"""

import argparse
import datetime
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = {
    "new": "New · 新增",
    "changed": "Changed · 变更",
    "fixed": "Fixed · 修复",
    "removed": "Removed · 移除",
    "security": "Security · 安全",
}
WAITING = "\nSee [changes/](changes/).\n"


def fragments(folder: Path) -> list[Path]:
    """The fragments, in the order of kinds, then of names."""
    found = [path for path in folder.glob("*.md") if path.name != "README.md"]
    wrong = [path.name for path in found if path.name.count(".") != 2 or path.name.split(".")[1] not in KINDS]
    if wrong:
        sys.exit(f"changelog: not of the form SUBJECT.KIND.md with a kind of {', '.join(KINDS)}: {', '.join(wrong)}")
    return sorted(found, key=lambda path: (list(KINDS).index(path.name.split(".")[1]), path.name))


def section(heading: str, paths: list[Path]) -> str:
    """The text of one release."""
    lines = [f"## {heading}", ""]
    kind = ""
    for path in paths:
        if path.name.split(".")[1] != kind:
            kind = path.name.split(".")[1]
            lines += [f"### {KINDS[kind]}", ""]
        text = path.read_text(encoding="utf-8").strip().splitlines()
        lines += [f"- {text[0]}", *(f"  {line}" for line in text[1:]), ""]
    return "\n".join(lines)


def main() -> None:
    """`changelog.py` shows, `changelog.py VERSION` writes the section and removes the fragments."""
    parser = argparse.ArgumentParser(description="collect the fragments of changes/")
    parser.add_argument("version", nargs="?")
    arguments = parser.parse_args()
    paths = fragments(ROOT / "changes")
    if arguments.version is None:
        print(section("Unreleased · 尚未发布", paths))
        return
    if not paths:
        sys.exit("changelog: nothing that a user would notice; then there is nothing to release")
    today = datetime.datetime.now(tz=datetime.UTC).date()
    page = ROOT / "CHANGELOG.md"
    text = page.read_text(encoding="utf-8")
    head, found, tail = text.partition(WAITING)
    if not found:
        sys.exit("changelog: CHANGELOG.md has lost the line that stands for what is not released")
    new = section(f"{arguments.version} · {today.isoformat()}", paths)
    page.write_text(f"{head}{found}\n{new}{tail}", encoding="utf-8")
    for path in paths:
        path.unlink()


if __name__ == "__main__":
    main()
