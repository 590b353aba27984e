"""Plug-ins are found by name, and a missing or broken one is told."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zizhu.chain.model.errors import AskedWrongly, OperatingFault
from zizhu.chain.network.port import GROUP
from zizhu.chain.network.tcp.transport import build
from zizhu.chain.node import plugins
from zizhu.chain.node.api.application import find_plugins
from zizhu.chain.node.api.site import GROUP as HTTP_GROUP

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"


@pytest.fixture
def brought(tmp_path: Path) -> Iterator[Path]:
    """A folder on the path into which a test puts distributions; forgotten afterwards."""
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    sys.modules.pop("brought_module", None)


def _bring(folder: Path, *, distribution: str, entries: str) -> None:
    place = folder / f"{distribution}-1.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(METADATA.format(name=distribution), encoding="utf-8")
    (place / "entry_points.txt").write_text(entries, encoding="utf-8")


def test_a_built_in_enters_by_the_same_door() -> None:
    """The TCP transport is found under its group and name, also from a source tree that is not installed."""
    assert "tcp" in plugins.names(GROUP)
    assert plugins.load(GROUP, "tcp") is build


def test_the_names_of_a_group_are_sorted() -> None:
    """Names come in ascending order, and a group that nobody declared is empty."""
    assert list(plugins.names("zizhu.storage")) == sorted(plugins.names("zizhu.storage"))
    assert plugins.names("zizhu.nonsense") == ()


def test_an_unknown_name_tells_the_known_ones() -> None:
    """The error names the group, the name and what exists, in both languages."""
    with pytest.raises(AskedWrongly, match=r"plugin\.unknown.*zizhu\.transport has no pigeon.*tcp") as caught:
        plugins.load(GROUP, "pigeon")
    assert "pigeon" in caught.value.cause("zh")


def test_a_foreign_plug_in_is_found(brought: Path) -> None:
    """An entry point of any other distribution is listed and loaded."""
    (brought / "brought_module.py").write_text("class Room:\n    value = 42\n", encoding="utf-8")
    _bring(brought, distribution="guest", entries="[zizhu.storage]\nguest = brought_module:Room.value\n")
    assert "guest" in plugins.names("zizhu.storage")
    assert plugins.load("zizhu.storage", "guest") == 42


@pytest.mark.parametrize(
    ("source", "reference"),
    [
        ("import a_module_nobody_has\n", "brought_module:thing"),
        ("other = 1\n", "brought_module:thing"),
        ("def broken(:\n", "brought_module:thing"),
        ("raise ValueError('no')\n", "brought_module:thing"),
        ("", "no_such_module_at_all:thing"),
        ("", "not a reference"),
    ],
    ids=["missing import", "missing attribute", "syntax", "raises", "no module", "no reference"],
)
def test_a_broken_plug_in_is_told(brought: Path, source: str, reference: str) -> None:
    """What cannot be imported is an operating fault that names group, name and reference."""
    (brought / "brought_module.py").write_text(source, encoding="utf-8")
    _bring(brought, distribution="guest", entries=f"[zizhu.storage]\nguest = {reference}\n")
    with pytest.raises(OperatingFault, match=r"plugin\.broken.*guest of zizhu\.storage"):
        plugins.load("zizhu.storage", "guest")


def test_two_plug_ins_of_one_name_are_refused(brought: Path) -> None:
    """A distribution cannot quietly take the place of a built-in or of another one's plug-in."""
    _bring(brought, distribution="impostor", entries="[zizhu.transport]\ntcp = brought_module:thing\n")
    with pytest.raises(AskedWrongly, match=r"plugin\.ambiguous.*brought_module:thing"):
        plugins.load(GROUP, "tcp")


def test_stale_metadata_of_another_tree_does_not_count(brought: Path) -> None:
    """An editable install made from another tree neither hides nor doubles what this tree declares."""
    _bring(
        brought, distribution="zizhu", entries="[zizhu.transport]\nold = gone_module:build\ntcp = gone_module:build\n"
    )
    assert "old" not in plugins.names(GROUP)
    assert plugins.load(GROUP, "tcp") is build


def test_http_plug_ins_enter_by_the_same_door() -> None:
    """What serves HTTP is found as all plug-ins are: in a source tree, this tree's own and not those of another tree
    that happens to be installed."""
    assert tuple(find_plugins()) == plugins.names(HTTP_GROUP)
    assert "vouchers" in find_plugins()
