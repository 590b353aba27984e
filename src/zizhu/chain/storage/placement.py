"""Which store keeps which class of a node's data.

Decides the classes, their defaults and what may stand where: the vote log and the block log never leave the
local path (docs/protocol/storage.md), so only our own logs can keep them. Refuses to open any store.
"""

from collections.abc import Mapping, Sequence

import msgspec

from zizhu.chain.model.errors import AskedWrongly
from zizhu.chain.storage import faults

LOG_STORES = ("files", "memory")
"""Stores that are logs; `memory` forgets everything when the process ends and is for tests."""
KEY_VALUE_STORES = ("memory", "rocksdb", "sqlite")
"""Built-in key-value stores; a node adds those it finds in the entry point group `zizhu.storage`."""


class Placement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The name of a store for each class of data.

    `blocks`: the block log. `votes`: the vote log. `state`: state values and tree. `index`: what can be
    rebuilt from blocks. `files`: contents that people registered, kept by their custodian.
    """

    blocks: str = "files"
    votes: str = "files"
    state: str = "rocksdb"
    index: str = "rocksdb"
    files: str = "files"


DATA_CLASSES: tuple[str, ...] = Placement.__struct_fields__
_LOG_CLASSES = ("blocks", "votes")
_CONTENT_CLASSES = ("files",)


def allowed_stores(data_class: str, key_value_stores: Sequence[str] = KEY_VALUE_STORES) -> tuple[str, ...]:
    """The names of the stores that can keep `data_class`.

    Raises AskedWrongly (`storage.data_class_unknown`).
    """
    if data_class not in DATA_CLASSES:
        raise AskedWrongly(faults.DATA_CLASS_UNKNOWN, data_class=data_class, allowed=", ".join(DATA_CLASSES))
    if data_class in _LOG_CLASSES or data_class in _CONTENT_CLASSES:
        return LOG_STORES
    return tuple(key_value_stores)


def checked_placement(choices: Mapping[str, str], *, key_value_stores: Sequence[str] = KEY_VALUE_STORES) -> Placement:
    """The placement an operator chose; what `choices` (data class → store) leaves out has its default.

    Raises AskedWrongly: `storage.data_class_unknown`, `storage.placement_bad`.
    """
    for data_class, store in choices.items():
        allowed = allowed_stores(data_class, key_value_stores)
        if store not in allowed:
            raise AskedWrongly(faults.PLACEMENT_BAD, data_class=data_class, store=store, allowed=", ".join(allowed))
    return Placement(**choices)
