"""Golden chains: recorded once, kept for ever, replayed by every later build to the same outcomes.

Decides what a recording holds and how it is read back. Refuses to know tests: they compare. A recording is a folder::

    genesis.zizhu    the signed genesis
    blocks.zizhu     the records of a member's block log, in order
    votes.zizhu      of each member, what of its vote log still matters
    expected.json    outcome hash of every height, root of the state, what the chain has in it

Members, accounts, times and calls are functions of the number of the step, so a recording can be made again; only
the bytes of SM2 signatures differ then, because libcrypto draws its own nonces.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import msgspec

from zizhu.chain.consensus.certificate import electorate
from zizhu.chain.contracts.script.engine import engine as script
from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.hashing import deployed_contract_id, genesis_contract_id, ledger_id
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.port import Suite
from zizhu.chain.ledger.genesis import encode_genesis, parse_genesis
from zizhu.chain.ledger.records import CommitRecord, decode_record
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.genesis import GenesisContract, SignedGenesis
from zizhu.chain.model.receipt import SUCCEEDED
from zizhu.chain.model.transaction import Bundle, Deploy, Single, TransactionBody
from zizhu.chain.model.value import Value, encode_arguments
from zizhu.framework.testkit.consortium import Consortium, found, secret_of
from zizhu.framework.testkit.fakes.accounts import Asking, TestAccount, deploying, invoking
from zizhu.framework.testkit.node_council import NodeCouncil

SUITES: Mapping[int, Suite] = {guomi.code: guomi, international.code: international}
BY_NAME = {suite.name: suite for suite in SUITES.values()}
BLOCKS_MIN = 200
STEP_MS = 150
VOUCHERS = "vouchers"
RECORDING = "golden"
ENGINES = {script.name: script}

COUNTER = b'''"""Counts, and goes wrong in every way there is."""


def init(first: int):
    put("count", first)


@public
def add(by: int):
    count = get("count", 0) + by
    put("count", count)
    emit("counted", count)
    return count


@public
def fill(name: str, size: int):
    put("filled/" + name, b"x" * size)


@public
def clear(name: str):
    delete("filled/" + name)


@public
def refuse(why: str):
    put("count", -1)
    fail("refused", why)


@public
def divide(by: int):
    return 100 // by


@public
def endless():
    turns = 0
    while True:
        turns = turns + 1
'''


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay must come to. Hashes are hex; `features` counts what the chain has in it."""

    suite: str
    outcomes: list[str]
    root: str
    root_height: int
    features: dict[str, int]


class Blocks(msgspec.Struct, frozen=True, array_like=True):
    """The block log's records."""

    records: list[bytes]


class Votes(msgspec.Struct, frozen=True, array_like=True):
    """Each member's vote log, by position."""

    logs: list[list[bytes]]


@dataclass(frozen=True)
class Golden:
    """A recording, read."""

    name: str
    genesis: SignedGenesis
    blocks: list[bytes]
    votes: list[list[bytes]]
    expected: Expected

    def consortium(self) -> Consortium:
        """The members who recorded it, with their keys; the genesis is the recorded one, whatever is usual now."""
        suite, record = BY_NAME[self.expected.suite], self.genesis.genesis.record
        ledger = ledger_id(suite, self.genesis.genesis)
        voters = electorate(suite, ledger, record)
        secrets = {member: secret_of(position) for position, member in enumerate(voters.members)}
        return Consortium(suite, self.genesis, ledger, voters, secrets, dict(ENGINES))


def read(folder: Path) -> Golden:
    """A recording. Raises OSError, and SpokeWrongly for what cannot be decoded."""
    return Golden(
        folder.name,
        parse_genesis((folder / "genesis.zizhu").read_bytes()),
        msgspec.msgpack.decode((folder / "blocks.zizhu").read_bytes(), type=Blocks).records,
        msgspec.msgpack.decode((folder / "votes.zizhu").read_bytes(), type=Votes).logs,
        msgspec.json.decode((folder / "expected.json").read_bytes(), type=Expected),
    )


def council_of(golden: Golden) -> NodeCouncil:
    """The four members on disks that hold what was recorded, ready to start and go on."""
    council = NodeCouncil(consortium=golden.consortium(), suites=SUITES)
    for seat, votes in zip(council.seats, golden.votes, strict=True):
        for name, records in (("blocks", golden.blocks), ("votes", votes)):
            log = seat.disk.log(name)
            log.append(records)
            log.sync()
    council.pass_ms(STEP_MS * 10 * len(golden.expected.outcomes))
    council.boot()
    return council


def _consortium(suite: Suite, contracts: Sequence[GenesisContract]) -> Consortium:
    return found(
        4,
        suite=suite,
        parameters=Parameters(rotation_blocks=60),
        contracts=tuple(contracts),
        engines=dict(ENGINES),
    )


class Recorder:
    """Plays the story whose chain is kept."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        vouchers = (files("zizhu.components.evidence") / "contract" / "evidence.zs").read_bytes()
        agreed: Value = {"invoice": "sha256", "contract": "sm3"}
        genesis = (
            GenesisContract("counter", script.name, COUNTER, encode_arguments([5])),
            GenesisContract(VOUCHERS, script.name, vouchers, encode_arguments([agreed])),
        )
        self.council = NodeCouncil(consortium=_consortium(suite, genesis), suites=SUITES)
        self.council.boot()
        self.people = [TestAccount(each, number) for number in range(4) for each in (guomi, international)]
        self.nonces = [0] * len(self.people)
        self.counter = genesis_contract_id(suite, "counter")
        self.vouchers = genesis_contract_id(suite, VOUCHERS)

    def play(self) -> None:
        """At least BLOCKS_MIN blocks with every feature in them."""
        self.council.start()
        self._hand_in(0, [self._deploying(0)])
        for turn in range(BLOCKS_MIN):
            self._turn(turn)
        while self._root_height() != self.council.seats[0].height:
            for seat in self.council.seats:
                seat.fire("engine:idle")
            self._settle()

    def _turn(self, turn: int) -> None:
        who = turn % len(self.people)
        match turn % 8:
            case 0:
                self._hand_in(who, [self._calling(who, self.vouchers, "register", *_voucher(self.suite, turn))])
            case 1:
                bodies = [self._body(who, self.counter, "add", (number,)) for number in range(5)]
                self._hand_in(who, [self.people[who].bundle(bodies, ledger_suite=self.suite)])
            case 2:
                self._hand_in(who, [self._calling(who, self.counter, "refuse", f"turn {turn}")])
            case 3:
                self._hand_in(who, [self._calling(who, self.counter, "divide", turn % 16 // 8)])
            case 4:
                self._hand_in(who, [self._calling(who, self.counter, "endless")])
            case 5:
                self._hand_in(who, [self._calling(who, self.counter, "fill", f"{turn % 40}", 100 + turn)])
            case 6:
                self._hand_in(who, [self._calling(who, self.counter, "clear", f"{(turn + 20) % 40 - 1}")])
                self._hand_in(0, [self._calling(0, self.vouchers, "revoke", turn // 16, "a golden reason")])
            case _:
                deployed = deployed_contract_id(self.suite, sender=self.people[0].id, nonce=1)
                self._hand_in(who, [self._calling(who, deployed, "add", turn), self._calling(who, bytes(20), "add", 1)])

    def _asking(self, who: int) -> Asking:
        self.nonces[who] += 1
        return Asking(self.council.consortium.ledger, self.nonces[who], valid_until_height=10_000, steps_max=50_000)

    def _body(self, who: int, contract: bytes, method: str, arguments: Sequence[Value]) -> TransactionBody:
        return invoking(self.people[who], self._asking(who), contract, method, arguments)

    def _calling(self, who: int, contract: bytes, method: str, *arguments: Value) -> Single:
        return self.people[who].sign(self._body(who, contract, method, arguments), ledger_suite=self.suite)

    def _deploying(self, who: int) -> Single:
        package = Deploy("second", script.name, COUNTER, encode_arguments([0]))
        return self.people[who].sign(deploying(self.people[who], self._asking(who), package), ledger_suite=self.suite)

    def _hand_in(self, who: int, submissions: Sequence[Single | Bundle]) -> None:
        seat = self.council.seats[who % 4]
        seat.submit(*submissions)
        self._settle()

    def _settle(self) -> None:
        self.council.pass_ms(STEP_MS)
        self.council.gossip()

    def _root_height(self) -> int:
        return self.council.seats[0].machine.ledger.head.outcome.root_height

    # -- keeping it --------------------------------------------------------------------------------------------

    def write(self, folder: Path) -> Expected:
        """Write the recording into a folder that must not be there yet."""
        seat = self.council.seats[0]
        heads = {each.machine.ledger.head.outcome_hash for each in self.council.seats}
        assert len(heads) == 1, "the members do not agree"
        folder.mkdir(parents=True)
        records = [record.data for record in seat.logs["blocks"].records()]
        expected = self._expected(records)
        votes = []
        for each in self.council.seats:
            each.crash()
            each.boot()
            kept = each.engine.remembered()
            assert kept, "a member remembers nothing of its votes"
            votes.append(list(kept))
        (folder / "genesis.zizhu").write_bytes(encode_genesis(self.council.consortium.genesis))
        (folder / "blocks.zizhu").write_bytes(encode(Blocks(records)))
        (folder / "votes.zizhu").write_bytes(encode(Votes(votes)))
        text = msgspec.json.format(msgspec.json.encode(expected), indent=1)
        (folder / "expected.json").write_bytes(text + b"\n")
        return expected

    def _expected(self, records: Sequence[bytes]) -> Expected:
        outcomes, features = [], dict.fromkeys(("blocks", "transactions", "bundles", "failed", "exhausted", "views"), 0)
        views = []
        for data in records:
            record = decode_record(data)
            if isinstance(record, CommitRecord):
                outcomes.append(record.certificate.outcome.hex())
                features["blocks"] += 1
                features["transactions"] += len(record.receipts)
                features["failed"] += sum(each.status != SUCCEEDED for each in record.receipts)
                features["exhausted"] += sum("steps" in each.code for each in record.receipts)
                views.append(record.certificate.view)
        ledger = self.council.seats[0].machine.ledger
        archive = self.council.seats[0].machine.archive
        blocks = [archive.block(height) for height in range(1, ledger.head.height + 1)]
        features["bundles"] = sum(isinstance(item, Bundle) for block in blocks if block for item in block.items)
        features["views"] = max(views) + 1
        outcome = ledger.head.outcome
        return Expected(
            suite=self.suite.name,
            outcomes=outcomes,
            root=outcome.root.hex(),
            root_height=outcome.root_height,
            features=features,
        )


def _voucher(suite: Suite, turn: int) -> tuple[Value, ...]:
    """A registration: each type with the algorithm that was agreed for it."""
    kind, algorithm = (("invoice", "sha256"), ("contract", "sm3"))[turn // 8 % 2]
    return kind, algorithm, suite.digest(b"file %d" % turn), suite.digest(b"salt %d" % turn)


def main(arguments: Sequence[str] | None = None) -> int:
    """Record one chain for each suite under a name; 1 if there is one of that name already."""
    parser = argparse.ArgumentParser(description="record a golden chain")
    parser.add_argument("--record", action="store_true", help="the only thing there is to do; may be left out")
    parser.add_argument("--out", type=Path, default=Path("tests/golden"))
    parser.add_argument("--name", default="v0.1", help="what this recording is called; one a release")
    wish = parser.parse_args(arguments)
    for suite in BY_NAME.values():
        folder: Path = wish.out / f"{wish.name}-{suite.name}"
        if folder.exists():
            sys.stderr.write(f"{folder} is there already; a golden chain is never recorded again: choose a --name\n")
            return 1
    for suite in BY_NAME.values():
        recorder = Recorder(suite)
        recorder.play()
        folder = wish.out / f"{wish.name}-{suite.name}"
        expected = recorder.write(folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        sys.stdout.write(f"{folder}: {expected.features}, root {expected.root[:16]}, {size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
