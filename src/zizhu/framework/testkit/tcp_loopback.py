"""The TCP transport with bounds that fit a test: what the harness `loopback` builds when it plays over real sockets."""

from collections.abc import Callable, Coroutine

from zizhu.chain.network.tcp.transport import TcpLimits, TcpTransport
from zizhu.framework.testkit.loopback import Build

QUICK = TcpLimits(backoff_first_ms=5, backoff_last_ms=50)

Run = Callable[[Coroutine[object, object, None]], None]
"""Plays a story on one of the event loops that a node may use."""


def tcp(limits: TcpLimits = QUICK) -> Build:
    """The factory of a transport with these bounds."""
    return lambda setting: TcpTransport(setting, limits)
