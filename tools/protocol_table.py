"""Says whether docs/protocol/README.md names every message of the wire and every record of the logs.

Decides what a protocol structure is: a msgspec struct with an integer tag in the modules below. Names, tags and
files come from the code; the page is only read. Without a missing row it prints nothing (exit 0), otherwise the
rows that are missing or wrong (exit 1).
"""

import importlib
import re
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/protocol/README.md", "docs/protocol/README.zh.md")
MODULES = (
    "zizhu.chain.network.wire",
    "zizhu.chain.consensus.pbft.messages",
    "zizhu.chain.consensus.raft.messages",
    "zizhu.chain.consensus.solo.engine",
    "zizhu.chain.network.messages",
    "zizhu.chain.ledger.records",
)
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<tag>\d+) \|.*\| `(?P<source>[\w/.]+)` \|$")


class Structure(NamedTuple):
    """A tagged structure: its name, its tag, and the file that defines it, below src/zizhu/chain."""

    name: str
    tag: int
    source: str


def declared() -> list[Structure]:
    """Every tagged structure of the modules, in the order of modules and definitions."""
    found = []
    for module in MODULES:
        for value in vars(importlib.import_module(module)).values():
            if not (isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module):
                continue
            tag = value.__struct_config__.tag
            if isinstance(tag, int) and not value.__name__.startswith("_"):
                source = module.removeprefix("zizhu.chain.").replace(".", "/") + ".py"
                found.append(Structure(value.__name__, tag, source))
    return found


def rows(text: str) -> list[Structure]:
    """The structures that a page's tables name."""
    matches = (ROW.match(line) for line in text.splitlines())
    return [Structure(row["name"], int(row["tag"]), row["source"]) for row in matches if row]


def _named(each: Structure) -> str:
    return f"{each.name}, tag {each.tag}, {each.source}"


def problems(page: str, text: str) -> list[str]:
    """What a page misses, and what it names that the code does not have."""
    code, told = declared(), rows(text)
    missing = [f"{page}: no row for {_named(each)}" for each in code if each not in told]
    strange = [f"{page}: {_named(each)} is not in the code" for each in told if each not in code]
    return missing + strange


def main() -> None:
    """Check all pages."""
    found = [line for page in PAGES for line in problems(page, (ROOT / page).read_text(encoding="utf-8"))]
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
