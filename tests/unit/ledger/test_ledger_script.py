"""The ledger with the real engine `script`: the agreement between both about `init`, views and charges."""

from zizhu.chain.contracts.script.engine import engine as script
from zizhu.chain.crypto.hashing import deployed_contract_id, genesis_contract_id
from zizhu.chain.ledger.genesis import Founding
from zizhu.chain.ledger.ledger import Ledger
from zizhu.chain.model.genesis import GenesisContract
from zizhu.chain.model.receipt import Receipt
from zizhu.chain.model.transaction import Deploy, Invoke
from zizhu.chain.model.value import Value, decode_value, encode_arguments
from zizhu.framework.testkit.fakes.accounts import Asking, deploying, invoking
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, MEMBERS, START_MS, SUITES, Chain, signed
from zizhu.framework.testkit.fakes.suite import suite

ALICE = ACCOUNTS[0]
SOURCE = b"""
def init(start):
    put("count", start)

@public
def count():
    put("count", get("count") + 1)
    emit("counted", get("count"))
    return get("count")

@view
def shown():
    return get("count")
"""
COUNTER = genesis_contract_id(suite, "counter")


def new_chain() -> Chain:
    """A ledger whose genesis has a counter that starts at 7."""
    contract = GenesisContract("counter", "script", SOURCE, encode_arguments([7]))
    founding = Founding("script", START_MS, "pbft", suite.name, MEMBERS, (contract,))
    return Chain(Ledger(signed(founding), suite=suite, suites=SUITES, engines={"script": script}))


def call(chain: Chain, nonce: int, contract: bytes, method: str, *arguments: Value) -> Receipt:
    """ALICE's call, committed."""
    asking = Asking(chain.ledger.ledger_id, nonce)
    body = invoking(ALICE, asking, contract, method, arguments)
    return chain.commit(ALICE.sign(body)).executed.receipts[0]


def test_a_contract_of_the_genesis_counts_on_from_its_init() -> None:
    """`init` ran once, with the arguments of the genesis; nobody can run it again."""
    chain = new_chain()
    receipt = call(chain, 1, COUNTER, "count")
    assert (receipt.code, decode_value(receipt.result)) == ("", 8)
    assert [event.name for event in receipt.events] == ["counted"]
    assert call(chain, 2, COUNTER, "init", 0).code == "contract.method"
    asked = chain.ledger.query(Invoke(COUNTER, "shown", encode_arguments([])), caller=bytes(20))
    assert (asked.code, asked.value) == ("", 8)
    refused = chain.ledger.query(Invoke(COUNTER, "count", encode_arguments([])), caller=bytes(20))
    assert refused.code == "contract.read_only"


def test_a_deployed_contract_needs_the_arguments_of_its_init() -> None:
    """Too few arguments fail the deployment; the right ones make a contract of its own state."""
    chain = new_chain()
    codes = []
    for nonce, arguments in ((1, []), (2, [40])):
        package = Deploy(f"mine{nonce}", "script", SOURCE, encode_arguments(list[Value](arguments)))
        body = deploying(ALICE, Asking(chain.ledger.ledger_id, nonce), package)
        codes.append(chain.commit(ALICE.sign(body)).executed.receipts[0].code)
    assert codes == ["contract.arguments", ""]
    mine = deployed_contract_id(suite, sender=ALICE.id, nonce=2)
    assert decode_value(call(chain, 3, mine, "count").result) == 41
    assert decode_value(call(chain, 4, COUNTER, "count").result) == 8
