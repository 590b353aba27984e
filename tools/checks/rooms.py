"""The shape of the packages: empty `__init__.py`, bound rooms, test modules that can be told apart.

Decides what import-linter cannot: it does not see through an `__init__.py` that imports.
"""

import ast
from collections.abc import Iterator

from checks.tree import Problem, Tree


def check(tree: Tree) -> Iterator[Problem]:
    """Every package out of shape."""
    names: dict[str, str] = {}
    for source in tree.python():
        base = source.path.rsplit("/", 1)[-1]
        if base == "__init__.py" and source.under("src", "tools") and source.text.strip():
            text = "stays empty: callers import from the module that defines the thing"
            yield Problem("init-not-empty", source.path, 1, text)
        if source.under("tests"):
            if base == "__init__.py":
                yield Problem("tests-package", source.path, 1, "folders of tests are no packages")
            if base.startswith("test_") and base in names:
                text = f"the same name as {names[base]}: name it after what it tests"
                yield Problem("test-name", source.path, 1, text)
            names.setdefault(base, source.path)
        if source.under("src", "tools") and base != "__init__.py" and ast.get_docstring(source.syntax) is None:
            text = "opens with a docstring: what it decides, and what it refuses to know"
            yield Problem("module-docstring", source.path, 1, text)
