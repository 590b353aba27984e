"""The few segment files that a log keeps open for reading.

Decides which to close when there are too many: the one that was used longest ago. Refuses to know of records.
"""

from pathlib import Path

from zizhu.chain.storage.files.segment import SegmentReader, segment_name

READERS_MAX = 4
"""Files kept open; a chain of years has thousands of segments."""


class SegmentReaders:
    """Open readers by the start of their segment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers: dict[int, SegmentReader] = {}

    def reader(self, start: int) -> SegmentReader:
        """The reader of the segment that begins at `start`, good until the next call of anything here.

        Raises OperatingFault: `storage.read_failed`, `storage.damaged`, `storage.newer_format`.
        """
        found = self._readers.pop(start, None)
        if found is None:
            if len(self._readers) >= READERS_MAX:
                self.drop(next(iter(self._readers)))
            found = SegmentReader(self._folder / segment_name(start), start)
        self._readers[start] = found  # the one used last stands last
        return found

    def drop(self, start: int) -> None:
        """Closes the reader of this segment, if there is one."""
        found = self._readers.pop(start, None)
        if found is not None:
            found.close()

    def close(self) -> None:
        """Closes all."""
        for start in list(self._readers):
            self.drop(start)
