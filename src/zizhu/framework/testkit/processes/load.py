"""A client as a process: signs notes, singly and in bundles, sends them, and writes down what was acknowledged.

Decides the mix of the load and that it goes on until SIGTERM, through every disturbance; then what is under way is
waited for. Refuses to know members other than by the SDK. Run it with `python -m`; `Client` starts it from a test.
"""

import argparse
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from zizhu.chain.model.errors import Busy
from zizhu.chain.model.ids import LedgerId
from zizhu.cloud.nodes.network import Network, read_network
from zizhu.framework.sdk.client import LedgerClient
from zizhu.framework.sdk.http import HttpMember
from zizhu.framework.sdk.keys import Account, known_suite
from zizhu.framework.sdk.nonces import NonceAllocator
from zizhu.framework.sdk.transactions import (
    LIFETIME_BLOCKS,
    Call,
    Numbers,
    SignedSubmission,
    Target,
    call_body,
    sign_bundle,
    sign_single,
)
from zizhu.framework.testkit.history import Acknowledged, AcknowledgedLog, read_acknowledged
from zizhu.framework.testkit.processes.consortium import Consortium
from zizhu.framework.testkit.processes.ledger import NOTE, register_id
from zizhu.framework.testkit.processes.member import environment
from zizhu.framework.testkit.processes.waiting import now_ms, until

PATIENCE_MS = 180_000
"""Longer than any disturbance of a test: a client that gives up would not know what became of its transaction."""
REFUSED_EVERY = 10
"""Every so many submissions are of a call that fails: its receipt is final as any other."""


@dataclass(frozen=True)
class Setup:
    """Where one client finds its network and writes what it was told; `bundle` transactions in a bundle."""

    directory: Path
    name: str
    log: Path
    first: int
    threads: int
    bundle: int


class Author:
    """One account of a client: its calls, in turn single and bundled, each handed in at its own member first.

    A client of the SDK stays with a member that answers: after some faults all would have come to one member, and
    once that one was cut off nobody gave the others anything to do.
    """

    def __init__(self, setup: Setup, network: Network, number: int) -> None:
        suite = known_suite(network.suite)
        self.name = f"{setup.name}.{number}"
        self._bundle = setup.bundle
        self._account = Account(suite, suite.accounts.generate())
        self._target = Target(LedgerId(bytes.fromhex(network.ledger)), suite)
        self._contract = register_id(network.suite)
        path = setup.log.with_name(f"{setup.log.stem}-{number}.nonces")
        self._nonces = NonceAllocator(path, account=self._account.id, ledger=self._target.ledger)
        places = network.members[(setup.first + number) % len(network.members) :] + network.members
        urls = list(dict.fromkeys(place.url for place in places))
        self._members = [HttpMember(url) for url in urls]

    def once(self, log: AcknowledgedLog, lock: threading.Lock, turn: int) -> None:
        """Sign, send, wait until final, write down."""
        client = LedgerClient(self._members)
        height = client.ask(lambda member: member.status(), patience_ms=PATIENCE_MS).height
        self._nonces.expire(height)
        refused = turn % REFUSED_EVERY == REFUSED_EVERY - 1
        signed = self._sign(turn, height + LIFETIME_BLOCKS, "refuse" if refused else NOTE)
        finals = client.send(signed, patience_ms=PATIENCE_MS)
        with lock:
            log.write(finals, name=self.name, at_ms=now_ms())
        self._nonces.settle(signed.nonces)

    def _sign(self, turn: int, last: int, method: str) -> SignedSubmission:
        count = self._bundle if turn % 2 else 1
        nonces = self._nonces.take(count, valid_until_height=last)
        arguments = (self.name, f"turn {turn}") if method == NOTE else (self.name,)
        call = Call(self._contract, method, arguments)
        bodies = [
            call_body(self._account, self._target, call, Numbers(nonce=nonce, valid_until_height=last))
            for nonce in nonces
        ]
        if count == 1:
            return sign_single(self._account, self._target, bodies[0])
        return sign_bundle(self._account, self._target, bodies)


def work(setup: Setup) -> int:
    """The client's process: returns how many transactions were acknowledged once SIGTERM ended it."""
    network = read_network(setup.directory)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    lock = threading.Lock()
    with AcknowledgedLog(setup.log) as log:

        def run(author: Author) -> None:
            for turn in itertools.count():
                if stop.is_set():
                    return
                try:
                    author.once(log, lock, turn)
                except Busy as busy:
                    stop.wait(busy.retry_after_ms / 1000)

        threads = [
            threading.Thread(target=run, args=(Author(setup, network, number),)) for number in range(setup.threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return log.count


class Client:
    """A client process of a test, from `start` on."""

    def __init__(self, directory: Path, log: Path, number: int, *, threads: int, bundle: int) -> None:
        self.log = log
        self._errors = log.with_suffix(".err")
        command = [sys.executable, "-m", "zizhu.framework.testkit.processes.load", "--dir", str(directory)]
        command += ["--name", log.stem, "--log", str(log), "--first", str(number)]
        command += ["--threads", str(threads), "--bundle", str(bundle)]
        with self._errors.open("ab") as errors:
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors, env=environment())

    def signal(self, number: signal.Signals) -> None:
        """Any signal."""
        self._child.send_signal(number)

    def stop(self, *, within_s: float = 60.0) -> None:
        """SIGTERM; returns when all it sent was acknowledged. Raises AssertionError with what it complained of."""
        self.signal(signal.SIGTERM)
        code = self._child.wait(timeout=within_s)
        complaint = self.complaint()
        assert code == 0 and not complaint, f"{self.log.stem} ended with {code}: {complaint}"

    def complaint(self) -> str:
        """What it wrote to its standard error: nothing, when all is well."""
        return self._errors.read_text(encoding="utf-8")

    def discard(self) -> None:
        """End it, for the end of a test."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()


class Load:
    """Several clients at work on one network; leaving the context ends them.

    They take their notes under the names of their logs: two loads of one network stand in folders of other names.
    """

    def __init__(
        self, consortium: Consortium, folder: Path, *, clients: int = 2, threads: int = 4, bundle: int = 64
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._consortium = consortium
        directory = consortium.directory
        logs = [folder / f"{folder.name}{number}.jsonl" for number in range(clients)]
        self.clients = [
            Client(directory, log, number, threads=threads, bundle=bundle) for number, log in enumerate(logs)
        ]

    def __enter__(self) -> "Load":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self.clients:
            client.discard()

    def _describe(self) -> str:
        """What the clients complain of, and the members."""
        complaints = [f"-- {client.log.stem}: {client.complaint()}" for client in self.clients]
        return "\n".join([*complaints, self._consortium.describe()])

    def acknowledged(self) -> list[Acknowledged]:
        """What all clients were told so far, in the order of time."""
        return read_acknowledged(client.log for client in self.clients)

    def goes_on(self, count: int = 20, *, within_s: float = 60.0) -> int:
        """Returns when every client was told of `count` more transactions; the moment of the last.

        Raises TooLate, with what every member says of itself.
        """
        before = [len(read_acknowledged([client.log])) for client in self.clients]

        def look() -> bool:
            now = [len(read_acknowledged([client.log])) for client in self.clients]
            return all(after >= first + count for first, after in zip(before, now, strict=True))

        what = f"every client is told of {count} more transactions than {before}"
        until(look, what, within_s=within_s, explain=self._describe)
        return self.acknowledged()[-1].at_ms

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """The clients stand still, so that the members have nothing to do but to be read."""
        for client in self.clients:
            client.signal(signal.SIGSTOP)
        yield
        for client in self.clients:
            client.signal(signal.SIGCONT)

    def stop(self) -> list[Acknowledged]:
        """Ends the load in an orderly way; everything that was ever acknowledged."""
        for client in self.clients:
            client.stop()
        return self.acknowledged()


def main(words: Sequence[str]) -> None:
    """The command line of one client."""
    parser = argparse.ArgumentParser(description="a client of process tests")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bundle", type=int, default=32)
    given = parser.parse_args(words)
    count = work(Setup(given.dir, given.name, given.log, given.first, given.threads, given.bundle))
    print(f"{given.name} (process {os.getpid()}): {count} transactions acknowledged")


if __name__ == "__main__":
    main(sys.argv[1:])
