"""Where a passphrase comes from: an inherited descriptor, a systemd credential, or a person at a terminal.

Decides these three and refuses every other: arguments and environment values are shown by `ps` and land in logs.
"""

import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, assert_never

from zizhu.chain.model.errors import AskedWrongly, ErrorCode

PASSPHRASE_BYTES_MAX = 1000
"""OpenSSL takes 1,023 for a PEM key."""

PASSPHRASE = ErrorCode(
    "crypto.passphrase",
    "no passphrase from {source}: {reason}",
    "give it by an inherited descriptor (fd:N), a systemd credential (credential:NAME) or at the prompt (prompt)",
    "无法从 {source} 获得口令:{reason}",
    "请通过继承的文件描述符(fd:N)、systemd 凭据(credential:NAME)或交互提示(prompt)提供口令",
)


@dataclass(frozen=True, slots=True)
class FromDescriptor:
    """Read to its end from an open descriptor that the parent process left to this one, then close it."""

    number: int


@dataclass(frozen=True, slots=True)
class FromCredential:
    """Read from file `name` of the folder that systemd names in $CREDENTIALS_DIRECTORY."""

    name: str


@dataclass(frozen=True, slots=True)
class FromPrompt:
    """Ask the person at the terminal, without echo."""

    text: str = "Passphrase · 口令: "


Source = FromDescriptor | FromCredential | FromPrompt


def parse_source(text: str) -> Source:
    """The source that `fd:N`, `credential:NAME` or `prompt` names; raises AskedWrongly (`crypto.passphrase`)."""
    kind, _, value = text.partition(":")
    match kind:
        case "fd" if value.isascii() and value.isdigit() and len(value) < 7:
            return FromDescriptor(int(value))
        case "credential" if value and "/" not in value and value not in (".", ".."):
            return FromCredential(value)
        case "prompt" if text == "prompt":
            return FromPrompt()
        case _:
            # The text is not repeated: somebody may have typed the passphrase itself.
            raise AskedWrongly(PASSPHRASE, source="this source", reason="it is not fd:N, credential:NAME or prompt")


def read_passphrase(source: Source, *, terminal: TextIO | None = None) -> bytes:
    """The passphrase, 1..1000 bytes, without the newline behind it; raises AskedWrongly (`crypto.passphrase`).

    A prompt is shown only if `terminal`, by default standard input, is one.
    """
    match source:
        case FromDescriptor(number):
            return _checked(_from_descriptor(number), source=f"descriptor {number}")
        case FromCredential(name):
            return _checked(_from_credential(name), source=f"credential {name}")
        case FromPrompt(text):
            return _checked(_from_prompt(text, sys.stdin if terminal is None else terminal), source="the prompt")
        case _:
            assert_never(source)


def _from_descriptor(number: int) -> bytes:
    try:
        with os.fdopen(number, "rb") as stream:
            return stream.read(PASSPHRASE_BYTES_MAX + 3)
    except OSError as error:
        raise AskedWrongly(PASSPHRASE, source=f"descriptor {number}", reason=error.strerror) from None


def _from_credential(name: str) -> bytes:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise AskedWrongly(PASSPHRASE, source=f"credential {name}", reason="$CREDENTIALS_DIRECTORY is not set")
    try:
        with (Path(folder) / name).open("rb") as stream:
            return stream.read(PASSPHRASE_BYTES_MAX + 3)
    except OSError as error:
        raise AskedWrongly(PASSPHRASE, source=f"credential {name}", reason=error.strerror) from None


def _from_prompt(text: str, terminal: TextIO) -> bytes:
    if not terminal.isatty():
        raise AskedWrongly(PASSPHRASE, source="the prompt", reason="standard input is not a terminal")
    try:
        return getpass.getpass(text).encode()
    except (EOFError, UnicodeEncodeError):
        raise AskedWrongly(PASSPHRASE, source="the prompt", reason="nothing readable was typed") from None


def _checked(read: bytes, *, source: str) -> bytes:
    passphrase = read.removesuffix(b"\n").removesuffix(b"\r")
    if not passphrase:
        raise AskedWrongly(PASSPHRASE, source=source, reason="it is empty")
    if len(passphrase) > PASSPHRASE_BYTES_MAX:
        raise AskedWrongly(PASSPHRASE, source=source, reason=f"it is longer than {PASSPHRASE_BYTES_MAX} bytes")
    return passphrase
