"""Where things stand in the state, and the records the ledger itself keeps there.

Decides the keys of accounts, contracts, names and contract data, and what an account record remembers (the
replay rule of docs/protocol/ledger.md). Refuses to know how state is kept.
"""

from enum import Enum
from functools import lru_cache
from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.encoding import Codec, Count, Hash32, Id20, Name, encode
from zizhu.chain.model.ids import AccountId, ContractId, Nonce

VERSION = 1
MARKER = b"!state-marker"
"""Key of the state store (not of the state) under which (height, running hash) of the newest batch stand."""

RECORDS_KEPT = 4_096
"""Decoded account records: one is asked for several times while a transaction is admitted and executed."""
CONTRACTS_KEPT = 1_024
"""Decoded contract records."""
NONCE_MAP_BYTES = limits.NONCE_MAP // 8
_MASK = (1 << limits.NONCE_MAP) - 1


def account_key(account: bytes) -> bytes:
    """Where the record of an account (20 bytes) stands."""
    return b"a" + account


def contract_key(contract: bytes) -> bytes:
    """Where the record of a contract (20 bytes) stands."""
    return b"c" + contract


def source_key(digest: bytes) -> bytes:
    """Where the source of hash `digest` (32 bytes) stands; contracts with the same source share it."""
    return b"s" + digest


def name_key(name: str) -> bytes:
    """Where the id of the contract called `name` stands; a name is given once."""
    return b"n" + name.encode()


def data_key(contract: bytes, key: bytes) -> bytes:
    """Where a contract (20 bytes) keeps what it calls `key`."""
    return b"d" + contract + key


class NonceUse(Enum):
    """What an account record says of a nonce."""

    FREE = "free"
    USED = "used"
    TOO_OLD = "too_old"
    TOO_FAR = "too_far"


class AccountRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The highest used nonce, and a bit for each of the 1,024 below it: bit i (of the big-endian number that
    `used` is) stands for nonce highest − 1 − i. An account without a record is `NEW_ACCOUNT`."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    highest: Count
    used: Annotated[bytes, msgspec.Meta(min_length=NONCE_MAP_BYTES, max_length=NONCE_MAP_BYTES)]

    def use_of(self, nonce: int) -> NonceUse:
        """Whether `nonce` (≥ 1) may still be used."""
        above = nonce - self.highest
        if above > 0:
            return NonceUse.FREE if above <= limits.NONCE_AHEAD_MAX else NonceUse.TOO_FAR
        if above == 0:
            return NonceUse.USED
        bit = -above - 1
        if bit >= limits.NONCE_MAP:
            return NonceUse.TOO_OLD
        return NonceUse.USED if self.used[NONCE_MAP_BYTES - 1 - (bit >> 3)] >> (bit & 7) & 1 else NonceUse.FREE

    def using(self, nonce: int) -> "AccountRecord":
        """The record once `nonce`, which must be free, is used up."""
        assert self.use_of(nonce) is NonceUse.FREE, f"nonce {nonce} above {self.highest} is not free"
        used = int.from_bytes(self.used, "big")
        above = nonce - self.highest
        if above < 0:
            used |= 1 << (-above - 1)
            return AccountRecord(VERSION, self.highest, used.to_bytes(NONCE_MAP_BYTES, "big"))
        if above > limits.NONCE_MAP:
            used = 0
        else:
            used = ((used << above) | (1 << (above - 1))) & _MASK
        return AccountRecord(VERSION, nonce, used.to_bytes(NONCE_MAP_BYTES, "big"))


NEW_ACCOUNT = AccountRecord(VERSION, 0, bytes(NONCE_MAP_BYTES))
"""Nothing used yet. (Nonce 0 does not exist, so it counts as used.)"""


class ContractRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A contract: its engine, the hash of its source (domain `source`), its name, and who made it when.

    `creator` is 20 zero bytes for a contract of the genesis."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    engine: Name
    source: Hash32
    name: Name
    creator: Id20
    height: Count


_account_decoder = msgspec.msgpack.Decoder(AccountRecord)
contract_codec: Codec[ContractRecord] = Codec(ContractRecord, what="contract record", bytes_max=1024)


@lru_cache(maxsize=RECORDS_KEPT)
def account_record(stored: bytes | None) -> AccountRecord:
    """The record from what stands at its key in our own state (None: nothing)."""
    return NEW_ACCOUNT if stored is None else _account_decoder.decode(stored)


@lru_cache(maxsize=CONTRACTS_KEPT)
def contract_record(stored: bytes) -> ContractRecord:
    """The record of a contract from what stands at its key in our own state."""
    return contract_codec.decode(stored)


def encode_record(record: AccountRecord | ContractRecord) -> bytes:
    """The bytes that stand in the state."""
    return encode(record)


NO_ACCOUNT = AccountId(bytes(20))
"""Who calls when nobody signed: the `init` of a genesis contract."""
NO_CONTRACT = ContractId(bytes(20))
FIRST_NONCE = Nonce(1)
