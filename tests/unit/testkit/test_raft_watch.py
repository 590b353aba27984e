"""The watch of Raft finds each kind of wrong: it is fed with what members write and say, by hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import pytest

from zizhu.chain.consensus.port import EngineStatus
from zizhu.chain.consensus.raft.messages import (
    Append,
    Appended,
    AppendReply,
    Ballot,
    BallotReply,
    Endorsed,
    Endorsement,
    Entry,
    Install,
    Installed,
    Turned,
)
from zizhu.chain.crypto.hashing import block_hash, vote_message
from zizhu.chain.model.block import VERSION, Block, BlockHeader
from zizhu.chain.model.certificate import COMMIT, Certificate, SignedBy, VoteStatement
from zizhu.chain.model.certificate import VERSION as CERTIFICATE_VERSION
from zizhu.chain.model.effects import Persist, Record, Send, Sign
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import ZERO_HASH, MemberId
from zizhu.framework.testkit.consortium import found
from zizhu.framework.testkit.engines import engine_state
from zizhu.framework.testkit.facts import Violation, quorum_by_hand
from zizhu.framework.testkit.faults import Plan, draw_plan
from zizhu.framework.testkit.kinds import SmallKind
from zizhu.framework.testkit.simulate import KINDS
from zizhu.framework.testkit.simulator import Simulation
from zizhu.framework.testkit.small_chain import Adopted, Held

A, B, C = 0, 1, 2


@dataclass(frozen=True)
class Made:
    """A block of the test and what a member holds of it."""

    header: BlockHeader
    hash: bytes
    outcome: bytes

    def endorsement(self) -> Endorsement:
        return Endorsement(self.header.height, self.hash, self.outcome, bytes(64))


class Scene:
    """Members in term 1 that run no engine: the test writes their records and says their words."""

    def __init__(self, size: int = 3) -> None:
        kind = SmallKind("raft")
        self.world = Simulation(kind, Plan(seed=0, size=size, classes=(), consensus=kind.consensus))
        self.checkers = self.world.checkers
        self.parent = bytes(self.world.consortium.ledger)
        for position in range(size):
            self.write(position, Turned(0, 1, self.id(A)))

    def id(self, position: int) -> MemberId:
        return self.world.consortium.members[position]

    def block(self, height: int, *, time_ms: int = 1, parent: bytes | None = None) -> Made:
        header = BlockHeader(
            version=VERSION, ledger=self.world.consortium.ledger, epoch=0, epoch_record=ZERO_HASH, height=height,
            parent=parent or self.parent, parent_outcome=ZERO_HASH, time_ms=time_ms, proposer=self.id(A), count=0,
            transaction_root=ZERO_HASH, witness_root=ZERO_HASH,
        )  # fmt: skip
        hash_ = block_hash(self.world.consortium.suite, header)
        return Made(header, hash_, self.world.consortium.suite.hash(b"outcome", hash_))

    def write(self, position: int, *records: msgspec.Struct) -> None:
        """Vote log records become durable."""
        self._persist(position, [Record("votes", encode(each)) for each in records])

    def hold(self, position: int, *made: Made) -> None:
        """Blocks become durable."""
        self._persist(position, [Record("blocks", encode(Held(Block(each.header, [])))) for each in made])

    def adopt(self, position: int, certificate: Certificate) -> None:
        """A member commits."""
        self._persist(position, [Record("blocks", encode(Adopted(certificate)))])

    def _persist(self, position: int, records: Sequence[Record]) -> None:
        effect = Persist(tuple(records))
        self.checkers.issued(self.world.members[position], effect)
        self.checkers.durable(self.world.members[position], effect)

    def say(self, position: int, target: int, message: msgspec.Struct) -> None:
        self.checkers.sent(self.world.members[position], Send((self.id(target),), message))

    def message(self, made: Made, *, view: int = 0) -> bytes:
        voters = self.world.consortium.voters
        statement = VoteStatement(voters.ledger, 0, view, COMMIT, made.header.height, made.hash, made.outcome)
        return vote_message(voters.suite, statement)

    def sign(self, position: int, made: Made) -> None:
        """A member writes down that it signs a block, and signs it."""
        self.write(position, Endorsed(0, made.header.height, made.hash, made.outcome))
        self.checkers.signing(self.world.members[position], Sign(b"", self.message(made)))

    def certificate(self, made: Made, *positions: int, view: int = 0) -> Certificate:
        message = self.message(made, view=view)
        ids = sorted(self.id(position) for position in positions)
        signatures = [SignedBy(each, self.world.consortium.sign(each, message)) for each in ids]
        height = made.header.height
        return Certificate(CERTIFICATE_VERSION, COMMIT, 0, view, height, made.hash, made.outcome, signatures)

    def grown(self, position: int, made: Made, *, index: int, term: int = 1) -> None:
        """A member holds a block, and its entry."""
        self.hold(position, made)
        self.write(position, Appended(0, index, term, made.header.height, made.hash))


def entry(made: Made, *, term: int = 1) -> Entry:
    """As an append carries it."""
    return Entry(term, made.header.height, made.hash, None, [])


def append(*entries: Entry, term: int = 1, behind: int = 0, behind_term: int = 0) -> Append:
    """An append of the leader of a term."""
    return Append(0, term, behind, behind_term, list(entries), 0, 0, [])


def reply(match: int, *endorsements: Endorsement, term: int = 1, agreed: bool = True) -> AppendReply:
    """The answer to an append."""
    return AppendReply(0, term, agreed, match, 0, list(endorsements))


def granted(term: int) -> BallotReply:
    """A vote."""
    return BallotReply(0, term, False, True)


def broken(act: Callable[[], None]) -> str:
    """The check that an act breaks."""
    with pytest.raises(Violation) as caught:
        act()
    return caught.value.check


def replicated(scene: Scene, *, height: int = 1) -> Made:
    """A block that A leads with and B acknowledges in term 1: a majority of three."""
    made = scene.block(height)
    scene.grown(A, made, index=1)
    scene.grown(B, made, index=1)
    scene.say(A, B, append(entry(made)))
    scene.say(B, A, reply(1))
    return made


# -- elections -------------------------------------------------------------------------------------------------


def test_two_votes_in_one_term_are_found() -> None:
    """A member never grants two candidates its vote in one term; that it asked for votes itself is a vote, and a
    restart that lost nothing changes nothing."""
    scene = Scene()
    scene.write(A, Turned(0, 2, scene.id(B)))
    scene.say(A, B, granted(2))
    scene.say(A, B, granted(2))
    scene.write(A, Turned(0, 2, scene.id(C)))
    assert broken(lambda: scene.say(A, C, granted(2))) == "no double vote"
    scene.write(A, Turned(0, 2, scene.id(A)))
    assert broken(lambda: scene.say(A, C, Ballot(0, 2, 0, 0, False, False))) == "no double vote"
    scene.write(C, Turned(0, 2, scene.id(C)))
    scene.say(C, A, Ballot(0, 2, 0, 0, False, False))
    scene.write(C, Turned(0, 2, scene.id(A)))
    assert broken(lambda: scene.say(C, A, granted(2))) == "no double vote"


def test_a_vote_without_its_record_is_found() -> None:
    """Before a Raft vote or term leaves, its vote record is durable; a pre-vote promises nothing and needs none."""
    scene = Scene()
    scene.say(A, B, Ballot(0, 2, 0, 0, True, False))
    scene.say(A, B, BallotReply(0, 2, True, True))
    scene.say(A, B, BallotReply(0, 9, False, False))
    assert broken(lambda: scene.say(A, B, granted(2))) == "nothing undurable leaves"
    scene.write(B, Turned(0, 2, None))
    assert broken(lambda: scene.say(B, A, Ballot(0, 2, 0, 0, False, False))) == "nothing undurable leaves"
    scene.write(C, Turned(0, 2, scene.id(C)))
    scene.say(C, A, Ballot(0, 2, 0, 0, False, False))


def test_a_record_lost_in_a_crash_does_not_count() -> None:
    """What a vote log does not say after a restart was not durable: the log is read again from its start."""
    scene = Scene()
    scene.write(A, Turned(0, 2, scene.id(B)))
    scene.checkers.watch.booted(scene.world.members[A])
    assert broken(lambda: scene.say(A, B, granted(2))) == "nothing undurable leaves"


def test_two_leaders_in_one_term_are_found() -> None:
    """Only one honest member sends appends or installs in a term."""
    scene = Scene()
    scene.say(A, B, append())
    scene.say(A, C, Install(0, 1, 5, 1, 5))
    assert broken(lambda: scene.say(B, A, append())) == "one leader a term"
    assert broken(lambda: scene.say(C, A, Install(0, 1, 5, 1, 5))) == "one leader a term"
    scene.write(B, Turned(0, 2, scene.id(B)))
    scene.say(B, A, append(term=2))


def test_words_in_an_undurable_or_past_term_are_found() -> None:
    """Before a term leaves it is durable; and who turned to a newer term leads and acknowledges in no older one."""
    scene = Scene()
    assert broken(lambda: scene.say(A, B, append(term=2))) == "nothing undurable leaves"
    assert broken(lambda: scene.say(B, A, reply(0, term=2))) == "nothing undurable leaves"
    scene.write(C, Turned(0, 3, None))
    assert broken(lambda: scene.say(C, A, reply(0, term=2))) == "a term ends those below it"
    scene.say(C, A, reply(0, term=2, agreed=False))
    scene.say(C, A, reply(0, term=3))


# -- logs ------------------------------------------------------------------------------------------------------


def test_an_acknowledgement_beyond_the_durable_log_is_found() -> None:
    """Before a Raft ack leaves, the entry is durable with its bodies; what an entry cuts off is gone."""
    scene = Scene(size=5)
    one, two = scene.block(1), scene.block(2)
    scene.write(B, Appended(0, 1, 1, 1, one.hash))
    assert broken(lambda: scene.say(B, A, reply(2))) == "nothing undurable leaves"
    assert broken(lambda: scene.say(B, A, reply(1))) == "nothing undurable leaves"
    scene.hold(B, one, two)
    scene.say(B, A, reply(1))
    scene.write(B, Appended(0, 2, 1, 2, two.hash))
    scene.say(B, A, reply(2))
    scene.write(B, Turned(0, 2, None), Appended(0, 1, 2, 0, None))
    assert broken(lambda: scene.say(B, A, reply(2, term=2))) == "nothing undurable leaves"
    scene.say(B, A, reply(1, term=2))


def test_a_gap_in_the_log_is_no_log() -> None:
    """Everything up to `match` is durable: an entry behind a missing one is not reached."""
    scene = Scene()
    scene.grown(B, scene.block(2), index=2)
    assert broken(lambda: scene.say(B, A, reply(2))) == "nothing undurable leaves"


def test_an_installed_log_needs_its_certificates() -> None:
    """The log begins behind an index: up to there it is the certified chain, which is durable here. What stood
    behind the index stays if it grew on that very entry."""
    scene = Scene()
    one = replicated(scene)
    scene.grown(C, one, index=1)
    two = scene.block(2, parent=one.hash)
    scene.grown(C, two, index=2)
    scene.write(C, Installed(0, 1, 1, 1))
    assert broken(lambda: scene.say(C, A, reply(2))) == "nothing undurable leaves"
    scene.adopt(C, scene.certificate(one, A, B))
    scene.say(C, A, reply(2))
    scene.grown(C, scene.block(3, parent=two.hash), index=3)
    scene.say(C, A, reply(3))
    scene.write(C, Installed(0, 2, 7, 1))
    assert broken(lambda: scene.say(C, A, reply(3))) == "nothing undurable leaves"


def test_an_append_before_it_is_durable_is_found() -> None:
    """An append with entries leaves when those are durable at the leader, blocks included."""
    scene = Scene()
    made = scene.block(1)
    assert broken(lambda: scene.say(A, B, append(entry(made)))) == "nothing undurable leaves"
    scene.write(A, Appended(0, 1, 1, 1, made.hash))
    assert broken(lambda: scene.say(A, B, append(entry(made)))) == "nothing undurable leaves"
    scene.hold(A, made)
    scene.say(A, B, append(entry(made)))
    other = scene.block(1, time_ms=2)
    assert broken(lambda: scene.say(A, B, append(entry(other)))) == "nothing undurable leaves"


def test_logs_that_do_not_match_are_found() -> None:
    """(index, term) determines the block, its height, and what the entry stands on."""
    scene = Scene()
    one, other = scene.block(1), scene.block(1, time_ms=2)
    scene.write(A, Appended(0, 1, 1, 1, one.hash))
    assert broken(lambda: scene.write(B, Appended(0, 1, 1, 1, other.hash))) == "log matching"
    assert broken(lambda: scene.write(B, Appended(0, 1, 1, 2, one.hash))) == "log matching"
    scene.write(A, Appended(0, 2, 3, 1, None))
    scene.write(C, Appended(0, 1, 2, 0, None))
    assert broken(lambda: scene.write(C, Appended(0, 2, 3, 1, None))) == "log matching"


def test_an_acknowledgement_of_another_log_is_found() -> None:
    """Everything up to `match` agrees with the leader's log."""
    scene = Scene()
    scene.write(C, Appended(0, 1, 1, 0, None))
    scene.write(B, Turned(0, 2, scene.id(B)), Appended(0, 1, 2, 0, None))
    scene.say(B, C, append(Entry(2, 0, None, None, []), term=2))
    scene.write(C, Turned(0, 2, None))
    assert broken(lambda: scene.say(C, B, reply(1, term=2))) == "log matching"


# -- signatures ------------------------------------------------------------------------------------------------


def test_a_signature_is_of_what_is_committed() -> None:
    """A member signs a block only after a majority acknowledged its entry to one leader."""
    scene = Scene()
    made = scene.block(1)
    scene.grown(A, made, index=1)
    assert broken(lambda: scene.sign(A, made)) == "signed only when committed"
    scene = Scene()
    made = replicated(scene)
    scene.sign(A, made)
    scene.sign(B, made)
    scene.say(B, A, reply(1, made.endorsement()))


def test_figure_8_is_found() -> None:
    """An entry of an old term that stands on a majority is not committed by that, only by one of the leader's own
    term above it: nobody signs it before."""
    scene = Scene()
    made = scene.block(1)
    scene.grown(A, made, index=1, term=1)
    scene.write(A, Turned(0, 3, scene.id(A)))
    scene.say(A, B, append(entry(made), term=3))
    scene.grown(B, made, index=1, term=1)
    scene.write(B, Turned(0, 3, None))
    scene.say(B, A, reply(1, term=3))
    assert broken(lambda: scene.sign(B, made)) == "signed only when committed"
    scene = Scene()
    made = scene.block(1)
    for position in (A, B):
        scene.grown(position, made, index=1, term=1)
        scene.write(position, Turned(0, 3, scene.id(A)), Appended(0, 2, 3, 1, None))
    scene.say(B, A, reply(2, term=3))
    scene.sign(B, made)


def test_two_logs_committed_are_found() -> None:
    """What is committed at an index is never another entry."""
    scene = Scene()
    replicated(scene)
    other = scene.block(1, time_ms=2)
    for position in (B, C):
        scene.hold(position, other)
        scene.write(position, Turned(0, 2, scene.id(C)), Appended(0, 1, 2, 1, other.hash))
    assert broken(lambda: scene.say(B, C, reply(1, term=2))) == "agreement"


def test_two_signatures_at_one_height_are_found() -> None:
    """At most one block a height, for ever; and all honest members sign the same one."""
    scene = Scene()
    made = replicated(scene)
    scene.sign(A, made)
    other = scene.block(1, time_ms=2)
    assert broken(lambda: scene.sign(A, other)) == "no double vote"
    assert broken(lambda: scene.sign(B, other)) == "agreement"


def test_a_signature_beside_the_chain_is_found() -> None:
    """Endorsements equal what is committed."""
    scene = Scene(size=4)
    scene.checkers.faulty[scene.id(3)] = True
    made = scene.block(1)
    scene.checkers.chain[1] = (made.hash, made.outcome)
    other = scene.block(1, time_ms=2)
    assert broken(lambda: scene.sign(A, other)) == "agreement"


def test_a_signature_without_record_or_bodies_is_found() -> None:
    """The signature record is in the vote log before anything is signed, or an endorsement leaves."""
    scene = Scene()
    made = replicated(scene)
    unsigned = Sign(b"", scene.message(made))
    assert broken(lambda: scene.checkers.signing(scene.world.members[A], unsigned)) == "nothing undurable leaves"
    assert broken(lambda: scene.say(B, A, reply(1, made.endorsement()))) == "nothing undurable leaves"
    scene.write(C, Appended(0, 1, 1, 1, made.hash))
    assert broken(lambda: scene.sign(C, made)) == "nothing undurable leaves"


def test_a_certified_block_may_be_signed_by_whoever_holds_it() -> None:
    """What some member committed on a valid certificate is committed: no log need say so again."""
    scene = Scene()
    made = replicated(scene)
    scene.adopt(A, scene.certificate(made, A, B))
    scene.hold(C, made)
    scene.sign(C, made)


# -- certificates ----------------------------------------------------------------------------------------------


def test_a_majority_certifies_and_less_does_not() -> None:
    """floor(n/2)+1 signatures are the certificate, of view 0."""
    scene = Scene()
    made = replicated(scene)
    assert broken(lambda: scene.adopt(C, scene.certificate(made, A))) == "every certificate is valid"
    scene = Scene()
    made = replicated(scene)
    assert broken(lambda: scene.adopt(A, scene.certificate(made, A, B, view=1))) == "every certificate is valid"
    scene = Scene()
    made = replicated(scene)
    scene.adopt(A, scene.certificate(made, A, B))


def test_a_certificate_of_another_block_than_was_signed_is_found() -> None:
    """All honest endorsements of a height name one block, and it is what is committed."""
    scene = Scene()
    made = replicated(scene)
    scene.sign(A, made)
    other = scene.block(1, time_ms=2)
    scene.hold(C, other)
    assert broken(lambda: scene.adopt(C, scene.certificate(other, B, C))) == "agreement"


def test_a_member_whose_disk_is_lost_is_not_judged() -> None:
    """Faulty are those whose disk is lost: nothing is expected of them, their words are heard."""
    scene = Scene()
    scene.checkers.faulty[scene.id(B)] = True
    scene.say(B, A, granted(9))
    scene.say(B, A, reply(5, term=4))
    scene.checkers.wiped(scene.world.members[B])


@pytest.mark.parametrize("size", range(3, 14))
def test_certificates_are_counted_by_hand_as_the_product_counts_them(size: int) -> None:
    """floor(n/2)+1 under Raft and floor((n+f)/2)+1 under PBFT, here and in the product."""
    assert quorum_by_hand("raft", size) == found(size, engine="raft").voters.needed
    if size > 3:
        assert quorum_by_hand("pbft", size) == found(size).voters.needed


# -- plans and states ------------------------------------------------------------------------------------------


def test_plans_of_raft_have_no_liars() -> None:
    """Under Raft members crash and lose disks, at most floor((n-1)/2) of these; 3 to 7 members."""
    plans = [draw_plan(seed, "raft") for seed in range(400)]
    assert not any(plan.actors for plan in plans)
    assert all(len(plan.spoilt) <= plan.tolerated == (plan.size - 1) // 2 for plan in plans)
    assert sorted({plan.size for plan in plans}) == [3, 4, 5, 6, 7]
    assert all(len(plan.spoilt) <= (plan.size % 2 == 0) for plan in plans), "majorities share more than one member"
    assert any(plan.spoilt for plan in plans)


def test_kinds_play_the_engine_they_are_named_after() -> None:
    """`small-raft` and `whole-raft` stand beside `small` and `whole`, and speak Raft."""
    engines = {name: make().consensus for name, make in KINDS.items()}
    assert engines == {"whole": "pbft", "small": "pbft", "whole-raft": "raft", "small-raft": "raft"}
    for name, make in KINDS.items():
        if name.endswith("raft"):
            wire = make().wire()
            assert wire.decode(wire.encode(reply(1))) == reply(1)


def test_states_of_raft() -> None:
    """A member under Raft leads, follows or elects, unless it recalls or has lost its memory."""
    me, other = MemberId(bytes(31) + b"1"), MemberId(bytes(31) + b"2")

    def state(leader: MemberId, *, active: bool = True, reason: str = "") -> str:
        return engine_state(EngineStatus("raft", 3, active, leader, not reason, reason), me)

    assert state(me) == "leading"
    assert state(other) == "following"
    assert state(me, active=False) == "electing"
    assert state(other, reason="recalling") == "recalling"
    assert state(other, reason="memory_lost") == "memory lost"
