"""A consortium of processes in a folder of a test: founded, started, disturbed, and always ended.

Decides how all members are started and when they count as ready and as equal. Refuses to know what is wrong with a
chain: `history` checks that.
"""

import signal
from pathlib import Path
from types import TracebackType
from typing import cast

from zizhu.cloud.nodes.network import Network
from zizhu.framework.testkit.processes.ledger import found_register_network
from zizhu.framework.testkit.processes.member import MemberProcess
from zizhu.framework.testkit.processes.waiting import until

READY_WITHIN_S = 60.0
KILL = signal.SIGKILL


class Consortium:
    """The members of a network, in order. Leaving its context ends every process that it started."""

    def __init__(self, directory: Path, network: Network) -> None:
        self.directory = directory
        self.network = network
        self.members = [MemberProcess(directory, place) for place in network.members]

    def __enter__(self) -> "Consortium":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            member.discard()

    def __getitem__(self, name: str) -> MemberProcess:
        return next(member for member in self.members if member.name == name)

    def start(self) -> None:
        """Start all members that do not run, and return when they vote. Raises TooLate."""
        for member in self.members:
            if not member.running:
                member.start()
        self.ready()

    def ready(self, *, but: tuple[str, ...] = (), within_s: float = READY_WITHIN_S) -> None:
        """Returns when every member (`but` those named) votes and has a block. Raises TooLate."""

        def look() -> bool:
            watched = [member for member in self.members if member.name not in but]
            for member in watched:
                assert member.running, f"{member.name} ended\n{member.tail()}"
            said = [member.status() for member in watched]
            return all(
                status is not None and status["state"] == "voting" and cast(int, status["height"]) > 0
                for status in said
            )

        until(look, "all members vote", within_s=within_s, explain=self.describe)

    def leader(self) -> MemberProcess:
        """Whom f+1 members that run call their leader. Raises TooLate when they do not agree."""

        def look() -> str | None:
            names = [str(status["leader_name"]) for member in self.members if (status := member.status()) is not None]
            agreed = [name for name in dict.fromkeys(names) if 2 * names.count(name) > len(names)]
            return agreed[0] if agreed else None

        return self[until(look, "the members agree on a leader", explain=self.describe)]

    def height(self) -> int:
        """The greatest height that a member shows; -1 when nobody answers."""
        return max(member.height for member in self.members)

    def grows(self, blocks: int = 1, *, within_s: float = 30.0) -> int:
        """Returns the height once it grew by `blocks`. Raises TooLate."""
        first = self.height()

        def look() -> int | None:
            now = self.height()
            return now if now >= first + blocks else None

        return until(look, f"the chain grows from {first} by {blocks}", within_s=within_s, explain=self.describe)

    def equal(self, *, within_s: float = 30.0) -> dict[str, object]:
        """The status of one member once all show one height, block and outcome. Raises TooLate."""

        def look() -> dict[str, object] | None:
            said = [member.status() for member in self.members]
            first = said[0]
            if first is None or first["height"] == 0:
                return None
            keys = ("height", "block", "outcome", "root_height")
            same = all(status is not None and all(status[key] == first[key] for key in keys) for status in said)
            return first if same else None

        return until(look, "all members show one height and outcome", within_s=within_s, explain=self.describe)

    def kill_all(self) -> None:
        """kill -9 of all members that run, at once."""
        for member in self.members:
            if member.running:
                member.signal(KILL)
        for member in self.members:
            member.ended()

    def describe(self) -> str:
        """Every member's status and the end of its log, for whoever reads a failed test."""
        parts = []
        for member in self.members:
            status = member.status() or {}
            shown = {key: status.get(key) for key in ("state", "reason", "view", "leader_name", "height", "outcome")}
            parts.append(f"-- {member.name} running={member.running} {shown}\n{member.tail(16)}")
        return "\n".join(parts)


def register_consortium(directory: Path, *, suite: str = "guomi", engine: str = "pbft") -> Consortium:
    """A consortium with the register on its ledger, four members, three under Raft, one under solo; nothing runs."""
    return Consortium(directory, found_register(directory, suite=suite, engine=engine))


def found_register(directory: Path, *, suite: str, engine: str) -> Network:
    """The network of `register_consortium`."""
    members = {"raft": 3, "solo": 1}.get(engine, 4)
    return found_register_network(directory, members=members, suite=suite, engine=engine)
