"""The two nodes that the simulator plays: the small one (agreement alone) and the whole one, under either engine.

Decides how each boots from a fake disk, how its block log is read, and what its clients send.
"""

import random
from collections.abc import Mapping, Sequence

from zizhu.chain.contracts.script.engine import engine as script_engine
from zizhu.chain.crypto.hashing import block_hash, genesis_contract_id, transaction_id
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.records import BlockRecord, decode_record
from zizhu.chain.model.block import block_codec
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.genesis import GenesisContract
from zizhu.chain.model.ids import TransactionId
from zizhu.chain.model.transaction import Bundle, Single, Submission
from zizhu.chain.model.value import Value, encode_arguments
from zizhu.chain.network.wire import Wire
from zizhu.chain.node.boot import BootSetup, boot
from zizhu.chain.node.machine import NodeMachine
from zizhu.chain.storage.port import Change
from zizhu.framework.testkit.checkers import CommitSeen
from zizhu.framework.testkit.consortium import Consortium, found
from zizhu.framework.testkit.engines import WIRES, engine_state, factory
from zizhu.framework.testkit.facts import BlockSeen
from zizhu.framework.testkit.fakes import engine as native
from zizhu.framework.testkit.fakes.accounts import Asking, TestAccount, invoking
from zizhu.framework.testkit.fakes.suite import suite as counterfeit
from zizhu.framework.testkit.faults import Plan
from zizhu.framework.testkit.member import Machine, SimulatedMember
from zizhu.framework.testkit.small_chain import Held, block_record_decoder
from zizhu.framework.testkit.small_node import SmallNode
from zizhu.framework.testkit.workload import Make

_FOUND: dict[tuple[str, str, int], Consortium] = {}


class SmallKind:
    """Agreement alone: see `small_node`."""

    def __init__(self, consensus: str = "pbft") -> None:
        self.consensus = consensus

    def consortium(self, plan: Plan) -> Consortium:
        """Founded once for each size."""
        key = ("small", self.consensus, plan.size)
        if key not in _FOUND:
            _FOUND[key] = found(plan.size, parameters=Parameters(rotation_blocks=25), engine=self.consensus)
        return _FOUND[key]

    def wire(self) -> Wire:
        return WIRES[self.consensus]

    def suites(self) -> Mapping[int, Suite]:
        return {counterfeit.code: counterfeit}

    def boot(self, member: SimulatedMember) -> Machine:
        return SmallNode(
            member.world.consortium, member.id, member.logs["blocks"], member.logs["votes"],
            member.world.generator.randrange(1 << 32), build=factory(self.consensus),
        )  # fmt: skip

    def height(self, machine: Machine | None) -> int:
        assert isinstance(machine, SmallNode)
        return machine.head.ready.height

    def state_of(self, machine: Machine) -> str:
        assert isinstance(machine, SmallNode)
        return engine_state(machine.engine.status(), machine.me)

    def view(self, machine: Machine | None) -> int:
        """The view or term an engine is in or asks for."""
        assert isinstance(machine, SmallNode)
        return machine.engine.status().view

    def maker(self, consortium: Consortium) -> Make:
        return self._make

    def _make(self, draw: random.Random, number: int) -> tuple[bytes, TransactionId]:
        """A body that says its number."""
        body = number.to_bytes(8, "big") + draw.randbytes(4)
        item = Single(body, counterfeit.code, bytes(33), bytes(64))
        return encode(item), transaction_id(counterfeit, body)

    def sender(self, item: Submission) -> int:
        """Which client it is from."""
        return item.body[7] if isinstance(item, Single) and len(item.body) > 7 else 1

    def read_record(self, data: bytes) -> tuple[bytes, BlockSeen] | CommitSeen | None:
        kept = block_record_decoder.decode(data)
        if isinstance(kept, Held):
            header = kept.block.header
            ids = tuple(transaction_id(counterfeit, item.body) for item in kept.block.items if isinstance(item, Single))
            return block_hash(counterfeit, header), BlockSeen(header.height, header.parent, ids)
        return CommitSeen(kept.certificate)

    def index_changes(self, machine: Machine, written: list[tuple[bytes, int]]) -> Sequence[Change]:
        return ()

    def digest(self, machine: Machine) -> str:
        assert isinstance(machine, SmallNode)
        return machine.head.ready.outcome.hex()


ACCOUNTS = 6
SCRIPT = b"""
def init():
    put('total', 0)

@public
def add(who, amount):
    total = get('total') + amount
    put('total', total)
    put(who, get(who, 0) + amount)
    emit('added', [who, amount])
    return total
"""


class WholeKind:
    """The machine of a whole node: pool, ledger, gossip, sync, archive, recovery."""

    def __init__(self, consensus: str = "pbft") -> None:
        self.consensus = consensus
        self._ids: dict[bytes, tuple[bytes, BlockSeen]] = {}

    def consortium(self, plan: Plan) -> Consortium:
        """Founded once for each size; contract `bank` runs on the engine the plan names."""
        key = (plan.engine, self.consensus, plan.size)
        if key not in _FOUND:
            accounts = [TestAccount(counterfeit, number) for number in range(ACCOUNTS)]
            balances: list[Value] = [part for each in accounts for part in (bytes(each.id), 1_000)]
            contracts = (
                GenesisContract("bank", native.NAME, native.SOURCE, encode_arguments(balances)),
                GenesisContract("counter", "script", SCRIPT, encode_arguments([])),
            )
            engines = {native.NAME: native.engine, "script": script_engine}
            parameters = Parameters(rotation_blocks=25)
            _FOUND[key] = found(
                plan.size, parameters=parameters, contracts=contracts, engines=engines, engine=self.consensus
            )
        return _FOUND[key]

    def wire(self) -> Wire:
        return WIRES[self.consensus]

    def suites(self) -> Mapping[int, Suite]:
        return {counterfeit.code: counterfeit}

    def boot(self, member: SimulatedMember) -> Machine:
        consortium = member.world.consortium
        return boot(
            BootSetup(
                genesis=consortium.genesis,
                suite=consortium.suite,
                suites=self.suites(),
                engines=consortium.engines,
                consensus=factory(self.consensus),
                me=member.id,
                block_log=member.logs["blocks"],
                vote_log=member.logs["votes"],
                index=member.index,
                state=member.state,
                seed=member.world.generator.randrange(1 << 32),
            )
        )

    def height(self, machine: Machine | None) -> int:
        assert isinstance(machine, NodeMachine)
        return machine.ledger.head.height

    def state_of(self, machine: Machine) -> str:
        assert isinstance(machine, NodeMachine)
        return engine_state(machine.status(), machine.me)

    def view(self, machine: Machine | None) -> int:
        """The view or term an engine is in or asks for."""
        assert isinstance(machine, NodeMachine)
        return machine.status().view

    def maker(self, consortium: Consortium) -> Make:
        """Transfers, counters and refusals by six accounts, each with nonces of its own; bundles now and then."""
        accounts = [TestAccount(counterfeit, number) for number in range(ACCOUNTS)]
        nonces = [0] * ACCOUNTS
        ids = {name: genesis_contract_id(counterfeit, name) for name in ("bank", "counter")}

        def make(draw: random.Random, number: int) -> tuple[bytes, TransactionId]:
            which = draw.randrange(ACCOUNTS)
            account = accounts[which]
            size = draw.choice((1, 1, 1, 1, 3, 9))
            bodies = []
            for _ in range(size):
                nonces[which] += 1
                asking = Asking(consortium.ledger, nonces[which], steps_max=400)
                contract, method, arguments = _call(draw, accounts)
                bodies.append(invoking(account, asking, ids[contract], method, arguments))
            if size == 1:
                raw = encode(account.sign(bodies[0]))
            else:
                raw = encode(account.bundle(bodies))
            return raw, transaction_id(counterfeit, encode(bodies[-1]))

        return make

    def sender(self, item: Submission) -> int:
        """Which client it is from."""
        return (item.header.public_key if isinstance(item, Bundle) else item.public_key)[-1]

    def read_record(self, data: bytes) -> tuple[bytes, BlockSeen] | CommitSeen | None:
        kept = decode_record(data)
        if isinstance(kept, BlockRecord):
            seen = self._ids.get(kept.block)
            if seen is None:
                block = block_codec.decode(kept.block)
                ids = tuple(each for item in block.items for each in _ids(item))
                header = block.header
                seen = block_hash(counterfeit, header), BlockSeen(header.height, header.parent, ids)
                self._ids[kept.block] = seen
            return seen
        return CommitSeen(kept.certificate)

    def index_changes(self, machine: Machine, written: list[tuple[bytes, int]]) -> Sequence[Change]:
        assert isinstance(machine, NodeMachine)
        return [change for data, position in written for change in machine.archive.index_changes(position, data)]

    def digest(self, machine: Machine) -> str:
        assert isinstance(machine, NodeMachine)
        return machine.ledger.head.outcome_hash.hex()


def _ids(item: Submission) -> list[bytes]:
    if isinstance(item, Single):
        return [transaction_id(counterfeit, item.body)]
    return [transaction_id(counterfeit, leaf) for leaf in item.leaves if len(leaf) != 32]


def _call(draw: random.Random, accounts: list[TestAccount]) -> tuple[str, str, list[Value]]:
    other = bytes(accounts[draw.randrange(len(accounts))].id)
    match draw.randrange(8):
        case 0:
            return "bank", "fail", ["test.refused"]
        case 1:
            return "bank", "burn", [draw.randrange(160)]
        case 2 | 3:
            return "bank", "increment", [b"counter"]
        case 4:
            return "counter", "add", [other, draw.randrange(10)]
        case _:
            return "bank", "transfer", [other, draw.randrange(50)]
