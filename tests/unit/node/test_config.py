"""The configuration of a node: every mistake is told with its file, key and rule."""

import dataclasses
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zizhu.chain.crypto.passphrase import FromDescriptor
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault
from zizhu.chain.node import config as room
from zizhu.chain.node.config import (
    Address,
    NodeConfig,
    PeerAddress,
    as_toml,
    load_config,
    passphrase_source,
    write_config,
)
from zizhu.chain.storage.placement import Placement

WHOLE = """
name = "node1"
folder = "here"
transport = "tcp"
log_level = "debug"
passphrase = "fd:3"
clock_offset_ms = -1500

[listen]
host = "0.0.0.0"
port = 7001

[http]
host = "127.0.0.1"
port = 8001

[storage]
state = "sqlite"

[[peers]]
name = "node2"
host = "member2.example"
port = 7002

[[peers]]
name = "node3"
host = "::1"
port = 7003
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    """Every key arrives, typed, and the folder is absolute and relative to the file."""
    config = load_config(_written(tmp_path, WHOLE))
    assert config == NodeConfig(
        name="node1",
        folder=str(tmp_path.resolve() / "here"),
        listen=Address(host="0.0.0.0", port=7001),
        http=Address(host="127.0.0.1", port=8001),
        peers=(
            PeerAddress(name="node2", host="member2.example", port=7002),
            PeerAddress(name="node3", host="::1", port=7003),
        ),
        storage=Placement(state="sqlite"),
        log_level="debug",
        passphrase="fd:3",
        clock_offset_ms=-1500,
    )
    assert passphrase_source(config) == FromDescriptor(3)


def test_a_name_is_enough(tmp_path: Path) -> None:
    """Everything but the name has a default; the folder is the file's own."""
    config = load_config(_written(tmp_path, 'name = "node1"\n'))
    assert config == NodeConfig(name="node1", folder=str(tmp_path.resolve()))


@pytest.mark.parametrize(
    ("old", "new", "code", "key"),
    [
        ("log_level", "loglevel", "config.unknown_key", "loglevel"),
        ("port = 7001", "port = 7001\nprot = 1", "config.unknown_key", "listen.prot"),
        ('state = "sqlite"', 'wallets = "sqlite"', "config.unknown_key", "storage.wallets"),
        ("port = 7003", "port = 7003\nweight = 1", "config.unknown_key", "peers[1].weight"),
        ('name = "node1"\n', "", "config.missing_key", "name"),
        ('host = "::1"\n', "", "config.missing_key", "peers[1].host"),
        ("port = 7001", 'port = "7001"', "config.wrong_type", "listen.port"),
        ("port = 7001", "port = 7001.5", "config.wrong_type", "listen.port"),
        ('name = "node1"', "name = 1", "config.wrong_type", "name"),
        ("clock_offset_ms = -1500", "clock_offset_ms = true", "config.wrong_type", "clock_offset_ms"),
        ("port = 7001", "port = 70000", "config.bad_value", "listen.port"),
        ("port = 7003", "port = 0", "config.bad_value", "peers[1].port"),
        ('name = "node1"', 'name = "../node1"', "config.bad_value", "name"),
        ('log_level = "debug"', 'log_level = "loud"', "config.bad_value", "log_level"),
        ('name = "node3"', 'name = "node2"', "config.bad_value", "peers[1].name"),
        ('name = "node3"', 'name = "node1"', "config.bad_value", "peers[1].name"),
        ('state = "sqlite"', 'state = "tape"', "config.bad_value", "storage.state"),
        ('state = "sqlite"', 'votes = "rocksdb"', "config.bad_value", "storage.votes"),
        ('passphrase = "fd:3"', 'passphrase = "hunter2"', "config.bad_value", "passphrase"),
        ('host = "127.0.0.1"\nport = 8001', 'host = "0.0.0.0"\nport = 7001', "config.bad_value", "http.port"),
        ("clock_offset_ms = -1500", "clock_offset_ms = 86400001", "config.bad_value", "clock_offset_ms"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, old: str, new: str, code: str, key: str) -> None:
    """A key that is unknown, missing, of a wrong type or out of bounds is named with its path, in both languages."""
    path = _written(tmp_path, WHOLE.replace(old, new, 1))
    assert path.read_text(encoding="utf-8") != WHOLE
    with pytest.raises(AskedWrongly) as caught:
        load_config(path)
    assert (caught.value.code.code, caught.value.values["key"]) == (code, key)
    for language in ("en", "zh"):
        told = caught.value.cause(language)
        assert str(path) in told
        assert key in told
        assert caught.value.fix(language)


def test_an_unknown_key_tells_the_known_ones(tmp_path: Path) -> None:
    """The error lists what could have been meant in that table."""
    with pytest.raises(AskedWrongly, match="known there: host, port"):
        load_config(_written(tmp_path, 'name = "a"\n[listen]\nprot = 1\n'))


def test_a_mistyped_passphrase_is_not_repeated(tmp_path: Path) -> None:
    """Somebody who wrote the passphrase itself does not find it in a log."""
    with pytest.raises(AskedWrongly) as caught:
        load_config(_written(tmp_path, 'name = "a"\npassphrase = "hunter2"\n'))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"name = ", b"\xff\xfe", b"name = 'a'\nname = 'b'", b"a" * (1024 * 1024 + 1), b"x = " + b"[" * 20_000]
)
def test_what_is_no_toml_is_told(tmp_path: Path, data: bytes) -> None:
    """Broken syntax, bytes that are no text, doubled keys, too long and too deep files name the file."""
    path = tmp_path / "node.toml"
    path.write_bytes(data)
    with pytest.raises(AskedWrongly, match=r"config\.syntax.*node\.toml"):
        load_config(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A file that is not there is an operating fault with its path."""
    with pytest.raises(OperatingFault, match=r"config\.unreadable.*node\.toml"):
        load_config(tmp_path / "node.toml")


_hosts = st.sampled_from(["127.0.0.1", "::1", "member.example"])
_configs = st.builds(
    NodeConfig,
    name=st.just("node1"),
    folder=st.sampled_from([".", '/srv/zizhu/节点 "1"\\\x7f\n']),
    listen=st.builds(Address, host=_hosts, port=st.integers(0, 32767)),
    http=st.builds(Address, host=_hosts, port=st.integers(32768, 65535)),
    peers=st.lists(
        st.builds(PeerAddress, name=st.from_regex("peer[0-9]{1,3}", fullmatch=True), host=_hosts, port=st.just(1)),
        max_size=3,
        unique_by=lambda peer: peer.name,
    ).map(tuple),
    storage=st.builds(
        Placement, state=st.sampled_from(["rocksdb", "sqlite"]), votes=st.sampled_from(["files", "memory"])
    ),
    log_level=st.sampled_from(["debug", "info", "warning", "error"]),
    passphrase=st.sampled_from(["prompt", "fd:7", "credential:zizhu", "file:passphrase"]),
    clock_offset_ms=st.integers(-86400000, 86400000),
)


@settings(max_examples=30)
@given(config=_configs)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, config: NodeConfig) -> None:
    """The text of a configuration, read again, is the same configuration with its folder made absolute."""
    path = tmp_path_factory.getbasetemp() / "node.toml"
    path.write_text(as_toml(config), encoding="utf-8")
    expected = str((path.parent / config.folder).resolve())
    assert load_config(path) == msgspec.structs.replace(config, folder=expected)


def test_a_file_that_is_written_stays_with_its_folder(tmp_path: Path) -> None:
    """A folder that moves with its file keeps working: the file's own folder is written as such."""
    path = tmp_path / "node.toml"
    write_config(path, NodeConfig(name="node1", folder=str(tmp_path)))
    assert "folder" not in path.read_text(encoding="utf-8")
    assert load_config(path).folder == str(tmp_path.resolve())


def test_every_error_has_both_languages() -> None:
    """Each code of the room has a cause and a fix in English and Chinese."""
    codes = [value for value in vars(room).values() if isinstance(value, ErrorCode)]
    assert len(codes) == 6
    for code in codes:
        assert all(dataclasses.astuple(code))
