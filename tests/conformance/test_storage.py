"""Every built-in store and log passes the suite that outsiders' stores pass."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zizhu.chain.storage.files.log import open_log
from zizhu.chain.storage.memory import store as memory
from zizhu.chain.storage.memory.log import MemoryLog
from zizhu.chain.storage.rocksdb import store as rocksdb
from zizhu.chain.storage.sqlite import store as sqlite
from zizhu.framework.testkit.conformance import storage as suite
from zizhu.framework.testkit.fakes.disk import FakeDisk


def _store(kind: str, folder: Path, disk: FakeDisk) -> suite.OpenStore:
    stores: dict[str, suite.OpenStore] = {
        "memory": lambda: memory.open_store(folder, "state"),
        "sqlite": lambda: sqlite.open_store(folder, "state"),
        "rocksdb": lambda: rocksdb.open_store(folder, "state"),
        "fake": lambda: disk.store("state"),
    }
    return stores[kind]


def _log(kind: str, folder: Path, disk: FakeDisk) -> suite.OpenLog:
    logs: dict[str, suite.OpenLog] = {
        "memory": lambda: MemoryLog(),
        "files": lambda: open_log(folder / "log"),
        "files in small segments": lambda: open_log(folder / "log", segment_bytes_max=512),
        "fake": lambda: disk.log("blocks"),
    }
    return logs[kind]


@pytest.mark.parametrize("check", suite.STORE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["memory", "sqlite", "rocksdb", "fake"])
def test_store(kind: str, check: Callable[[suite.OpenStore], None], tmp_path: Path) -> None:
    """Each store keeps each promise of the port."""
    check(_store(kind, tmp_path, FakeDisk()))


@pytest.mark.parametrize("check", suite.DURABLE_STORE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["sqlite", "rocksdb", "fake"])
def test_durable_store(kind: str, check: Callable[[suite.OpenStore], None], tmp_path: Path) -> None:
    """Each store that is not volatile remembers."""
    check(_store(kind, tmp_path, FakeDisk()))


@pytest.mark.parametrize("check", suite.LOG_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["memory", "files", "files in small segments", "fake"])
def test_log(kind: str, check: Callable[[suite.OpenLog], None], tmp_path: Path) -> None:
    """Each log keeps each promise of the port."""
    check(_log(kind, tmp_path, FakeDisk()))


@pytest.mark.parametrize("check", suite.DURABLE_LOG_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["files", "files in small segments", "fake"])
def test_durable_log(kind: str, check: Callable[[suite.OpenLog], None], tmp_path: Path) -> None:
    """Each log that is not volatile remembers."""
    check(_log(kind, tmp_path, FakeDisk()))
