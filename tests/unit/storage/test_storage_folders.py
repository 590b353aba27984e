"""Folders: one process each, a marker of who wrote them, files that are replaced whole."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zizhu.chain.model.errors import AskedWrongly, OperatingFault
from zizhu.chain.storage.atomic_file import write_atomic_file
from zizhu.chain.storage.bounds import KEY_BYTES_MAX, VALUE_BYTES_MAX, check_batch, check_name
from zizhu.chain.storage.folder_format import claim_folder
from zizhu.chain.storage.lock import LOCK_FILE, lock_folder
from zizhu.chain.storage.placement import DATA_CLASSES, Placement, allowed_stores, checked_placement
from zizhu.chain.storage.port import Delete, KeyValueStore, Put
from zizhu.chain.storage.rocksdb import store as rocksdb
from zizhu.chain.storage.sqlite import store as sqlite
from zizhu.framework.testkit.conformance.storage import refused_with

OPENERS: dict[str, Callable[[Path, str], KeyValueStore]] = {
    "sqlite": sqlite.open_store,
    "rocksdb": rocksdb.open_store,
}

LOCKER = """
import pathlib, sys
from zizhu.chain.storage.lock import lock_folder
lock = lock_folder(pathlib.Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    """storage.locked names the pid; once the holder is killed the folder is free."""
    holder = subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ),
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"locked\n"
    for _ in range(2):
        with pytest.raises(OperatingFault) as caught:
            lock_folder(tmp_path)
        assert caught.value.code.code == "storage.locked"
        assert caught.value.values == {"folder": str(tmp_path), "pid": str(holder.pid)}
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    with lock_folder(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_a_lock_is_given_back(tmp_path: Path) -> None:
    """While held it is refused even to the same process; after close anybody may take it; closing twice is nothing."""
    lock = lock_folder(tmp_path / "new" / "folder")
    with pytest.raises(OperatingFault):
        lock_folder(tmp_path / "new" / "folder")
    lock.close()
    lock.close()
    lock_folder(tmp_path / "new" / "folder").close()


def test_a_locked_empty_folder_can_be_claimed(tmp_path: Path) -> None:
    """The lock is taken before the first file is written, and is no stranger's file."""
    with lock_folder(tmp_path):
        assert claim_folder(tmp_path, store="files", version=1)
        assert not claim_folder(tmp_path, store="files", version=1)


def test_atomic_file_replaces_whole(tmp_path: Path) -> None:
    """The new content and mode stand, nothing else is left, and what a crash left behind is overwritten."""
    path = tmp_path / "key.pem"
    (tmp_path / "key.pem.new").write_bytes(b"torn")
    write_atomic_file(path, b"one", mode=0o600)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"one", 0o600)
    write_atomic_file(path, b"", mode=0o640)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"", 0o640)
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.pem"]


def test_atomic_file_that_fails_changes_nothing(tmp_path: Path) -> None:
    """storage.write_failed names the file; the old content stands and no temporary file is left."""
    path = tmp_path / "folder"
    path.mkdir()
    (path / "inside").write_bytes(b"x")
    with pytest.raises(OperatingFault) as caught:
        write_atomic_file(path, b"new")
    assert (caught.value.code.code, caught.value.values["file"]) == ("storage.write_failed", str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(OperatingFault):
        write_atomic_file(tmp_path / "missing" / "file", b"new")


@pytest.mark.parametrize("kind", ["sqlite", "rocksdb"])
def test_stores_refuse_newer_and_foreign_folders(tmp_path: Path, kind: str) -> None:
    """A store's folder of a newer version, of the other store or of a stranger is refused by name and not touched."""
    open_store = OPENERS[kind]
    open_store(tmp_path, "state").close()
    for text, code in (
        (f"zizhu {kind} 2\n", "storage.newer_format"),
        ("zizhu files 1\n", "storage.foreign_folder"),
        ("zizhu", "storage.damaged"),
    ):
        (tmp_path / "state" / "format").write_text(text)
        with pytest.raises(OperatingFault) as caught:
            open_store(tmp_path, "state")
        assert caught.value.code.code == code
    (tmp_path / "state" / "format").unlink()
    with pytest.raises(OperatingFault) as caught:
        open_store(tmp_path, "state")
    assert caught.value.code.code == "storage.foreign_folder"


@pytest.mark.parametrize("kind", ["sqlite", "rocksdb"])
def test_a_store_is_held_once(tmp_path: Path, kind: str) -> None:
    """A second opening of a store that is in use is storage.open_failed, not a shared database."""
    open_store = OPENERS[kind]
    store = open_store(tmp_path, "state")
    store.write([Put(b"a", b"1")], durable=True)
    with pytest.raises(OperatingFault) as caught:
        open_store(tmp_path, "state")
    assert caught.value.code.code == "storage.open_failed"
    store.close()


def test_sqlite_never_serves_a_flipped_value(tmp_path: Path) -> None:
    """A value that is not what was written is storage.damaged, by get and by scan; its neighbour is served."""
    store = sqlite.open_store(tmp_path, "state")
    store.write([Put(b"a", b"marker-one"), Put(b"b", b"marker-two")], durable=True)
    store.close()
    path = tmp_path / "state" / sqlite.DATABASE
    path.write_bytes(path.read_bytes().replace(b"marker-two", b"marker-twp"))
    store = sqlite.open_store(tmp_path, "state")
    assert store.get(b"a") == b"marker-one"
    for call in (lambda: store.get(b"b"), lambda: store.scan(b"")):
        with pytest.raises(OperatingFault) as caught:
            call()
        assert (caught.value.code.code, caught.value.values["file"]) == ("storage.damaged", str(path))
    store.close()


def test_sqlite_values_do_not_pass_at_another_key(tmp_path: Path) -> None:
    """A value moved to another key inside the file is not served there."""
    store = sqlite.open_store(tmp_path, "state")
    store.write([Put(b"a", b"1"), Put(b"b", b"2")], durable=True)
    store.close()
    database = sqlite3.connect(tmp_path / "state" / sqlite.DATABASE)
    database.execute("UPDATE entries SET value = (SELECT value FROM entries WHERE key = ?) WHERE key = ?", (b"a", b"b"))
    database.commit()
    database.close()
    store = sqlite.open_store(tmp_path, "state")
    with pytest.raises(OperatingFault):
        store.get(b"b")
    store.close()


def test_rocksdb_never_serves_a_flipped_value(tmp_path: Path) -> None:
    """A table file with a flipped byte is storage.damaged when it is read: no value comes out changed."""
    for number in range(3):
        store = rocksdb.open_store(tmp_path, "state")  # each opening writes the log of the one before to a table
        store.write([Put(b"key%d%d" % (number, n), b"value-%d" % n * 20) for n in range(50)], durable=True)
        store.close()
    tables = sorted((tmp_path / "state" / "database").glob("*.sst"))
    assert tables
    data = bytearray(tables[0].read_bytes())
    data[10] ^= 1
    tables[0].write_bytes(data)
    store = rocksdb.open_store(tmp_path, "state")
    with pytest.raises(OperatingFault) as caught:
        store.scan(b"")
    store.close()
    assert caught.value.code.code == "storage.damaged"


def test_rocksdb_hides_no_bug_of_the_caller(tmp_path: Path) -> None:
    """Only what rocksdict raises becomes a fault of the disk; a wrong type stays what it is."""
    store = rocksdb.open_store(tmp_path, "state")
    with pytest.raises(KeyError):
        store.write([Put("text", b"")], durable=False)  # type: ignore[arg-type]
    store.close()


@pytest.mark.parametrize("name", ["", "a" * 65, "../up", "A", "1a", "a/b", "a b", ".", "a\n"])
def test_names_that_are_no_folder_of_ours(name: str) -> None:
    """A name that could leave the folder, or differs only by case from another, is storage.name_bad."""
    with pytest.raises(AskedWrongly) as caught:
        check_name(name)
    assert caught.value.code.code == "storage.name_bad"


def test_placement_defaults() -> None:
    """Blocks and votes stand in our own logs, state and index in rocksdb; each default is an allowed choice."""
    placement = checked_placement({})
    assert placement == Placement(blocks="files", votes="files", state="rocksdb", index="rocksdb", files="files")
    for data_class in DATA_CLASSES:
        assert getattr(placement, data_class) in allowed_stores(data_class)


def test_placement_choices() -> None:
    """A plug-in can hold state and index; the logs of blocks and votes never leave the local path."""
    stores = ("memory", "rocksdb", "sqlite", "etcd")
    assert checked_placement({"state": "sqlite", "index": "etcd"}, key_value_stores=stores).index == "etcd"
    for data_class, store in (("votes", "sqlite"), ("blocks", "etcd"), ("state", "files"), ("index", "mongo")):
        with pytest.raises(AskedWrongly) as caught:
            checked_placement({data_class: store}, key_value_stores=stores)
        assert caught.value.code.code == "storage.placement_bad"
        assert caught.value.values["data_class"] == data_class
    with pytest.raises(AskedWrongly) as caught:
        checked_placement({"photos": "files"})
    assert caught.value.code.code == "storage.data_class_unknown"


def test_the_longest_value_and_key() -> None:
    """What the bounds name is taken, one byte more is refused by name."""
    longest = bytes(VALUE_BYTES_MAX)
    check_batch([Put(b"k" * KEY_BYTES_MAX, longest)])
    refused_with("storage.value_bad", lambda: check_batch([Put(b"k", longest + b"x")]))
    refused_with("storage.key_bad", lambda: check_batch([Delete(b"k" * (KEY_BYTES_MAX + 1))]))
