"""Members on the loopback interface, for the tests of links over real sockets."""

from dataclasses import replace

import pytest

from zizhu.chain.network.tcp.link import LinkLimits
from zizhu.chain.network.tcp.transport import TcpLimits, TcpTransport
from zizhu.framework.testkit.loopback import LOOPS, Build, Identity, Node, Run, Tcp, make_identities, make_nodes, play

QUICK = TcpLimits(backoff_first_ms=5, backoff_last_ms=50)
"""The bounds of the product, with a back-off that fits a test."""


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Play a story on one of the event loops that a node may use."""
    return lambda story: play(story, request.param)


@pytest.fixture
def tcp() -> Tcp:
    """Transports over real sockets, with bounds that fit a test."""

    def bounded(**differing: int | LinkLimits) -> Build:
        limits = replace(QUICK, **differing)
        return lambda setting: TcpTransport(setting, limits)

    return bounded


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> list[Identity]:
    """Keys of five members."""
    return make_identities(tmp_path_factory.mktemp("members"), 5)


@pytest.fixture
def nodes(identities: list[Identity]) -> list[Node]:
    """Five members, none started."""
    return make_nodes(identities)
