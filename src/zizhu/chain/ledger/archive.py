"""The block archive: what the block log holds, found by height, hash and transaction.

Decides the index over the log, and which blocks are tentative (written but not adopted by a commit). Refuses to
know how either is stored: `storage.port` is given. The log is the truth; the index is behind it by what a crash
took, and `recover` catches it up.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Generic, NamedTuple, TypeVar, assert_never

import msgspec

from zizhu.chain.crypto.hashing import block_hash
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.records import BlockRecord, CommitRecord, decode_record
from zizhu.chain.model.block import Block, block_codec
from zizhu.chain.model.encoding import Codec, Count, Hash32, encode
from zizhu.chain.model.ids import BlockHash, TransactionId
from zizhu.chain.model.receipt import Receipt
from zizhu.chain.storage.port import Change, Delete, KeyValueStore, Log, Put

VERSION = 1
DECODED_MAX = 64
"""Decoded blocks, and commit records, kept in memory."""
BATCH_CHANGES = 4096
"""Changes after which `recover` writes a batch."""

_MARKER = b"M"


class _Marker(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The log is indexed up to and with the record at `position`; the highest commit is of `head`, 0 for none."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    position: Count
    head: Count


class _Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of a committed height: its block, and where block and commit stand in the log."""

    block: Hash32
    block_position: Count
    commit_position: Count


class Tentative(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A block that is written and not adopted."""

    block: Hash32
    height: Count
    position: Count


class Located(NamedTuple):
    """Where a transaction stands: the height, and its number in the block from 0."""

    height: int
    number: int


_marker_codec: Codec[_Marker] = Codec(_Marker, what="archive marker", bytes_max=64)
_entry_codec: Codec[_Entry] = Codec(_Entry, what="archive entry", bytes_max=128)
_tentative_codec: Codec[Tentative] = Codec(Tentative, what="archive entry", bytes_max=128)
_located_codec: Codec[tuple[int, int]] = Codec(tuple[int, int], what="archive entry", bytes_max=32)

K = TypeVar("K")
V = TypeVar("V")


class _Memory(Generic[K, V]):
    """The newest few of what was asked for."""

    def __init__(self) -> None:
        self._kept: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, fetch: Callable[[], V]) -> V:
        """The value kept, or else fetched and kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        return self.put(key, fetch())

    def put(self, key: K, value: V) -> V:
        """Keeps a value, and forgets the one asked for longest ago."""
        self._kept[key] = value
        if len(self._kept) > DECODED_MAX:
            self._kept.popitem(last=False)
        return value


class BlockArchive:
    """One node's blocks. Used by one thread. `head_height` is the highest committed height, 0 for none."""

    def __init__(self, log: Log, index: KeyValueStore, *, suite: Suite) -> None:
        """Reads what is indexed; call `recover` before anything else."""
        self._log = log
        self._index = index
        self._suite = suite
        self._indexed = -1
        self.head_height = 0
        self._tentative: dict[BlockHash, Tentative] = {}
        self._blocks: _Memory[int, Block] = _Memory()
        self._commits: _Memory[int, CommitRecord] = _Memory()

    # Writing

    def index_changes(self, position: int, data: bytes) -> list[Change]:
        """What to write to the index for the record at `position`, once it is durable in the log.

        Called once a record, in the log's order; the changes may be written later, in order, in any batches.
        """
        assert position > self._indexed, "records are indexed once, in the log's order"
        record = decode_record(data)
        match record:
            case BlockRecord():
                changes = self._block_changes(position, record)
            case CommitRecord():
                changes = self._commit_changes(position, record)
            case _:
                assert_never(record)
        self._indexed = position
        changes.append(Put(_MARKER, encode(_Marker(VERSION, position, self.head_height))))
        return changes

    def _block_changes(self, position: int, record: BlockRecord) -> list[Change]:
        block = block_codec.decode(record.block)
        hash_ = block_hash(self._suite, block.header)
        if block.header.height <= self.head_height or hash_ in self._tentative:
            return []
        self._blocks.put(position, block)
        tentative = self._tentative[hash_] = Tentative(hash_, block.header.height, position)
        return [Put(_tentative_key(hash_), encode(tentative))]

    def _commit_changes(self, position: int, record: CommitRecord) -> list[Change]:
        height, hash_ = record.certificate.height, BlockHash(record.certificate.block)
        assert height == self.head_height + 1, f"the log commits height {height} after {self.head_height}"
        tentative = self._tentative.get(hash_)
        assert tentative is not None and tentative.height == height, f"the log commits height {height} without a block"
        entry = _Entry(hash_, tentative.position, position)
        changes: list[Change] = [Put(_height_key(height), encode(entry)), Put(_hash_key(hash_), encode(height))]
        changes += [
            Put(_transaction_key(receipt.transaction), encode((height, receipt.index))) for receipt in record.receipts
        ]
        for other in [old for old in self._tentative.values() if old.height <= height]:
            del self._tentative[BlockHash(other.block)]
            changes.append(Delete(_tentative_key(other.block)))
        self.head_height = height
        self._commits.put(position, record)
        return changes

    def recover(self) -> None:
        """Catches the index up with the log; an index that does not fit the log is made anew.

        Raises OperatingFault (`storage.damaged`) from the log.
        """
        stored = self._index.get(_MARKER)
        marker = None if stored is None else _marker_codec.decode(stored)
        if marker is None or not self._fits(marker):
            self._clear()
        else:
            self._indexed, self.head_height = marker.position, marker.head
            for _, value in self._index.scan(b"T"):
                tentative = _tentative_codec.decode(value)
                self._tentative[BlockHash(tentative.block)] = tentative
        batch: list[Change] = []
        for position, data in self._log.records(max(self._indexed, 0)):
            if position > self._indexed:
                batch += self.index_changes(position, data)
            if len(batch) >= BATCH_CHANGES:
                self._index.write(batch, durable=False)
                batch = []
        if batch:
            self._index.write(batch, durable=False)

    def _fits(self, marker: _Marker) -> bool:
        """Whether the last record that was indexed still stands in the log; no log gets shorter but by loss."""
        first = next(iter(self._log.records(marker.position)), None)
        return first is not None and first.position == marker.position

    def _clear(self) -> None:
        self._indexed, self.head_height = -1, 0
        self._tentative = {}
        while entries := self._index.scan(b"", limit=BATCH_CHANGES):
            self._index.write([Delete(key) for key, _ in entries], durable=False)

    # Reading; what is not there is None

    def block(self, height: int) -> Block | None:
        """The committed block of a height."""
        entry = self._entry(height)
        if entry is None:
            return None
        return self._blocks.get(entry.block_position, lambda: self._read_block(entry.block_position))

    def block_bytes(self, height: int) -> bytes | None:
        """Its canonical bytes."""
        entry = self._entry(height)
        return None if entry is None else self._read_block_bytes(entry.block_position)

    def block_hash(self, height: int) -> BlockHash | None:
        """Its hash."""
        entry = self._entry(height)
        return None if entry is None else BlockHash(entry.block)

    def commit(self, height: int) -> CommitRecord | None:
        """Certificate, outcome and receipts of a committed height."""
        entry = self._entry(height)
        if entry is None:
            return None
        return self._commits.get(entry.commit_position, lambda: self._read_commit(entry.commit_position))

    def height_of(self, hash_: BlockHash) -> int | None:
        """The height of a committed block."""
        stored = self._index.get(_hash_key(hash_))
        return None if stored is None else int(msgspec.msgpack.decode(stored, type=int))

    def locate(self, id_: TransactionId) -> Located | None:
        """Where a committed transaction stands."""
        stored = self._index.get(_transaction_key(id_))
        return None if stored is None else Located(*_located_codec.decode(stored))

    def receipt(self, id_: TransactionId) -> Receipt | None:
        """The receipt of a committed transaction."""
        located = self.locate(id_)
        commit = None if located is None else self.commit(located.height)
        return None if commit is None or located is None else commit.receipts[located.number]

    def tentative_blocks(self, after_height: int) -> list[tuple[BlockHash, Block]]:
        """Blocks above `after_height` that are written and not adopted, in order of height, then of writing."""
        found = [entry for entry in self._tentative.values() if entry.height > after_height]
        found.sort(key=lambda entry: (entry.height, entry.position))
        return [(BlockHash(entry.block), self._read_block(entry.position)) for entry in found]

    def tentative_bytes(self, hash_: BlockHash) -> bytes | None:
        """The canonical bytes of a tentative block."""
        entry = self._tentative.get(hash_)
        return None if entry is None else self._read_block_bytes(entry.position)

    def _entry(self, height: int) -> _Entry | None:
        stored = self._index.get(_height_key(height))
        return None if stored is None else _entry_codec.decode(stored)

    def _read_block_bytes(self, position: int) -> bytes:
        record = decode_record(self._log.read(position))
        assert isinstance(record, BlockRecord), f"no block stands at {position}"
        return record.block

    def _read_block(self, position: int) -> Block:
        return block_codec.decode(self._read_block_bytes(position))

    def _read_commit(self, position: int) -> CommitRecord:
        record = decode_record(self._log.read(position))
        assert isinstance(record, CommitRecord), f"no commit stands at {position}"
        return record


def _height_key(height: int) -> bytes:
    return b"H" + height.to_bytes(8, "big")


def _hash_key(hash_: bytes) -> bytes:
    return b"B" + hash_


def _tentative_key(hash_: bytes) -> bytes:
    return b"T" + hash_


def _transaction_key(id_: bytes) -> bytes:
    return b"X" + id_
