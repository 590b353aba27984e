"""The store `rocksdb`: the default for state and index.

Decides the options that bound its memory and make its batches durable. Refuses to know what is kept in it.

Four members run on one laptop, so buffers are small: what is hot is in the operating system's cache anyway.
Every block and every entry of the write-ahead log has a checksum, checked when read. Of a damaged write-ahead
log a prefix of the batches is taken ("point in time"), which is what the port promises after a crash; that
more than a crash took is found by whoever compares the store with its block log.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    ChecksumType,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault
from zizhu.chain.storage import faults
from zizhu.chain.storage.bounds import check_batch, check_limit, check_name, prefix_end, scan_start
from zizhu.chain.storage.folder_format import claim_folder
from zizhu.chain.storage.port import Change, Put

VERSION = 1
"""The newest format this program writes and reads."""
_STORE = "rocksdb"
_FOLDER = "database"
_BLOCK_CACHE_BYTES = 8 * 1024 * 1024
_WRITE_BUFFER_BYTES = 4 * 1024 * 1024
_WRITE_BUFFERS_MAX = 2
_OPEN_FILES_MAX = 128
_WAL_BYTES_MAX = 32 * 1024 * 1024
_BLOCK_BYTES = 8 * 1024
_BLOOM_BITS = 10


class RocksdbStore:
    """A database in a folder of its own, held by this process alone."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises OperatingFault; `open_store` has claimed the folder."""
        self.name = name
        self.path = folder / _FOLDER
        self._closed = False
        self._synced = WriteOptions()
        self._synced.sync = True
        self._unsynced = WriteOptions()
        with self._told(faults.OPEN_FAILED):
            self._database = Rdict(str(self.path), options=_options())

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or none. Raises OperatingFault (`storage.damaged`, `storage.read_failed`)."""
        self._check_open()
        with self._told(faults.READ_FAILED):
            value: bytes | None = self._database.get(key)
        return value

    def scan(self, prefix: bytes, *, after: bytes | None = None, limit: int | None = None) -> list[tuple[bytes, bytes]]:
        """As the port says. Raises OperatingFault (`storage.damaged`, `storage.read_failed`)."""
        self._check_open()
        check_limit(limit)
        found: list[tuple[bytes, bytes]] = []
        with self._told(faults.READ_FAILED):
            options = ReadOptions()
            if (end := prefix_end(prefix)) is not None:
                options.set_iterate_upper_bound(end)
            iterator = self._database.iter(options)
            iterator.seek(scan_start(prefix, after))
            while len(found) != limit and iterator.valid():
                found.append((iterator.key(), iterator.value()))
                iterator.next()
            iterator.status()  # an iterator that meets damage just ends; this is where it says so
        return found

    def write(self, batch: Sequence[Change], *, durable: bool) -> None:
        """As the port says. Raises AskedWrongly (`storage.key_bad`, `storage.value_bad`); OperatingFault
        (`storage.write_failed`), nothing of the batch applied."""
        self._check_open()
        check_batch(batch)
        with self._told(faults.WRITE_FAILED):
            if batch:
                self._database.write(_packed(batch), self._synced if durable else self._unsynced)
            elif durable:
                self._database.flush_wal(sync=True)

    def close(self) -> None:
        """Gives the files back; a second call does nothing. Raises OperatingFault (`storage.write_failed`)."""
        if not self._closed:
            self._closed = True
            with self._told(faults.WRITE_FAILED):
                self._database.close()

    @contextmanager
    def _told(self, code: ErrorCode) -> Iterator[None]:
        """Turns an error of rocksdict, which is an `Exception` of no subclass, into a fault; others pass."""
        try:
            yield
        except Exception as error:
            if type(error) is not Exception:
                raise
            reason = str(error)
            if reason.startswith("Corruption"):
                raise faults.damaged(self.path, 0, reason) from error
            raise OperatingFault(code, file=str(self.path), reason=reason) from error

    def _check_open(self) -> None:
        if self._closed:
            raise AskedWrongly(faults.CLOSED, name=self.name)


def _packed(batch: Sequence[Change]) -> WriteBatch:
    packed = WriteBatch(raw_mode=True)
    put = packed.put
    for change in batch:
        if isinstance(change, Put):
            put(change[0], change[1])
        else:
            packed.delete(change[0])
    return packed


def _options() -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(Cache(_BLOCK_CACHE_BYTES))
    table.set_cache_index_and_filter_blocks(True)  # or they grow outside the cache's bound
    table.set_block_size(_BLOCK_BYTES)
    table.set_bloom_filter(_BLOOM_BITS, False)
    table.set_checksum_type(ChecksumType.xxh3())
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(_WRITE_BUFFERS_MAX)
    options.set_db_write_buffer_size(_WRITE_BUFFER_BYTES * _WRITE_BUFFERS_MAX)
    options.set_max_total_wal_size(_WAL_BYTES_MAX)
    options.set_max_open_files(_OPEN_FILES_MAX)
    options.set_max_background_jobs(2)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_paranoid_checks(True)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1024 * 1024)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options


def open_store(folder: Path, name: str) -> RocksdbStore:
    """Opens the store in the folder `folder / name`, or makes an empty one.

    Raises AskedWrongly (`storage.name_bad`); OperatingFault: `storage.newer_format`,
    `storage.foreign_folder`, `storage.damaged`, `storage.open_failed`.
    """
    own = folder / check_name(name)
    claim_folder(own, store=_STORE, version=VERSION)
    return RocksdbStore(own, name)
