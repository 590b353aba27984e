"""The clients of a running node: numbered requests, answered once, forgotten when their time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from zizhu.chain.model.errors import Busy
from zizhu.chain.model.ids import TransactionId
from zizhu.chain.node.clients import WAITERS_MAX
from zizhu.chain.node.desk import ClientDesk
from zizhu.chain.node.events import Asked, Await, Expired, Forget, Reply, Submit, Submitted

ID = TransactionId(bytes(32))
T = TypeVar("T")


def _play(story: Callable[[ClientDesk, list[Asked]], Awaitable[T]]) -> tuple[T, list[Asked]]:
    posted: list[Asked] = []

    async def run() -> T:
        async with asyncio.timeout(5):
            return await story(ClientDesk(posted.append, 3), posted)

    return asyncio.run(run()), posted


def test_a_submission_is_answered_by_its_number() -> None:
    """Replies may come in any order; each goes to who asked."""

    async def story(desk: ClientDesk, posted: list[Asked]) -> list[object]:
        first = asyncio.create_task(desk.submit((b"a",)))
        second = asyncio.create_task(desk.submit((b"b", b"c")))
        await asyncio.sleep(0)
        assert [each.request for each in posted] == [Submit((b"a",)), Submit((b"b", b"c"))]
        desk.answer(posted[1].client, Submitted(()))
        desk.answer(posted[0].client, Submitted(()))
        desk.answer(posted[0].client, Submitted(()))
        desk.answer(99, Submitted(()))
        return [await first, await second]

    assert _play(story)[0] == [(), ()]


def test_who_waits_in_vain_is_forgotten() -> None:
    """After its time the client hears None, and the node is told to forget it."""

    async def story(desk: ClientDesk, posted: list[Asked]) -> object:
        return await desk.receipt(ID, timeout_ms=1)

    answer, posted = _play(story)
    assert answer is None
    assert [each.request for each in posted] == [Await(ID), Forget()]
    assert posted[0].client == posted[1].client


def test_who_is_answered_in_time_is_not_forgotten_twice() -> None:
    """The answer, and no Forget behind it."""

    async def story(desk: ClientDesk, posted: list[Asked]) -> object:
        waiting = asyncio.create_task(desk.receipt(ID, timeout_ms=1_000))
        await asyncio.sleep(0)
        desk.answer(posted[0].client, Expired(ID, 7))
        return await waiting

    answer, posted = _play(story)
    assert answer == Expired(ID, 7)
    assert len(posted) == 1


def test_who_goes_away_is_forgotten() -> None:
    """A cancelled request is told to the node too."""

    async def story(desk: ClientDesk, posted: list[Asked]) -> None:
        waiting = asyncio.create_task(desk.receipt(ID, timeout_ms=1_000))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    assert [each.request for each in _play(story)[1]] == [Await(ID), Forget()]


def test_too_many_waiters_are_busy() -> None:
    """Above the limit one is told to come back, and nothing is posted."""

    async def story(desk: ClientDesk, posted: list[Asked]) -> None:
        nobody: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        desk._clients = dict.fromkeys(range(-WAITERS_MAX, 0), nobody)
        with pytest.raises(Busy):
            await desk.receipt(ID, timeout_ms=50)
        assert posted == []

    _play(story)


def test_published_heights_only_rise() -> None:
    """Who waits for a height is woken by it, at once when it is there, and by the time-out otherwise."""

    async def story(desk: ClientDesk, posted: list[Asked]) -> list[int]:
        heights = [await desk.published(2, timeout_ms=1_000), await desk.published(3, timeout_ms=1)]
        waiting = asyncio.create_task(desk.published(3, timeout_ms=1_000))
        await asyncio.sleep(0)
        desk.publish(2)
        await asyncio.sleep(0)
        desk.publish(5)
        return [*heights, await waiting]

    assert _play(story)[0] == [3, 3, 5]
