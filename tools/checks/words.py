"""Words that do not enter the tree, each with what to write instead.

Decides by spelling only, so that the rule fits on one line and needs no judgement.
"""

import ast
import re
from collections.abc import Iterator

from checks.tree import Problem, Source, Tree

ROOMS = ("utils", "util", "common", "core", "helpers", "helper", "base", "manager", "managers", "misc", "shared")
CLASS_ENDINGS = ("Manager", "Helper", "Helpers", "Util", "Utils")

# The words are put together from halves, so that this file does not break its own rule.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
OUTSIDE = re.compile(
    r"(?<![\w.~$}<-])/(?:wo" r"rk|ro" r"ot|ho" r"me/\w+|Us" r"ers)/|\.\./sha" r"red\b|\bsha" r"red/(?:design|data)\b"
)
ADDRESS = re.compile(r"--(?:extra-)?index-u" r"rl|--find-l" r"inks|pythonhos" r"ted|pypi\.o" r"rg/simple")

FORBIDDEN_FILES = ("uv.lock", "poetry.lock", "Pipfile.lock")


def check(tree: Tree) -> Iterator[Problem]:
    """Every banned word, room and file."""
    for source in tree.sources:
        yield from _room(source)
        yield from _lines(source)
        if source.is_python:
            yield from _classes(source)
        if source.path.rsplit("/", 1)[-1] in FORBIDDEN_FILES:
            text = "pins go into constraints.txt as name==version, without addresses"
            yield Problem("lock-file", source.path, 1, text)


def _room(source: Source) -> Iterator[Problem]:
    if not source.under("src", "tests", "tools"):
        return
    for part in source.path.removesuffix(".py").split("/"):
        if part in ROOMS:
            text = f"no room is called {part!r}: the code belongs to its only caller, or to the lower one's noun"
            yield Problem("room-name", source.path, 1, text)


def _lines(source: Source) -> Iterator[Problem]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield Problem("unfinished", source.path, number, "do it now, or write it into an issue")
        if OUTSIDE.search(line):
            text = "names a path on somebody's machine: make it relative to the repository or an argument"
            yield Problem("outside-path", source.path, number, text)
        if ADDRESS.search(line):
            yield Problem("index-address", source.path, number, "which registry serves a package is not ours to say")


def _classes(source: Source) -> Iterator[Problem]:
    for node in ast.walk(source.syntax):
        if isinstance(node, ast.ClassDef) and node.name.endswith(CLASS_ENDINGS):
            text = "name the class by what it does"
            yield Problem("class-name", f"{source.path}:{node.name}", node.lineno, text)
