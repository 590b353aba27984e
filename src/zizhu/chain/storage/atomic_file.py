"""A small file that is either the old one or the new one, whole, whatever happens.

Decides how a file is replaced: temporary file, sync, rename, sync of the folder. Refuses to know what is in it.
"""

import os
from pathlib import Path

from zizhu.chain.model.errors import OperatingFault
from zizhu.chain.storage import faults

TEMPORARY_SUFFIX = ".new"
"""What a crash may leave behind; overwritten by the next write of the same file."""


def write_atomic_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Writes `data` to `path` with permission bits `mode`; durable when it returns.

    Raises OperatingFault (`storage.write_failed`); `path` is then as it was before (or, if only the last sync
    of the folder failed, possibly the new file, whole).
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        temporary.unlink(missing_ok=True)
        # O_EXCL and the mode at creation: a secret is at no moment readable by others, nor follows a planted link.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(handle, mode)
            write_all(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise faults.failed(faults.WRITE_FAILED, path, error) from error


def write_all(handle: int, data: bytes) -> None:
    """Writes all of `data` at the handle's place; the operating system may take it in parts. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def sync_folder(folder: Path) -> None:
    """Returns once the names in `folder` would survive a power loss. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path, *, mode: int = 0o755) -> None:
    """Makes `folder` and its missing parents, durably. Raises OperatingFault (`storage.write_failed`)."""
    try:
        missing = []
        above = folder
        while not above.exists():
            missing.append(above)
            above = above.parent
        for path in reversed(missing):
            path.mkdir(mode=mode, exist_ok=True)
            sync_folder(path.parent)
        if not folder.is_dir():
            raise OperatingFault(faults.WRITE_FAILED, file=str(folder), reason="it is not a folder")
    except OSError as error:
        raise faults.failed(faults.WRITE_FAILED, folder, error) from error
