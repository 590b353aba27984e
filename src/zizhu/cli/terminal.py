"""What every command shares: the language, plain or JSON output, and how an error is shown.

Decides how the terminal speaks. Results go to stdout; progress and errors go to stderr. Exit codes: 0 yes, 1 no
or a failure underneath, 2 asked wrongly.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape

from zizhu.chain.model.errors import AskedWrongly, Busy, ZizhuError

DEFAULT_DIRECTORY = Path("zizhu-data")
TOLD_FAILURES = ("sdk.not_final", "sdk.no_member", "voucher.storage")
"""Codes with which a member tells that it failed, not that it was asked wrongly."""


def _possible_folder(path: Path) -> Path:
    """A path that the system can look at, whether or not something is there; anything else ends the command."""
    try:
        path.exists()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise typer.BadParameter(f"no folder can be there · 此处不能是文件夹: {reason}") from None
    return path


Directory = Annotated[Path, typer.Option("--dir", help="Folder of the network · 网络文件夹", callback=_possible_folder)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line · 每行一个 JSON 对象")]
Language = Annotated[str, typer.Option("--lang", help="en or zh · 界面语言")]


def language_of_environment() -> str:
    """ "zh" when the locale says so, else "en"."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


@dataclass(frozen=True)
class Terminal:
    """One command's way of speaking. `say` picks the language; `emit` prints a result."""

    language: str
    as_json: bool

    @property
    def out(self) -> Console:
        """Results."""
        return Console(highlight=False, soft_wrap=True)

    @property
    def err(self) -> Console:
        """Progress and errors."""
        return Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, english: str, chinese: str) -> str:
        """The text in the language of this terminal."""
        return chinese if self.language == "zh" else english

    def emit(self, values: dict[str, object], text: str) -> None:
        """A result: one JSON object on a line, or `text`."""
        if self.as_json:
            sys.stdout.write(json.dumps(values, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        else:
            self.out.print(text)

    def fail(self, error: ZizhuError) -> NoReturn:
        """Show code, cause and fix, and end with exit code 2 (asked wrongly) or 1."""
        code, cause, fix = error.code.code, error.cause(self.language), error.fix(self.language)
        if self.as_json:
            shown: dict[str, object] = {"code": code, "cause": cause, "fix": fix}
            if isinstance(error, Busy):
                shown["retry_after_ms"] = error.retry_after_ms
            sys.stdout.write(json.dumps({"error": shown}, ensure_ascii=False) + "\n")
        else:
            self.err.print(f"[bold red]{self.say('error', '错误')}[/] [dim]{code}[/]", markup=True)
            self.err.print(f"  {cause}", markup=False)
            self.err.print(f"  [green]→[/] {escape(fix)}", markup=True)
        raise typer.Exit(exit_code(error))


def exit_code(error: ZizhuError) -> int:
    """2 when something was asked wrongly, 1 when it was right and failed, here or at the member that tells it."""
    return 2 if isinstance(error, AskedWrongly) and error.code.code not in TOLD_FAILURES else 1


def padded(text: str, cells: int) -> str:
    """The text with blanks behind it up to so many columns of a terminal, of which a Chinese character takes two."""
    return text + " " * (cells - cell_len(text))


def labelled(rows: Sequence[tuple[str, str]], *, indent: str = "") -> list[str]:
    """Lines of a label and a value, the values below each other; labels are plain, values may have markup."""
    widest = max(cell_len(label) for label, _ in rows)
    return [f"{indent}[dim]{padded(label, widest)}[/]  {value}" for label, value in rows]


def plain(text: str) -> str:
    """Text from a ledger or a member, for the terminal: it is no markup, and moves no cursor (control and direction
    characters are written as their code)."""
    return escape("".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text))


def moment(time_ms: int) -> str:
    """A block time as people read it: UTC, to the second."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def terminal(language: str, *, as_json: bool = False) -> Terminal:
    """The terminal of a command; `language` "" means that of the environment."""
    chosen = language or language_of_environment()
    if chosen not in ("en", "zh"):
        sys.stderr.write(f"zizhu: --lang {chosen}: en or zh\n")
        raise typer.Exit(2)
    return Terminal(chosen, as_json)
