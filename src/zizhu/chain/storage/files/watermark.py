"""The small file that says how much of a log is durable, and where the log begins.

Decides how that survives a crash in the middle of its own update. Refuses to know what the log holds.

Two slots, written in turn, each `sequence u64 | synced u64 | first u64 | crc32`; the whole one of greatest
sequence counts, so a torn write costs one update. A slot is written only *after* the sync it tells of: what it
says was durable is durable, even if the slot itself is old. It is not synced on its own but with the next close
or `first`: a killed process loses nothing of it, a power loss makes it old, and an old one is still true.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from zizhu.chain.storage import faults
from zizhu.chain.storage.atomic_file import write_atomic_file
from zizhu.chain.storage.files.door import Door

_SLOT = struct.Struct(">QQQ")
_SLOT_STRIDE = 512
_SEED = zlib.crc32(b"zizhu watermark 1")


class Mark(NamedTuple):
    """Everything before position `synced` is durable; the log begins at position `first`."""

    sequence: int
    synced: int
    first: int


class Watermark:
    """The open file and the newest mark in it."""

    def __init__(self, path: Path, mark: Mark, door: Door) -> None:
        """Raises OSError."""
        self.path = path
        self.mark = mark
        self._door = door
        self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def write(self, *, synced: int, first: int, durable: bool = False) -> None:
        """Replaces the mark. Raises OSError."""
        self.mark = Mark(self.mark.sequence + 1, synced, first)
        slot = self.mark.sequence % 2
        self._door.overwrite(self._handle, _pack(self.mark), slot * _SLOT_STRIDE)
        if durable:
            self._door.sync(self._handle)

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._handle)


def create_watermark(path: Path) -> None:
    """Writes the mark of an empty log. Raises OperatingFault (`storage.write_failed`)."""
    write_atomic_file(path, _pack(Mark(0, 0, 0)).ljust(2 * _SLOT_STRIDE, b"\x00"))


def open_watermark(path: Path, door: Door) -> Watermark:
    """The watermark of a log that has one.

    Raises OperatingFault: `storage.damaged` if neither slot is whole or the file is missing;
    `storage.read_failed`.
    """
    try:
        data = path.read_bytes()
        marks = [mark for slot in (0, 1) if (mark := _parse(data[slot * _SLOT_STRIDE :])) is not None]
        if not marks:
            raise faults.damaged(path, 0, "neither slot has a right checksum")
        return Watermark(path, max(marks), door)
    except FileNotFoundError as error:
        raise faults.damaged(path, 0, "the file is missing") from error
    except OSError as error:
        raise faults.failed(faults.READ_FAILED, path, error) from error


def _pack(mark: Mark) -> bytes:
    body = _SLOT.pack(*mark)
    return body + zlib.crc32(body, _SEED).to_bytes(4, "big")


def _parse(slot: bytes) -> Mark | None:
    body = slot[: _SLOT.size]
    if len(body) < _SLOT.size or slot[_SLOT.size : _SLOT.size + 4] != zlib.crc32(body, _SEED).to_bytes(4, "big"):
        return None
    return Mark(*_SLOT.unpack(body))
