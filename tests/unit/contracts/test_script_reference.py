"""The language's reference says what the engine does, in both languages."""

import re
from pathlib import Path

import pytest

from zizhu.chain.contracts.script import failures
from zizhu.chain.contracts.script.engine import engine
from zizhu.chain.contracts.script.methods import METHOD_NAMES
from zizhu.chain.contracts.script.operands import BUILTINS
from zizhu.framework.testkit.fakes.host import ALICE, MemoryHost

PAGES = [Path(__file__).parents[3] / "docs" / "reference" / name for name in ("script.md", "script.zh.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_names_everything(page: Path) -> None:
    """Every builtin, method and failure code stands on the page."""
    text = page.read_text(encoding="utf-8")
    codes = [code for code in vars(failures).values() if isinstance(code, str) and code.startswith("contract.")]
    assert len(codes) > 15
    missing = [name for name in BUILTINS if f"`{name}(" not in text]
    missing += [name for name in METHOD_NAMES if not re.search(rf"`{name}[`(]", text)]
    missing += [code for code in codes if f"`{code}`" not in text]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_example_runs(page: Path) -> None:
    """The contract on the page is good and does what it says."""
    (source,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    program = engine.load(source.encode())
    assert (program.methods, program.views) == (("init", "transfer", "balance"), ("balance",))
    host = MemoryHost()
    assert host.call(program, "init", 100).code == ""
    assert host.call(program, "transfer", b"B" * 20, 30).value == 70
    assert host.call(program, "transfer", b"B" * 20, 71).code == "app.token.too_little"
    assert [host.call(program, "balance", account).value for account in (ALICE, b"B" * 20)] == [70, 30]
