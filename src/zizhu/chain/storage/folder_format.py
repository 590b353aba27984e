"""The marker that says which store wrote a folder, and in which version of its format.

Decides who may open a folder: the store that wrote it, in a version that knows its format. Refuses to know
what else is in the folder.

The marker is the file `format` with one line, `zizhu STORE VERSION`, written before anything else.
"""

import re
from pathlib import Path

from zizhu.chain.model.errors import OperatingFault
from zizhu.chain.storage import faults
from zizhu.chain.storage.atomic_file import TEMPORARY_SUFFIX, make_folder, write_atomic_file

MARKER = "format"
_LINE = re.compile(r"zizhu ([a-z0-9_-]{1,64}) ([1-9][0-9]{0,8})\n")
_NOT_OURS = frozenset({MARKER + TEMPORARY_SUFFIX, "lock"})  # may stand in a folder that no store has written yet


def claim_folder(folder: Path, *, store: str, version: int) -> bool:
    """Makes `folder` one of `store`'s, or checks that it is; returns whether it was new.

    Raises OperatingFault: `storage.newer_format` if a newer version wrote it, `storage.foreign_folder` if
    another store did or nobody knows who, `storage.damaged` if the marker is unreadable,
    `storage.write_failed`, `storage.read_failed`.
    """
    make_folder(folder)
    marker = folder / MARKER
    try:
        text = marker.read_bytes()
    except FileNotFoundError:
        _check_empty(folder, store)
        write_atomic_file(marker, f"zizhu {store} {version}\n".encode())
        return True
    except OSError as error:
        raise faults.failed(faults.READ_FAILED, marker, error) from error
    found = _LINE.fullmatch(text.decode("ascii", errors="replace"))
    if not found:
        raise faults.damaged(marker, 0, "it is not one line 'zizhu STORE VERSION'")
    if found[1] != store:
        raise _foreign(folder, store, f"the store {found[1]} wrote it")
    if int(found[2]) > version:
        raise OperatingFault(faults.NEWER_FORMAT, file=str(marker), found=int(found[2]), known=version)
    return False


def _check_empty(folder: Path, store: str) -> None:
    try:
        strangers = sorted(path.name for path in folder.iterdir() if path.name not in _NOT_OURS)
    except OSError as error:
        raise faults.failed(faults.READ_FAILED, folder, error) from error
    if strangers:
        raise _foreign(folder, store, f"it holds {strangers[0]!r} but no file {MARKER!r}")


def _foreign(folder: Path, store: str, reason: str) -> OperatingFault:
    return OperatingFault(faults.FOREIGN_FOLDER, folder=str(folder), store=store, reason=reason)
