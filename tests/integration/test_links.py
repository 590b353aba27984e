"""The proxies of the test kit do to a connection what they say, between two plain sockets."""

import socket
import time
from collections.abc import Iterator

import pytest

from zizhu.framework.testkit.processes.links import Links
from zizhu.framework.testkit.processes.proxy import HOST, Way
from zizhu.framework.testkit.processes.waiting import until

A_TO_B, B_TO_A = Way("a", "b"), Way("b", "a")
BOTH = (A_TO_B, B_TO_A)
PROMPT_S = 10.0


class Pair:
    """Member a dials, member b is dialled."""

    def __init__(self) -> None:
        self.listening = socket.create_server((HOST, 0))
        self.listening.settimeout(PROMPT_S)
        self.links = Links([(A_TO_B, self.listening.getsockname()[1])], seed=1)

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """The ends of a new connection."""
        near = socket.create_connection((HOST, self.links.ports[A_TO_B]), timeout=PROMPT_S)
        far, _ = self.listening.accept()
        far.settimeout(PROMPT_S)
        return near, far


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two ends and the link between."""
    made = Pair()
    yield made
    made.links.close()
    made.listening.close()


def received(end: socket.socket, count: int) -> bytes:
    """So many bytes, or those before the end."""
    data = b""
    while len(data) < count and (more := end.recv(count - len(data))):
        data += more
    return data


def silent(end: socket.socket) -> bool:
    """Whether nothing is there to be read yet."""
    end.setblocking(False)
    try:
        return end.recv(1, socket.MSG_PEEK) is None
    except BlockingIOError:
        return True
    finally:
        end.settimeout(PROMPT_S)


def closed(end: socket.socket) -> bool:
    """Whether the connection ends."""
    try:
        return end.recv(1) == b""
    except ConnectionError:
        return True


def test_bytes_pass_in_both_directions_and_the_end_too(pair: Pair) -> None:
    """With nothing wrong, all bytes arrive in order, and so does the end."""
    near, far = pair.connect()
    sent = bytes(range(256)) * 1000
    near.sendall(sent)
    far.sendall(b"answer")
    assert received(far, len(sent)) == sent
    assert received(near, 6) == b"answer"
    near.close()
    assert closed(far)
    assert pair.links.seen((A_TO_B,)).passed_bytes == len(sent)


def test_delay_with_jitter_keeps_the_order(pair: Pair) -> None:
    """Pieces take what the weather says, and none overtakes another."""
    pair.links.delay((A_TO_B,), delay_ms=40, jitter_ms=40)
    near, far = pair.connect()
    for number in range(50):
        near.sendall(bytes([number]) * 1000)
    assert received(far, 50_000) == b"".join(bytes([number]) * 1000 for number in range(50))
    far.sendall(b"x")
    assert received(near, 1) == b"x"
    seen = pair.links.seen((A_TO_B,))
    assert seen.waited_pieces > 0
    assert pair.links.seen((B_TO_A,)).waited_pieces == 0


def test_the_rate_is_limited(pair: Pair) -> None:
    """What is sent at once arrives no faster than the rate."""
    pair.links.limit((A_TO_B,), bytes_per_s=1_000_000)
    near, far = pair.connect()
    began_s = time.monotonic()
    near.sendall(bytes(300_000))
    assert received(far, 300_000) == bytes(300_000)
    assert time.monotonic() - began_s >= 0.3


def test_a_held_way_keeps_bytes_and_end_until_healed(pair: Pair) -> None:
    """Half open: the other way goes on, nobody hears of an end, and what was held arrives afterwards."""
    near, far = pair.connect()
    pair.links.hold((A_TO_B,))
    near.sendall(b"held")
    far.sendall(b"not held")
    assert received(near, 8) == b"not held"
    near.close()
    assert silent(far)
    pair.links.heal()
    assert received(far, 4) == b"held"
    assert closed(far)
    assert pair.links.seen((A_TO_B,)).waited_pieces == 1


def test_a_cut_ends_connections_and_refuses_new_ones(pair: Pair) -> None:
    """Both ends hear of it, who dials again is turned away, and after healing all is well."""
    near, far = pair.connect()
    pair.links.cut((B_TO_A,))
    assert closed(near)
    assert closed(far)
    again = socket.create_connection((HOST, pair.links.ports[A_TO_B]), timeout=PROMPT_S)
    assert closed(again)
    seen = pair.links.seen(BOTH)
    assert (seen.ended, seen.refused) == (1, 1)
    pair.links.heal()
    near, far = pair.connect()
    near.sendall(b"well")
    assert received(far, 4) == b"well"


def test_a_flapping_link_is_cut_again_and_again(pair: Pair) -> None:
    """Connections that are made between two cuts end with the next one, until it is healed."""
    pair.links.flap(BOTH, period_ms=20)

    def dialled() -> bool:
        with socket.create_connection((HOST, pair.links.ports[A_TO_B]), timeout=PROMPT_S) as near:
            assert closed(near)
        return pair.links.seen(BOTH).ended >= 3

    until(dialled, "three connections were cut")
    pair.links.heal()
    pair.listening.settimeout(0)
    with pytest.raises(BlockingIOError):
        while True:
            pair.listening.accept()
    pair.listening.settimeout(PROMPT_S)
    near, far = pair.connect()
    near.sendall(b"well")
    assert received(far, 4) == b"well"
