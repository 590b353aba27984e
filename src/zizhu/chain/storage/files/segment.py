"""The bytes of a segment file: its header, its records, and how a record proves that it is one.

Decides the format (docs/protocol/storage.md). Refuses to know of other segments, of syncs and of recovery.

A segment is a header of 32 bytes and records behind each other. A record is a head of 24 bytes and data.
All numbers are big-endian::

    header  magic 8 | version u32 | salt u32 | start u64 | 0 u32 | crc32 of the 28 bytes before
    head    magic 4 | length u32 | synced u64 | crc32 of the data | crc32 of position u64 and the 20 bytes before

`start` is the position of the segment's first byte; the position of a record is `start` plus the offset of its
head. `synced` says up to which position the log was known to be durable when the record was written. Both
checksums of a record begin with the salt, which is drawn per segment: no content can be made to look like a
record, and no record of an earlier file of the same name is taken for one of this.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from zizhu.chain.model.errors import OperatingFault
from zizhu.chain.storage import faults
from zizhu.chain.storage.bounds import RECORD_BYTES_MAX

VERSION = 1
"""The newest format this program writes and reads."""
HEADER_BYTES = 32
HEAD_BYTES = 24
_MAGIC = b"zizhulog"
_HEAD_MAGIC = b"\x9eZr\x07"
_HEADER = struct.Struct(">8sIIQII")
_HEAD = struct.Struct(">4sIQII")
_CHECKED = struct.Struct(">Q4sIQI")
_CHUNK_BYTES = 256 * 1024


class Head(NamedTuple):
    """The head of a record that has passed its own checksum."""

    length: int
    synced: int
    data_crc: int


class Found(NamedTuple):
    """A whole record of a segment: the offset of its head, what it says was durable, its data."""

    offset: int
    synced: int
    data: bytes


def segment_name(start: int) -> str:
    """The file name of the segment whose first byte is at position `start`."""
    return f"{start:020d}.segment"


def pack_header(start: int, salt: int) -> bytes:
    """The first 32 bytes of a segment."""
    head = _HEADER.pack(_MAGIC, VERSION, salt, start, 0, 0)[:-4]
    return head + zlib.crc32(head).to_bytes(4, "big")


def is_header(header: bytes) -> bool:
    """Whether these bytes are a header, whole, of this version or a newer one (the checksum stays where it is)."""
    return len(header) == HEADER_BYTES and zlib.crc32(header[:28]) == int.from_bytes(header[28:], "big")


def parse_header(header: bytes, *, path: Path, start: int) -> int:
    """The salt of the segment `path`, which must begin at position `start`.

    Raises OperatingFault: `storage.damaged`; `storage.newer_format`.
    """
    if not is_header(header):
        raise faults.damaged(path, 0, "the header of the segment has a wrong checksum")
    magic, version, salt, found_start, _, _ = _HEADER.unpack(header[:HEADER_BYTES])
    if magic == _MAGIC and version > VERSION:
        raise OperatingFault(faults.NEWER_FORMAT, file=str(path), found=version, known=VERSION)
    if magic != _MAGIC or version < 1 or found_start != start:
        raise faults.damaged(path, 0, "the header is not that of the segment the file is named after")
    return int(salt)


def pack_head(data: bytes, *, position: int, synced: int, salt: int) -> bytes:
    """The 24 bytes in front of `data` at `position`."""
    data_crc = zlib.crc32(data, salt)
    head_crc = zlib.crc32(_CHECKED.pack(position, _HEAD_MAGIC, len(data), synced, data_crc), salt)
    return _HEAD.pack(_HEAD_MAGIC, len(data), synced, data_crc, head_crc)


def parse_head(buffer: bytes, offset: int, *, position: int, salt: int) -> Head | None:
    """The head at `offset` of `buffer`, if one that was written at `position` stands there whole."""
    if len(buffer) - offset < HEAD_BYTES:
        return None
    magic, length, synced, data_crc, head_crc = _HEAD.unpack_from(buffer, offset)
    if magic != _HEAD_MAGIC or zlib.crc32(_CHECKED.pack(position, magic, length, synced, data_crc), salt) != head_crc:
        return None
    if not 1 <= length <= RECORD_BYTES_MAX or synced > position:
        return None
    return Head(length, synced, data_crc)


def parse_record(buffer: bytes, offset: int, *, position: int, salt: int) -> Found | None:
    """The record whose head is at `offset` of `buffer`, if it stands there whole; the `offset` is the buffer's."""
    head = parse_head(buffer, offset, position=position, salt=salt)
    if head is None:
        return None
    data = buffer[offset + HEAD_BYTES : offset + HEAD_BYTES + head.length]
    if len(data) != head.length or zlib.crc32(data, salt) != head.data_crc:
        return None
    return Found(offset, head.synced, data)


def find_heads(buffer: bytes, offset: int, *, start: int, salt: int) -> Iterator[Head]:
    """Every head of a record of the segment `buffer` at or behind `offset`, whether or not its data is whole."""
    offset = buffer.find(_HEAD_MAGIC, offset)
    while offset >= 0:
        head = parse_head(buffer, offset, position=start + offset, salt=salt)
        if head is not None:
            yield head
        offset = buffer.find(_HEAD_MAGIC, offset + 1)


class SegmentReader:
    """Reads records of one segment file, and only such as pass their checksums."""

    def __init__(self, path: Path, start: int) -> None:
        """Raises OperatingFault: `storage.read_failed`, `storage.damaged`, `storage.newer_format`."""
        self.path = path
        self.start = start
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise faults.failed(faults.READ_FAILED, path, error) from error
        try:
            self._salt = parse_header(self._bytes_at(0, HEADER_BYTES), path=path, start=start)
        except OperatingFault:
            os.close(self._handle)
            raise

    def record(self, offset: int) -> Found | None:
        """The record whose head is at `offset`, if it stands there whole. Raises OperatingFault."""
        buffer = self._bytes_at(offset, _FIRST_READ_BYTES)
        head = parse_head(buffer, 0, position=self.start + offset, salt=self._salt)
        if head is None:
            return None
        if HEAD_BYTES + head.length > len(buffer):
            buffer = self._bytes_at(offset, HEAD_BYTES + head.length)
        found = parse_record(buffer, 0, position=self.start + offset, salt=self._salt)
        return None if found is None else found._replace(offset=offset)

    def walk(self, offset: int, end: int) -> Iterator[Found]:
        """The records from the head at `offset` on, to the byte `end`.

        Raises OperatingFault (`storage.damaged`, with the offset) where no whole record stands.
        """
        while offset < end:
            chunk = self._bytes_at(offset, min(_CHUNK_BYTES, end - offset))
            base = offset
            while found := parse_record(chunk, offset - base, position=self.start + offset, salt=self._salt):
                yield found._replace(offset=offset)
                offset += HEAD_BYTES + len(found.data)
            if offset == base:
                whole = self.record(offset)
                if whole is None:
                    raise faults.damaged(self.path, offset, "no whole record stands here")
                yield whole
                offset += HEAD_BYTES + len(whole.data)

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._handle)

    def _bytes_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer only where the file ends."""
        parts = []
        try:
            while length and (part := os.pread(self._handle, length, offset)):
                parts.append(part)
                offset += len(part)
                length -= len(part)
        except OSError as error:
            raise faults.failed(faults.READ_FAILED, self.path, error) from error
        return b"".join(parts)


_FIRST_READ_BYTES = 4096
