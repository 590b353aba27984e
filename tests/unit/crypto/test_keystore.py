"""Key files: what opens, what does not and why, and that no secret lies plain on the disk."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from zizhu.chain.crypto.keystore import Cost, KeyLabel, StoredKey, read_key, read_label, write_key
from zizhu.chain.model.errors import AskedWrongly, OperatingFault, ZizhuError

CHEAP = Cost(n=2)
PASSPHRASE = "口令 passphrase".encode()
KEY = StoredKey(suite="guomi", scheme="SM2-SM3", public_key=b"\x02" + bytes(32), secret=bytes(range(32)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A key file that PASSPHRASE opens."""
    path = tmp_path / "account.json"
    write_key(path, KEY, passphrase=PASSPHRASE, cost=CHEAP)
    return path


def _code(path: Path, passphrase: bytes = PASSPHRASE) -> str:
    with pytest.raises(ZizhuError) as raised:
        read_key(path, passphrase=passphrase)
    assert str(path) in raised.value.cause()
    assert str(path) in raised.value.cause("zh")
    assert raised.value.fix()
    return raised.value.code.code


def test_a_key_comes_back_whole(file: Path) -> None:
    """The passphrase gives the key back; the label is readable without it."""
    assert read_key(file, passphrase=PASSPHRASE) == KEY
    assert read_label(file) == KeyLabel(suite=KEY.suite, scheme=KEY.scheme, public_key=KEY.public_key)


def test_the_secret_is_not_in_the_file_and_not_in_the_repr(file: Path) -> None:
    """Neither raw nor as hex; mode 0600; no draft stays; two files of one key have nothing secret in common."""
    text = file.read_bytes()
    assert KEY.secret not in text
    assert KEY.secret.hex().encode() not in text
    assert PASSPHRASE not in text
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(KEY)
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.parent) == [file.name]
    other = file.with_name("other.json")
    write_key(other, KEY, passphrase=PASSPHRASE, cost=CHEAP)
    first, second = json.loads(text), json.loads(other.read_bytes())
    assert first["secret"] != second["secret"]
    assert first["kdf"]["salt"] != second["kdf"]["salt"]
    assert first["cipher"]["nonce"] != second["cipher"]["nonce"]


@pytest.mark.parametrize("wrong", [b"", b"passphrase", PASSPHRASE + b"\n", PASSPHRASE[:-1], bytes(1000)])
def test_a_wrong_passphrase_is_named(file: Path, wrong: bytes) -> None:
    """Any other passphrase is keystore.passphrase, something the person asked wrongly."""
    assert _code(file, wrong) == "keystore.passphrase"


def test_every_damaged_byte_is_told_from_a_wrong_passphrase(file: Path) -> None:
    """Each byte changed, and each cut, gives keystore.damaged (or .newer for the version), never a key."""
    data = file.read_bytes()
    codes = set()
    for place in range(len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 0x01 if data[place : place + 1].isalnum() else 0x80
        file.write_bytes(changed)
        codes.add(_code(file))
        if place % 7 == 0:
            file.write_bytes(data[:place])
            codes.add(_code(file))
    assert codes <= {"keystore.damaged", "keystore.newer"}
    assert "keystore.damaged" in codes


@pytest.mark.parametrize(
    ("field", "value"), [("suite", "international"), ("scheme", "Ed25519"), ("public_key", "03" + "00" * 32)]
)
def test_a_label_swapped_on_purpose_does_not_open(file: Path, field: str, value: str) -> None:
    """With a checksum made to fit, a foreign suite, scheme or public key is still refused: it is authenticated."""
    content = json.loads(file.read_bytes())
    content[field] = value
    content["checksum"] = ""
    plain = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    content["checksum"] = hashlib.sha256(plain.encode()).hexdigest()
    file.write_text(json.dumps(content))
    assert getattr(read_label(file), field) in (value, bytes.fromhex("03" + "00" * 32))
    assert _code(file) == "keystore.passphrase"


def test_a_newer_format_is_named(file: Path) -> None:
    """A file of format 2, whatever else is in it, is keystore.newer and says which formats are known."""
    file.write_text('{"format": 2, "something": "else"}')
    assert _code(file) == "keystore.newer"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"format": "1"}', b'{"format": 1}', b"[" * 5000, b" " * 20_000],
)
def test_foreign_files_are_damaged_not_a_crash(file: Path, content: bytes) -> None:
    """What is no key file at all is keystore.damaged."""
    file.write_bytes(content)
    assert _code(file) == "keystore.damaged"


def test_parameters_that_would_eat_the_machine_are_refused(file: Path) -> None:
    """scrypt's n, r, p beyond bounds are refused before any of it is computed."""
    for n, r, p in ((1 << 40, 8, 1), (1 << 20, 32, 1), (3, 1, 1), (2, 1, 1 << 30), (0, 1, 1)):
        content = json.loads(file.read_bytes())
        content["kdf"].update(n=n, r=r, p=p)
        file.write_text(json.dumps(content))
        assert _code(file) == "keystore.damaged"


def test_key_files_are_never_overwritten(file: Path) -> None:
    """A second key under the same name is keystore.exists; the first is untouched and no draft stays."""
    before = file.read_bytes()
    with pytest.raises(AskedWrongly) as raised:
        write_key(file, KEY, passphrase=b"other", cost=CHEAP)
    assert raised.value.code.code == "keystore.exists"
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_folders_that_are_not_there_are_named(tmp_path: Path) -> None:
    """Reading or writing below a missing folder is keystore.unreachable."""
    path = tmp_path / "missing" / "key.json"
    assert _code(path) == "keystore.unreachable"
    with pytest.raises(OperatingFault):
        write_key(path, KEY, passphrase=PASSPHRASE, cost=CHEAP)
    assert _code(tmp_path) == "keystore.unreachable"
