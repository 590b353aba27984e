"""The contract that process tests call, and the ledger that is founded with it.

Decides what a call leaves behind, so that a call that was executed twice, or never, shows in the state as well as
in the blocks. Refuses to know who calls.
"""

from pathlib import Path

from zizhu.chain.crypto.hashing import genesis_contract_id
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.genesis import GenesisContract
from zizhu.chain.model.value import encode_arguments
from zizhu.cloud.nodes.founding import Plan, found
from zizhu.cloud.nodes.network import Network
from zizhu.framework.sdk.keys import known_suite

REGISTER = "register"
REGISTER_SOURCE = b'''"""A register: every name has a count of the notes taken under it, and the last of them."""


def init():
    """An empty register."""


@public
def note(name: str, text: str):
    """One more note under the name; gives their count."""
    notes = get("count/" + name, 0) + 1
    put("count/" + name, notes)
    put("last/" + name, text)
    emit("noted", [name, notes])
    return notes


@public
def refuse(name: str):
    """Takes no note and fails: what a failed call wrote before does not stay."""
    put("count/" + name, -1)
    fail("refused", name)


@view
def count(name: str):
    """How many notes were taken under the name."""
    return get("count/" + name, 0)


@view
def last(name: str):
    """The last note taken under the name, or nothing."""
    return get("last/" + name)
'''
NOTE = "note"
COUNT = "count"


def register_contract() -> GenesisContract:
    """The register, as a contract of a genesis."""
    return GenesisContract(REGISTER, "script", REGISTER_SOURCE, encode_arguments([]))


def register_id(suite: str) -> bytes:
    """The register's id (20 bytes) on a ledger of this suite."""
    return genesis_contract_id(known_suite(suite), REGISTER)


def found_register_network(directory: Path, *, members: int = 4, suite: str = "guomi", engine: str = "pbft") -> Network:
    """A network of one machine in `directory`, with the register on it and free ports; nothing runs yet.

    Raises as `founding.found`.
    """
    plan = Plan(
        name="process-test",
        members=members,
        suite=known_suite(suite),
        engine=engine,
        port=0,
        contracts=(register_contract(),),
        parameters=Parameters(),
    )
    return found(directory, plan, lambda name: None)
