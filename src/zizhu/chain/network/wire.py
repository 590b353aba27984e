"""The bytes of messages between members: one closed, tagged union over everything a node speaks.

Decides which message types a frame may hold, and what two members must agree on before they talk. Refuses to
know what a message means and how a frame travels. Pure.

A message type is a frozen, array-like msgspec struct with an integer tag of its own, so a frame is
`[tag, field, …]` in the one canonical encoding (docs/protocol/transport.md lists the ranges of tags).
"""

import functools
import operator
from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.encoding import Codec, Hash32, Name, encode
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, SpokeWrongly
from zizhu.chain.model.ids import LedgerId, MemberId

VERSION = 1
"""Version of the protocol between members: of messages, greeting and framing."""
HELLO_BYTES_MAX = 1024
"""Longest greeting; no longer first frame is taken from anybody."""
TAG_MAX = 255
"""Largest tag of a message type; 0 is the greeting's."""

MESSAGE_TYPE = ErrorCode(
    "network.message_type",
    "{type} cannot be a message: {reason}",
    "give each message type array_like=True, frozen=True and an integer tag of its own in 1..255",
    "{type} 不能作为消息类型:{reason}",
    "请为每种消息设置 array_like=True、frozen=True 以及 1..255 内唯一的整数标签",
)
OTHER_VERSION = ErrorCode(
    "network.other_version",
    "the peer speaks protocol version {theirs}, this node {ours}",
    "run versions of Zizhu with the same protocol version on both members",
    "对方使用协议版本 {theirs},本节点使用 {ours}",
    "请在双方运行协议版本相同的自主链",
)
OTHER_LEDGER = ErrorCode(
    "network.other_ledger",
    "the peer belongs to ledger {theirs}, this node to {ours}",
    "compare the genesis files of both members; correct the peer's address if it belongs to another network",
    "对方属于账本 {theirs},本节点属于 {ours}",
    "请比对双方的创世文件;若对方属于另一网络,请更正其地址",
)
OTHER_MEMBER = ErrorCode(
    "network.other_member",
    "the peer calls itself member {theirs}, but its certificate is that of {proven}",
    "give each member its own keys; check that no folder was copied",
    "对方自称成员 {theirs},但其证书属于 {proven}",
    "请为每个成员使用各自的密钥,并确认没有复制过节点目录",
)


class Hello(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=0):
    """The first frame each side sends. `product` is the release, for `status`; it decides nothing."""

    version: Annotated[int, msgspec.Meta(ge=0, le=limits.NUMBER_MAX)]
    ledger: Hash32
    member: Hash32
    product: Name


class _HelloHead(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=0):
    """What every version of the greeting begins with, so that an other version can be named."""

    version: Annotated[int, msgspec.Meta(ge=0, le=limits.NUMBER_MAX)]


_hello_codec: Codec[Hello] = Codec(Hello, what="greeting", bytes_max=HELLO_BYTES_MAX)
_head_decoder = msgspec.msgpack.Decoder(_HelloHead)


class HelloGreeting:
    """The greeting of one member of one ledger: says who it is, accepts members of the same ledger and version."""

    __slots__ = ("_frame", "_ledger")

    def __init__(self, *, ledger: LedgerId, member: MemberId, product: str) -> None:
        self._ledger = ledger
        self._frame = encode(Hello(VERSION, ledger, member, product))

    def frame(self) -> bytes:
        """This member's greeting, encoded."""
        return self._frame

    def accept(self, peer: MemberId, frame: bytes) -> str:
        """The product version of `peer`, proven by the transport, from its greeting.

        Raises SpokeWrongly: `network.other_version`, `network.other_ledger`, `network.other_member`,
        `encoding.malformed`.
        """
        theirs = _version_of(frame)
        if theirs is not None and theirs != VERSION:
            raise SpokeWrongly(OTHER_VERSION, theirs=theirs, ours=VERSION)
        hello = _hello_codec.decode(frame)
        if hello.ledger != self._ledger:
            raise SpokeWrongly(OTHER_LEDGER, theirs=hello.ledger.hex(), ours=self._ledger.hex())
        if hello.member != peer:
            raise SpokeWrongly(OTHER_MEMBER, theirs=hello.member.hex(), proven=peer.hex())
        return hello.product


def _version_of(frame: bytes) -> int | None:
    """The version a greeting of any version begins with; None when it is no greeting at all."""
    if len(frame) > HELLO_BYTES_MAX:
        return None
    try:
        return _head_decoder.decode(frame).version
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


class Wire:
    """Codec of all messages of a node. Built once from the types of its machine and its engine."""

    __slots__ = ("_codec", "messages")

    def __init__(self, messages: tuple[type[msgspec.Struct], ...]) -> None:
        """Raises AskedWrongly (`network.message_type`) for a type that is none, or a tag used twice."""
        owners: dict[int, str] = {}
        for message in messages:
            tag = _tag_of(message)
            if tag in owners:
                raise AskedWrongly(
                    MESSAGE_TYPE, type=message.__qualname__, reason=f"its tag {tag} is that of {owners[tag]}"
                )
            owners[tag] = message.__qualname__
        if not messages:
            raise AskedWrongly(MESSAGE_TYPE, type="an empty tuple", reason="a node speaks at least one message")
        self.messages = messages
        union = functools.reduce(operator.or_, messages)
        self._codec: Codec[msgspec.Struct] = Codec(union, what="message", bytes_max=limits.MESSAGE_BYTES_MAX)

    def encode(self, message: msgspec.Struct) -> bytes:
        """The frame of `message`, which must be of one of the types (asserted)."""
        assert type(message) in self.messages, f"{type(message).__qualname__} is not a message of this node"
        frame = encode(message)
        assert len(frame) <= limits.MESSAGE_BYTES_MAX, f"{type(message).__qualname__} of {len(frame)} bytes"
        return frame

    def decode(self, frame: bytes) -> msgspec.Struct:
        """The message in `frame`. Raises SpokeWrongly (`encoding.malformed`) for anything else, and nothing else."""
        return self._codec.decode(frame)


def _tag_of(message: type[msgspec.Struct]) -> int:
    """The tag of a message type, or AskedWrongly."""
    config = message.__struct_config__
    reason = ""
    if not (config.array_like and config.frozen):
        reason = "it is not array_like and frozen"
    elif not isinstance(config.tag, int) or not 1 <= config.tag <= TAG_MAX:
        reason = f"its tag is {config.tag!r}, not in 1..{TAG_MAX}"
    if reason:
        raise AskedWrongly(MESSAGE_TYPE, type=message.__qualname__, reason=reason)
    assert isinstance(config.tag, int)
    return config.tag
