"""Whole nodes stepped in an order that one seed draws: any letter, any timer, crashes, cuts; then the network heals.

Decides nothing about time-outs in the disordered phase: timers fire when the dice say so, which reaches orders that
a simulated clock makes rare. Afterwards timers fire when they are due, and a transaction must become final.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

from zizhu.chain.model.ids import MemberId
from zizhu.chain.node import events
from zizhu.framework.testkit.council import Letter
from zizhu.framework.testkit.node_council import NodeCouncil, NodeSeat

STEPS = 500
ACCOUNTS = 12
HEALING_MS_MAX = 60_000
TICK_MS = 25
LETTERS_A_TICK = 400


@dataclass
class Shuffled:
    """One seed. `play` raises AssertionError for a fork or a stall, naming the seed."""

    seed: int
    size: int = 4
    nonces: Counter[int] = field(default_factory=Counter)
    due_ms: dict[tuple[MemberId, str], int] = field(default_factory=dict)

    def play(self) -> int:
        """Disorder, then healing; returns how many milliseconds the healing took."""
        self._dice = random.Random(self.seed)
        self._council = NodeCouncil(self.size).start()
        self._loss = self._dice.choice([0, 0.05, 0.2, 0.4])
        self._crashes = self._dice.choice([0, 0.07, 0.3])
        cut: NodeSeat | None = None
        for number in range(STEPS):
            if number % 60 == 0:
                cut = self._dice.choice([None, *self._council.seats])
            self._disorder(cut)
        up = self._heal()
        took_ms = self._becomes_final(up)
        self._one_chain()
        return took_ms

    # -- disorder ----------------------------------------------------------------------------------------------

    def _disorder(self, cut: NodeSeat | None) -> None:
        drawn = self._dice.random()
        if drawn < 0.72:
            self._hand(cut)
        elif drawn < 0.86:
            self._fire()
        elif drawn < 0.97:
            self._submit()
        elif self._dice.random() < self._crashes:
            self._crash_or_restart()

    def _hand(self, cut: NodeSeat | None) -> None:
        """The first letter of some link, or it is lost."""
        first: dict[tuple[MemberId, MemberId], Letter] = {}
        for letter in self._council.mail:
            first.setdefault((letter.source, letter.target), letter)
        if not first:
            self._council.pass_ms(5)
            return
        letter = self._dice.choice(list(first.values()))
        self._council.mail.remove(letter)
        seat = self._council.by_id[letter.target]
        is_cut = cut is not None and cut.id in (letter.source, letter.target) and self._dice.random() < 0.8
        if not (seat.down or is_cut or self._dice.random() < self._loss):
            seat.tell(events.Received(letter.source, letter.message))

    def _fire(self) -> None:
        self._council.pass_ms(self._dice.choice([1, 10, 30, 100]))
        waiting = [seat for seat in self._council.seats if not seat.down and seat.timers]
        if waiting:
            seat = self._dice.choice(waiting)
            timer = self._dice.choice(sorted(seat.timers))
            spared = {"engine:idle": 0.9, "engine:view": 0.7}.get(timer, 0.0)
            if self._dice.random() >= spared:
                seat.fire(timer)

    def _submit(self) -> None:
        seat = self._dice.choice(self._council.seats)
        if not seat.down:
            account = self._dice.randrange(ACCOUNTS)
            self.nonces[account] += 1
            seat.submit(self._council.call(account, self.nonces[account]))

    def _crash_or_restart(self) -> None:
        faults = (self.size - 1) // 3
        seat = self._dice.choice(self._council.seats)
        if seat.down:
            seat.restart()
        elif sum(each.down for each in self._council.seats) < self._dice.choice([faults, faults, self.size]):
            self._crash(seat)

    def _crash(self, seat: NodeSeat) -> None:
        seat.crash()
        self._council.mail = [one for one in self._council.mail if seat.id not in (one.source, one.target)]

    # -- healing -----------------------------------------------------------------------------------------------

    def _heal(self) -> list[NodeSeat]:
        """All are up again, but for one at most; links stand, nothing is lost any more."""
        seats = self._council.seats
        absent = self._dice.choice([None, None, *seats])
        for seat in seats:
            if seat is absent and not seat.down:
                self._crash(seat)
            elif seat is not absent and seat.down:
                seat.restart()
        self._council.mail = [one for one in self._council.mail if not self._council.by_id[one.target].down]
        up = [seat for seat in seats if not seat.down]
        for seat in up:
            for other in up:
                if other is not seat:
                    seat.tell(events.LinkChanged(other.id, up=True))
        return up

    def _becomes_final(self, up: list[NodeSeat]) -> int:
        """A transaction handed to one member is final at all of them, and no pool holds anything any more."""
        began_ms = self._council.now.monotonic_ms
        wanted = None
        while (took_ms := self._council.now.monotonic_ms - began_ms) < HEALING_MS_MAX:
            self._pass_tick(up)
            if wanted is None and took_ms > 500:
                self.nonces[0] += 1
                call = self._council.call(0, self.nonces[0])
                up[0].submit(call)
                wanted = self._council.id_of(up[0], call)
            elif wanted is not None and all(
                seat.machine.archive.locate(wanted) and not seat.machine.pool.waiting for seat in up
            ):
                return took_ms
        told = [(seat.height, seat.machine.status(), seat.machine.pool.waiting) for seat in up]
        raise AssertionError(f"seed {self.seed}, {self.size} members: stuck for {took_ms} ms: {told}")

    def _pass_tick(self, up: list[NodeSeat]) -> None:
        """Letters are delivered, time passes, and the timers that are due fire."""
        for _ in range(LETTERS_A_TICK):
            if not self._council.mail:
                break
            letter = self._council.mail.pop(0)
            if not self._council.by_id[letter.target].down:
                self._council.by_id[letter.target].tell(events.Received(letter.source, letter.message))
        now_ms = self._council.now.monotonic_ms
        running = {(seat.id, timer): seat.timers[timer] for seat in up for timer in sorted(seat.timers)}
        self.due_ms = {key: self.due_ms.get(key, now_ms + after_ms) for key, after_ms in running.items()}
        self._council.pass_ms(TICK_MS)
        for seat in up:
            for timer in sorted(seat.timers):
                if self.due_ms.get((seat.id, timer), now_ms + TICK_MS + 1) <= now_ms + TICK_MS:
                    del self.due_ms[(seat.id, timer)]
                    seat.fire(timer)

    def _one_chain(self) -> None:
        """No two members hold different blocks at one height."""
        held: dict[int, bytes | None] = {}
        for seat in self._council.seats:
            if not seat.down:
                for height in range(1, seat.height + 1):
                    block = seat.machine.archive.block_hash(height)
                    assert held.setdefault(height, block) == block, f"seed {self.seed}: a fork at height {height}"
