"""Endpoints about the node and its ledger: status, members, genesis, issuer, and the stream of new blocks.

Decides these addresses. Refuses to know blocks beyond their line in a list.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from zizhu.chain.crypto.accounts import member_id
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import Busy, ErrorCode
from zizhu.chain.node.api import replies
from zizhu.chain.node.api.bodies import BYTES, bytes_reply, json_reply, known_parameters, number, query_number
from zizhu.chain.node.api.reading import Reading
from zizhu.chain.node.api.site import PREFIX, Documents, Endpoint, Parameter, Site
from zizhu.chain.node.backend import NodeStatus

STREAMS_MAX = 64
"""Open streams of events."""
BACKLOG_MAX = 100
"""Blocks in the past that a stream may begin with."""
PULSE_MS = 5_000
"""A stream that has nothing to say says the status after this long."""
EVENT_STREAM = "text/event-stream"

TOO_MANY_STREAMS = ErrorCode(
    "http.streams",
    "{streams_max} streams of events are open here, which is all there may be",
    "close one, or ask another member",
    "此处已打开 {streams_max} 个事件流,达到上限",
    "请关闭一个,或询问其他成员",
)


class NodeRoutes:
    """Handlers of the addresses about the node."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._backend = site.backend
        self._reading = Reading(site.backend)
        self._streams = 0
        self._genesis = encode(site.backend.ledger.genesis)

    async def status(self, request: Request) -> Response:
        """The node as it is now."""
        known_parameters(request)
        return json_reply(self._backend.status())

    async def members(self, request: Request) -> Response:
        """The members of the epoch."""
        known_parameters(request)
        status = self._backend.status()
        record = self._backend.ledger.record
        peers = {peer.member: peer for peer in status.peers}
        found = []
        for member in record.members:
            id_ = member_id(self._backend.suite, member.vote_key)
            me = id_ == self._backend.me
            peer = peers.get(id_.hex())
            found.append(
                replies.MemberReply(
                    name=member.name,
                    organisation=member.organisation,
                    member=id_.hex(),
                    vote_key=member.vote_key.hex(),
                    me=me,
                    up=me or (peer is not None and peer.up),
                    leader=id_.hex() == status.leader,
                    height=status.height if me else 0 if peer is None else peer.height,
                )
            )
        return json_reply(replies.MembersReply(record.number, record.engine, record.suite, found))

    async def genesis(self, request: Request) -> Response:
        """The signed genesis, from which anyone computes the ledger id."""
        known_parameters(request)
        return bytes_reply(self._genesis, file_name="genesis.zizhu")

    async def issuer(self, request: Request) -> Response:
        """Who signs for this member's services."""
        known_parameters(request)
        issuer = self._site.issuer
        if issuer is None:
            return json_reply(replies.IssuerReply(None, None))
        return json_reply(replies.IssuerReply(issuer.name, issuer.account.hex()))

    async def stream(self, request: Request) -> Response:
        """New blocks and the status, as they come."""
        known_parameters(request, "from")
        visible = self._backend.visible_height
        resumed = request.headers.get("last-event-id")
        if resumed is not None:
            above = number(resumed, name="Last-Event-ID")
        else:
            above = query_number(request, "from", default=visible + 1) - 1
        if self._streams >= STREAMS_MAX:
            raise Busy(TOO_MANY_STREAMS, retry_after_ms=PULSE_MS, streams_max=STREAMS_MAX)
        above = min(max(above, visible - BACKLOG_MAX, 0), visible)
        return StreamingResponse(self._events(above), media_type=EVENT_STREAM)

    async def _events(self, above: int) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            yield _event("status", self._backend.status())
            while True:
                visible = await self._backend.published(above, timeout_ms=PULSE_MS)
                above = max(above, visible - BACKLOG_MAX)
                for height in range(above + 1, visible + 1):
                    line = self._reading.block_line(height)
                    assert line is not None, "a visible block is in the archive"
                    yield _event("block", line, number=height)
                above = max(above, visible)
                yield _event("status", self._backend.status())
                # A fast chain must not keep a slow browser busy: at most some twenty rounds a second.
                await asyncio.sleep(0.05)
        finally:
            self._streams -= 1


def _event(kind: str, value: msgspec.Struct, *, number: int | None = None) -> bytes:
    head = b"" if number is None else b"id: %d\n" % number
    return head + b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(value) + b"\n\n"


def endpoints(site: Site) -> list[Endpoint]:
    """The addresses about the node."""
    routes = NodeRoutes(site)
    stream = Documents(
        summary="New blocks (event `block`) and the status (event `status`) as server-sent events",
        parameters=(Parameter("from", "query", "Begin with the block of this height (at most 100 back)", "integer"),),
        reply_media=(EVENT_STREAM,),
        errors=(400, 429),
    )
    genesis = Documents(summary="The signed genesis in its canonical encoding", reply_media=(BYTES,))
    return [
        Endpoint(
            "GET", f"{PREFIX}/status", routes.status, Documents(summary="The node as it is now"), reply=NodeStatus
        ),
        Endpoint(
            "GET",
            f"{PREFIX}/members",
            routes.members,
            Documents(summary="The members of the epoch, and how this member sees them"),
            reply=replies.MembersReply,
        ),
        Endpoint("GET", f"{PREFIX}/genesis", routes.genesis, genesis),
        Endpoint(
            "GET",
            f"{PREFIX}/issuer",
            routes.issuer,
            Documents(summary="The account as which this member's own services sign"),
            reply=replies.IssuerReply,
        ),
        Endpoint("GET", f"{PREFIX}/events/stream", routes.stream, stream),
    ]
