"""Links between members over real sockets on the loopback interface, on both event loops."""

import asyncio
import socket

import pytest

from zizhu.chain.model import limits
from zizhu.chain.model.errors import OperatingFault
from zizhu.chain.network.tcp.link import LinkLimits
from zizhu.framework.testkit.loopback import (
    Node,
    Run,
    Seen,
    Tcp,
    close,
    together,
)


def test_four_members_hear_each_other_over_one_link_a_pair(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Every frame arrives once, whole and in order, from the member that sent it; one connect a pair."""

    async def story() -> None:
        four = nodes[:4]
        await together(four, tcp())
        for sender in four:
            for receiver in four:
                if sender is not receiver:
                    for number in range(20):
                        sender.running.send(receiver.member, b"%d" % number, urgent=True)
        for receiver in four:
            await receiver.seen.until(lambda receiver=receiver: len(receiver.seen.frames) == 60)  # type: ignore[misc]
            for sender in four:
                heard = [frame for peer, frame in receiver.seen.frames if peer == sender.member]
                assert heard == ([] if sender is receiver else [b"%d" % number for number in range(20)])
        assert all(status.connects == 1 and status.product == "zizhu 0.1.0" for status in four[0].running.links())
        await close(four)

    run(story())


def test_the_longest_frame_crosses_whole(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """A frame of MESSAGE_BYTES_MAX bytes arrives byte for byte in either lane; counters know its size."""

    async def story() -> None:
        pair = nodes[:2]
        await together(pair, tcp())
        frame = bytes(range(256)) * (limits.MESSAGE_BYTES_MAX // 256)
        for urgent in (True, False):
            pair[0].running.send(pair[1].member, frame, urgent=urgent)
        await pair[1].seen.until(lambda: len(pair[1].seen.frames) == 2)
        assert all(heard == frame for _, heard in pair[1].seen.frames)
        assert pair[1].link(pair[0]).bytes_in > 2 * len(frame)
        await close(pair)

    run(story())


def test_an_urgent_frame_overtakes_bulk(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Urgent frames sent behind 32 MiB of bulk arrive before its end, in the middle of a long frame too."""

    async def story() -> None:
        pair = nodes[:2]
        await together(pair, tcp())
        pair[0].running.send(pair[1].member, bytes(32 * 1024 * 1024), urgent=False)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        pair[0].running.send(pair[1].member, b"vote", urgent=True)
        await pair[1].seen.until(lambda: len(pair[1].seen.frames) == 2)
        assert [frame[:4] for _, frame in pair[1].seen.frames] == [b"vote", bytes(4)]
        await close(pair)

    run(story())


def test_a_member_that_dies_is_reconnected(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Either side may die and come back: both hear the link fall and rise, and frames flow again."""

    async def story() -> None:
        pair = nodes[:2]
        await together(pair, tcp())
        for dead, alive in ((pair[0], pair[1]), (pair[1], pair[0])):
            before = len(alive.seen.changes)
            await dead.running.close()
            await alive.seen.until(lambda: len(alive.seen.changes) == before + 1)  # noqa: B023
            alive.running.send(dead.member, b"into the void", urgent=True)
            assert alive.link(dead).frames_dropped >= 1
            dead.seen = Seen()
            await dead.start(pair, tcp())
            await alive.seen.until(lambda: len(alive.seen.changes) == before + 2)  # noqa: B023
            await dead.seen.until(lambda: dead.link(alive).up)  # noqa: B023
            alive.running.send(dead.member, b"hello again", urgent=True)
            await dead.seen.until(lambda: dead.seen.frames == [(alive.member, b"hello again")])  # noqa: B023
        assert [up for _, up in pair[1].seen.changes[:1]] == [True]
        await close(pair)

    run(story())


def test_a_taken_port_is_named(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Starting on a taken port raises an error that names host and port."""

    async def story() -> None:
        await nodes[0].start([nodes[0]], tcp())
        nodes[1].port = nodes[0].port
        with pytest.raises(OperatingFault, match=rf"network\.listen.*{nodes[0].port}"):
            await nodes[1].start([nodes[1]], tcp())
        await close(nodes[:1])

    run(story())


def test_a_slow_reader_costs_a_bounded_amount(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Whatever a peer does not take stays under the cap: the oldest bulk frames are dropped and counted, the
    newest arrive once it reads again, and urgent frames still get through the same link."""

    async def story() -> None:
        pair = nodes[:2]
        cap = 1024 * 1024
        await together(pair, tcp(link=LinkLimits(bulk_bytes_max=cap, urgent_bytes_max=cap)))
        sender, receiver = pair[0].running, pair[1].running
        receiver.pause(pair[0].member)
        frame = bytes(32 * 1024)
        for number in range(1200):
            sender.send(pair[1].member, number.to_bytes(4, "big") + frame, urgent=False)
            if number % 16 == 0:
                await asyncio.sleep(0)
            assert sender.links()[0].queued_bytes <= cap
        assert sender.links()[0].frames_dropped > 0
        sender.send(pair[1].member, b"vote", urgent=True)
        assert pair[1].seen.frames == []
        receiver.resume(pair[0].member)
        await pair[1].seen.until(lambda: (pair[0].member, (1199).to_bytes(4, "big") + frame) in pair[1].seen.frames)
        heard = [heard for _, heard in pair[1].seen.frames]
        numbers = [int.from_bytes(heard[:4], "big") for heard in heard if heard != b"vote"]
        assert numbers == sorted(numbers)
        assert len(numbers) + sender.links()[0].frames_dropped == 1200
        assert heard.index(b"vote") < len(heard) - 1
        assert sender.links()[0].connects == 1
        await close(pair)

    run(story())


def test_urgent_overflow_resets_the_link(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """A peer that does not take urgent frames loses the link, which says so and is built again."""

    async def story() -> None:
        pair = nodes[:2]
        cap = 1024 * 1024
        await together(pair, tcp(link=LinkLimits(urgent_bytes_max=cap)))
        pair[1].running.pause(pair[0].member)
        for _ in range(40):
            pair[0].running.send(pair[1].member, bytes(64 * 1024), urgent=True)
        await pair[0].seen.until(lambda: pair[0].seen.refused_for("network.slow"))
        pair[1].running.resume(pair[0].member)
        await pair[0].seen.until(lambda: pair[0].link(pair[1]).connects == 2)
        await close(pair)

    run(story())


def test_a_flood_is_read_no_faster_than_the_budget(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """A peer that floods is slowed by its token bucket, not cut off; nothing it sent is lost."""

    async def story() -> None:
        pair = nodes[:2]
        await together(pair, tcp(link=LinkLimits(frames_per_s=2_000)))
        began = asyncio.get_running_loop().time()
        for _ in range(3_000):
            pair[0].running.send(pair[1].member, b"ping", urgent=True)
        await pair[1].seen.until(lambda: len(pair[1].seen.frames) == 3_000)
        pair[0].running.send(pair[1].member, b"last", urgent=True)
        await pair[1].seen.until(lambda: len(pair[1].seen.frames) == 3_001)
        assert asyncio.get_running_loop().time() - began > 0.4
        await close(pair)

    run(story())


def test_nothing_is_told_after_close(nodes: list[Node], run: Run, tcp: Tcp) -> None:
    """Once `close` has returned the listener hears nothing more and the port is free."""

    async def story() -> None:
        pair = nodes[:2]
        await together(pair, tcp())
        await pair[0].running.close()
        before = len(pair[0].seen.changes)
        await pair[1].seen.until(lambda: pair[1].seen.changes[-1] == (pair[0].member, False))
        assert len(pair[0].seen.changes) == before
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", pair[0].port))
        await close(pair[1:])

    run(story())
