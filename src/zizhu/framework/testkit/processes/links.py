"""A consortium whose members reach each other only through proxies, and the faults a test asks for on those links.

Decides which ways there are (of two members the one with the lower id dials: its configuration names the proxy) and
that a fault has begun when the call returns. Refuses to know how bytes are disturbed: `proxy` does.
"""

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar, cast

import msgspec

from zizhu.chain.crypto.hashing import member_id
from zizhu.chain.ledger.genesis import parse_genesis
from zizhu.chain.node.config import load_config, write_config
from zizhu.chain.node.identity import MemberFolder
from zizhu.cloud.nodes.network import Network, genesis_path, node_folder
from zizhu.framework.sdk.keys import known_suite
from zizhu.framework.testkit.processes.consortium import READY_WITHIN_S, Consortium, found_register
from zizhu.framework.testkit.processes.member import MemberProcess
from zizhu.framework.testkit.processes.proxy import FAIR, Line, Passage, Seen, Way, Weather
from zizhu.framework.testkit.processes.waiting import until

DONE_WITHIN_S = 30.0

T = TypeVar("T")
Ways = Sequence[Way]


class Links:
    """The links of a network, by the names of its members; they run in a thread of their own until `close`.

    `ports` has where a member that dials is listened to in place of the one it dials, by way. Draws of jitter come
    from `seed`. Every verb returns when what it orders is so.
    """

    def __init__(self, dialled: Iterable[tuple[Way, int]], *, seed: int = 0) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()
        self._lines: dict[Way, Line] = {}
        self._passages: dict[Way, Passage] = {}
        self.ports = self._done(self._start(dialled, seed))

    # -- which ways --------------------------------------------------------------------------------------------

    @property
    def all(self) -> Ways:
        """Every way."""
        return tuple(self._passages)

    def out_of(self, name: str) -> Ways:
        """What a member says to the others."""
        return tuple(way for way in self.all if way.source == name)

    def into(self, name: str) -> Ways:
        """What a member hears from the others."""
        return tuple(way for way in self.all if way.target == name)

    def around(self, name: str) -> Ways:
        """Both ways between a member and every other."""
        return (*self.out_of(name), *self.into(name))

    def across(self, *groups: Iterable[str]) -> Ways:
        """Every way from one of these groups of members into another."""
        of = {name: number for number, group in enumerate(groups) for name in group}
        return tuple(way for way in self.all if of[way.source] != of[way.target])

    # -- what happens on them ----------------------------------------------------------------------------------

    def delay(self, ways: Ways, *, delay_ms: int, jitter_ms: int = 0) -> None:
        """Every piece takes so long, give or take the jitter; order is kept."""
        self._change(ways, lambda weather: replace(weather, delay_ms=delay_ms, jitter_ms=jitter_ms))

    def limit(self, ways: Ways, *, bytes_per_s: int) -> None:
        """No more than this passes."""
        self._change(ways, lambda weather: replace(weather, bytes_per_s=bytes_per_s))

    def hold(self, ways: Ways) -> None:
        """Connections stay open and nothing passes: half open, where the other way is not held."""
        self._change(ways, lambda weather: replace(weather, held=True))

    def cut(self, ways: Ways) -> None:
        """End the connections and refuse new ones; a connection needs both its ways, so one of them is enough."""
        self._each(ways, lambda line: line.cut(on=True))

    def flap(self, ways: Ways, *, period_ms: int) -> None:
        """Cut and heal, half a period each, until healed."""
        self._each(ways, lambda line: line.flap(period_ms))

    def heal(self, ways: Ways | None = None) -> None:
        """Nothing is wrong with these ways any more; with all, when none is named."""
        healed = self.all if ways is None else ways
        self._change(healed, lambda _: FAIR)
        self._each(healed, lambda line: line.cut(on=False))

    def seen(self, ways: Ways) -> Seen:
        """What was done on these ways so far, together."""

        async def look() -> Seen:
            each = [self._passages[way].seen for way in ways]
            lines = self._of(ways)
            return Seen(
                passed_bytes=sum(seen.passed_bytes for seen in each),
                waited_pieces=sum(seen.waited_pieces for seen in each),
                waited_ms_max=max((seen.waited_ms_max for seen in each), default=0),
                ended=sum(line.ended for line in lines),
                refused=sum(line.refused for line in lines),
            )

        return self._done(look())

    def close(self) -> None:
        """End every connection, and the thread."""

        async def end() -> None:
            for line in self._lines.values():
                await line.close()

        self._done(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DONE_WITHIN_S)
        self._loop.close()

    # -- inside ------------------------------------------------------------------------------------------------

    async def _start(self, dialled: Iterable[tuple[Way, int]], seed: int) -> dict[Way, int]:
        ports = {}
        for way, port in dialled:
            line = Line(way, port, seed)
            ports[way] = await line.start()
            self._lines[way] = line
            self._passages[way] = line.forth
            self._passages[Way(way.target, way.source)] = line.back
        return ports

    def _of(self, ways: Ways) -> list[Line]:
        """The lines of these ways, each once."""
        pairs = {frozenset((way.source, way.target)) for way in ways}
        return [line for way, line in self._lines.items() if frozenset((way.source, way.target)) in pairs]

    def _change(self, ways: Ways, change: Callable[[Weather], Weather]) -> None:
        async def work() -> None:
            for way in ways:
                passage = self._passages[way]
                passage.weather = change(passage.weather)

        self._done(work())

    def _each(self, ways: Ways, order: Callable[[Line], None]) -> None:
        async def work() -> None:
            for line in self._of(ways):
                order(line)

        self._done(work())

    def _done(self, work: Coroutine[object, object, T]) -> T:
        """What `work` gives, done in the thread of the links."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DONE_WITHIN_S)


class LinkedConsortium(Consortium):
    """A consortium whose links a test holds in its hands. Leaving the context ends them after the members."""

    def __init__(self, directory: Path, network: Network, links: Links) -> None:
        super().__init__(directory, network)
        self.links = links

    def __enter__(self) -> "LinkedConsortium":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.links.close()

    def linked(self, *, within_s: float = READY_WITHIN_S) -> None:
        """Returns when every member has a link with every other. Raises TooLate.

        Members dial again after up to two seconds: a link that was healed stands a while later.
        """

        def look() -> bool:
            said = [member.status() for member in self.members]
            return all(status is not None and all(up for _, up in peers_of(status)) for status in said)

        until(look, "all links stand", within_s=within_s, explain=self.describe)

    def shunned(self, away: MemberProcess, *, within_s: float = 30.0) -> None:
        """Returns when no other member has a link with `away`. Raises TooLate."""

        def look() -> bool:
            said = [member.status() for member in self.members if member is not away]
            return all(status is not None and (away.name, True) not in peers_of(status) for status in said)

        until(look, f"nobody has a link with {away.name}", within_s=within_s, explain=self.describe)


def peers_of(status: dict[str, object]) -> list[tuple[str, bool]]:
    """The other members in a member's status, and whether its link with each stands."""
    return [(str(peer["name"]), bool(peer["up"])) for peer in cast(list[dict[str, object]], status["peers"])]


def linked_consortium(
    directory: Path, *, suite: str = "guomi", engine: str = "pbft", seed: int = 0
) -> LinkedConsortium:
    """As `register_consortium`, with proxies between all members; nothing is wrong with a link yet."""
    network = found_register(directory, suite=suite, engine=engine)
    links = Links(dials(directory, network), seed=seed)
    for way, port in links.ports.items():
        path = MemberFolder(node_folder(directory, way.source)).config
        config = load_config(path)
        peers = tuple(
            msgspec.structs.replace(peer, port=port) if peer.name == way.target else peer for peer in config.peers
        )
        write_config(path, msgspec.structs.replace(config, peers=peers))
    return LinkedConsortium(directory, network, links)


def dials(directory: Path, network: Network) -> list[tuple[Way, int]]:
    """Who dials whom, and at which port the other listens."""
    suite = known_suite(network.suite)
    genesis = parse_genesis(genesis_path(directory).read_bytes()).genesis
    ids = {member.name: member_id(suite, member.vote_key) for member in genesis.record.members}
    pairs = itertools.combinations(sorted(network.members, key=lambda place: ids[place.name]), 2)
    return [(Way(source.name, target.name), target.p2p_port) for source, target in pairs]
