"""The operations of a log that change the disk, as plain callables.

Decides nothing. It exists so that a test can make any one of them fail, or end the process there.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zizhu.chain.storage.atomic_file import sync_folder


@dataclass(frozen=True, slots=True)
class Door:
    """Each callable behaves as the function of `os` it defaults to, OSError included."""

    write: Callable[[int, bytes | memoryview], int] = os.write
    overwrite: Callable[[int, bytes, int], int] = os.pwrite
    truncate: Callable[[int, int], None] = os.ftruncate
    sync: Callable[[int], None] = os.fdatasync
    sync_folder: Callable[[Path], None] = sync_folder
    remove: Callable[[Path], None] = os.unlink
