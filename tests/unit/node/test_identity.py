"""A member's folder: keys are made once, opened with the passphrase only, and peers are joined from three sources."""

import datetime as dt
import stat
from pathlib import Path

import pytest

from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.hashing import member_id
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.keystore import COST_OF_MACHINES
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.epoch import Member
from zizhu.chain.model.errors import AskedWrongly, OperatingFault
from zizhu.chain.node.config import NodeConfig, PeerAddress
from zizhu.chain.node.identity import (
    MemberFolder,
    PublicIdentity,
    create_member,
    links_wanted,
    member_passphrase,
    open_member,
    save_peer,
)

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def _created(place: Path, name: str = "node1", suite: Suite = guomi) -> tuple[MemberFolder, PublicIdentity]:
    folder = MemberFolder(place / name)
    made = create_member(folder, name=name, suite=suite, passphrase=b"open", now=NOW, cost=COST_OF_MACHINES)
    return folder, made


@pytest.mark.parametrize("suite", [guomi, international], ids=["guomi", "international"])
def test_keys_open_with_their_passphrase(tmp_path: Path, suite: Suite) -> None:
    """What was made is what is opened: the secret signs for the public key that went into the genesis."""
    folder, made = _created(tmp_path, suite=suite)
    keys = open_member(folder, suite=suite, passphrase=b"open")
    assert keys.vote_key == made.vote_key
    assert keys.member == member_id(suite, made.vote_key)
    assert suite.members.verify(made.vote_key, b"m" * 32, suite.members.sign(keys.vote_secret, b"m" * 32))
    assert Path(keys.credentials.certificate_path).read_bytes() == made.certificate
    assert repr(b"open") not in repr(keys)
    assert repr(keys.vote_secret) not in repr(keys)


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Folders are closed to others, key files too, and no secret stands in them plain."""
    folder, _ = _created(tmp_path)
    secret = open_member(folder, suite=guomi, passphrase=b"open").vote_secret
    for path in (folder.path, folder.vote_key.parent, folder.vote_key, folder.tls_key, folder.data, folder.logs):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert secret.hex() not in folder.vote_key.read_text(encoding="utf-8")
    assert b"ENCRYPTED" in folder.tls_key.read_bytes()


def test_a_wrong_passphrase_another_suite_and_a_second_making_are_refused(tmp_path: Path) -> None:
    """Each is told by its own code, and the keys stay as they were."""
    folder, made = _created(tmp_path)
    with pytest.raises(AskedWrongly, match=r"keystore\.passphrase"):
        open_member(folder, suite=guomi, passphrase=b"shut")
    with pytest.raises(AskedWrongly, match=r"identity\.other_suite.*guomi.*international"):
        open_member(folder, suite=international, passphrase=b"open")
    with pytest.raises(AskedWrongly, match=r"identity\.exists"):
        _created(tmp_path)
    assert open_member(folder, suite=guomi, passphrase=b"open").vote_key == made.vote_key


@pytest.mark.parametrize("name", ["", "../node1", ".hidden", "Node", "a" * 65, "a/b"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    """A member's name cannot lead out of the folder; nothing is written."""
    with pytest.raises(AskedWrongly, match=r"identity\.name"):
        save_peer(MemberFolder(tmp_path), name=name, certificate=b"")
    assert list(tmp_path.iterdir()) == []


def _member(made: PublicIdentity) -> Member:
    return Member(made.name, "an organisation", made.vote_key, made.tls_pin)


def test_peers_are_joined_from_genesis_configuration_and_folder(tmp_path: Path) -> None:
    """Pin and id come from the genesis, the address from node.toml, the certificate from the folder; not oneself."""
    folder, mine = _created(tmp_path)
    _, theirs = _created(tmp_path, "node2")
    save_peer(folder, name="node2", certificate=theirs.certificate)
    config = NodeConfig(name="node1", peers=(PeerAddress(name="node2", host="there", port=7),))
    (peer,) = links_wanted(folder, config, suite=guomi, members=[_member(mine), _member(theirs)])
    assert (peer.name, peer.host, peer.port) == ("node2", "there", 7)
    assert (peer.pin, peer.certificate) == (theirs.tls_pin, theirs.certificate)
    assert peer.member == member_id(guomi, theirs.vote_key)


def test_a_member_without_address_or_certificate_is_named(tmp_path: Path) -> None:
    """A member of the genesis that cannot be reached is told before a link is tried."""
    folder, mine = _created(tmp_path)
    other = Member("node2", "an organisation", mine.vote_key, bytes(32))
    with pytest.raises(AskedWrongly, match=r"identity\.no_address.*node2"):
        links_wanted(folder, NodeConfig(name="node1"), suite=guomi, members=[other])
    config = NodeConfig(name="node1", peers=(PeerAddress(name="node2", host="there", port=7),))
    with pytest.raises(OperatingFault, match=r"identity\.unreadable.*node2\.crt"):
        links_wanted(folder, config, suite=guomi, members=[other])


def test_a_development_passphrase_is_read_from_a_closed_file_only(tmp_path: Path) -> None:
    """A passphrase file is read without its newline, and refused when others may read it, too."""
    path = tmp_path / "passphrase"
    path.write_bytes(b"open\n")
    config = NodeConfig(name="node1", folder=str(tmp_path), passphrase="file:passphrase")
    path.chmod(0o644)
    with pytest.raises(AskedWrongly, match=r"identity\.legible.*644"):
        member_passphrase(config)
    path.chmod(0o600)
    assert member_passphrase(config) == b"open"
    path.write_bytes(b"\n")
    with pytest.raises(OperatingFault, match=r"identity\.unreadable.*empty"):
        member_passphrase(config)
