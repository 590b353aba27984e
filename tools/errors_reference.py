"""Writes docs/reference/errors.md from the error codes that the sources declare, in English and Chinese.

Decides the page's form. Without --write it says whether the page is current (exit 1 if not); tidy asks the same.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from checks.codes import Declared, declared
from checks.tree import Tree

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/reference/errors.md"

HEAD = """\
# Error codes · 错误代码

Every error that the product reports has a stable code, a cause and a fix, in English and Chinese. A program
relies on the code; the texts may be improved. `{name}` stands for a value of the case at hand.
每个错误都有稳定的代码、原因和处理办法，中英文各一份。程序只依赖代码；文字可以改进。`{name}` 代表当时的具体值。

This page is generated from the sources (`make docs`); a change made here is lost.
"""


def render(codes: Iterable[Declared]) -> str:
    """The page as text; codes are grouped by the room in front of the dot."""
    lines = [HEAD]
    room = ""
    for each in codes:
        if each.code.split(".")[0] != room:
            room = each.code.split(".")[0]
            lines.append(f"## {room}\n")
        lines.append(f"### `{each.code}`\n")
        lines.append(f"- Cause: {each.cause}")
        lines.append(f"- Fix: {each.fix}")
        lines.append(f"- 原因：{each.cause_zh}")
        lines.append(f"- 处理：{each.fix_zh}")
        lines.append(f"- Declared in · 声明于: `{each.path}`\n")
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> None:
    """Write the page, or say that it is out of date."""
    parser = argparse.ArgumentParser(description="the reference of error codes")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    codes, wrong = declared(Tree(ROOT))
    for problem in wrong:
        print(problem)
    page = ROOT / PAGE
    text = render(codes)
    if arguments.write:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
        print(f"{PAGE}: {text.count('### ')} codes")
    elif not page.exists() or page.read_text(encoding="utf-8") != text:
        sys.exit(f"{PAGE} is out of date: make docs")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
