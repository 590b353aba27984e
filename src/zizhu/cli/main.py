"""The command `zizhu`: one file a noun, loaded only when it is called, so that `--help` is quick.

Decides which noun lives in which module. Refuses to know what they do.
"""

import importlib
import sys
from importlib import metadata

import typer

NOUNS: dict[str, tuple[str, str]] = {
    "up": ("zizhu.cli.up", "Start a network on this machine · 在本机启动网络"),
    "status": ("zizhu.cli.status", "Members, heights, leader · 成员、高度、主节点"),
    "node": ("zizhu.cli.node", "Run, start, stop a member · 运行、启动、停止成员"),
    "account": ("zizhu.cli.account", "Accounts and their keys · 账户与密钥"),
    "tx": ("zizhu.cli.tx", "Transactions and receipts · 交易与回执"),
    "block": ("zizhu.cli.block", "Blocks · 区块"),
    "contract": ("zizhu.cli.contract", "Deploy, invoke, query contracts · 部署、调用、查询合约"),
    "voucher": ("zizhu.cli.voucher", "Register, prove, verify vouchers · 登记、证明、校验凭证"),
    "bench": ("zizhu.cli.bench", "Measure this machine · 测量本机性能"),
}
"""Noun -> module with a typer app called `app`, and its line in `zizhu --help`."""


USAGE = """Usage: zizhu COMMAND [OPTIONS] ...

自主链 Zizhu: an enterprise consortium blockchain.

Commands · 命令:
{table}

`zizhu COMMAND --help` explains one. · `zizhu 命令 --help` 查看说明。
"""


def main() -> None:
    """Entry point. Refuses to run under `python -O`: assertions are part of the product."""
    if not __debug__:
        sys.stderr.write("zizhu: refusing to run under python -O: its invariants are checked by assertions\n")
        sys.exit(2)
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        sys.stdout.write(usage())
        sys.exit(0 if arguments else 2)
    if arguments[0] == "--version":
        sys.stdout.write(f"zizhu {metadata.version('zizhu')}\n")
        sys.exit(0)
    noun = arguments[0]
    if noun not in NOUNS:
        sys.stderr.write(f"zizhu: no command {noun!r} · 没有命令 {noun!r}\n\n{usage()}")
        sys.exit(2)
    app = importlib.import_module(NOUNS[noun][0]).app
    typer.main.get_command(app)(args=arguments[1:], prog_name=f"zizhu {noun}")


def usage() -> str:
    """The table of nouns, without importing any."""
    table = "\n".join(f"  {noun:<10} {line}" for noun, (_, line) in NOUNS.items())
    return USAGE.format(table=table)
