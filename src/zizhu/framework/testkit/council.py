"""A council of members stepped by hand: real engines, blocks of nothing, no clock and no network.

Decides what a node would answer an engine (Build, Execute, Sign, Persist) in the simplest way that is true to the
port, and puts what is sent into a list that a test delivers, alters, reorders or loses. Refuses to know ledgers:
the outcome of a block is a hash of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from zizhu.chain.consensus import port
from zizhu.chain.consensus.pbft.engine import Pbft
from zizhu.chain.consensus.pbft.messages import Proposal, Vote
from zizhu.chain.crypto.hashing import block_hash, vote_message
from zizhu.chain.model.block import VERSION, BlockHeader
from zizhu.chain.model.certificate import COMMIT, Certificate, SignedBy, VoteStatement
from zizhu.chain.model.certificate import VERSION as CERTIFICATE_VERSION
from zizhu.chain.model.effects import Persist, Report, Send, SetTimer, Sign
from zizhu.chain.model.epoch import Parameters
from zizhu.chain.model.ids import ZERO_HASH, BlockHash, Instant, MemberId, OutcomeHash
from zizhu.framework.testkit.consortium import GENESIS_TIME_MS, Consortium, found

Factory = Callable[[port.Setting], port.ConsensusEngine]
"""The factory of an engine, as an entry point names it."""

BLOCK_MS = 10
STEPS_MAX = 2_000
"""A story that needs more steps goes in circles."""


class Crashed(Exception):
    """The seat stops here: what it was about to do is lost."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message on its way."""

    source: MemberId
    target: MemberId
    message: msgspec.Struct


@dataclass
class Seat:
    """One member: its engine, what it wrote down, what it asked for. `crash_after` counts durable effects down."""

    council: "Council"
    id: MemberId
    engine: port.ConsensusEngine
    log: list[bytes] = field(default_factory=list)
    held: dict[BlockHash, port.Executed] = field(default_factory=dict)
    committed: list[Certificate] = field(default_factory=list)
    timers: dict[str, int] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    behind: list[port.Behind] = field(default_factory=list)
    asked: list[port.Execute] = field(default_factory=list)
    sent: list[msgspec.Struct] = field(default_factory=list)
    signed: list[tuple[bytes, bytes]] = field(default_factory=list)
    free: int = 0
    unfinished: int = 0
    crash_after: int | None = None
    down: bool = False

    # -- what a test does --------------------------------------------------------------------------------------

    def tell(self, event: port.Event) -> None:
        """Step the engine, and carry out what it asks until it asks for nothing."""
        queue: list[port.Event] = [event]
        try:
            steps = 0
            while queue and not self.down:
                steps += 1
                assert steps < STEPS_MAX, "the engine goes in circles"
                for effect in self.engine.step(self.council.now, queue.pop(0)):
                    queue += self._act(effect)
        except Crashed:
            self.down = True

    def fire(self, timer: str) -> None:
        """The timer that the engine set runs out; it must have been set."""
        del self.timers[timer]
        self.tell(port.TimerFired(timer))

    def wait_for(self, free: int, *, oldest_ms: int = 0) -> None:
        """The pool holds `free` transactions that stand in no block."""
        self.free = self.unfinished = free
        self.tell(port.Waiting(free, oldest_ms, free))

    def restart(self) -> None:
        """From what is durable: the vote log, the blocks held and the certificates of those committed."""
        head = self.head
        certificates = [None if not self.committed else self.committed[-1]]
        above = [each for each in self.held.values() if each.ready.height > head.height]
        above.sort(key=lambda each: (each.ready.height, each.ready.block))
        self.engine = self.council.factory(
            port.Setting(
                me=self.id,
                voters=self.council.consortium.voters,
                head=head,
                head_certificate=certificates[0],
                epoch_start=0,
                votes=tuple(self.log),
                tentative=tuple(above),
                recent=tuple(self.committed[-16:]),
                disk_was_used=bool(self.held or self.committed),
                seed=self.council.members.index(self.id),
            )
        )
        self.timers.clear()
        self.down, self.crash_after = False, None
        self.tell(port.Started())

    # -- what a test looks at ----------------------------------------------------------------------------------

    @property
    def head(self) -> port.Ready:
        """The last committed block."""
        if not self.committed:
            return self.council.genesis
        return self.council.library[BlockHash(self.committed[-1].block)].ready

    @property
    def view(self) -> int:
        """The engine's view."""
        return self.engine.status().view

    @property
    def active(self) -> bool:
        """Whether it takes part in its view."""
        return self.engine.status().active

    def faults(self) -> list[tuple[str, str]]:
        """(hex of the peer, rule) of every offence reported."""
        return [
            (str(each.values["peer"]), str(each.values["rule"])) for each in self.reports if each.fact == "peer_fault"
        ]

    # -- what a node does --------------------------------------------------------------------------------------

    def _act(self, effect: port.Effect) -> list[port.Event]:
        if self.crash_after is not None and isinstance(effect, Persist | Sign | Send | port.Commit):
            if not self.crash_after:
                raise Crashed
            self.crash_after -= 1
        council = self.council
        match effect:
            case Persist():
                self.log += [record.data for record in effect.records if record.log == "votes"]
            case Sign():
                self.signed.append((effect.purpose, effect.message))
                return [port.Signed(effect.purpose, council.consortium.sign(self.id, effect.message))]
            case Send():
                self.sent += [effect.message] * bool(effect.peers)
                council.mail += [Letter(self.id, peer, effect.message) for peer in effect.peers]
            case SetTimer():
                self.timers.pop(effect.name, None)
                if effect.after_ms is not None:
                    self.timers[effect.name] = effect.after_ms
            case Report():
                self.reports.append(effect)
            case port.Build():
                return [port.Built(self._build(effect))]
            case port.Execute():
                self.asked.append(effect)
                return self._execute(effect)
            case port.Commit():
                return [self._commit(effect.certificate)]
            case port.Drop():
                pass
            case port.Behind():
                self.behind.append(effect)
        return []

    def _build(self, effect: port.Build) -> port.Executed | None:
        on = self.head if effect.parent == self.head.block else self.held[effect.parent].ready
        while on.height > self.head.height + 1:
            on = self.held[on.parent].ready
        assert on == self.head or on.parent == self.head.block, "a block is built on a descendant of the head"
        if not self.free and not effect.empty:
            return None
        made = self.council.block(effect.parent, proposer=self.id, count=self.free)
        self.free = 0
        self.held[made.ready.block] = made
        return made

    def _execute(self, effect: port.Execute) -> list[port.Event]:
        made = self.council.library.get(effect.block)
        if effect.block in self.council.bad:
            return [port.Refused(effect.block, "block.test")]
        if made is None:
            return []
        chain = [made]
        while chain[-1].ready.height > self.head.height + 1 and chain[-1].ready.parent not in self.held:
            chain.append(self.council.library[chain[-1].ready.parent])
        chain.reverse()
        for each in chain:
            self.held[each.ready.block] = each
        return list(chain)

    def _commit(self, certificate: Certificate) -> port.Waiting:
        assert certificate.height == self.head.height + 1, "a height is applied once, in order"
        ready = self.council.library[BlockHash(certificate.block)].ready
        assert ready.parent == self.head.block, "a commit continues the head"
        self.committed.append(certificate)
        self.unfinished = max(0, self.unfinished - ready.count)
        self.free = min(self.free, self.unfinished)
        return port.Waiting(self.free, 0, self.unfinished)


class Council:
    """`size` members of an engine (its name and its factory), their blocks, and the mail between them."""

    def __init__(
        self, size: int = 4, *, parameters: Parameters | None = None, engine: str = "pbft", factory: Factory = Pbft
    ) -> None:
        self.factory = factory
        self.consortium: Consortium = found(size, parameters=parameters, engine=engine)
        suite = self.consortium.suite
        start = BlockHash(self.consortium.ledger)
        outcome = OutcomeHash(suite.hash(b"outcome", b"start"))
        self.genesis = port.Ready(0, start, BlockHash(ZERO_HASH), outcome, GENESIS_TIME_MS, has_root=True, count=0)
        self.library: dict[BlockHash, port.Executed] = {}
        self.bad: dict[BlockHash, None] = {}
        self.mail: list[Letter] = []
        self.now = Instant(1_000, GENESIS_TIME_MS)
        self.seats = [Seat(self, member, self._engine(member)) for member in self.consortium.members]
        self.by_id = {seat.id: seat for seat in self.seats}

    def _engine(self, member: MemberId) -> port.ConsensusEngine:
        return self.factory(
            port.Setting(
                me=member,
                voters=self.consortium.voters,
                head=self.genesis,
                head_certificate=None,
                epoch_start=0,
                seed=self.members.index(member),
            )
        )

    @property
    def members(self) -> tuple[MemberId, ...]:
        """The members in the order of the epoch record."""
        return self.consortium.members

    def start(self) -> "Council":
        """Everybody starts and hears from the others; the first block, which is due at once, is committed."""
        for seat in self.seats:
            seat.tell(port.Started())
        self.deliver()
        return self

    def block(self, parent: BlockHash, *, proposer: MemberId, count: int = 0, salt: int = 0) -> port.Executed:
        """A block on `parent`, kept in the library that everybody executes from. `salt` tells rivals apart."""
        consortium, suite = self.consortium, self.consortium.suite
        below = self.genesis if parent == self.genesis.block else self.library[parent].ready
        header = BlockHeader(
            version=VERSION,
            ledger=consortium.ledger,
            epoch=0,
            epoch_record=consortium.voters.record_hash,
            height=below.height + 1,
            parent=parent,
            parent_outcome=below.outcome,
            time_ms=below.time_ms + BLOCK_MS + salt,
            proposer=proposer,
            count=count,
            transaction_root=ZERO_HASH,
            witness_root=ZERO_HASH,
        )
        hash_ = block_hash(suite, header)
        outcome = OutcomeHash(suite.hash(b"outcome", hash_))
        root = header.height % 10 == 0
        ready = port.Ready(header.height, hash_, parent, outcome, header.time_ms, has_root=root, count=count)
        made = self.library[hash_] = port.Executed(ready, header, ())
        return made

    def pass_ms(self, ms: int) -> None:
        """Time goes by for all; no timer fires by itself."""
        self.now = Instant(self.now.monotonic_ms + ms, self.now.wall_ms + ms)

    # -- mail --------------------------------------------------------------------------------------------------

    def hand(self, letter: Letter) -> None:
        """Deliver one letter, unless its target is down."""
        seat = self.by_id[letter.target]
        if not seat.down:
            seat.tell(port.Received(letter.source, letter.message))

    def deliver(self, passes: Callable[[Letter], bool] = lambda _: True) -> None:
        """Deliver everything in order until nothing is left; what does not pass is lost."""
        for _ in range(STEPS_MAX):
            if not self.mail:
                return
            letter = self.mail.pop(0)
            if passes(letter):
                self.hand(letter)
        raise AssertionError("the mail never ends")

    def catch_up(self, seat: Seat) -> None:
        """What a node's catching up does: the certified blocks of whoever is furthest, in order."""
        best = max((each for each in self.seats if each is not seat), key=lambda each: each.head.height)
        while not seat.down and seat.head.height < best.head.height:
            certificate = best.committed[seat.head.height]
            made = self.library[BlockHash(certificate.block)]
            seat.held[made.ready.block] = made
            seat.committed.append(certificate)
            seat.tell(port.Synced(made.ready, certificate))
            seat.tell(made)

    def tell_statuses(self) -> None:
        """Everybody who is up hears from everybody else who is up: view, activity, height."""
        for seat in self.seats:
            for peer in self.seats:
                if seat is not peer and not seat.down and not peer.down:
                    said = peer.engine.status()
                    seat.tell(port.PeerStatus(peer.id, said.view, said.active, peer.head.height))

    def commit_one(self, count: int = 1) -> None:
        """The leader's pool has something: one more block, committed by all who are up."""
        for seat in self.seats:
            if not seat.down:
                seat.wait_for(count)
        self.deliver()

    @property
    def leader(self) -> Seat:
        """The leader of the first running member's view."""
        running = next(seat for seat in self.seats if not seat.down)
        leader = running.engine.status().leader
        assert leader is not None
        return self.by_id[leader]

    # -- signed things -----------------------------------------------------------------------------------------

    def statement(self, made: port.Executed, *, phase: int, view: int = 0) -> VoteStatement:
        """What a vote for a block signs."""
        ready = made.ready
        return VoteStatement(self.consortium.ledger, 0, view, phase, ready.height, ready.block, ready.outcome)

    def vote(self, member: MemberId, made: port.Executed, *, phase: int, view: int = 0) -> Vote:
        """A vote as `member` would send it."""
        said = self.statement(made, phase=phase, view=view)
        signature = self.consortium.sign(member, vote_message(self.consortium.suite, said))
        return Vote(said.epoch, said.view, said.phase, said.height, said.block, said.outcome, signature)

    def proposal(self, made: port.Executed, *, view: int = 0) -> Proposal:
        """A proposal as the leader of `view` would send it."""
        leader = self.consortium.members[view % len(self.consortium.members)]
        vote = self.vote(leader, made, phase=1, view=view)
        return Proposal(0, view, made.header, list(made.entries), made.ready.outcome, vote.signature)

    def certificate(
        self, made: port.Executed, *, phase: int = COMMIT, view: int = 0, signers: Sequence[MemberId] | None = None
    ) -> Certificate:
        """A certificate by `signers` (default: everybody), in ascending order."""
        chosen = sorted(self.consortium.members if signers is None else signers)
        votes = {member: self.vote(member, made, phase=phase, view=view) for member in chosen}
        signatures = [SignedBy(member, votes[member].signature) for member in chosen]
        ready = made.ready
        return Certificate(CERTIFICATE_VERSION, phase, 0, view, ready.height, ready.block, ready.outcome, signatures)
