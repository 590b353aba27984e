"""What every store and log accepts: bounds of keys, values, records, names and scans.

Decides the bounds, one place for all stores, so that a batch one store takes is taken by all. Refuses to know
how a store keeps its bytes.
"""

import re
from collections.abc import Sequence

from zizhu.chain.model.errors import AskedWrongly
from zizhu.chain.storage import faults
from zizhu.chain.storage.port import Change, Put

KEY_BYTES_MAX = 1024
"""Longest key, bytes: a state key (512) with every prefix a room may put in front."""
VALUE_BYTES_MAX = 64 * 1024 * 1024
"""Longest value, bytes: twice the longest block."""
RECORD_BYTES_MAX = 64 * 1024 * 1024
"""Longest record of a log, bytes: above the longest message between members."""
STORE_NAME_BYTES_MAX = 64

_NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,{STORE_NAME_BYTES_MAX - 1}}}")


def check_name(name: str) -> str:
    """`name`, which becomes the name of a folder. Raises AskedWrongly (`storage.name_bad`)."""
    if not _NAME.fullmatch(name):
        raise AskedWrongly(faults.NAME_BAD, name=name, most=STORE_NAME_BYTES_MAX)
    return name


def check_batch(batch: Sequence[Change]) -> None:
    """Raises AskedWrongly (`storage.key_bad`, `storage.value_bad`) if any change is out of bounds."""
    for change in batch:
        if not 1 <= len(change[0]) <= KEY_BYTES_MAX:
            raise AskedWrongly(faults.KEY_BAD, length=len(change.key), most=KEY_BYTES_MAX)
        if isinstance(change, Put) and len(change[1]) > VALUE_BYTES_MAX:
            raise AskedWrongly(faults.VALUE_BAD, length=len(change.value), most=VALUE_BYTES_MAX)


def check_limit(limit: int | None) -> None:
    """Raises AskedWrongly (`storage.limit_bad`) for a negative limit of a scan."""
    if limit is not None and limit < 0:
        raise AskedWrongly(faults.LIMIT_BAD, limit=limit)


def check_record(data: bytes) -> None:
    """Raises AskedWrongly (`storage.record_bad`) for an empty or too long record.

    An empty record is refused so that a run of zeros on a disk is never a record.
    """
    if not 1 <= len(data) <= RECORD_BYTES_MAX:
        raise AskedWrongly(faults.RECORD_BAD, length=len(data), most=RECORD_BYTES_MAX)


def prefix_end(prefix: bytes) -> bytes | None:
    """The least key above all keys that begin with `prefix`; none if there is no such key."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def scan_start(prefix: bytes, after: bytes | None) -> bytes:
    """The least key a scan of `prefix` behind `after` may return."""
    return prefix if after is None or after < prefix else after + b"\x00"
