"""The end of a log that a crash tore is cut to the last whole record; what was synced is never cut."""

import shutil
from pathlib import Path

import pytest

from zizhu.chain.model.errors import OperatingFault
from zizhu.chain.storage.files.door import Door
from zizhu.chain.storage.files.log import FilesLog, open_log
from zizhu.chain.storage.files.segment import HEADER_BYTES, segment_name

QUICK = Door(sync=lambda handle: None, sync_folder=lambda folder: None)
"""No test here loses power, so none needs to wait for the disk."""
SYNCED = [b"first", b"second record"]
UNSYNCED = [b"third, the last one", b"fourth"]


def contents(log: FilesLog) -> list[bytes]:
    return [record.data for record in log.records()]


@pytest.fixture
def crashed(tmp_path: Path) -> tuple[Path, int, int]:
    """A log as a killed process left it: two synced records, one that is not; its folder and where that begins, ends."""
    log = open_log(tmp_path / "live", door=QUICK)
    log.append(SYNCED)
    log.sync()
    begin = log.end_position
    log.append(UNSYNCED[:1])
    end = log.end_position
    shutil.copytree(tmp_path / "live", tmp_path / "crashed")
    log.close()
    return tmp_path / "crashed", begin, end


@pytest.mark.parametrize("rest", ["missing", "zeros", "garbage"])
def test_torn_at_every_byte(crashed: tuple[Path, int, int], rest: str) -> None:
    """Wherever the last record is torn, the records before it are served, and the log goes on behind them."""
    folder, begin, end = crashed
    path = folder / segment_name(0)
    whole = path.read_bytes()
    mark = (folder / "watermark").read_bytes()
    for cut in range(begin, end):
        missing = end - cut
        tail = {"missing": b"", "zeros": bytes(missing), "garbage": b"\x9eZr\x07\xa7" * missing}[rest]
        path.write_bytes(whole[:cut] + tail)
        (folder / "watermark").write_bytes(mark)
        log = open_log(folder, door=QUICK)
        assert contents(log) == SYNCED, f"torn at byte {cut}"
        assert log.recovery.cut_bytes == cut - begin + len(tail)
        assert log.append([b"behind"]) == [begin]
        assert contents(log) == [*SYNCED, b"behind"]
        log.close()


def test_whole_unsynced_records_are_kept(crashed: tuple[Path, int, int]) -> None:
    """A killed process loses nothing that it had handed to the operating system."""
    folder, _, end = crashed
    log = open_log(folder, door=QUICK)
    assert contents(log) == [*SYNCED, UNSYNCED[0]]
    assert (log.recovery.cut_bytes, log.end_position) == (0, end)
    log.close()


def test_what_opening_found_is_written_again_before_it_is_served(crashed: tuple[Path, int, int]) -> None:
    """Bytes that may be in the operating system's memory only are durable before anybody builds on them."""
    folder, begin, end = crashed
    seen: list[str] = []
    rewritten = bytearray()

    def overwrite(handle: int, data: bytes, offset: int) -> int:
        import os

        if "settled" not in seen:
            assert offset == begin
            rewritten.extend(data)
            seen.append("settled")
        return os.pwrite(handle, data, offset)

    log = open_log(folder, door=Door(overwrite=overwrite, sync=lambda handle: seen.append("synced")))
    assert len(rewritten) == end - begin
    assert seen[:2] == ["settled", "synced"]
    log.close()


def test_records_written_out_of_order_are_torn_not_damaged(tmp_path: Path) -> None:
    """A power loss may keep a later page and lose an earlier one: with neither synced that is a torn end."""
    log = open_log(tmp_path / "log", door=QUICK)
    log.append(SYNCED)
    log.sync()
    begin = log.end_position
    log.append(UNSYNCED)
    shutil.copytree(tmp_path / "log", tmp_path / "crashed")
    log.close()
    path = tmp_path / "crashed" / segment_name(0)
    data = bytearray(path.read_bytes())
    data[begin : begin + 30] = bytes(30)
    path.write_bytes(data)
    log = open_log(tmp_path / "crashed", door=QUICK)
    assert contents(log) == SYNCED
    log.close()


def test_a_later_record_proves_what_was_synced(tmp_path: Path) -> None:
    """Even with an old watermark, a record written after a sync shows that what stood before it was durable."""
    log = open_log(tmp_path / "log", door=QUICK)
    old_mark = (tmp_path / "log" / "watermark").read_bytes()
    first, second = log.append(SYNCED)
    log.sync()
    log.append(UNSYNCED)
    shutil.copytree(tmp_path / "log", tmp_path / "crashed")
    log.close()
    (tmp_path / "crashed" / "watermark").write_bytes(old_mark)
    path = tmp_path / "crashed" / segment_name(0)
    data = bytearray(path.read_bytes())
    data[second + 30] ^= 1
    path.write_bytes(data)
    with pytest.raises(OperatingFault) as caught:
        open_log(tmp_path / "crashed", door=QUICK)
    assert caught.value.code.code == "storage.damaged"
    assert (caught.value.values["file"], caught.value.values["offset"]) == (str(path), second)
    assert path.read_bytes() == data, "the evidence is untouched"


def test_torn_segment_header(tmp_path: Path) -> None:
    """A segment of which only a part of the header was written is begun anew; the records before stand."""
    log = open_log(tmp_path / "log", segment_bytes_max=256, door=QUICK)
    log.append([b"x" * 150])
    log.sync()
    end = log.end_position
    shutil.copytree(tmp_path / "log", tmp_path / "before")
    log.append([b"y" * 150])
    header = (tmp_path / "log" / segment_name(end)).read_bytes()[:HEADER_BYTES]
    log.close()
    for length in range(HEADER_BYTES):
        for torn in (header[:length], header[:length] + bytes(HEADER_BYTES - length)):
            folder = tmp_path / f"torn-{length}-{len(torn)}"
            shutil.copytree(tmp_path / "before", folder)
            (folder / segment_name(end)).write_bytes(torn)
            log = open_log(folder, segment_bytes_max=256, door=QUICK)
            assert contents(log) == [b"x" * 150]
            log.append([b"z"])
            assert contents(log) == [b"x" * 150, b"z"]
            log.close()
