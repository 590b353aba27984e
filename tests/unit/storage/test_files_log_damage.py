"""A damaged log says which file and where, and never serves a byte that was not written."""

import shutil
from pathlib import Path

import pytest

from zizhu.chain.model.errors import OperatingFault, ZizhuError
from zizhu.chain.storage.files import segment
from zizhu.chain.storage.files.door import Door
from zizhu.chain.storage.files.log import open_log
from zizhu.chain.storage.files.recovery import segment_starts

QUICK = Door(sync=lambda handle: None, sync_folder=lambda folder: None)
RECORDS = [bytes([65 + number]) * (20 + number) for number in range(9)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of several segments, closed in peace."""
    log = open_log(tmp_path / "log", segment_bytes_max=256, door=QUICK)
    for record in RECORDS:
        log.append([record])
        log.sync()
    log.close()
    return tmp_path / "log"


def read_all(folder: Path) -> tuple[list[bytes], ZizhuError | None]:
    """What is served, in order, and the error that ended it."""
    served: list[bytes] = []
    try:
        log = open_log(folder, segment_bytes_max=256, door=QUICK)
        try:
            for record in log.records():
                served.append(record.data)
        finally:
            log.close()
    except OperatingFault as error:
        return served, error
    return served, None


def test_every_flipped_byte_of_every_segment(folder: Path) -> None:
    """Whichever byte is flipped: storage.damaged with the file and the offset of the record, and nothing wrong served."""
    starts = segment_starts(folder)
    assert len(starts) >= 3
    for start in starts:
        path = folder / segment.segment_name(start)
        whole = path.read_bytes()
        for offset in range(len(whole)):
            path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x40]) + whole[offset + 1 :])
            served, error = read_all(folder)
            assert error is not None and error.code.code == "storage.damaged", f"byte {offset} of {path.name}"
            assert error.values["file"] == str(path)
            found = error.values["offset"]
            assert isinstance(found, int) and found <= offset < found + segment.HEAD_BYTES + 40
            assert served == RECORDS[: len(served)]
        path.write_bytes(whole)
    assert read_all(folder) == (RECORDS, None)


@pytest.mark.parametrize("which", [0, 1, -1])
def test_every_truncation_of_a_segment(folder: Path, which: int) -> None:
    """A synced log cut short anywhere, even between two records, is refused with the place where it ends."""
    path = folder / segment.segment_name(segment_starts(folder)[which])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        served, error = read_all(folder)
        assert error is not None and error.code.code == "storage.damaged", f"{length} bytes left"
        assert error.values["file"] == str(path)
        assert served == []


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_missing_segment(folder: Path, which: int) -> None:
    """A segment that somebody removed is missed."""
    (folder / segment.segment_name(segment_starts(folder)[which])).unlink()
    served, error = read_all(folder)
    assert error is not None and error.code.code == "storage.damaged"
    assert served == []


def test_flips_in_the_watermark(folder: Path) -> None:
    """A damaged watermark is refused or its older half is used; either way only true records are served."""
    path = folder / "watermark"
    whole = path.read_bytes()
    for offset in [*range(28), *range(512, 540)]:
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        assert read_all(folder) == (RECORDS, None)
    path.write_bytes(bytes(1024))
    _, error = read_all(folder)
    assert error is not None and error.values["file"] == str(path)
    path.unlink()
    _, error = read_all(folder)
    assert error is not None and error.values["file"] == str(path)


def test_reading_one_damaged_record_by_its_position(folder: Path) -> None:
    """read of a damaged record names file and offset; its neighbours in other segments are still served."""
    log = open_log(folder, segment_bytes_max=256, door=QUICK)
    positions = [record.position for record in log.records()]
    path = folder / segment.segment_name(0)
    data = bytearray(path.read_bytes())
    data[positions[1] + segment.HEAD_BYTES] ^= 1
    path.write_bytes(data)
    with pytest.raises(OperatingFault) as caught:
        log.read(positions[1])
    assert caught.value.code.code == "storage.damaged"
    assert caught.value.values == {"file": str(path), "offset": positions[1], "reason": caught.value.values["reason"]}
    assert log.read(positions[0]) == RECORDS[0]
    assert log.read(positions[-1]) == RECORDS[-1]
    log.close()


def test_a_record_does_not_pass_for_another(folder: Path) -> None:
    """A whole record copied over one of equal length is not served: a record knows its position."""
    log = open_log(folder, segment_bytes_max=1 << 20, door=QUICK)
    first, second = log.append([b"a" * 30, b"b" * 30])
    log.close()
    start = segment_starts(folder)[-1]
    path = folder / segment.segment_name(start)
    data = bytearray(path.read_bytes())
    size = second - first
    data[second - start : second - start + size] = data[first - start : first - start + size]
    path.write_bytes(data)
    _, error = read_all(folder)
    assert error is not None and error.values["offset"] == second - start


def test_a_newer_format_is_refused(folder: Path) -> None:
    """A folder or a segment written by a newer version is refused with a clear error, and left alone."""
    start = segment_starts(folder)[0]
    path = folder / segment.segment_name(start)
    whole = path.read_bytes()
    header = bytearray(whole[: segment.HEADER_BYTES])
    header[8:12] = (segment.VERSION + 1).to_bytes(4, "big")
    import zlib

    header[28:32] = zlib.crc32(header[:28]).to_bytes(4, "big")
    path.write_bytes(header + whole[segment.HEADER_BYTES :])
    _, error = read_all(folder)
    assert error is not None and error.code.code == "storage.newer_format" and error.values["found"] == 2
    path.write_bytes(whole)
    (folder / "format").write_text("zizhu files 2\n")
    _, error = read_all(folder)
    assert error is not None and error.code.code == "storage.newer_format"


def test_foreign_folders_are_refused(tmp_path: Path, folder: Path) -> None:
    """A folder of another store, or with files of nobody we know, is not written to."""
    for text, code in [("zizhu sqlite 1\n", "storage.foreign_folder"), ("hello\n", "storage.damaged")]:
        (folder / "format").write_text(text)
        _, error = read_all(folder)
        assert error is not None and error.code.code == code
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"cat")
    _, error = read_all(photos)
    assert error is not None and error.code.code == "storage.foreign_folder"
    assert [path.name for path in photos.iterdir()] == ["cat.jpg"]


def test_a_removed_middle_is_told_from_a_forgotten_beginning(folder: Path, tmp_path: Path) -> None:
    """Forgotten segments that a crash left behind are removed at the next opening, others are missed."""
    shutil.copytree(folder, tmp_path / "copy")
    log = open_log(tmp_path / "copy", segment_bytes_max=256, door=QUICK)
    log.forget_before(log.end_position)
    kept = [record.data for record in log.records()]
    log.close()
    assert kept and kept == RECORDS[-len(kept) :]
    for start in segment_starts(folder)[:-1]:
        name = segment.segment_name(start)
        shutil.copy(folder / name, tmp_path / "copy" / name)
    assert read_all(tmp_path / "copy") == (kept, None)
    assert len(segment_starts(tmp_path / "copy")) == 1
