"""Whole node machines stepped by hand: real ledgers, pools and engines on fake disks, no clock and no network.

Decides what a driver does with effects in the plainest way that `node.events` allows (a write is durable at once),
and puts what is sent into a list that a test delivers, alters, reorders or loses. Refuses to play faults by itself:
the simulator does that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from zizhu.chain.consensus.pbft.engine import build as build_pbft
from zizhu.chain.consensus.port import ConsensusEngine, Setting
from zizhu.chain.consensus.solo.engine import build as build_solo
from zizhu.chain.crypto.hashing import genesis_contract_id
from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.effects import Persist, Report, Send, SetTimer, Sign
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.genesis import GenesisContract
from zizhu.chain.model.ids import Instant, MemberId, TransactionId
from zizhu.chain.model.transaction import Bundle, Single
from zizhu.chain.model.value import Value, encode_arguments
from zizhu.chain.node import events
from zizhu.chain.node.boot import BootSetup, boot
from zizhu.chain.node.events import Answer, Effect, Keep, Published, Reply, Verify
from zizhu.chain.node.machine import NodeMachine
from zizhu.framework.testkit.consortium import GENESIS_TIME_MS, Consortium, found
from zizhu.framework.testkit.council import STEPS_MAX, Crashed, Letter
from zizhu.framework.testkit.fakes import engine as native
from zizhu.framework.testkit.fakes.accounts import Asking, TestAccount, invoking
from zizhu.framework.testkit.fakes.disk import FakeDisk
from zizhu.framework.testkit.fakes.suite import suite as counterfeit

FACTORIES: Mapping[str, Callable[[Setting], ConsensusEngine]] = {"pbft": build_pbft, "solo": build_solo}


@dataclass
class NodeSeat:
    """One member: its machine and disk, and what it asked for. `crash_after` counts effects down."""

    council: "NodeCouncil"
    id: MemberId
    disk: FakeDisk = field(default_factory=FakeDisk)
    timers: dict[str, int] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    answers: dict[int, Reply] = field(default_factory=dict)
    published: list[int] = field(default_factory=list)
    sent: list[Letter] = field(default_factory=list)
    crash_after: int | None = None
    effects: int = 0
    down: bool = False
    _clients: int = 0

    def boot(self) -> None:
        """From what the disk holds."""
        council = self.council
        self.logs = {name: self.disk.log(name) for name in ("blocks", "votes")}
        self.index, self.state = self.disk.store("index"), self.disk.store("state")
        self.timers.clear()
        self.down, self.crash_after = False, None
        consortium = council.consortium
        self.machine: NodeMachine = boot(
            BootSetup(
                genesis=consortium.genesis,
                suite=consortium.suite,
                suites=council.suites,
                engines=consortium.engines,
                consensus=self._engine,
                me=self.id,
                block_log=self.logs["blocks"],
                vote_log=self.logs["votes"],
                index=self.index,
                state=self.state,
                seed=0,
            )
        )

    def _engine(self, setting: Setting) -> ConsensusEngine:
        self.engine = FACTORIES[self.council.consortium.genesis.genesis.record.engine](setting)
        return self.engine

    def start(self) -> None:
        """The driver runs, and all links are up."""
        self.tell(events.Started())
        for seat in self.council.seats:
            if seat is not self and not seat.down:
                self.tell(events.LinkChanged(seat.id, up=True))

    def crash(self) -> None:
        """Power loss: what was not synced is gone."""
        self.disk.crash()
        self.down = True

    def restart(self) -> None:
        """After a crash, or in place of one."""
        if not self.down:
            self.crash()
        self.boot()
        self.start()

    # -- what a test does --------------------------------------------------------------------------------------

    def tell(self, event: events.Event) -> None:
        """Step the machine, and carry out what it asks until it asks for nothing."""
        queue = [event]
        try:
            for _ in range(STEPS_MAX):
                if not queue or self.down:
                    return
                for effect in self.machine.step(self.council.now, queue.pop(0)):
                    queue += self._act(effect)
        except Crashed:
            self.crash()
            return
        raise AssertionError("the machine goes in circles")

    def fire(self, timer: str) -> None:
        """A timer that was set runs out."""
        del self.timers[timer]
        self.tell(events.TimerFired(timer))

    def hears(self, peer: "NodeSeat | MemberId", message: msgspec.Struct) -> None:
        """A message over the link of `peer`."""
        self.tell(events.Received(peer.id if isinstance(peer, NodeSeat) else peer, message))

    def submit(self, *submissions: Single | Bundle) -> int:
        """A client hands in submissions; its number."""
        return self.ask(events.Submit(tuple(encode(each) for each in submissions)))

    def ask(self, request: events.Request) -> int:
        """A new client asks; its number."""
        self._clients += 1
        self.tell(events.Asked(self._clients, request))
        return self._clients

    # -- what a test looks at ----------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """Of the head."""
        return self.machine.ledger.head.height

    def faults(self) -> list[tuple[str, str]]:
        """(hex of the peer, rule) of every offence reported."""
        return [
            (str(each.values["peer"]), str(each.values["rule"])) for each in self.reports if each.fact == "peer_fault"
        ]

    # -- what a driver does ------------------------------------------------------------------------------------

    def _act(self, effect: Effect) -> list[events.Event]:
        council = self.council
        if not isinstance(effect, SetTimer | Report):
            if self.crash_after is not None and self.effects >= self.crash_after:
                raise Crashed
            self.effects += 1
        match effect:
            case Persist():
                for record in effect.records:
                    position = self.logs[record.log].append([record.data])[0]
                    self.logs[record.log].sync()
                    if record.log == "blocks":
                        changes = self.machine.archive.index_changes(position, record.data)
                        self.index.write(changes, durable=False)
            case Sign():
                return [events.Signed(effect.purpose, council.consortium.sign(self.id, effect.message))]
            case Send():
                letters = [Letter(self.id, peer, effect.message) for peer in effect.peers]
                self.sent += letters
                council.mail += letters
            case SetTimer():
                self.timers.pop(effect.name, None)
                if effect.after_ms is not None:
                    self.timers[effect.name] = effect.after_ms
            case Report():
                self.reports.append(effect)
            case Verify():
                verdicts = tuple(council.suites[each.suite].accounts.verify(*each.signed) for each in effect.checks)
                return [events.Verified(effect.batch, verdicts)]
            case Answer():
                self.answers[effect.client] = effect.reply
            case Keep():
                self.state.write(effect.batch, durable=False)
            case Published():
                self.published.append(effect.height)
        return []


class NodeCouncil:
    """`size` members (one: solo), a bank that gives each of `accounts` 1,000, and the mail between them.

    Another consortium may be given instead, with what its ledger needs; nobody has booted in it yet then.
    """

    def __init__(
        self,
        size: int = 4,
        *,
        parameters: Parameters | None = None,
        consortium: Consortium | None = None,
        suites: Mapping[int, Suite] | None = None,
    ) -> None:
        self.accounts = [TestAccount(counterfeit, number) for number in range(12)]
        self.bank = genesis_contract_id(counterfeit, "bank")
        self.consortium: Consortium = consortium or self._with_bank(size, parameters)
        self.suites: Mapping[int, Suite] = suites or {counterfeit.code: counterfeit}
        self.mail: list[Letter] = []
        self.now = Instant(1_000, GENESIS_TIME_MS + 1_000)
        self.seats = [NodeSeat(self, member) for member in self.consortium.members]
        self.by_id = {seat.id: seat for seat in self.seats}
        if consortium is None:
            self.boot()

    def _with_bank(self, size: int, parameters: Parameters | None) -> Consortium:
        balances: list[Value] = [part for account in self.accounts for part in (bytes(account.id), 1000)]
        return found(
            size,
            parameters=parameters,
            contracts=(GenesisContract("bank", native.NAME, native.SOURCE, encode_arguments(balances)),),
            engines={native.NAME: native.engine},
            engine="pbft" if size > 1 else "solo",
        )

    def boot(self) -> None:
        """Everybody, from what its disk holds."""
        for seat in self.seats:
            seat.boot()

    def start(self) -> "NodeCouncil":
        """Everybody starts; the first block, which is due at once, is committed."""
        for seat in self.seats:
            seat.start()
        self.deliver()
        return self

    def pass_ms(self, milliseconds: int) -> None:
        """Time goes on; timers do not fire by themselves."""
        self.now = Instant(self.now.monotonic_ms + milliseconds, self.now.wall_ms + milliseconds)

    def deliver(self, passes: Callable[[Letter], bool] = lambda _: True) -> None:
        """Deliver everything in order until nothing is left; what does not pass is lost."""
        for _ in range(STEPS_MAX):
            if not self.mail:
                return
            letter = self.mail.pop(0)
            seat = self.by_id[letter.target]
            if passes(letter) and not seat.down:
                seat.tell(events.Received(letter.source, letter.message))
        raise AssertionError("the mail never ends")

    def gossip(self) -> None:
        """Every batch of submissions that waits leaves, and everything is delivered."""
        for seat in self.seats:
            if not seat.down and "gossip" in seat.timers:
                seat.fire("gossip")
        self.deliver()

    def call(self, account: int, nonce: int, method: str = "increment", *arguments: Value, **terms: int) -> Single:
        """A signed call of the bank by account `account`."""
        who = self.accounts[account]
        asking = Asking(self.consortium.ledger, nonce, **terms)
        return who.sign(invoking(who, asking, self.bank, method, arguments or (b"counter",)))

    def bundle(self, account: int, nonces: range, method: str = "increment", *arguments: Value) -> Bundle:
        """Calls of the bank under one signature."""
        who = self.accounts[account]
        asked = [Asking(self.consortium.ledger, nonce) for nonce in nonces]
        return who.bundle([invoking(who, each, self.bank, method, arguments or (b"counter",)) for each in asked])

    def id_of(self, seat: NodeSeat, submission: Single | Bundle) -> TransactionId:
        """The first transaction of a submission."""
        return seat.machine.ledger.reader.submission(submission).transactions[0].id
