"""The command `zizhu`: one file a noun, loaded only when it is called, so that `--help` is quick.

Decides which noun lives in which module. Refuses to know what they do.
"""

import importlib
import sys

import click
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


class Nouns(click.Group):
    """The group of all nouns; a noun's module is imported when it is called or its help is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Nouns in the order of a first hour."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The noun's own command, or None."""
        if cmd_name not in NOUNS:
            return None
        command = typer.main.get_command(importlib.import_module(NOUNS[cmd_name][0]).app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of nouns, without importing any."""
        with formatter.section("Commands · 命令"):
            formatter.write_dl([(noun, line) for noun, (_, line) in NOUNS.items()])


def main() -> None:
    """Entry point. Refuses to run under `python -O`: assertions are part of the product."""
    if not __debug__:
        sys.stderr.write("zizhu: refusing to run under python -O: its invariants are checked by assertions\n")
        sys.exit(2)
    Nouns("zizhu", help="自主链 Zizhu: an enterprise consortium blockchain.", no_args_is_help=True)(prog_name="zizhu")
