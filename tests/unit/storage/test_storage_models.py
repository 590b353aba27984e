"""Stores against a dict and logs against a list, over random histories with reopening and crashes."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.storage.files.door import Door
from zizhu.chain.storage.files.log import open_log
from zizhu.chain.storage.memory import store as memory
from zizhu.chain.storage.port import Change, Delete, KeyValueStore, Put
from zizhu.chain.storage.rocksdb import store as rocksdb
from zizhu.chain.storage.sqlite import store as sqlite
from zizhu.framework.testkit.fakes.disk import FakeDisk

Scan = tuple[bytes, bytes | None, int | None]
OPENERS: dict[str, Callable[[Path, str], KeyValueStore]] = {
    "memory": memory.open_store,
    "sqlite": sqlite.open_store,
    "rocksdb": rocksdb.open_store,
}

keys = st.binary(min_size=1, max_size=3) | st.sampled_from([b"a", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff"])
changes = st.builds(Put, keys, st.binary(max_size=8)) | st.builds(Delete, keys)
batches = st.lists(changes, max_size=8)
scans = st.tuples(st.binary(max_size=2), st.none() | keys, st.none() | st.integers(0, 5))
histories = st.lists(st.tuples(batches, st.booleans(), scans, st.booleans()), max_size=8)


def apply(model: dict[bytes, bytes], batch: list[Change]) -> None:
    """What a batch does to a dict."""
    for change in batch:
        if isinstance(change, Put):
            model[change.key] = change.value
        else:
            model.pop(change.key, None)


def check_scan(store: KeyValueStore, model: dict[bytes, bytes], scan: Scan) -> None:
    """The store answers a scan as the dict, sorted, would."""
    prefix, after, limit = scan
    expected = sorted(
        (key, value) for key, value in model.items() if key.startswith(prefix) and (after is None or key > after)
    )
    assert store.scan(prefix, after=after, limit=limit) == expected[:limit]


@contextmanager
def folder_of_one_history() -> Iterator[Path]:
    """A fresh folder; a fixture's would be shared by all examples of a test."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.mark.parametrize("kind", sorted(OPENERS))
@settings(max_examples=15, deadline=None)
@given(history=histories)
def test_a_store_is_a_sorted_dict(kind: str, history: list[tuple[list[Change], bool, Scan, bool]]) -> None:
    """Whatever is written, each get and scan answers as a dict would, also after reopening."""
    model: dict[bytes, bytes] = {}
    with folder_of_one_history() as folder:
        store: KeyValueStore = OPENERS[kind](folder, "state")
        for batch, durable, scan, reopen in history:
            store.write(batch, durable=durable)
            apply(model, batch)
            if reopen and kind != "memory":
                store.close()
                store = OPENERS[kind](folder, "state")
            check_scan(store, model, scan)
            for change in batch:
                assert store.get(change.key) == model.get(change.key)
        assert store.scan(b"") == sorted(model.items())
        store.close()


@settings(max_examples=60, deadline=None)
@given(history=st.lists(st.tuples(batches, st.booleans(), st.none() | st.integers(0, 10)), max_size=12))
def test_a_crashed_fake_store_holds_a_prefix_of_the_batches(
    history: list[tuple[list[Change], bool, int | None]],
) -> None:
    """After each crash the store is what some prefix of the batches makes, the durable ones included."""
    disk = FakeDisk()
    store = disk.store("state")
    states: list[dict[bytes, bytes]] = [{}]
    durable_at = 0
    for batch, durable, crash in history:
        store.write(batch, durable=durable)
        states.append(dict(states[-1]))
        apply(states[-1], batch)
        if durable:
            durable_at = len(states) - 1
        if crash is not None:
            kept = min(crash, len(states) - 1 - durable_at)
            disk.crash(lambda count, kept=kept: min(kept, count - 1))  # type: ignore[misc]
            store = disk.store("state")
            states = states[: durable_at + kept + 1]
            durable_at = len(states) - 1
        assert dict(store.scan(b"")) == states[-1]


steps = st.lists(
    st.tuples(
        st.lists(st.binary(min_size=1, max_size=120), max_size=4), st.sampled_from(["", "sync", "reopen", "forget"])
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(history=steps)
def test_a_log_is_a_list(history: list[tuple[list[bytes], str]]) -> None:
    """Whatever is appended, the log serves all of it in order, over segments and reopening, but for what it forgot."""
    door = Door(sync=lambda handle: None, sync_folder=lambda folder: None)
    model: list[tuple[int, bytes]] = []
    with folder_of_one_history() as folder:
        log = open_log(folder, segment_bytes_max=256, door=door)
        for records, action in history:
            model += zip(log.append(records), records, strict=True)
            match action:
                case "sync":
                    log.sync()
                case "reopen":
                    log.close()
                    log = open_log(folder, segment_bytes_max=256, door=door)
                case "forget" if model:
                    log.forget_before(model[len(model) // 2][0])
                    assert log.first_position <= model[len(model) // 2][0]
                    model = [entry for entry in model if entry[0] >= log.first_position]
            assert [tuple(record) for record in log.records()] == model
            assert [log.read(position) for position, _ in model] == [data for _, data in model]
        log.close()
