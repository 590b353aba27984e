"""A fake node that keeps vouchers and serves its pages, for tests that look at them.

Decides one lively little ledger: a bank, the voucher contract, blocks with transactions good and bad.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zizhu.chain.contracts.script.engine import engine as script
from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.ledger.genesis import Founding
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.genesis import GenesisContract
from zizhu.chain.model.value import encode_arguments
from zizhu.console.routes import routes as console_routes
from zizhu.framework.testkit.fakes import engine as native
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, ENGINES, MEMBERS, Chain, signed
from zizhu.framework.testkit.fakes.node import FakeNode
from zizhu.framework.testkit.fakes.served import ServedNode, served
from zizhu.framework.testkit.fakes.suite import suite
from zizhu.scenarios.credentials.contract import genesis_contract
from zizhu.scenarios.credentials.routes import routes as voucher_routes

NAME = "Harbour Trade Consortium"
PLUGINS = {"console": console_routes, "vouchers": voucher_routes}


def lively_node() -> FakeNode:
    """A node with a bank, the voucher contract and a few blocks."""
    balances = [part for account in ACCOUNTS for part in (bytes(account.id), 1000)]
    bank = GenesisContract("bank", native.NAME, native.SOURCE, encode_arguments(balances))
    founding = Founding(
        name=NAME,
        time_ms=time.time_ns() // 1_000_000 - 60_000,
        engine="pbft",
        suite=suite.name,
        members=MEMBERS,
        contracts=(bank, genesis_contract()),
        parameters=Parameters(),
    )
    engines = {**ENGINES, script.name: script}
    suites = {one.code: one for one in (guomi, international, suite)}
    ledger = Ledger(signed(founding), suite=suite, suites=suites, engines=engines)
    node = FakeNode(ledger=ledger, suites=suites, now_ms=lambda: time.time_ns() // 1_000_000)
    chain = Chain(ledger=ledger)
    one, two, three = ACCOUNTS[:3]
    node.make_block(chain.call(one, 1, "transfer", two.id, 250), chain.call(two, 1, "transfer", three.id, 40))
    node.make_block(chain.call(one, 2, "transfer", three.id, 5_000), chain.call(three, 1, "increment", b"visits"))
    node.make_block()
    node.make_block(chain.call(two, 2, "put", b"note", "茶叶 120 箱".encode()))
    return node


@pytest.fixture
def page(tmp_path: Path) -> Iterator[ServedNode]:
    """The lively node behind a port."""
    with served(tmp_path, node=lively_node(), plugins=PLUGINS) as running:
        yield running
