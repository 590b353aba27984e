"""The project's own linter: rules that no off-the-shelf tool has, each one small function over the tree.

Decides which checks run and how an exemption works: one line in tools/exemptions.toml with its reason, and a
line that exempts nothing is a problem itself. The rules live in tools/checks, one subject a file.
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from checks import purity, rooms, sizes, tables, words
from checks.tree import Problem, Tree

CHECKS = (sizes.check, words.check, purity.check, rooms.check, tables.check)
EXEMPTIONS = "tools/exemptions.toml"


def problems(root: Path) -> list[Problem]:
    """Everything wrong with the tree at `root`, exemptions taken into account."""
    tree = Tree(root)
    found = [problem for check in CHECKS for problem in check(tree)]
    return sorted(without_exempt(found, exemptions(root)), key=lambda problem: (problem.where, problem.line))


def exemptions(root: Path) -> list[dict[str, str]]:
    """The lines of the exemptions file: rule, where, reason."""
    path = root / EXEMPTIONS
    if not path.exists():
        return []
    lines: list[dict[str, str]] = tomllib.loads(path.read_text(encoding="utf-8")).get("exempt", [])
    return lines


def without_exempt(found: Iterable[Problem], lines: Iterable[dict[str, str]]) -> Iterator[Problem]:
    """The problems that no line exempts, then one for each line that is of no use or gives no reason."""
    keyed = {(line.get("rule", ""), line.get("where", "")): line for line in lines}
    used: list[tuple[str, str]] = []
    for problem in found:
        key = (problem.rule, problem.where)
        if key in keyed:
            used.append(key)
        else:
            yield problem
    for key, line in keyed.items():
        if key not in used:
            yield Problem("exemption-unused", EXEMPTIONS, 1, f"{key[0]} at {key[1]} exempts nothing: delete the line")
        if not line.get("reason", "").strip():
            yield Problem("exemption-reason", EXEMPTIONS, 1, f"{key[0]} at {key[1]} gives no reason")


def main() -> None:
    """Check the tree this file lies in, or the one named as the argument; exit 1 on any problem."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = problems(root)
    for problem in found:
        print(problem)
    if found:
        sys.exit(f"tidy: {len(found)} problems")


if __name__ == "__main__":
    main()
