"""What every store and every log must do, as functions that fail with an assertion.

Decides when a plug-in of the group `zizhu.storage` is done: when each function of `STORE_CHECKS` and (unless it
is volatile) of `DURABLE_STORE_CHECKS` returns. Refuses to know any store, and any test runner.

A check takes a callable that opens one and the same store or log, empty at first; a check closes what it
opens. `for check in STORE_CHECKS: check(lambda: open_store(fresh_folder, "state"))`, a fresh folder for each.
"""

from collections.abc import Callable

from zizhu.chain.model.errors import AskedWrongly
from zizhu.chain.storage.bounds import KEY_BYTES_MAX, RECORD_BYTES_MAX
from zizhu.chain.storage.port import Change, Delete, KeyValueStore, Log, Put, Record

OpenStore = Callable[[], KeyValueStore]
OpenLog = Callable[[], Log]


def refused_with(code: str, call: Callable[[], object]) -> None:
    """Fails unless `call` raises AskedWrongly of this code."""
    refusal: AskedWrongly | None = None
    try:
        call()
    except AskedWrongly as error:
        refusal = error
    assert refusal is not None, f"not refused; {code} was expected"
    assert refusal.code.code == code, f"refused with {refusal.code.code}, not {code}"
    assert refusal.cause("zh"), "the Chinese text of the cause can be filled"
    assert refusal.fix("zh"), "the Chinese text of the fix can be filled"


def store_gets_what_was_put(open_store: OpenStore) -> None:
    """A value is found at its key, the last one put; nothing is found elsewhere; an empty value is a value."""
    store = open_store()
    assert store.get(b"a") is None
    store.write([Put(b"a", b"1"), Put(b"b", b""), Put(b"\x00", b"\x00\xff")], durable=True)
    assert (store.get(b"a"), store.get(b"b"), store.get(b"\x00"), store.get(b"c")) == (b"1", b"", b"\x00\xff", None)
    store.write([Put(b"a", b"2")], durable=False)
    assert store.get(b"a") == b"2"
    store.close()


def store_deletes(open_store: OpenStore) -> None:
    """A deleted key is gone from get and scan; deleting what is not there is no error."""
    store = open_store()
    store.write([Put(b"a", b"1"), Put(b"b", b"2")], durable=False)
    store.write([Delete(b"a"), Delete(b"nothing")], durable=False)
    assert store.get(b"a") is None
    assert store.scan(b"") == [(b"b", b"2")]
    store.close()


def store_applies_a_batch_in_order(open_store: OpenStore) -> None:
    """Of several changes of one key in a batch the last wins."""
    store = open_store()
    batch: list[Change] = [Put(b"a", b"1"), Delete(b"a"), Put(b"b", b"1"), Put(b"b", b"2")]
    batch += [Delete(b"c"), Put(b"c", b"3")]
    store.write(batch, durable=False)
    assert store.scan(b"") == [(b"b", b"2"), (b"c", b"3")]
    store.write([Put(b"c", b"4"), Delete(b"c"), Delete(b"b"), Put(b"b", b"5")], durable=True)
    assert store.scan(b"") == [(b"b", b"5")]
    store.close()


def store_scans_by_prefix_in_order(open_store: OpenStore) -> None:
    """A scan gives exactly the keys of the prefix, ascending by bytes, prefixes of 0xff included."""
    store = open_store()
    keys = [b"\xff\xff\x01", b"b", b"a\xff\xff", b"a", b"ab", b"\xff", b"a\x00", b"a\xff", b"\x00", b"\xff\xff"]
    keys += [b"b\x00", b"c\xfe"]
    store.write([Put(key, b"v" + key) for key in keys], durable=False)
    for prefix in (b"", b"a", b"ab", b"a\xff", b"\xff", b"\xff\xff", b"b", b"c", b"\x00"):
        expected = [(key, b"v" + key) for key in sorted(keys) if key.startswith(prefix)]
        assert store.scan(prefix) == expected, f"prefix {prefix!r}"
    store.close()


def store_scans_in_pages(open_store: OpenStore) -> None:
    """Scanning behind the last key of a page gives the next page: together all keys, each once."""
    store = open_store()
    keys = sorted(b"k" + bytes([first, second]) for first in (0, 7, 255) for second in range(0, 256, 17))
    store.write([Put(key, b"") for key in keys] + [Put(b"j", b""), Put(b"l", b"")], durable=False)
    seen: list[bytes] = []
    after = None
    while page := store.scan(b"k", after=after, limit=7):
        assert len(page) <= 7
        seen += [key for key, _ in page]
        after = seen[-1]
    assert seen == keys
    assert store.scan(b"k", limit=0) == []
    assert [key for key, _ in store.scan(b"k", after=b"a", limit=1)] == keys[:1], "`after` before the prefix"
    assert store.scan(b"k", after=b"z") == [], "`after` behind the prefix"
    assert [key for key, _ in store.scan(b"k", after=b"k\x00\x01", limit=1)] == [b"k\x00\x11"], "`after` not there"
    store.close()


def store_takes_what_the_bounds_allow(open_store: OpenStore) -> None:
    """The longest key and a value of 1 MiB come back as they were."""
    store = open_store()
    key, value = b"\xff" * KEY_BYTES_MAX, bytes(range(256)) * 4096
    store.write([Put(key, value)], durable=True)
    assert store.get(key) == value
    assert store.scan(key[:-1], after=key[:-1]) == [(key, value)]
    assert store.scan(b"", after=key) == []
    store.close()


def store_refuses_wrong_use(open_store: OpenStore) -> None:
    """Bad keys and limits and a closed store are named errors, and nothing of a refused batch is applied."""
    store = open_store()
    for bad in (b"", b"k" * (KEY_BYTES_MAX + 1)):
        refused_with("storage.key_bad", lambda bad=bad: store.write([Put(b"a", b"1"), Put(bad, b"")], durable=True))  # type: ignore[misc]
    assert store.scan(b"") == []
    refused_with("storage.limit_bad", lambda: store.scan(b"", limit=-1))
    store.close()
    store.close()
    refused_with("storage.closed", lambda: store.get(b"a"))
    refused_with("storage.closed", lambda: store.scan(b""))
    refused_with("storage.closed", lambda: store.write([], durable=True))


def store_remembers(open_store: OpenStore) -> None:
    """What was written is there when the store is opened again, and can be changed."""
    store = open_store()
    store.write([Put(b"a", b"1"), Put(b"b", b"2")], durable=True)
    store.write([Delete(b"a"), Put(b"c", b"3")], durable=False)
    store.write([], durable=True)
    store.close()
    store = open_store()
    assert store.scan(b"") == [(b"b", b"2"), (b"c", b"3")]
    store.write([Delete(b"b")], durable=True)
    store.close()
    store = open_store()
    assert store.scan(b"") == [(b"c", b"3")]
    store.close()


STORE_CHECKS: tuple[Callable[[OpenStore], None], ...] = (
    store_gets_what_was_put,
    store_deletes,
    store_applies_a_batch_in_order,
    store_scans_by_prefix_in_order,
    store_scans_in_pages,
    store_takes_what_the_bounds_allow,
    store_refuses_wrong_use,
)
DURABLE_STORE_CHECKS: tuple[Callable[[OpenStore], None], ...] = (store_remembers,)

RECORDS = (b"one", b"\x00", b"zizhulog" * 100, b"\xff" * 5000, bytes(300))


def log_reads_what_was_appended(open_log: OpenLog) -> None:
    """Each record is read at the position append returned; positions ascend over all appends."""
    log = open_log()
    assert list(log.records()) == []
    positions = log.append(RECORDS) + log.append([]) + log.append([b"last"])
    assert len(positions) == len(RECORDS) + 1
    assert positions == sorted(positions)
    assert len(dict.fromkeys(positions)) == len(positions)
    assert [log.read(position) for position in positions] == [*RECORDS, b"last"]
    log.sync()
    assert [log.read(position) for position in reversed(positions)] == [b"last", *reversed(RECORDS)]
    log.close()


def log_iterates_from_any_position(open_log: OpenLog) -> None:
    """Records from a position on are exactly those not before it, whether or not one stands there."""
    log = open_log()
    expected = [Record(position, data) for position, data in zip(log.append(RECORDS), RECORDS, strict=True)]
    assert list(log.records()) == expected
    for index, record in enumerate(expected):
        assert list(log.records(record.position)) == expected[index:]
        assert list(log.records(record.position + 1)) == expected[index + 1 :]
    log.close()


def log_iterates_over_what_comes_meanwhile(open_log: OpenLog) -> None:
    """Records appended while somebody iterates are met too."""
    log = open_log()
    log.append([b"1", b"2"])
    seen = []
    for record in log.records():
        seen.append(record.data)
        if record.data == b"1":
            log.append([b"3"])
        if record.data == b"3":
            log.append([b"4"])
    assert seen == [b"1", b"2", b"3", b"4"]
    log.close()


def log_refuses_wrong_use(open_log: OpenLog) -> None:
    """Empty and too long records, positions where nothing stands and a closed log are named errors."""
    log = open_log()
    refused_with("storage.record_bad", lambda: log.append([b"good", b""]))
    refused_with("storage.record_bad", lambda: log.append([bytes(RECORD_BYTES_MAX + 1)]))
    assert list(log.records()) == [], "nothing of a refused append is written"
    (position,) = log.append([b"record"])
    for wrong in (-1, position + 1, position + 5, position + 1_000_000):
        refused_with("storage.no_record", lambda wrong=wrong: log.read(wrong))  # type: ignore[misc]
    assert list(log.records(position + 1_000_000)) == []
    log.close()
    log.close()
    refused_with("storage.closed", lambda: log.read(position))
    refused_with("storage.closed", lambda: log.append([b"x"]))
    refused_with("storage.closed", log.sync)
    refused_with("storage.closed", lambda: log.records())


def log_forgets_only_what_is_before(open_log: OpenLog) -> None:
    """Forgetting keeps every record at and behind the position, and the order; appending goes on."""
    log = open_log()
    records = [bytes([number]) * 200 for number in range(1, 21)]
    positions = log.append(records)
    log.sync()
    log.forget_before(positions[12])
    kept = list(log.records())
    assert kept == [Record(positions[number], records[number]) for number in range(20 - len(kept), 20)]
    assert len(kept) >= 8
    assert [record.data for record in log.records(positions[12])] == records[12:]
    (position,) = log.append([b"next"])
    assert position > positions[-1]
    assert log.read(position) == b"next"
    log.close()


def log_remembers(open_log: OpenLog) -> None:
    """Synced records stand at the same positions when the log is opened again, and appending goes on behind."""
    log = open_log()
    positions = log.append(RECORDS)
    log.sync()
    log.close()
    log = open_log()
    assert list(log.records()) == [Record(*pair) for pair in zip(positions, RECORDS, strict=True)]
    (position,) = log.append([b"behind"])
    assert position > positions[-1]
    log.sync()
    log.close()
    log = open_log()
    assert [record.data for record in log.records()] == [*RECORDS, b"behind"]
    log.close()


LOG_CHECKS: tuple[Callable[[OpenLog], None], ...] = (
    log_reads_what_was_appended,
    log_iterates_from_any_position,
    log_iterates_over_what_comes_meanwhile,
    log_refuses_wrong_use,
    log_forgets_only_what_is_before,
)
DURABLE_LOG_CHECKS: tuple[Callable[[OpenLog], None], ...] = (log_remembers,)
