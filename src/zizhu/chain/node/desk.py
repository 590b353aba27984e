"""The clients of a running node: requests with a number, answered by futures.

Decides how many may wait. Refuses to know what a request means.
"""

import asyncio
import time
from collections.abc import Callable

from zizhu.chain.model.errors import Busy
from zizhu.chain.model.ids import TransactionId
from zizhu.chain.node.clients import TOO_MANY_WAIT, WAITERS_MAX
from zizhu.chain.node.events import (
    Accepted,
    Asked,
    Await,
    Expired,
    Final,
    Forget,
    Rejected,
    Reply,
    Request,
    Submit,
    Submitted,
)


class ClientDesk:
    """Takes requests of coroutines, hands them to the node by `post`, gives back the replies."""

    def __init__(self, post: Callable[[Asked], None], visible_height: int) -> None:
        self.visible_height = visible_height
        self._post = post
        self._clients: dict[int, asyncio.Future[Reply]] = {}
        self._next_client = 0
        self._published = asyncio.Event()

    def answer(self, client: int, reply: Reply) -> None:
        """The node answers a client."""
        future = self._clients.pop(client, None)
        if future is not None and not future.done():
            future.set_result(reply)

    def publish(self, height: int) -> None:
        """Everything up to `height` may be seen."""
        self.visible_height = max(self.visible_height, height)
        self._published.set()
        self._published = asyncio.Event()

    async def submit(self, raws: tuple[bytes, ...]) -> tuple[Accepted | Rejected, ...]:
        """Hand in submissions; one outcome each. Accepted is not final."""
        _, future = self._ask(Submit(raws))
        reply = await future
        assert isinstance(reply, Submitted)
        return reply.outcomes

    async def receipt(self, transaction: TransactionId, *, timeout_ms: int) -> Final | Expired | None:
        """The final receipt, waiting at most `timeout_ms`; None if it has not come.

        Raises Busy (`node.too_many_wait`).
        """
        if len(self._clients) >= WAITERS_MAX:
            raise Busy(TOO_MANY_WAIT, retry_after_ms=500)
        client, future = self._ask(Await(transaction))
        try:
            reply = await asyncio.wait_for(future, timeout_ms / 1000)
        except TimeoutError:
            return None
        finally:
            if self._clients.pop(client, None) is not None:
                self._post(Asked(client, Forget()))
        assert isinstance(reply, Final | Expired)
        return reply

    async def published(self, above: int, *, timeout_ms: int) -> int:
        """Waits until the visible height is above `above`, at most `timeout_ms`; returns it."""
        deadline = time.monotonic() + timeout_ms / 1000
        while self.visible_height <= above:
            event = self._published
            try:
                await asyncio.wait_for(event.wait(), deadline - time.monotonic())
            except TimeoutError:
                break
        return self.visible_height

    def _ask(self, request: Request) -> tuple[int, "asyncio.Future[Reply]"]:
        self._next_client += 1
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._clients[self._next_client] = future
        self._post(Asked(self._next_client, request))
        return self._next_client, future
