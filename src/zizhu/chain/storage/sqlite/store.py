"""The store `sqlite`: the one that needs nothing beyond Python.

Decides the table, the pragmas and the checksum of a value. Refuses to know what is kept in it.

SQLite has no checksums, so each value carries one over key and value: a flipped bit is refused, never served.
Sources: sqlite.org/wal.html and sqlite.org/pragma.html#pragma_synchronous (WAL: FULL syncs the log at each
commit, with all commits before it; NORMAL only at a checkpoint, and keeps their order).
"""

import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault
from zizhu.chain.storage import faults
from zizhu.chain.storage.bounds import check_batch, check_limit, check_name, prefix_end, scan_start
from zizhu.chain.storage.folder_format import claim_folder
from zizhu.chain.storage.port import Change, Delete, Put

VERSION = 1
"""The newest format this program writes and reads."""
DATABASE = "store.sqlite"
_STORE = "sqlite"
_CRC_BYTES = 4
_CACHE_KIB = 4096
_CHECKPOINT_PAGES = 1000
_BARRIER = "UPDATE barriers SET count = count + 1"
_SCAN = "SELECT key, value FROM entries WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
_SCAN_OPEN = "SELECT key, value FROM entries WHERE key >= ? ORDER BY key LIMIT ?"
_SYNC_EACH_COMMIT = {True: "FULL", False: "NORMAL"}


class SqliteStore:
    """A database of one table, in a folder of its own, held by this process alone."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises OperatingFault; `open_store` has claimed the folder."""
        self.name = name
        self.path = folder / DATABASE
        self._closed = False
        self._durable = True
        try:
            # No statement opens a transaction by itself; a batch does, in so many words.
            self._database = sqlite3.connect(self.path, isolation_level=None, timeout=0, cached_statements=16)
            try:
                self._prepare()
            except sqlite3.Error:
                self._database.close()
                raise
        except sqlite3.Error as error:
            raise self._fault(faults.OPEN_FAILED, error) from error

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or none. Raises OperatingFault (`storage.damaged`, `storage.read_failed`)."""
        self._check_open()
        try:
            row = self._database.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._fault(faults.READ_FAILED, error) from error
        return None if row is None else self._opened(key, row[0])

    def scan(self, prefix: bytes, *, after: bytes | None = None, limit: int | None = None) -> list[tuple[bytes, bytes]]:
        """As the port says. Raises OperatingFault (`storage.damaged`, `storage.read_failed`)."""
        self._check_open()
        check_limit(limit)
        end = prefix_end(prefix)
        start = scan_start(prefix, after)
        most = -1 if limit is None else limit
        try:
            if end is None:
                rows = self._database.execute(_SCAN_OPEN, (start, most)).fetchall()
            else:
                rows = self._database.execute(_SCAN, (start, end, most)).fetchall()
        except sqlite3.Error as error:
            raise self._fault(faults.READ_FAILED, error) from error
        return [(key, self._opened(key, value)) for key, value in rows]

    def write(self, batch: Sequence[Change], *, durable: bool) -> None:
        """As the port says. Raises AskedWrongly (`storage.key_bad`, `storage.value_bad`); OperatingFault
        (`storage.write_failed`), nothing of the batch applied."""
        self._check_open()
        check_batch(batch)
        try:
            if durable != self._durable:
                self._database.execute(f"PRAGMA synchronous = {_SYNC_EACH_COMMIT[durable]}")
                self._durable = durable
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._apply(batch)
                if durable:
                    # A commit without a changed page syncs nothing, and earlier batches wait for this sync.
                    self._database.execute(_BARRIER)
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self._fault(faults.WRITE_FAILED, error) from error

    def close(self) -> None:
        """Gives the files back; a second call does nothing. Raises OperatingFault (`storage.write_failed`)."""
        if not self._closed:
            self._closed = True
            try:
                self._database.close()
            except sqlite3.Error as error:
                raise self._fault(faults.WRITE_FAILED, error) from error

    def _prepare(self) -> None:
        for statement in (
            "PRAGMA locking_mode = EXCLUSIVE",  # also spares the shared-memory file
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA cell_size_check = ON",
            f"PRAGMA cache_size = -{_CACHE_KIB}",
            f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}",
            "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS barriers (id INTEGER PRIMARY KEY, count INTEGER NOT NULL)",
            "INSERT OR IGNORE INTO barriers VALUES (1, 0)",
            _BARRIER,  # what a killed process left in the operating system's memory is durable before it is shown
        ):
            self._database.execute(statement)

    def _apply(self, batch: Sequence[Change]) -> None:
        for change in batch:
            match change:
                case Put(key, value):
                    self._database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (key, _sealed(key, value)))
                case Delete(key):
                    self._database.execute("DELETE FROM entries WHERE key = ?", (key,))
                case _:
                    assert_never(change)

    def _opened(self, key: bytes, sealed: object) -> bytes:
        if isinstance(sealed, bytes):
            value = sealed[_CRC_BYTES:]
            if sealed[:_CRC_BYTES] == _crc(key, value):
                return value
        raise faults.damaged(self.path, 0, f"the value at key {key.hex()} has a wrong checksum")

    def _fault(self, code: ErrorCode, error: sqlite3.Error) -> OperatingFault:
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return faults.damaged(self.path, 0, str(error))
        return OperatingFault(code, file=str(self.path), reason=str(error))

    def _check_open(self) -> None:
        if self._closed:
            raise AskedWrongly(faults.CLOSED, name=self.name)


def _crc(key: bytes, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(key, len(key))).to_bytes(_CRC_BYTES, "big")


def _sealed(key: bytes, value: bytes) -> bytes:
    return _crc(key, value) + value


def open_store(folder: Path, name: str) -> SqliteStore:
    """Opens the store in the folder `folder / name`, or makes an empty one.

    Raises AskedWrongly (`storage.name_bad`); OperatingFault: `storage.newer_format`,
    `storage.foreign_folder`, `storage.damaged`, `storage.open_failed`.
    """
    own = folder / check_name(name)
    claim_folder(own, store=_STORE, version=VERSION)
    return SqliteStore(own, name)
