"""The tree under check: its files, their text and syntax, and what a problem looks like.

Decides which files belong to the project (what git tracks or would track). Refuses to know any rule.
"""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule broken at `where` (a path, or `path:name`); the text says what to do instead."""

    rule: str
    where: str
    line: int
    text: str

    def __str__(self) -> str:
        path, _, name = self.where.partition(":")
        return f"{path}:{self.line}: {self.rule}: {name + ': ' if name else ''}{self.text}"


@dataclass(frozen=True)
class Source:
    """One file: `path` is relative to the root and has forward slashes."""

    path: str
    text: str

    @cached_property
    def syntax(self) -> ast.Module:
        """The syntax tree of a Python file."""
        return ast.parse(self.text, filename=self.path)

    @property
    def is_python(self) -> bool:
        """Whether the file is Python."""
        return self.path.endswith(".py")

    def under(self, *folders: str) -> bool:
        """Whether the file lies in one of `folders`, or is one of them."""
        return any(self.path == folder or self.path.startswith(folder.rstrip("/") + "/") for folder in folders)


@dataclass(frozen=True)
class Tree:
    """The project's text files below `root`."""

    root: Path

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """Every readable text file, in byte order of the paths."""
        found = []
        for name in sorted(self._names()):
            path = self.root / name
            if not path.is_file() or path.is_symlink():
                continue
            try:
                found.append(Source(name, path.read_bytes().decode()))
            except UnicodeDecodeError:
                continue  # a picture, a recorded chain: has no lines to check
        return tuple(found)

    def python(self, *folders: str) -> Iterator[Source]:
        """The Python files in `folders` (everywhere without one)."""
        for source in self.sources:
            if source.is_python and (not folders or source.under(*folders)):
                yield source

    def find(self, path: str) -> Source | None:
        """The file at `path`, or None."""
        return next((source for source in self.sources if source.path == path), None)

    def _names(self) -> list[str]:
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(command, cwd=self.root, check=False, capture_output=True, text=True)
        if listed.returncode == 0:
            return [name for name in listed.stdout.split("\0") if name]
        return [path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()]


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """(qualified name, node) of every function in `tree`, nested ones too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def dotted(node: ast.AST) -> str:
    """`a.b.c` for a chain of names and attributes, otherwise an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        left = dotted(node.value)
        return f"{left}.{node.attr}" if left else ""
    return ""
