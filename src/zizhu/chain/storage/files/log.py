"""The log of the store `files`: append-only segments, checksummed records, one barrier.

Decides when a segment ends and what a failed operation means. Refuses to know what the records are.

A position is the number of bytes in front of the record since the log began, headers included. Opening reads
the last segment whole and of the others only the size; every record is checked again whenever it is read.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault
from zizhu.chain.storage import faults
from zizhu.chain.storage.bounds import check_record
from zizhu.chain.storage.files import segment
from zizhu.chain.storage.files.door import Door
from zizhu.chain.storage.files.readers import SegmentReaders
from zizhu.chain.storage.files.recovery import Recovery, create_segment, recover, segment_starts
from zizhu.chain.storage.files.watermark import Watermark, create_watermark, open_watermark
from zizhu.chain.storage.folder_format import claim_folder
from zizhu.chain.storage.port import Record

SEGMENT_BYTES_MAX = 64 * 1024 * 1024
"""A segment is closed before the record that would make it longer; a single longer record has one of its own."""
SEGMENT_BYTES_LEAST = 256
_STORE = "files"


class FilesLog:
    """A log in a folder of its own. Made by `open_log`; used by one thread at a time.

    After any write or sync that failed every call raises OperatingFault (`storage.sync_failed`): nobody can
    say what of it is on the disk, and the caller must halt. Opening again settles what survived.
    """

    def __init__(self, folder: Path, watermark: Watermark, *, segment_bytes_max: int, door: Door) -> None:
        """Raises OperatingFault and OSError; `open_log` has checked the arguments."""
        found = recover(folder, watermark, door)
        self.folder = folder
        self.recovery: Recovery = found.recovery
        """What was cut from the end when the log was opened."""
        self._watermark = watermark
        self._door = door
        self._segment_bytes_max = segment_bytes_max
        self._starts = found.starts
        self._end = self._synced = found.end
        self._readers = SegmentReaders(folder)
        self._unusable: OperatingFault | None = None
        self._closed = False
        self._salt = found.salt
        self._handle = os.open(self._path(self._starts[-1]), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    @property
    def first_position(self) -> int:
        """Records before this position were forgotten, or never were."""
        return self._starts[0]

    @property
    def end_position(self) -> int:
        """Every record stands before this position."""
        return self._end

    def append(self, records: Sequence[bytes]) -> list[int]:
        """Writes the records in one go and returns their positions.

        Raises AskedWrongly (`storage.record_bad`) with nothing written; OperatingFault
        (`storage.write_failed`), after which the log is unusable.
        """
        self._check_usable()
        for data in records:
            check_record(data)
        positions: list[int] = []
        parts: list[bytes] = []
        position = self._end
        for data in records:
            size = segment.HEAD_BYTES + len(data)
            if self._is_full(position, size):
                self._write(parts)
                parts.clear()
                self._begin_segment()
                position = self._end
            parts.append(segment.pack_head(data, position=position, synced=self._synced, salt=self._salt))
            parts.append(data)
            positions.append(position)
            position += size
        self._write(parts)
        return positions

    def sync(self) -> None:
        """Returns once every appended record would survive a power loss.

        Raises OperatingFault (`storage.sync_failed`), after which the log is unusable.
        """
        self._check_usable()
        if self._synced == self._end:
            return
        try:
            self._door.sync(self._handle)
            self._synced = self._end
            self._watermark.write(synced=self._synced, first=self._starts[0])
        except OSError as error:
            raise self._fail(faults.SYNC_FAILED, error) from error

    def read(self, position: int) -> bytes:
        """The record at `position`.

        Raises AskedWrongly (`storage.no_record`); OperatingFault (`storage.damaged`, `storage.read_failed`).
        """
        self._check_usable()
        if not self._starts[0] <= position < self._end:
            raise self._no_record(position)
        start = self._segment_of(position)
        found = self._readers.reader(start).record(position - start)
        if found is None:
            self._explain_miss(start, position)
            raise self._no_record(position)
        return found.data

    def records(self, start: int = 0) -> Iterator[Record]:
        """Records from position `start` on, in order, to the end at the time the iterator gets there.

        Raises OperatingFault (`storage.damaged`, `storage.read_failed`) where it cannot go on.
        """
        self._check_usable()
        return self._records(start)

    def forget_before(self, position: int) -> None:
        """Removes the segments that hold only records before `position`; never the last one.

        Raises OperatingFault (`storage.sync_failed`), after which the log is unusable.
        """
        self._check_usable()
        kept = bisect_right(self._starts, position, hi=len(self._starts)) - 1
        forgotten = self._starts[: max(0, kept)]
        if not forgotten:
            return
        try:
            # First the mark, durably: a crash between removals must not look like a lost file.
            first = self._starts[len(forgotten)]
            self._watermark.write(synced=self._synced, first=first, durable=True)
            self._starts = self._starts[len(forgotten) :]
            for start in forgotten:
                self._readers.drop(start)
                self._door.remove(self._path(start))
            self._door.sync_folder(self.folder)
        except OSError as error:
            raise self._fail(faults.SYNC_FAILED, error) from error

    def close(self) -> None:
        """Syncs (unless the log is unusable) and gives the files back; a second call does nothing.

        Raises OperatingFault (`storage.sync_failed`) with the files given back nonetheless.
        """
        if self._closed:
            return
        try:
            if self._unusable is None:
                self.sync()
        finally:
            self._closed = True
            self._readers.close()
            os.close(self._handle)
            self._watermark.close()

    def _records(self, position: int) -> Iterator[Record]:
        while (position := max(position, self._starts[0])) < self._end:
            self._check_usable()
            start = self._segment_of(position)
            end = self._segment_end(start)
            # A reader of its own: while the caller holds the iterator, others are read, forgotten and closed.
            reader = segment.SegmentReader(self._path(start), start)
            try:
                offset = position - start
                # `position` may be none of a record: then the first behind it is meant, found from the start.
                if offset < segment.HEADER_BYTES or reader.record(offset) is None:
                    offset = segment.HEADER_BYTES
                for found in reader.walk(offset, end - start):
                    if start + found.offset >= position:
                        yield Record(start + found.offset, found.data)
            finally:
                reader.close()
            position = end

    def _segment_of(self, position: int) -> int:
        return self._starts[bisect_right(self._starts, position) - 1]

    def _segment_end(self, start: int) -> int:
        index = bisect_right(self._starts, start)
        return self._starts[index] if index < len(self._starts) else self._end

    def _is_full(self, position: int, size: int) -> bool:
        start = self._starts[-1]
        return position > start + segment.HEADER_BYTES and position + size > start + self._segment_bytes_max

    def _write(self, parts: list[bytes]) -> None:
        data = b"".join(parts)
        view = memoryview(data)
        try:
            while view:
                view = view[self._door.write(self._handle, view) :]
        except OSError as error:
            raise self._fail(faults.WRITE_FAILED, error) from error
        self._end += len(data)

    def _begin_segment(self) -> None:
        # The old segment first: recovery relies on only the last one having bytes that are not durable.
        self.sync()
        try:
            start = self._end
            self._salt = create_segment(self.folder, start, self._door)
            handle = os.open(self._path(start), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            os.close(self._handle)
            self._handle = handle
            self._starts.append(start)
            self._end = start + segment.HEADER_BYTES
        except OSError as error:
            raise self._fail(faults.WRITE_FAILED, error) from error

    def _explain_miss(self, start: int, position: int) -> None:
        """Raises `storage.damaged` unless a walk shows that no record was ever written at `position`."""
        for found in self._readers.reader(start).walk(segment.HEADER_BYTES, self._segment_end(start) - start):
            if start + found.offset > position:
                return

    def _path(self, start: int) -> Path:
        return self.folder / segment.segment_name(start)

    def _fail(self, code: ErrorCode, error: OSError) -> OperatingFault:
        self._unusable = faults.failed(code, self._path(self._starts[-1]), error)
        return self._unusable

    def _check_usable(self) -> None:
        if self._closed:
            raise AskedWrongly(faults.CLOSED, name=str(self.folder))
        if self._unusable is not None:
            reason = f"an earlier operation failed ({self._unusable})"
            raise OperatingFault(faults.SYNC_FAILED, file=str(self.folder), reason=reason)

    def _no_record(self, position: int) -> AskedWrongly:
        return AskedWrongly(
            faults.NO_RECORD, position=position, log=str(self.folder), first=self._starts[0], end=self._end
        )


def open_log(folder: Path, *, segment_bytes_max: int = SEGMENT_BYTES_MAX, door: Door | None = None) -> FilesLog:
    """Opens the log in `folder`, or makes an empty one; the end that a crash tore is cut, see `recovery`.

    Raises OperatingFault: `storage.damaged`, `storage.newer_format`, `storage.foreign_folder`,
    `storage.read_failed`, `storage.write_failed`, `storage.open_failed`; AskedWrongly
    (`storage.segment_size_bad`).
    """
    if segment_bytes_max < SEGMENT_BYTES_LEAST:
        raise AskedWrongly(faults.SEGMENT_SIZE_BAD, size=segment_bytes_max, least=SEGMENT_BYTES_LEAST)
    door = door or Door()
    claim_folder(folder, store=_STORE, version=segment.VERSION)
    path = folder / "watermark"
    if not path.exists() and not segment_starts(folder):
        create_watermark(path)
    watermark = open_watermark(path, door)
    try:
        return FilesLog(folder, watermark, segment_bytes_max=segment_bytes_max, door=door)
    except (OSError, OperatingFault) as error:
        watermark.close()
        if isinstance(error, OSError):
            raise faults.failed(faults.OPEN_FAILED, folder, error) from error
        raise
