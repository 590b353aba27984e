"""What opening a log folder finds, and what it does about the end of the last segment.

Decides which end is torn (cut) and which is damaged (refused). Refuses to append or to serve.

Only the last segment can hold bytes that are not durable, for a new one is begun only when the one before is
durable to its end. In it, from the first place where no whole record stands: if that place lies before a
position that is known to have been durable, synced bytes are gone, and that is damage; else it is the torn end
of an append that nobody was told had succeeded, and is cut. Known durable is the greatest of what the
watermark says and what any head of the segment says, heads *behind* the bad place included.
"""

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from zizhu.chain.storage import faults
from zizhu.chain.storage.files import segment
from zizhu.chain.storage.files.door import Door
from zizhu.chain.storage.files.watermark import Watermark

_FILE_NAME = re.compile(r"([0-9]{20})\.segment")


class Recovery(NamedTuple):
    """What opening cut from the end of a log: nothing (`cut_bytes` 0), or the unsynced end of `file`."""

    file: Path
    offset: int
    cut_bytes: int


class Segments(NamedTuple):
    """A log as found on disk: where each segment begins, where the last record ends, the salt of the last
    segment, and what was cut."""

    starts: list[int]
    end: int
    salt: int
    recovery: Recovery


def segment_starts(folder: Path) -> list[int]:
    """Where the segments in `folder` begin, ascending. Raises OperatingFault (`storage.read_failed`)."""
    try:
        return sorted(int(match[1]) for path in folder.iterdir() if (match := _FILE_NAME.fullmatch(path.name)))
    except OSError as error:
        raise faults.failed(faults.READ_FAILED, folder, error) from error


def create_segment(folder: Path, start: int, door: Door) -> int:
    """Makes the segment that begins at `start`, durably, and returns its salt. Raises OSError."""
    salt = int.from_bytes(os.urandom(4), "big")
    handle = os.open(folder / segment.segment_name(start), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        # In place of a loop: 32 bytes that are taken only in part leave a torn header, which opening repairs.
        if door.write(handle, segment.pack_header(start, salt)) != segment.HEADER_BYTES:
            raise OSError("the header of a segment was written only in part")
        door.sync(handle)
        door.sync_folder(folder)
    finally:
        os.close(handle)
    return salt


def recover(folder: Path, watermark: Watermark, door: Door) -> Segments:
    """Checks the chain of segments, cuts a torn end, and makes durable what remains.

    Raises OperatingFault (`storage.damaged`, `storage.newer_format`, `storage.read_failed`) and OSError.
    """
    mark = watermark.mark
    starts = segment_starts(folder)
    for start in [start for start in starts if start < mark.first]:
        door.remove(folder / segment.segment_name(start))  # forgotten; a crash came before its removal
        starts.remove(start)
    if not starts and mark.synced == mark.first == 0:
        create_segment(folder, 0, door)
        starts = [0]
    if not starts or starts[0] != mark.first:
        raise faults.damaged(folder / segment.segment_name(mark.first), 0, "the segment is missing")
    for start, following in pairwise(starts):
        path = folder / segment.segment_name(start)
        size = path.stat().st_size
        if start + size != following:
            offset = min(size, following - start)
            raise faults.damaged(path, offset, f"it has {size} bytes, and the next segment begins at {following}")
    return _recover_last(folder, starts, watermark, door)


def _recover_last(folder: Path, starts: list[int], watermark: Watermark, door: Door) -> Segments:
    start = starts[-1]
    path = folder / segment.segment_name(start)
    synced = watermark.mark.synced
    data = path.read_bytes()
    if len(data) <= segment.HEADER_BYTES and synced <= start and not segment.is_header(data):
        # A header is durable before the first record behind it is written: a torn one had no records.
        create_segment(folder, start, door)
        data = path.read_bytes()
    salt = segment.parse_header(data[: segment.HEADER_BYTES], path=path, start=start)
    offset = segment.HEADER_BYTES
    while (found := segment.parse_record(data, offset, position=start + offset, salt=salt)) is not None:
        synced = max(synced, found.synced)
        offset += segment.HEAD_BYTES + len(found.data)
    for head in segment.find_heads(data, offset, start=start, salt=salt):
        synced = max(synced, head.synced)
    if synced > start + offset:
        raise faults.damaged(path, offset, f"no whole record stands here, and all before position {synced} was durable")
    _settle(path, data, keep=offset, rewrite_from=max(0, watermark.mark.synced - start), door=door)
    door.sync_folder(folder)
    watermark.write(synced=start + offset, first=starts[0])
    return Segments(starts, start + offset, salt, Recovery(path, offset, len(data) - offset))


def _settle(path: Path, data: bytes, *, keep: int, rewrite_from: int, door: Door) -> None:
    """Cuts the file to `keep` bytes and makes them durable. Raises OSError.

    What is read here may be in the operating system's memory only: the process that wrote it was killed, or its
    sync failed and the pages were marked clean nonetheless. So all that is not known durable is written again.
    """
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if keep < len(data):
            door.truncate(handle, keep)
        while rewrite_from < keep:
            rewrite_from += door.overwrite(handle, data[rewrite_from:keep], rewrite_from)
        door.sync(handle)
    finally:
        os.close(handle)
