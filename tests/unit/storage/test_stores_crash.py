"""Stores whose process is killed: batches are whole, in order, and durable ones are there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from zizhu.chain.storage.files.log import open_log
from zizhu.chain.storage.port import KeyValueStore
from zizhu.chain.storage.rocksdb import store as rocksdb
from zizhu.chain.storage.sqlite import store as sqlite

WRITER = """
import pathlib, sys
from zizhu.chain.storage.port import Delete, Put
from zizhu.chain.storage.{kind}.store import open_store
store = open_store(pathlib.Path(sys.argv[1]), "state")
for number in range(1, 10**9):
    mark = b"%d" % number
    changes = [Put(b"k%d" % slot, mark + bytes(500)) for slot in range(8)]
    store.write([Delete(b"old"), *changes, Put(b"index", mark)], durable=number % 5 == 0)
    if number % 5 == 0:
        sys.stdout.write("%d\\n" % number)
        sys.stdout.flush()
"""


def opened(kind: str, folder: Path) -> KeyValueStore:
    """The store that the writer wrote."""
    return sqlite.open_store(folder, "state") if kind == "sqlite" else rocksdb.open_store(folder, "state")


def kill_after(program: str, folder: Path, lines: int) -> int:
    """Runs `program`, kills it by SIGKILL once it has acknowledged `lines` times; the last number it acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, env=dict(os.environ)
    )
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [line for line in process.stdout if line.endswith(b"\n")]
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return int(acknowledged[-1])


@pytest.mark.row("B-2")
@pytest.mark.parametrize("kind", ["sqlite", "rocksdb"])
def test_a_killed_writer_leaves_whole_batches(tmp_path: Path, kind: str) -> None:
    """Crash between state write and index write, both in one batch: the two never differ, so "replay is idempotent,
    state roots equal"; and no durable batch is lost."""
    reached = 0
    for lines in (1, 40):
        acknowledged = kill_after(WRITER.format(kind=kind), tmp_path, lines)
        store = opened(kind, tmp_path)
        mark = store.get(b"index")
        assert mark is not None
        assert int(mark) >= acknowledged
        assert store.scan(b"k") == [(b"k%d" % slot, mark + bytes(500)) for slot in range(8)]
        store.close()
        reached = max(reached, int(mark))
    assert reached >= 200


LOG_WRITER = """
import pathlib, sys
from zizhu.chain.storage.files.log import open_log
log = open_log(pathlib.Path(sys.argv[1]) / "log", segment_bytes_max=20_000)
for number in range(1, 10**9):
    log.append([b"%d " % number + bytes(300)] * 3)
    log.sync()
    sys.stdout.write("%d\\n" % number)
    sys.stdout.flush()
"""


@pytest.mark.row("B-1")
def test_a_killed_log_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """n=1, a real process and a real SIGKILL: the acknowledged "write is present after restart"."""
    acknowledged = kill_after(LOG_WRITER, tmp_path, 200)
    log = open_log(tmp_path / "log", segment_bytes_max=20_000)
    numbers = [int(record.data.split(b" ")[0]) for record in log.records()]
    log.close()
    assert numbers == [number for number in range(1, numbers[-1] + 1) for _ in range(3)][: len(numbers)]
    assert numbers.count(acknowledged) == 3
