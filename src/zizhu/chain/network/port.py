"""The port of a transport: authenticated links between members that carry opaque frames.

Decides what the node may ask of a transport and what it is told. Refuses to know how links are encrypted or
carried, and what is in a frame: `wire` knows. A transport enters by the entry point group `zizhu.transport`;
its factory is `build(setting: Setting) -> Transport`.

What a transport promises:

- `frame_received(peer, …)` is told only of a peer that proved to be that member, after its greeting was accepted.
- A frame arrives whole, at most once, and in the order sent among frames of the same urgency of one link; or
  it is lost. `link_changed(peer, up=False)` says that frames may have been lost in both directions.
- At most one link stands between two members.
- What a slow or silent peer has not taken is bounded: of frames that are not urgent the oldest are dropped and
  counted; too many urgent ones reset the link.
- Urgent frames do not wait behind others.
"""

from dataclasses import dataclass, field
from typing import Protocol

from zizhu.chain.model.errors import ErrorCode, ZizhuError
from zizhu.chain.model.ids import MemberId

GROUP = "zizhu.transport"

FRAME_LENGTH = ErrorCode(
    "network.frame_length",
    "a frame of {length} bytes was announced; at most {length_max} are allowed here",
    "check that the peer runs Zizhu and the same version; the link was closed",
    "对方声明了 {length} 字节的帧,此处最多允许 {length_max} 字节",
    "请确认对方运行的是相同版本的自主链;该连接已关闭",
)
UNKNOWN_MEMBER = ErrorCode(
    "network.unknown_member",
    "the certificate presented by {address} has the pin {pin}, which belongs to no member this node expects there",
    "compare the pin with the member's entry in the genesis; give this node the member's current certificate",
    "{address} 出示的证书指纹 {pin} 不属于本节点在此期望的任何成员",
    "请将该指纹与创世文件中的成员条目比对,并更新本节点保存的成员证书",
)
HANDSHAKE = ErrorCode(
    "network.handshake",
    "no link with {address}: {reason}",
    "check that both members run, know each other's certificates and speak TLS 1.3; the dialler tries again by itself",
    "无法与 {address} 建立连接:{reason}",
    "请确认双方均在运行、互有对方证书并使用 TLS 1.3;发起方会自动重试",
)
LISTEN = ErrorCode(
    "network.listen",
    "cannot listen on {host}:{port}: {reason}",
    "choose a free port under [listen] in node.toml, or stop the process that holds it",
    "无法监听 {host}:{port}:{reason}",
    "请在 node.toml 的 [listen] 中选择空闲端口,或停止占用该端口的进程",
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A member to hold a link with. `pin`: SHA-256 of its certificate's public key (32 bytes, from the genesis);
    `certificate`: its certificate as PEM. `host` and `port` are where it listens."""

    member: MemberId
    name: str
    host: str
    port: int
    pin: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves this member on a link: PEM files of its certificate and its encrypted key, and that password."""

    certificate_path: str
    key_path: str
    key_password: bytes = field(repr=False)


class Greeting(Protocol):
    """What two members tell each other first; the transport carries it and asks whether the answer will do."""

    def frame(self) -> bytes:
        """The first frame this member sends on a link."""
        ...

    def accept(self, peer: MemberId, frame: bytes) -> str:
        """The product version of `peer`, whose first frame was `frame`. Raises SpokeWrongly to refuse the link."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """What a transport starts from. `peers` does not contain `me`. `seed` feeds the jitter of reconnecting.

    `port` 0 lets the system choose one; `Transport.address` tells which.
    """

    me: MemberId
    host: str
    port: int
    peers: tuple[Peer, ...]
    credentials: Credentials
    greeting: Greeting
    seed: int
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """One link as `zizhu status` shows it; counters run from the start of the transport, over all reconnects.

    `frames_dropped` were discarded because the peer was slow or away; `queued_bytes` wait to be written.
    `product` is the peer's version, empty until a link stood once.
    """

    peer: MemberId
    name: str
    up: bool
    address: str
    product: str
    frames_in: int
    frames_out: int
    bytes_in: int
    bytes_out: int
    frames_dropped: int
    queued_bytes: int
    connects: int
    last_refusal: str


class Listener(Protocol):
    """Who is told. Calls come on the transport's own loop, never inside `send`, and must not block or raise."""

    def frame_received(self, peer: MemberId, frame: bytes) -> None:
        """A whole frame of `peer`, 1..MESSAGE_BYTES_MAX bytes."""
        ...

    def link_changed(self, peer: MemberId, *, up: bool) -> None:
        """The link with `peer` now stands, or broke."""
        ...

    def link_refused(self, peer: MemberId | None, error: ZizhuError) -> None:
        """A connection came to nothing; `peer` is None when it did not get as far as proving who it is."""
        ...


class Transport(Protocol):
    """Links with all peers of the setting, held up until `close`."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port this member listens on; whole after `start`."""
        ...

    async def start(self, listener: Listener) -> None:
        """Listen, and begin to build links. Raises OperatingFault (`network.listen`) when the port is taken."""
        ...

    def send(self, peer: MemberId, frame: bytes, *, urgent: bool) -> None:
        """Queue a frame of 1..MESSAGE_BYTES_MAX bytes; dropped and counted while no link with `peer` stands."""
        ...

    def pause(self, peer: MemberId) -> None:
        """Take no more frames from `peer` (its queue in the node is full) until `resume`."""
        ...

    def resume(self, peer: MemberId) -> None:
        """Take frames from `peer` again."""
        ...

    def links(self) -> tuple[LinkStatus, ...]:
        """One status a peer, in the order of the setting."""
        ...

    async def close(self) -> None:
        """Write nothing more, end all links, stop listening. The listener hears nothing afterwards."""
        ...
