"""Passphrases come from a descriptor, a credential or a prompt, and from nowhere else."""

import io
import os
from pathlib import Path

import pytest

from zizhu.chain.crypto.passphrase import (
    FromCredential,
    FromDescriptor,
    FromPrompt,
    Source,
    parse_source,
    read_passphrase,
)
from zizhu.chain.model.errors import AskedWrongly


def _piped(data: bytes) -> FromDescriptor:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return FromDescriptor(reading)


def _refused(source: Source) -> str:
    with pytest.raises(AskedWrongly) as raised:
        read_passphrase(source)
    assert raised.value.code.code == "crypto.passphrase"
    assert raised.value.cause("zh")
    assert raised.value.fix()
    return raised.value.cause()


@pytest.mark.parametrize("behind", [b"", b"\n", b"\r\n"])
def test_a_descriptor_is_read_to_its_end_and_closed(behind: bytes) -> None:
    """The bytes before one line end are the passphrase, spaces and Chinese included; the descriptor is closed."""
    source = _piped(" 口令 ".encode() + behind)
    assert read_passphrase(source) == " 口令 ".encode()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(source.number)


def test_empty_long_and_closed_descriptors_are_named() -> None:
    """Nothing, a bare line end, 1,001 bytes, or a closed descriptor is crypto.passphrase."""
    assert "empty" in _refused(_piped(b""))
    assert "empty" in _refused(_piped(b"\n"))
    assert read_passphrase(_piped(b"x" * 1000 + b"\r\n")) == b"x" * 1000
    assert "longer" in _refused(_piped(b"x" * 1001))
    assert "longer" in _refused(_piped(b"x" * 5000))
    source = _piped(b"once")
    assert read_passphrase(source) == b"once"
    assert "Bad file descriptor" in _refused(source)


def test_a_systemd_credential_is_a_file_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of that name in $CREDENTIALS_DIRECTORY; without folder or file it says which is missing."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert "CREDENTIALS_DIRECTORY" in _refused(FromCredential("vote"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert "No such file" in _refused(FromCredential("vote"))
    (tmp_path / "vote").write_bytes(b"secret\n")
    assert read_passphrase(FromCredential("vote")) == b"secret"


def test_a_prompt_needs_a_terminal() -> None:
    """With standard input redirected the prompt is refused instead of waiting or echoing."""
    with pytest.raises(AskedWrongly) as raised:
        read_passphrase(FromPrompt(), terminal=io.StringIO("secret\n"))
    assert "terminal" in raised.value.cause()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "source"),
    [("fd:3", FromDescriptor(3)), ("credential:vote.key", FromCredential("vote.key")), ("prompt", FromPrompt())],
)
def test_sources_are_named_in_three_ways(text: str, source: Source) -> None:
    """fd:N, credential:NAME, prompt."""
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text",
    ["", "hunter2", "fd:", "fd:-1", "fd:x", "fd:٣", "fd:99999999", "credential:", "credential:../x", "credential:..",
     "env:PASS", "pass:hunter2", "prompt:", "PROMPT"],
)  # fmt: skip
def test_every_other_source_is_refused_and_not_repeated(text: str) -> None:
    """Arguments, environment values and paths are no sources; the error does not show what was typed."""
    with pytest.raises(AskedWrongly) as raised:
        parse_source(text)
    assert raised.value.code.code == "crypto.passphrase"
    assert "hunter2" not in str(raised.value) + raised.value.cause("zh") + raised.value.fix()
