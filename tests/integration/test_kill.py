"""Members killed and paused under load: nothing acknowledged is lost, everything is on every member once."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from zizhu.chain.model.errors import AskedWrongly, ZizhuError
from zizhu.chain.model.ids import LedgerId
from zizhu.framework.sdk.client import Finality, LedgerClient, MemberClient
from zizhu.framework.sdk.http import HttpMember
from zizhu.framework.sdk.keys import Account, known_suite
from zizhu.framework.sdk.transactions import (
    Call,
    Numbers,
    SignedSubmission,
    Target,
    call_body,
    sign_bundle,
    sign_single,
)
from zizhu.framework.testkit.history import History, as_json, longest_silence_ms
from zizhu.framework.testkit.processes.consortium import Consortium, register_consortium
from zizhu.framework.testkit.processes.ledger import register_id
from zizhu.framework.testkit.processes.load import Load
from zizhu.framework.testkit.processes.verdict import checked, noted, settled
from zizhu.framework.testkit.processes.waiting import now_ms, until

FAILOVER_MS_MAX = 3 * 2_000
"""What a dead leader may cost, three times over: a shared machine under full load is no reference machine."""


class Effort(Protocol):
    """What the fixture of tests/conftest.py gives."""

    first: int

    def rounds(self, what: str, *, quick: int, ci: int) -> Iterator[int]: ...


ENGINES = ("pbft", "raft")


@pytest.fixture(params=ENGINES)
def consortium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Consortium]:
    """Four members under PBFT, three under Raft, with the register, running and ready."""
    with register_consortium(tmp_path / "net", engine=request.param) as made:
        made.start()
        yield made


@pytest.fixture
def load(consortium: Consortium, tmp_path: Path) -> Iterator[Load]:
    """Two clients at work."""
    with Load(consortium, tmp_path / "clients") as made:
        made.goes_on()
        yield made


def said(**values: object) -> None:
    """A measurement, for whoever runs with -s."""
    print(as_json(values))


@pytest.mark.row("B-1")
@pytest.mark.counted("kills")
def test_kill_of_any_one_member(consortium: Consortium, load: Load, effort: Effort) -> None:
    """kill -9 of each member in turn, the leader included: write is present after restart; commits go on, a dead
    leader costs at most 2 s (three times that on a shared machine), the member restarted catches up to equal roots,
    and everything acknowledged is on every member exactly once."""
    history = History()
    for number in effort.rounds("kills of one member", quick=1, ci=3):
        turn = number - effort.first
        leader = consortium.leader()
        others = [member for member in consortium.members if member is not leader]
        victim = others[turn // 2 % len(others)] if turn % 2 else leader
        height, killed_ms = consortium.height(), now_ms()
        victim.kill()
        load.goes_on()
        consortium.grows(3)
        again_ms = now_ms()
        gone_on = consortium.height()
        victim.start()
        victim.at_height(gone_on)
        victim.in_state("voting")
        caught_up_ms = now_ms()
        checked(consortium, load, history)
        silent_ms = longest_silence_ms(load.acknowledged(), from_ms=killed_ms, to_ms=again_ms)
        gap_ms = max(
            (
                history.times_ms[at + 1] - history.times_ms[at]
                for at in range(height, gone_on)
                if at + 1 in history.times_ms
            ),
            default=0,
        )
        said(
            killed=victim.name, leader=victim is leader, gap_ms=gap_ms, clients_silent_ms=silent_ms,
            catch_up_ms=caught_up_ms - again_ms, behind=gone_on - height, height=history.height,
        )  # fmt: skip
        assert gap_ms <= FAILOVER_MS_MAX
    settled(consortium, load, history)


@pytest.mark.row("B-1")
@pytest.mark.counted("kills")
def test_kill_of_all_members(consortium: Consortium, load: Load, effort: Effort) -> None:
    """kill -9 of all four at once, and a start: write is present after restart; everything acknowledged is there
    exactly once, and the ledger goes on."""
    history = History()
    for _ in effort.rounds("kills of all members", quick=1, ci=3):
        load.goes_on()
        consortium.kill_all()
        acknowledged = len(load.acknowledged())
        began_ms = now_ms()
        consortium.start()
        ready_ms = now_ms()
        consortium.grows(1)
        load.goes_on(1)
        checked(consortium, load, history)
        said(killed="all", acknowledged=acknowledged, ready_ms=ready_ms - began_ms, height=history.height)
    settled(consortium, load, history)


@pytest.mark.row("B-1")
def test_kill_of_a_single_member_ledger(tmp_path: Path) -> None:
    """n = 1 (solo): what was acknowledged before a kill -9 is present after restart, once."""
    history = History()
    with register_consortium(tmp_path / "net", engine="solo") as consortium:
        consortium.start()
        with Load(consortium, tmp_path / "clients") as load:
            load.goes_on()
            consortium.kill_all()
            consortium.start()
            load.goes_on()
            settled(consortium, load, history)


def test_pause_of_the_leader(consortium: Consortium, load: Load) -> None:
    """A leader that stands still (SIGSTOP: its sockets stay open) costs no more than a dead one, and when it goes on
    it follows the others."""
    history = History()
    leader = consortium.leader()
    height = consortium.height()
    leader.pause()
    others = [member for member in consortium.members if member is not leader]
    others[0].at_height(height + 5)
    leader.resume()
    leader.at_height(height + 5)
    leader.in_state("voting")
    load.goes_on()
    checked(consortium, load, history)
    gap_ms = history.gap_ms(height)
    said(paused=leader.name, gap_ms=gap_ms)
    assert gap_ms <= FAILOVER_MS_MAX
    settled(consortium, load, history)


@pytest.mark.parametrize("consortium", ["raft"], indirect=True)
def test_an_orderly_stop_of_a_raft_leader(consortium: Consortium, load: Load) -> None:
    """A Raft leader that is stopped names its successor: the next leader is there without an election time-out, and
    nothing is lost."""
    history = History()
    leader = consortium.leader()
    assert leader.stop() == 0
    said = leader.facts("lead_handed_over")
    assert len(said) == 1
    load.goes_on()
    taken = [
        each for each in consortium.members for fact in each.facts("leading") if fact["term"] == said[0]["term"] + 1
    ]  # type: ignore[operator]
    assert len(taken) == 1
    leader.start()
    leader.in_state("voting")
    settled(consortium, load, history)


@pytest.mark.row("B-2")
def test_kill_and_loss_of_what_can_be_rebuilt(consortium: Consortium, load: Load) -> None:
    """Index and state are written behind the block log, and each of them, or both, may be missing altogether: replay
    is idempotent, state roots equal."""
    history = History()
    for position, lost in ((1, ("index",)), (2, ("state",)), (-1, ("index", "state"))):
        victim = consortium.members[position]
        victim.kill()
        for name in lost:
            shutil.rmtree(victim.folder / "data" / name)
        load.goes_on(5)
        victim.start()
        victim.in_state("voting")
    settled(consortium, load, history)


class Hand:
    """A client by hand: one account that signs and hands in where a test says."""

    def __init__(self, consortium: Consortium) -> None:
        self._describe = consortium.describe
        network = consortium.network
        self.suite = known_suite(network.suite)
        self.account = Account(self.suite, self.suite.accounts.generate())
        self.target = Target(LedgerId(bytes.fromhex(network.ledger)), self.suite)
        self.contract = register_id(network.suite)
        self.urls = [place.url for place in network.members]

    def signed(self, method: str, *nonces: int, target: Target | None = None) -> SignedSubmission:
        """One transaction, or with several nonces a bundle."""
        target = target or self.target
        arguments = ("hand", "text") if method == "note" else ("hand",)
        call = Call(self.contract, method, arguments)
        bodies = [
            call_body(self.account, target, call, Numbers(nonce=nonce, valid_until_height=1_000_000))
            for nonce in nonces
        ]
        return (
            sign_bundle(self.account, target, bodies)
            if len(bodies) > 1
            else sign_single(self.account, target, bodies[0])
        )

    def member(self, number: int) -> MemberClient:
        """A connection of one's own to a member."""
        return MemberClient(HttpMember(self.urls[number]))

    def finals(self, signed: SignedSubmission) -> list[list[Finality]]:
        """Where the transactions stand, at every member. Raises AssertionError when one is not final in time."""
        found = []
        for number in range(len(self.urls)):
            answers = [self.member(number).finality(id_, wait_ms=20_000) for id_ in signed.ids]
            finals = [answer for answer in answers if isinstance(answer, Finality)]
            assert len(finals) == len(answers), f"not final at member {number}: {answers}\n{self._describe()}"
            found.append(finals)
        return found

    def race(self, signed: SignedSubmission, members: tuple[int, ...]) -> list[ZizhuError | None]:
        """Hands the same bytes to several members at the same moment; how each took it."""
        start = threading.Barrier(len(members))
        outcomes: dict[int, ZizhuError | None] = {}

        def hand_in(number: int) -> None:
            member = self.member(number)
            member.status()
            start.wait()
            try:
                member.submit(signed.raw)
                outcomes[number] = None
            except ZizhuError as error:
                outcomes[number] = error

        threads = [threading.Thread(target=hand_in, args=(number,)) for number in members]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [outcomes[number] for number in members]


@pytest.mark.row("G-4")
@pytest.mark.row("D-4")
def test_the_same_transaction_twice(consortium: Consortium) -> None:
    """Submitted to two members at once, again, and after a restart of all: executed exactly once overall, with the
    same receipt everywhere. One that fails is recorded exactly once. On another ledger it is refused."""
    hand, last = Hand(consortium), len(consortium.members) - 1
    good, bad, bundle = hand.signed("note", 1), hand.signed("refuse", 2), hand.signed("note", 3, 4, 5)
    for signed in (good, bad, bundle):
        assert hand.race(signed, (0, last)) == [None, None]
    before = [hand.finals(signed) for signed in (good, bad, bundle)]
    assert [each[0][0].code for each in before] == ["", "app.refused", ""]
    for finals in before:
        assert all(each == finals[0] for each in finals), "one receipt at all members"
    for signed in (good, bad, bundle):
        assert hand.race(signed, (1, 2)) == [None, None]
    consortium.kill_all()
    consortium.start()
    for signed in (good, bad, bundle):
        assert hand.race(signed, tuple(range(last + 1))) == [None] * (last + 1)
    consortium.grows(1, within_s=90)
    assert [hand.finals(signed) for signed in (good, bad, bundle)] == before
    assert [noted(member, "hand") for member in consortium.members] == [4] * (last + 1)
    history = History()
    history.extend(consortium.members, int(str(consortium.equal()["height"])))
    assert sorted(history.places) == sorted(id_.hex() for signed in (good, bad, bundle) for id_ in signed.ids)
    foreign = hand.signed("note", 6, target=Target(LedgerId(bytes(32)), hand.suite))
    with pytest.raises(AskedWrongly, match="ledger"):
        hand.member(0).submit(foreign.raw)


def test_a_nonce_is_good_once(consortium: Consortium) -> None:
    """Two transactions with one nonce at two members at once: one is executed, on every member the same one."""
    hand = Hand(consortium)
    first, second = hand.signed("note", 1), hand.signed("refuse", 1)
    client = LedgerClient([HttpMember(hand.urls[1])])
    hand.member(0).submit(first.raw)
    try:
        client.send(second, patience_ms=5_000)
    except ZizhuError as error:
        assert error.code.code in ("pool.nonce_used", "pool.nonce_waiting", "sdk.expired", "sdk.not_final")
    history = History()

    def landed() -> int:
        history.extend(consortium.members, int(str(consortium.equal()["height"])))
        return len(history.places)

    until(landed, "one of them stands in a block", explain=consortium.describe)
    consortium.grows(1)
    assert landed() == 1
