"""What the documents show as Python runs, and what they link to exists."""

import re
from pathlib import Path

import pytest

from zizhu.chain.consensus.quorum import faults_tolerated, majority, one_honest, quorum

ROOT = Path(__file__).resolve().parents[3]
PROTOCOL = ROOT / "docs/protocol"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SKIPPED = (".venv", "node_modules", "build", "dist", ".git")


def documents() -> list[Path]:
    """All Markdown of the repository."""
    found = [path for path in ROOT.rglob("*.md") if not any(part in SKIPPED for part in path.relative_to(ROOT).parts)]
    return sorted(found)


@pytest.mark.parametrize("page", sorted(path.name for path in PROTOCOL.glob("*.md")))
def test_python_in_the_protocol_runs(page: str) -> None:
    """The blocks of a page run one after the other, in one namespace, and their assertions hold."""
    namespace: dict[str, object] = {}
    for number, block in enumerate(BLOCK.findall((PROTOCOL / page).read_text(encoding="utf-8")), 1):
        exec(compile(block, f"{page}, block {number}", "exec"), namespace)


def test_some_page_has_python() -> None:
    """The check above has something to run."""
    assert any(BLOCK.search(path.read_text(encoding="utf-8")) for path in PROTOCOL.glob("*.md"))


def test_relative_links_lead_somewhere() -> None:
    """No document sends its reader to a file that is not there."""
    lost = []
    for path in documents():
        for target in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
            if re.match(r"[a-z]+:", target) or target.startswith("/"):
                continue
            named = (path.parent / target).resolve()
            if not named.exists():
                lost.append(f"{path.relative_to(ROOT)} -> {target}")
    assert lost == []


def test_the_table_of_quorums_is_computed() -> None:
    """Every line of quorums.md is what the code computes, for 1 to 13 members."""
    text = (PROTOCOL / "quorums.md").read_text(encoding="utf-8")
    for n in range(1, 14):
        shared = 2 * quorum(n) - n
        row = f"| {n} | {faults_tolerated(n)} | {quorum(n)} | {one_honest(n)} | {shared} | {majority(n)} |"
        assert row in text.splitlines(), row
