"""The wire: what a frame may hold, what is refused, and the greeting."""

import msgspec
import pytest

from zizhu.chain.consensus.pbft import messages as pbft
from zizhu.chain.model import limits
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.errors import AskedWrongly, SpokeWrongly
from zizhu.chain.model.ids import LedgerId, MemberId
from zizhu.chain.network import messages
from zizhu.chain.network.wire import HELLO_BYTES_MAX, TAG_MAX, Hello, HelloGreeting, Wire
from zizhu.framework.testkit.malformed import malformed, well_formed

SPOKEN: tuple[type[msgspec.Struct], ...] = (*messages.MESSAGES, *pbft.MESSAGES)
ME, PEER = MemberId(b"m" * 32), MemberId(b"p" * 32)
LEDGER = LedgerId(b"L" * 32)


class One(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A message."""

    data: bytes


class Other(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A message with the tag of One."""

    number: int


class Untagged(msgspec.Struct, frozen=True, array_like=True):
    """No message: it has no tag."""


class Named(msgspec.Struct, frozen=True, array_like=True, tag="named"):
    """No message: its tag is no number."""


class Mapped(msgspec.Struct, frozen=True, tag=2):
    """No message: it is a map."""


class Changeable(msgspec.Struct, array_like=True, tag=2):
    """No message: it is not frozen."""


class Greets(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """No message: its tag is the greeting's."""


@pytest.fixture(scope="module")
def wire() -> Wire:
    """The wire of a whole PBFT node."""
    return Wire(SPOKEN)


@pytest.mark.parametrize("type_", SPOKEN, ids=lambda type_: type_.__name__)
def test_every_message_comes_back(wire: Wire, type_: type[msgspec.Struct]) -> None:
    """A frame decodes to a message of its type, which encodes to the same frame."""
    frame = well_formed(type_)
    message = wire.decode(frame)
    assert type(message) is type_
    assert wire.encode(message) == frame


@pytest.mark.row("A-19")
@pytest.mark.row("F-3")
@pytest.mark.parametrize("type_", SPOKEN, ids=lambda type_: type_.__name__)
def test_every_malformed_message_is_refused(wire: Wire, type_: type[msgspec.Struct]) -> None:
    """a length or count that does not fit its payload is a decode error; no other exception leaves the codec. The
    wire's part of: every message with each field absent, null or empty is an error reply; no exception passes the
    handler"""
    count = 0
    for what, frame in malformed(type_):
        try:
            message = wire.decode(frame)
        except SpokeWrongly:
            count += 1
            continue
        assert type(message) is not type_, f"accepted: {what}: {frame[:80]!r}"
    assert count > 100


@pytest.mark.parametrize(
    "types",
    [(One, Other), (Untagged,), (Named,), (Mapped,), (Changeable,), (Greets,), ()],
    ids=["same tag", "no tag", "tag is text", "not an array", "not frozen", "the greeting's tag", "none at all"],
)
def test_what_cannot_be_a_message_is_refused(types: tuple[type[msgspec.Struct], ...]) -> None:
    """A node does not start with messages that could be confused, and the error names the type."""
    with pytest.raises(AskedWrongly, match=r"network\.message_type"):
        Wire(types)


class Last(msgspec.Struct, frozen=True, array_like=True, tag=TAG_MAX):
    """A message with the greatest tag."""

    data: bytes


class Beyond(msgspec.Struct, frozen=True, array_like=True, tag=TAG_MAX + 1):
    """No message: its tag is too great."""


def test_the_greatest_tag_is_a_tag_and_one_above_is_not() -> None:
    """TAG_MAX is spoken and comes back; a type above it is refused by name before a node starts."""
    wire = Wire((Last,))
    assert wire.decode(wire.encode(Last(b"x"))) == Last(b"x")
    with pytest.raises(AskedWrongly, match="Beyond"):
        Wire((Beyond,))


def test_a_frame_longer_than_the_limit_is_refused() -> None:
    """A message of MESSAGE_BYTES_MAX bytes is taken; with one byte more it is refused before it is decoded."""
    wire = Wire((One,))
    room = limits.MESSAGE_BYTES_MAX - len(encode(One(bytes(1 << 20)))) + (1 << 20)
    longest = encode(One(bytes(room)))
    assert len(longest) == limits.MESSAGE_BYTES_MAX
    assert wire.decode(longest) == One(bytes(room))
    with pytest.raises(SpokeWrongly, match="at most"):
        wire.decode(encode(One(bytes(room + 1))))


def _greeting(ledger: LedgerId = LEDGER, member: MemberId = PEER) -> bytes:
    return HelloGreeting(ledger=ledger, member=member, product="zizhu 9").frame()


def test_members_of_one_ledger_accept_each_other() -> None:
    """The greeting of the proven peer, same ledger and version, is accepted and tells its release."""
    assert HelloGreeting(ledger=LEDGER, member=ME, product="zizhu 1").accept(PEER, _greeting()) == "zizhu 9"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (_greeting(ledger=LedgerId(b"M" * 32)), "network.other_ledger"),
        (_greeting(member=ME), "network.other_member"),
        (encode(Hello(2, LEDGER, PEER, "zizhu 9")), "network.other_version"),
        (msgspec.msgpack.encode([0, 7, "fields of", "another version", None]), "network.other_version"),
        (msgspec.msgpack.encode([30, []]), "encoding.malformed"),
        (encode(Hello(1, LEDGER, PEER, "z" * HELLO_BYTES_MAX)), "encoding.malformed"),
        (b"GET / HTTP/1.1", "encoding.malformed"),
        (b"", "encoding.malformed"),
    ],
)
def test_any_other_greeting_is_refused_by_name(frame: bytes, code: str) -> None:
    """Another ledger, member or version is named; what is no greeting is malformed."""
    with pytest.raises(SpokeWrongly) as caught:
        HelloGreeting(ledger=LEDGER, member=ME, product="zizhu 1").accept(PEER, frame)
    assert caught.value.code.code == code


@pytest.mark.row("A-19")
def test_every_malformed_greeting_is_refused() -> None:
    """a length or count that does not fit its payload is a decode error; no other exception leaves the codec"""
    greeting = HelloGreeting(ledger=bytes(32), member=ME, product="zizhu 1")  # type: ignore[arg-type]
    for what, frame in malformed(Hello):
        with pytest.raises(SpokeWrongly):
            greeting.accept(MemberId(bytes(32)), frame)
            pytest.fail(f"accepted: {what}: {frame[:80]!r}")
