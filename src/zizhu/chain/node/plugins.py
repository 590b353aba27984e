"""Plug-ins: engines, stores, suites, transports and routes, found by entry point and loaded by name.

Decides where plug-ins are looked for and how a missing or broken one is told. Refuses to know what they do: who
asks for one knows its port.

Entry points of installed distributions count. When this package runs from a source tree, its own entry points are
read from that tree's pyproject.toml instead of from installed metadata, which may be absent or describe another
tree.
"""

import functools
import importlib
import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault

DISTRIBUTION = "zizhu"

UNKNOWN = ErrorCode(
    "plugin.unknown",
    "{group} has no {name}; there are: {known}",
    "correct the name, or install the package that brings it",
    "{group} 中没有 {name};现有:{known}",
    "请更正名称,或安装提供它的软件包",
)
BROKEN = ErrorCode(
    "plugin.broken",
    "{name} of {group} ({reference}) cannot be loaded: {reason}",
    "install what it needs, or a version of it that fits this one",
    "{group} 中的 {name}({reference})无法加载:{reason}",
    "请安装其依赖,或与本版本匹配的版本",
)
AMBIGUOUS = ErrorCode(
    "plugin.ambiguous",
    "{group} has several of the name {name}: {references}",
    "uninstall all packages that bring it but one",
    "{group} 中有多个名为 {name} 的插件:{references}",
    "请只保留其中一个软件包",
)

_REFERENCE = re.compile(r"(?P<module>[\w.]+)(?::(?P<attribute>[\w.]+))?")


def names(group: str) -> tuple[str, ...]:
    """The names that exist in `group` (such as `zizhu.storage`), ascending; nothing is loaded."""
    return tuple(sorted(_references(group)))


def load(group: str, name: str) -> object:
    """What the entry point `name` of `group` refers to: a factory or a value, as the group's port says.

    Raises AskedWrongly (`plugin.unknown`, `plugin.ambiguous`), OperatingFault (`plugin.broken`).
    """
    found = _references(group)
    if name not in found:
        raise AskedWrongly(UNKNOWN, group=group, name=name, known=", ".join(sorted(found)) or "-")
    if len(found[name]) > 1:
        raise AskedWrongly(AMBIGUOUS, group=group, name=name, references=", ".join(found[name]))
    return _loaded(group, name, found[name][0])


def _loaded(group: str, name: str, reference: str) -> object:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise OperatingFault(BROKEN, group=group, name=name, reference=reference, reason="it is no module:attribute")
    try:
        value: object = importlib.import_module(match["module"])
        for part in (match["attribute"] or "").split(".") if match["attribute"] else ():
            value = getattr(value, part)
    except (ImportError, AttributeError, SyntaxError, NameError, TypeError, ValueError, OSError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise OperatingFault(BROKEN, group=group, name=name, reference=reference, reason=reason) from error
    return value


def _references(group: str) -> dict[str, list[str]]:
    """Name → references (`module:attribute`), each distinct one once, ours first."""
    tree = _own_tree()
    found: dict[str, list[str]] = {}
    for name, reference in (tree or {}).get(group, {}).items():
        found[name] = [reference]
    for entry in entry_points(group=group):
        ours = entry.dist is not None and entry.dist.name == DISTRIBUTION
        if ours and tree is not None:
            continue
        references = found.setdefault(entry.name, [])
        if entry.value not in references:
            references.append(entry.value)
    return found


@functools.cache
def _own_tree() -> dict[str, dict[str, str]] | None:
    """Entry points in the pyproject.toml of the tree this module lies in; None when it is installed without one."""
    path = Path(__file__).resolve().parents[4] / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return None
    if project.get("name") != DISTRIBUTION:
        return None
    declared: dict[str, dict[str, str]] = project.get("entry-points", {})
    return declared
