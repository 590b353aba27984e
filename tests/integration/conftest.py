"""Members on the loopback interface, for the tests of links over real sockets."""

import pytest

from zizhu.framework.testkit.loopback import LOOPS, Identity, Node, make_identities, make_nodes, play
from zizhu.framework.testkit.tcp_loopback import Run


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Play a story on one of the event loops that a node may use."""
    return lambda story: play(story, request.param)


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> list[Identity]:
    """Keys of five members."""
    return make_identities(tmp_path_factory.mktemp("members"), 5)


@pytest.fixture
def nodes(identities: list[Identity]) -> list[Node]:
    """Five members, none started."""
    return make_nodes(identities)
