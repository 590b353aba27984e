"""Garbage on the command line: every command answers with an exit code and a sentence, never a traceback or a hang."""

import contextlib
import importlib
import io
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Protocol

import pytest
import typer

from zizhu.cli import main as command_line

HANG_S = 20


class Effort(Protocol):
    """The fixture of conftest.py."""

    def rounds(self, what: str, *, quick: int, ci: int) -> Iterator[int]: ...


GARBAGE = ["", "-1", "0", "9" * 40, "../../etc/passwd", "☃" * 300, "--", "nonsense", "{}", "%s%s%s", "\n"]
STARTS_SOMETHING = ("up", "bench")


def _leaves(noun: str) -> list[tuple[list[str], list[str]]]:
    """(words of a command, its options) for every command under a noun."""
    command = typer.main.get_command(importlib.import_module(command_line.NOUNS[noun][0]).app)
    found: list[tuple[list[str], list[str]]] = []

    def walk(words: list[str], each: object) -> None:
        for name, below in getattr(each, "commands", {}).items():
            walk([*words, name], below)
        if not getattr(each, "commands", {}):
            options = [option for parameter in each.params for option in parameter.opts if option.startswith("--")]  # type: ignore[attr-defined]
            found.append((words, options))

    walk([noun], command)
    return found


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("the command hangs")


def _call(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[object, str]:
    """(exit code, what was written) of a command in this process; an exception that escapes fails the test."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "argv", ["zizhu", *words])
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(HANG_S)
    code: object = None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            command_line.main()
    except SystemExit as ended:
        code = ended.code
    finally:
        signal.alarm(0)
    return code, out.getvalue() + err.getvalue()


@pytest.mark.counted("malformed")
def test_commands_given_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effort: Effort) -> None:
    """Every noun and command with unknown options, values of the wrong kind and too many words: exit code 1 or 2 and a
    sentence, never a traceback, never a hang, never a network that nobody asked for."""
    leaves: list[tuple[list[str], list[str]]] = []
    for noun, (module, _) in command_line.NOUNS.items():
        try:
            leaves += _leaves(noun)
        except ModuleNotFoundError as error:
            assert error.name == module
    assert len(leaves) > 8
    nowhere = str(tmp_path / "nowhere")
    for number in effort.rounds("malformed commands", quick=40, ci=300):
        draw = random.Random(number)
        words, options = draw.choice(leaves)
        given = [*words]
        for _ in range(draw.randrange(3)):
            given += [draw.choice(options), draw.choice(GARBAGE)] if options else []
        given += draw.sample(GARBAGE, draw.randrange(3))
        if "--dir" in options:
            given += ["--dir", nowhere]
        if words[0] in STARTS_SOMETHING:
            given += ["--nonsense"]
        code, said = _call(given, monkeypatch)
        assert code in (0, 1, 2), (given, code, said)
        assert "Traceback" not in said, (given, said)
        assert code != 0 or "--help" in given or said, given
        assert not (tmp_path / "nowhere" / "nodes").exists(), given


def test_every_noun_is_known() -> None:
    """A noun that does not exist is refused with the table of those that do."""
    with pytest.MonkeyPatch.context() as patch:
        for word in GARBAGE:
            code, said = _call([word], patch)
            assert code == 2 and ("zizhu" in said)


@pytest.mark.parametrize(
    "folder", ["☃" * 300, "a" * 5_000, "no\x00byte", "/proc/1/root/x" if os.geteuid() else "/dev/null/x"]
)
def test_a_folder_that_cannot_be_one(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A --dir that the system cannot even look at is told by every command that takes one: exit code 1 or 2 and a
    sentence."""
    taken = 0
    for noun in command_line.NOUNS:
        for words, options in _leaves(noun):
            if "--dir" in options and words[0] not in STARTS_SOMETHING:
                code, said = _call([*words, *["1"] * 2, "--dir", folder], monkeypatch)
                assert code in (1, 2) and said and "Traceback" not in said, words
                taken += 1
    assert taken > 10
