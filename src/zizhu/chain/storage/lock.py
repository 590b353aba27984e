"""One process a folder: an exclusive lock that the operating system takes back when its holder dies.

Decides who may use a node's folder. Refuses to know what is in it.
"""

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType

from zizhu.chain.model.errors import OperatingFault
from zizhu.chain.storage import faults
from zizhu.chain.storage.atomic_file import make_folder

LOCK_FILE = "lock"
_PID_BYTES_MAX = 32


class FolderLock:
    """A held lock; `close` gives it back, and so does the end of the process, however it ends.

    The file stays: removing it would let two processes hold locks on two files of the same name. The lock
    is not inherited by programs this process starts, but a forked child keeps it as long as it lives.
    """

    def __init__(self, folder: Path, handle: int) -> None:
        self.folder = folder
        self._handle: int | None = handle

    def close(self) -> None:
        """Gives the lock back; a second call does nothing."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def lock_folder(folder: Path) -> FolderLock:
    """Takes the lock of `folder` (made if missing) for this process, or fails at once.

    Raises OperatingFault: `storage.locked`, naming the process that holds it; `storage.open_failed`.
    """
    make_folder(folder)
    path = folder / LOCK_FILE
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise faults.failed(faults.OPEN_FAILED, path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        # A holder that has not yet written its number leaves an empty file for a moment.
        holder = os.pread(handle, _PID_BYTES_MAX, 0).decode("ascii", errors="replace").strip() or "unknown"
        os.close(handle)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise OperatingFault(faults.LOCKED, folder=str(folder), pid=holder) from error
        raise faults.failed(faults.OPEN_FAILED, path, error) from error
    return FolderLock(folder, handle)
