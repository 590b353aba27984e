"""The transport over TCP: listens, dials, knows which member each link belongs to, keeps one link a pair.

Decides who dials (the member with the lower id), which of two links of a pair survives (the newer) and how many
unproven connections are borne. Refuses to know what a frame means.
"""

import asyncio
import socket
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field

from zizhu.chain.model import limits
from zizhu.chain.model.errors import ErrorCode, OperatingFault, SpokeWrongly, ZizhuError
from zizhu.chain.model.ids import MemberId
from zizhu.chain.network.port import (
    HANDSHAKE,
    LISTEN,
    UNKNOWN_MEMBER,
    LinkStatus,
    Listener,
    Peer,
    Setting,
)
from zizhu.chain.network.tcp.link import Link, LinkLimits
from zizhu.chain.network.tcp.pacing import Backoff, Budget
from zizhu.chain.network.tcp.security import client_context, pin_of, server_context

WRONG_DIRECTION = ErrorCode(
    "network.wrong_direction",
    "{name} dialled this member, but of two members the one with the lower id dials",
    "nothing needs to be done if links stand; otherwise check that both members run the same version",
    "{name} 主动连接了本成员,但应由编号较小的成员发起连接",
    "若连接正常则无需处理;否则请确认双方运行相同版本",
)


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """Bounds of the transport. `unproven_*` count connections that have not shown a member's certificate."""

    link: LinkLimits = field(default_factory=LinkLimits)
    connect_ms: int = 5_000
    backoff_first_ms: int = 50
    backoff_last_ms: int = 2_000
    unproven_max: int = 256
    unproven_per_host_max: int = 64
    refusals_per_s: int = 10


@dataclass(slots=True)
class _Side:
    """What is known of one peer: its link while it stands, and counters of links that ended."""

    peer: Peer
    link: Link | None = None
    greeting: Link | None = None
    """The one connection whose greeting is awaited; a newer one replaces it, so a member cannot pile them up."""
    product: str = ""
    connects: int = 0
    dropped: int = 0
    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    held: bool = False
    last_refusal: str = ""


class TcpTransport:
    """The `Transport` of `network.port` over TCP and TLS 1.3."""

    def __init__(self, setting: Setting, limits_: TcpLimits) -> None:
        """Raises AskedWrongly when a key or certificate cannot be used."""
        self._setting = setting
        self._limits = limits_
        self._sides = {peer.member: _Side(peer) for peer in setting.peers}
        self._by_pin = {peer.pin: peer.member for peer in setting.peers}
        assert len(self._by_pin) == len(setting.peers) == len(self._sides), "members share a key"
        self._server_tls = server_context(setting.credentials, setting.peers)
        self._client_tls = client_context(setting.credentials, setting.peers)
        self._listener: Listener | None = None
        self._socket: socket.socket | None = None
        self._members: dict[Link, MemberId] = {}
        self._unproven: dict[str, int] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._refusals: Budget | None = None
        self._quiet_until_s = 0.0

    @property
    def address(self) -> tuple[str, int]:
        """Host and port this member listens on."""
        assert self._socket is not None, "not started"
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    async def start(self, listener: Listener) -> None:
        """Listen and dial. Raises OperatingFault (`network.listen`)."""
        loop = asyncio.get_running_loop()
        self._socket = await _bound(self._setting.host, self._setting.port)
        self._listener = listener
        self._refusals = Budget(bytes_per_s=1, frames_per_s=self._limits.refusals_per_s, now_s=loop.time())
        _spawn(self._tasks, self._accept(self._socket))
        for side in self._sides.values():
            if self._setting.me < side.peer.member:
                _spawn(self._tasks, self._dial(side))

    def send(self, peer: MemberId, frame: bytes, *, urgent: bool) -> None:
        """Queue `frame` for `peer` (of the setting, asserted); dropped and counted while there is no link."""
        assert 0 < len(frame) <= limits.MESSAGE_BYTES_MAX, f"a frame of {len(frame)} bytes"
        side = self._sides[peer]
        if side.link is None:
            side.dropped += 1
        else:
            side.link.send(frame, urgent=urgent)

    def pause(self, peer: MemberId) -> None:
        """Take no frames from `peer` until `resume`, also over a reconnect."""
        self._hold(peer, held=True)

    def resume(self, peer: MemberId) -> None:
        """Take frames from `peer` again."""
        self._hold(peer, held=False)

    def links(self) -> tuple[LinkStatus, ...]:
        """One status a peer, in the order of the setting."""
        return tuple(_status(side) for side in self._sides.values())

    async def close(self) -> None:
        """End everything; the listener hears nothing afterwards."""
        self._listener = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        links = list(self._members)
        for link in links:
            link.reset(None)
        await asyncio.gather(*(link.closed for link in links))

    # -- what links ask and tell -------------------------------------------------------------------------------

    def identify(self, link: Link, certificate: bytes) -> bytes:
        """See `link.Owner`: the member is the one whose pin the certificate has, and no other was dialled."""
        pin = pin_of(certificate)
        member = None if pin is None else self._by_pin.get(pin)
        if member is None or (link.dialled is not None and link.dialled != member):
            raise SpokeWrongly(UNKNOWN_MEMBER, address=link.address, pin="none" if pin is None else pin.hex())
        side = self._sides[member]
        if link.dialled is None and self._setting.me < member:
            raise SpokeWrongly(WRONG_DIRECTION, name=side.peer.name)
        self._members[link] = member
        if side.greeting is not None:
            side.greeting.reset(None)
        side.greeting = link
        return self._setting.greeting.frame()

    def greeted(self, link: Link, frame: bytes) -> None:
        """See `link.Owner`: the link stands, in place of any older one with that member."""
        member = self._members[link]
        side = self._sides[member]
        side.product = self._setting.greeting.accept(member, frame)
        side.greeting = None
        if side.link is not None:
            # The peer gave the older one up, or it would not have dialled again.
            older = side.link
            self._ended(side, older)
            older.reset(None)
        side.link = link
        side.connects += 1
        side.last_refusal = ""
        link.up = True
        if side.held:
            link.hold(held=True)
        if self._listener is not None:
            self._listener.link_changed(member, up=True)

    def frame_received(self, link: Link, frame: bytes) -> None:
        """See `link.Owner`."""
        if self._listener is not None:
            self._listener.frame_received(self._members[link], frame)

    def link_lost(self, link: Link, error: ZizhuError | None) -> None:
        """See `link.Owner`."""
        member = self._members.pop(link, None)
        if member is not None:
            side = self._sides[member]
            if side.link is link:
                self._ended(side, link)
            if side.greeting is link:
                side.greeting = None
        if error is not None:
            self._refused(member or link.dialled, error)

    # -- inside ------------------------------------------------------------------------------------------------

    def _ended(self, side: _Side, link: Link) -> None:
        """Keep the counters of a link that stood, and say that it fell."""
        side.link = None
        link.up = False
        side.dropped += link.queue.dropped + link.queue.frames
        side.frames_in += link.frames_in
        side.frames_out += link.frames_out
        side.bytes_in += link.bytes_in
        side.bytes_out += link.bytes_out
        if self._listener is not None:
            self._listener.link_changed(side.peer.member, up=False)

    def _refused(self, member: MemberId | None, error: ZizhuError) -> None:
        """Report a connection that failed: once a reason and peer, and strangers at a bounded rate."""
        assert self._refusals is not None
        if member is not None:
            side = self._sides[member]
            if side.last_refusal == str(error):
                return
            side.last_refusal = str(error)
        else:
            now_s = asyncio.get_running_loop().time()
            if now_s < self._quiet_until_s:
                return
            self._quiet_until_s = now_s + self._refusals.spend(size_bytes=0, frames=1, now_s=now_s)
        if self._listener is not None:
            self._listener.link_refused(member, error)

    def _hold(self, peer: MemberId, *, held: bool) -> None:
        side = self._sides[peer]
        side.held = held
        if side.link is not None:
            side.link.hold(held=held)

    async def _dial(self, side: _Side) -> None:
        """Build the link with one peer, again and again."""
        peer = side.peer
        backoff = Backoff(
            first_s=self._limits.backoff_first_ms / 1000,
            last_s=self._limits.backoff_last_ms / 1000,
            seed=f"{self._setting.seed} {peer.member.hex()}",
        )
        while True:
            connects = side.connects
            await self._dial_once(peer)
            if side.connects > connects:
                backoff.reset()
            await asyncio.sleep(backoff.wait_s())

    async def _dial_once(self, peer: Peer) -> None:
        """One connection with `peer`, from the first packet to its end."""
        address = f"{peer.host}:{peer.port}"
        loop = asyncio.get_running_loop()
        link = Link(self, self._limits.link, address=address, dialled=peer.member)
        wait_s = self._limits.connect_ms / 1000
        try:
            async with asyncio.timeout(wait_s):
                await loop.create_connection(
                    lambda: link,
                    peer.host,
                    peer.port,
                    ssl=self._client_tls,
                    server_hostname="",
                    ssl_handshake_timeout=wait_s,
                    ssl_shutdown_timeout=1.0,
                )
        except (OSError, TimeoutError, UnicodeError) as error:
            self._refused(peer.member, SpokeWrongly(HANDSHAKE, address=address, reason=_reason(error)))
        else:
            await asyncio.wait([link.closed])  # cancelling this does not cancel what `close` waits for

    async def _accept(self, listening: socket.socket) -> None:
        """Take connections from others, as many at a time as the limits bear."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                raw, remote = await loop.sock_accept(listening)
            except OSError as error:
                # Out of descriptors, or the caller vanished: links that stand are worth more than new ones.
                self._refused(None, OperatingFault(HANDSHAKE, address="a caller", reason=_reason(error)))
                await asyncio.sleep(self._limits.backoff_first_ms / 1000)
                continue
            host = str(remote[0])
            count = self._unproven.get(host, 0)
            if count >= self._limits.unproven_per_host_max or sum(self._unproven.values()) >= self._limits.unproven_max:
                raw.close()
                continue
            self._unproven[host] = count + 1
            _spawn(self._tasks, self._admit(raw, host, f"{host}:{remote[1]}"))

    async def _admit(self, raw: socket.socket, host: str, address: str) -> None:
        """The TLS handshake of one caller; it counts as unproven until that is over."""
        link = Link(self, self._limits.link, address=address, dialled=None)
        try:
            raw.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: link,
                raw,
                ssl=self._server_tls,
                ssl_handshake_timeout=self._limits.connect_ms / 1000,
                ssl_shutdown_timeout=1.0,
            )
        except (OSError, TimeoutError) as error:
            self._refused(None, SpokeWrongly(HANDSHAKE, address=address, reason=_reason(error)))
        finally:
            left = self._unproven[host] - 1
            if left:
                self._unproven[host] = left
            else:
                del self._unproven[host]


def build(setting: Setting) -> TcpTransport:
    """The factory behind the entry point `tcp`. Raises AskedWrongly when keys or certificates cannot be used."""
    return TcpTransport(setting, TcpLimits())


async def _bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OperatingFault (`network.listen`)."""
    try:
        found: Sequence[tuple[int, int, int, str, tuple[object, ...]]]
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, where = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            listening.listen(128)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise OperatingFault(LISTEN, host=host, port=port, reason=_reason(error)) from None
    listening.setblocking(False)
    return listening


def _spawn(tasks: dict[asyncio.Task[None], None], work: Coroutine[object, object, None]) -> None:
    """Run `work` beside, listed in `tasks` until it ends.

    One that fails is our bug: its exception goes to the loop's handler, which stops the node.
    """

    def ended(task: asyncio.Task[None]) -> None:
        del tasks[task]
        if not task.cancelled():
            task.result()

    task = asyncio.get_running_loop().create_task(work)
    tasks[task] = None
    task.add_done_callback(ended)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _status(side: _Side) -> LinkStatus:
    link = side.link
    return LinkStatus(
        peer=side.peer.member,
        name=side.peer.name,
        up=link is not None,
        address=link.address if link else f"{side.peer.host}:{side.peer.port}",
        product=side.product,
        frames_in=side.frames_in + (link.frames_in if link else 0),
        frames_out=side.frames_out + (link.frames_out if link else 0),
        bytes_in=side.bytes_in + (link.bytes_in if link else 0),
        bytes_out=side.bytes_out + (link.bytes_out if link else 0),
        frames_dropped=side.dropped + (link.queue.dropped if link else 0),
        queued_bytes=link.queue.cost_bytes if link else 0,
        connects=side.connects,
        last_refusal=side.last_refusal,
    )
