"""The commands that README.md and the guides show run as they stand, in an empty folder, against a real network."""

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from zizhu.framework.testkit.processes.member import environment
from zizhu.framework.testkit.processes.up import Up

pytestmark = [pytest.mark.demo, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4}[^\n]*\n)+")
FENCED = re.compile(r"^```(?:sh|bash)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHINESE = re.compile("[\u4e00-\u9fff]")
BLOCK_WITHIN_S = 90.0

PAGES = {
    "en": ("docs/guides/vouchers.md", "docs/guides/contracts.md", "README.md"),
    "zh": ("docs/guides/vouchers.zh.md", "docs/guides/contracts.zh.md", "README.zh.md"),
}
"""In this order on one ledger: the guide to vouchers counts on a new one."""
NOT_RUN = {
    "make run": "installs from the package index and stays until Ctrl-C; the next line would run these tests in it",
    "zizhu up --members 4": "stays until Ctrl-C: it is the network that the test starts for the other blocks",
}
"""Blocks that cannot run as they stand, by how they begin, and why."""
LOCALES = {
    "en": {"LC_ALL": "C.UTF-8"},
    "zh": {"LC_ALL": "", "LC_CTYPE": "C.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"},
}


@dataclass(frozen=True)
class Block:
    """Lines that a reader types: of which page, from which line on."""

    page: str
    line: int
    text: str

    @property
    def begins(self) -> str:
        """Its first command, without the remark behind it."""
        return self.text.splitlines()[0].split("#")[0].strip()


def blocks_of(page: str) -> list[Block]:
    """The shell blocks of a page: the indented ones of a README, the fenced ones of a guide."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page.startswith("README"):
        found = [
            (match.start(), re.sub("^ {4}", "", match[0], flags=re.MULTILINE)) for match in INDENTED.finditer(text)
        ]
    else:
        found = [(match.start(), match[1]) for match in FENCED.finditer(text)]
    return [Block(page, text.count("\n", 0, at) + 1, block) for at, block in found]


def reader_in(folder: Path, language: str) -> dict[str, str]:
    """The environment of somebody who cloned the repository into `folder` and ran `make run`: `zizhu` is this very
    source tree, and `.venv/bin/activate` finds it."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    command = programs / "zizhu"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m zizhu "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    (programs / "activate").write_text(f"export PATH={shlex.quote(path)}\n", encoding="utf-8")
    (folder / "examples").symlink_to(ROOT / "examples")
    return environment({"PATH": path, "COLUMNS": "80", **LOCALES[language]})


def typed(block: Block, folder: Path, env: dict[str, str]) -> tuple[int, str]:
    """Exit code and output of a block in a shell that ends with the first command that fails; nothing of it is left."""
    child = subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", "-c", block.text], cwd=folder, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = child.communicate(timeout=BLOCK_WITHIN_S)
        return child.returncode, said
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()


@pytest.mark.parametrize("language", PAGES)
def test_what_the_pages_say_to_type_works(language: str, tmp_path: Path) -> None:
    """Every command of the pages in this language ends with 0, and answers in this language."""
    blocks = [block for page in PAGES[language] for block in blocks_of(page) if block.begins not in NOT_RUN]
    env = reader_in(tmp_path, language)
    with Up(tmp_path / "zizhu-data", "--members", "4") as up:
        up.ready()
        everything = ""
        for block in blocks:
            code, said = typed(block, tmp_path, env)
            assert code == 0, f"{block.page}:{block.line} ended with {code}\n{block.text}\n{said}\n{up.text}"
            everything += said
        assert "Traceback" not in everything
        assert ("已登记" in everything) == (language == "zh")
        assert ("registered as voucher" in everything) == (language == "en")
        assert up.end() == 0
        assert up.left() == []


def test_every_page_is_covered() -> None:
    """Both READMEs and all guides are read, each has commands that are run, and no exemption outlives its block."""
    covered = {page for pages in PAGES.values() for page in pages}
    guides = {str(path.relative_to(ROOT)) for path in (ROOT / "docs/guides").glob("*.md")}
    assert covered == {"README.md", "README.zh.md"} | guides
    blocks = {page: blocks_of(page) for page in sorted(covered)}
    for page, found in blocks.items():
        assert [block for block in found if block.begins not in NOT_RUN], page
    assert set(NOT_RUN) <= {block.begins for found in blocks.values() for block in found}


def test_both_languages_show_the_same_commands() -> None:
    """A page and its translation have the same commands, block by block; files, texts and remarks may differ."""
    for english, chinese in zip(PAGES["en"], PAGES["zh"], strict=True):
        assert commands(english) == commands(chinese), f"{english} and {chinese}"


def commands(page: str) -> list[list[list[str]]]:
    """The programs that each block of a page calls, line by line; of `zizhu` with noun and verb."""
    return [[program(line.split("#")[0].split()) for line in block.text.splitlines()] for block in blocks_of(page)]


def program(words: list[str]) -> list[str]:
    """What of a line is the same in every language."""
    return words[:3] if words[:1] == ["zizhu"] else words[:1]
