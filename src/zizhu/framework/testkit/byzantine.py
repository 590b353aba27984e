"""Members that lie. Each actor stands between an honest machine of its own and the world, with the member's key.

Decides what leaves an actor and what its machine gets to hear. Refuses to judge whether it works: the checkers
judge the others. An actor can sign anything with its own key and nothing with anybody else's.
"""

from typing import TYPE_CHECKING

import msgspec

from zizhu.chain.consensus.pbft import view_change
from zizhu.chain.consensus.pbft.messages import NewView, Proposal, ViewChange, ViewRequest, Vote
from zizhu.chain.crypto.hashing import block_hash, vote_message
from zizhu.chain.model.certificate import COMMIT, PREPARE, Certificate, VoteStatement
from zizhu.chain.model.effects import Send
from zizhu.chain.model.ids import MemberId
from zizhu.chain.model.transaction import Single, Submission
from zizhu.chain.network.messages import (
    Certified,
    CertifiedBlocks,
    Gossip,
    Items,
    Status,
    WholeBlock,
)
from zizhu.chain.node import events
from zizhu.framework.testkit.malform import changed_somewhere
from zizhu.framework.testkit.trace import message_line

if TYPE_CHECKING:
    from zizhu.framework.testkit.member import SimulatedMember
    from zizhu.framework.testkit.simulator import Simulation

KEPT_MAX = 400


class Actor:
    """Honest to the letter: what every other actor starts from."""

    name = "honest"

    def __init__(self, world: "Simulation", member: "SimulatedMember") -> None:
        self.world = world
        self.member = member
        self.draw = world.generator
        self.acts = 0

    @property
    def me(self) -> int:
        """Position."""
        return self.member.position

    def outgoing(self, body: "SimulatedMember", effect: Send) -> None:
        """What the machine wants to send."""
        for peer in effect.peers:
            self.out(body, self.world.position[peer], effect.message)

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        """One message to one peer."""
        self.pass_on(target, message)

    def incoming(self, source: int, event: events.Received) -> None:
        """What the machine gets to hear. Its own lies may make it trip over an assertion: then it is dead."""
        self.hear(self.member, event)

    def hear(self, body: "SimulatedMember", event: events.Event) -> None:
        """Let a machine of this actor hear something."""
        try:
            body.handle(event)
        except AssertionError as error:
            body.stopped = str(error)
            body.machine = None

    def pass_on(self, target: int, message: msgspec.Struct) -> None:
        """Send a well-formed message."""
        frame = self.world.wire.encode(message)
        self.world.pass_on(self.me, target, self.world.wire.decode(frame), message_line(message) + " (actor)")

    def act(self) -> None:
        """Count a misdeed."""
        self.acts += 1

    def vote(self, *, view: int, phase: int, height: int, block: bytes, outcome: bytes) -> Vote:
        """A vote of this member, whatever it voted before."""
        voters = self.world.consortium.voters
        statement = VoteStatement(voters.ledger, 0, view, phase, height, block, outcome)
        signature = self.world.consortium.sign(self.member.id, vote_message(voters.suite, statement))
        return Vote(0, view, phase, height, block, outcome, signature)

    def change(self, view: int, certificate: Certificate | None) -> ViewChange:
        """A VIEW-CHANGE of this member with any certificate."""
        unsigned = ViewChange(0, view, certificate, self.member.id, bytes(64))
        message = view_change.change_message(self.world.consortium.voters, unsigned)
        return msgspec.structs.replace(unsigned, signature=self.world.consortium.sign(self.member.id, message))

    def others(self) -> list[int]:
        """Everybody else."""
        return [position for position in range(len(self.world.members)) if position != self.me]


class Silent(Actor):
    """Says nothing, now and then."""

    name = "silent"

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        if (self.world.heap.now_us // 700_000) % 3:
            self.act()
            return
        self.pass_on(target, message)


class Equivocator(Actor):
    """Two proposals for one height, two votes for both, to different halves."""

    name = "equivocator"

    def outgoing(self, body: "SimulatedMember", effect: Send) -> None:
        message = effect.message
        if isinstance(message, Proposal) and message.entries and self.draw.randrange(2):
            self._two(effect, message)
        else:
            super().outgoing(body, effect)

    def _two(self, effect: Send, message: Proposal) -> None:
        self.act()
        header = msgspec.structs.replace(message.header, time_ms=message.header.time_ms + 1)
        suite = self.world.consortium.suite
        pairs = [(message.header, block_hash(suite, message.header)), (header, block_hash(suite, header))]
        for peer in effect.peers:
            target = self.world.position[peer]
            for which in self.draw.choice(((0,), (1,), (0, 1), (1, 0))):
                head, block = pairs[which]
                vote = self.vote(
                    view=message.view, phase=PREPARE, height=head.height, block=block, outcome=message.outcome
                )
                self.pass_on(target, msgspec.structs.replace(message, header=head, signature=vote.signature))
        for _, block in pairs:
            for target in self.others():
                if self.draw.randrange(3):
                    self.pass_on(target, self.vote(
                        view=message.view, phase=COMMIT, height=message.header.height, block=block,
                        outcome=message.outcome))  # fmt: skip


class Accomplice(Actor):
    """Votes for everything it hears of, in both phases, to whom it likes."""

    name = "accomplice"

    def incoming(self, source: int, event: events.Received) -> None:
        message = event.message
        if isinstance(message, Vote):
            self._support(message.view, message.height, message.block, message.outcome)
        elif isinstance(message, Proposal):
            block = block_hash(self.world.consortium.suite, message.header)
            self._support(message.view, message.header.height, block, message.outcome)
        super().incoming(source, event)

    def _support(self, view: int, height: int, block: bytes, outcome: bytes) -> None:
        self.act()
        for phase in (PREPARE, COMMIT):
            vote = self.vote(view=view, phase=phase, height=height, block=block, outcome=outcome)
            for target in self.others():
                if self.draw.randrange(3) == 0:
                    self.pass_on(target, vote)


class LyingChanger(Actor):
    """Starts changes of view and carries an older certificate than it has, or none."""

    name = "lying_changer"

    def __init__(self, world: "Simulation", member: "SimulatedMember") -> None:
        super().__init__(world, member)
        self.certificates: list[Certificate | None] = [None]

    def incoming(self, source: int, event: events.Received) -> None:
        message = event.message
        if isinstance(message, ViewChange) and message.certificate is not None:
            self.certificates.append(message.certificate)
            del self.certificates[1:-50]
            if self.draw.randrange(3) == 0:
                self._lie(message.view)
        if isinstance(message, NewView):
            self.certificates += [each.certificate for each in message.changes if each.certificate is not None]
            if self.draw.randrange(4) == 0:
                self._lie(message.view + 1)
        super().incoming(source, event)

    def _lie(self, view: int) -> None:
        self.act()
        for target in self.others():
            fitting = [each for each in self.certificates if each is None or each.view < view]
            self.pass_on(target, self.change(view, self.draw.choice(fitting)))

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        if isinstance(message, ViewChange) and self.draw.randrange(2):
            self.act()
            fitting = [each for each in self.certificates if each is None or each.view < message.view]
            message = self.change(message.view, self.draw.choice(fitting))
        self.pass_on(target, message)


class Twin(Actor):
    """Two copies of the member with the same key and a disk each; every peer talks more to one of them."""

    name = "twin"

    def __init__(self, world: "Simulation", member: "SimulatedMember") -> None:
        super().__init__(world, member)
        from zizhu.framework.testkit.member import SimulatedMember

        self.second = SimulatedMember(world, member.position, member.id)
        self.second.name = member.name + "'"
        self.sides = {position: self.draw.randrange(2) for position in self.others()}

    def _second(self) -> "SimulatedMember":
        if self.second.machine is None and not self.second.stopped:
            self.second.start()
        return self.second

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        mine = 0 if body is self.member else 1
        if self.sides[target] == mine or self.draw.randrange(6) == 0:
            self.act()
            self.pass_on(target, message)

    def incoming(self, source: int, event: events.Received) -> None:
        if self.draw.randrange(50) == 0:
            self.sides[source] = self.draw.randrange(2)
        if self.sides[source] == 0 or self.draw.randrange(2):
            self.hear(self.member, event)
        if self.sides[source] == 1 or self.draw.randrange(2):
            self.hear(self._second(), event)


class Forger(Actor):
    """Changes a field of a message, sometimes signing what it changed, sometimes only the bytes."""

    name = "forger"

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        choice = self.draw.randrange(4)
        if choice == 0:
            self.act()
            frame = bytearray(self.world.wire.encode(message))
            frame[self.draw.randrange(len(frame))] ^= 1 << self.draw.randrange(8)
            self.world.pass_bytes(self.me, target, bytes(frame))
        elif choice == 1:
            self.act()
            forged = self._signed(changed_somewhere(message, self.draw))
            self.world.pass_bytes(self.me, target, msgspec.msgpack.encode(forged))
        else:
            self.pass_on(target, message)

    def _signed(self, message: msgspec.Struct) -> msgspec.Struct:
        """What it changed, signed where one's own key is enough."""
        if isinstance(message, Vote) and self.draw.randrange(2):
            return self.vote(
                view=message.view, phase=message.phase, height=message.height, block=message.block,
                outcome=message.outcome,
            )  # fmt: skip
        if isinstance(message, Proposal) and self.draw.randrange(2):
            block = block_hash(self.world.consortium.suite, message.header)
            vote = self.vote(
                view=message.view, phase=PREPARE, height=message.header.height, block=block, outcome=message.outcome
            )
            return msgspec.structs.replace(message, signature=vote.signature)
        return message


class Replayer(Actor):
    """Says again what it or others said long ago."""

    name = "replayer"

    def __init__(self, world: "Simulation", member: "SimulatedMember") -> None:
        super().__init__(world, member)
        self.kept: list[msgspec.Struct] = []

    def _keep(self, message: msgspec.Struct) -> None:
        if len(self.kept) < KEPT_MAX:
            self.kept.append(message)
        else:
            self.kept[self.draw.randrange(KEPT_MAX)] = message

    def incoming(self, source: int, event: events.Received) -> None:
        self._keep(event.message)
        if self.draw.randrange(3) == 0:
            self.act()
            self.pass_on(self.draw.choice(self.others()), self.draw.choice(self.kept))
        super().incoming(source, event)

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        self._keep(message)
        self.pass_on(target, message)


class Withholder(Actor):
    """Proposes what only it holds, and gives no bodies to anybody, or to one member only."""

    name = "withholder"

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        favourite = (self.me + 1) % len(self.world.members)
        if isinstance(message, Gossip | Items | WholeBlock) and target != favourite:
            self.act()
            return
        self.pass_on(target, message)


class SyncLiar(Actor):
    """Serves altered blocks and boasts of heights it has not."""

    name = "sync_liar"

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        if isinstance(message, Status) and self.draw.randrange(2):
            self.act()
            message = msgspec.structs.replace(message, height=message.height + self.draw.choice((1, 5, 1 << 40)))
        elif isinstance(message, CertifiedBlocks) and message.blocks:
            self.act()
            message = self._altered(message)
        elif isinstance(message, WholeBlock) and message.body is not None and self.draw.randrange(2):
            self.act()
            header = msgspec.structs.replace(message.body.header, time_ms=message.body.header.time_ms + 1)
            message = msgspec.structs.replace(message, body=msgspec.structs.replace(message.body, header=header))
        self.pass_on(target, message)

    def _altered(self, message: CertifiedBlocks) -> CertifiedBlocks:
        blocks = list(message.blocks)
        match self.draw.randrange(5):
            case 0:
                blocks.reverse()
            case 1:
                blocks = []
            case 2:
                at = self.draw.randrange(len(blocks))
                blocks[at] = Certified(blocks[at].block, blocks[at - 1].certificate)
            case 3:
                at = self.draw.randrange(len(blocks))
                blocks[at] = Certified(msgspec.structs.replace(blocks[at].block, items=[]), blocks[at].certificate)
            case _:
                at = self.draw.randrange(len(blocks))
                certificate = blocks[at].certificate
                signatures = [certificate.signatures[0]] * len(certificate.signatures)
                blocks[at] = Certified(
                    blocks[at].block, msgspec.structs.replace(certificate, signatures=signatures)
                )  # fmt: skip
        return CertifiedBlocks(message.start, blocks)


class HugeViews(Actor):
    """Announces views far above everybody's, again and again (row A-2)."""

    name = "huge_views"

    def incoming(self, source: int, event: events.Received) -> None:
        if self.draw.randrange(10) == 0:
            self.act()
            view = self.draw.choice((3, 50, 1_000_000, (1 << 53) - 1))
            message: msgspec.Struct = self.draw.choice((
                self.change(view, None),
                self.vote(view=view, phase=PREPARE, height=1, block=bytes(32), outcome=bytes(32)),
                ViewRequest(0, view, "forged"),
            ))  # fmt: skip
            for target in self.others():
                self.pass_on(target, message)
        super().incoming(source, event)


class Censor(Actor):
    """Never puts one client's transactions into a block: it does not hear of them."""

    name = "censor"

    def incoming(self, source: int, event: events.Received) -> None:
        message = event.message
        if isinstance(message, Gossip):
            kept = [each for each in message.submissions if self.world.kind.sender(each) % 4]
            if len(kept) < len(message.submissions):
                self.act()
            if not kept:
                return
            event = events.Received(event.peer, Gossip(kept))
        super().incoming(source, event)


class Spoiler(Actor):
    """Passes its clients' submissions on with a broken signature, so that the id may be held against them (P-8)."""

    name = "spoiler"

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        if isinstance(message, Gossip):
            self.act()
            message = Gossip([_spoilt(each) for each in message.submissions])
        self.pass_on(target, message)


def _spoilt(item: Submission) -> Submission:
    """The same bodies under a signature that is wrong."""
    if isinstance(item, Single):
        return msgspec.structs.replace(item, signature=bytes(64))
    header = msgspec.structs.replace(item.header, signature=bytes(64))
    return msgspec.structs.replace(item, header=header)


class Delayer(Actor):
    """Everything it says comes just under the first time-out."""

    name = "delayer"

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        self.act()
        self.world.heap.after(self.draw.randrange(150_000, 450_000), lambda: self.pass_on(target, message))


class TwoFaced(Actor):
    """Talks to a quorum's worth of the others only, another choice every second."""

    name = "two_faced"

    def out(self, body: "SimulatedMember", target: int, message: msgspec.Struct) -> None:
        second = self.world.heap.now_us // 1_000_000
        if (target + second) % len(self.world.members) in (0, 1):
            self.act()
            return
        self.pass_on(target, message)


_ALL: tuple[type[Actor], ...] = (
    Silent, Equivocator, Accomplice, LyingChanger, Twin, Forger, Replayer, Withholder, SyncLiar, HugeViews, Censor,
    Spoiler, Delayer, TwoFaced,
)  # fmt: skip
_BY_NAME = {each.name: each for each in _ALL}
ACTORS = tuple(_BY_NAME)


def make_actor(name: str, world: "Simulation", member: "SimulatedMember") -> Actor:
    """The actor of this name, standing before `member`."""
    return _BY_NAME[name](world, member)


def member_ids(world: "Simulation", positions: list[int]) -> list[MemberId]:
    """Ids of members by position."""
    return [world.consortium.members[position] for position in positions]
