"""The one canonical encoding: every structure of the model comes back, and nothing else is let in."""

import importlib
import pkgutil

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from zizhu.chain import model
from zizhu.chain.model.encoding import Codec, encode
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.transaction import Bundle, Single, Submission, submission_codec
from zizhu.framework.testkit.malformed import malformed, sample, well_formed

LONG = 3
"""Lists and byte strings are drawn this much longer than they must be."""


def _structs() -> list[type[msgspec.Struct]]:
    """Every struct that a module of the model defines."""
    found = []
    for module in pkgutil.iter_modules(model.__path__):
        room = importlib.import_module(f"{model.__name__}.{module.name}")
        found += [
            each
            for each in vars(room).values()
            if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == room.__name__
        ]
    return found


STRUCTS = _structs()
CODECS = {struct: Codec[msgspec.Struct](struct, what=struct.__name__, bytes_max=1 << 26) for struct in STRUCTS}


def drawn(info: inspect.Type) -> st.SearchStrategy[object]:
    """Values of a type of the model, bounds included."""
    match info:
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.IntType():
            least, most = info.ge or 0, (1 << 64) - 1 if info.le is None else info.le
            return st.sampled_from([least, most]) | st.integers(least, most)
        case inspect.BytesType():
            least = info.min_length or 0
            most = least + LONG if info.max_length is None else min(info.max_length, least + LONG)
            return st.binary(min_size=least, max_size=most)
        case inspect.StrType():
            texts = st.characters(exclude_categories=["Cs"])
            return st.text(texts, min_size=info.min_length or 0, max_size=LONG)
        case inspect.ListType():
            least = info.min_length or 0
            return st.lists(drawn(info.item_type), min_size=least, max_size=least + LONG - 1)
        case inspect.UnionType():
            return st.one_of(*(drawn(each) for each in info.types))
        case inspect.StructType():
            return st.builds(info.cls, **{field.name: drawn(field.type) for field in info.fields})
        case _:
            raise AssertionError(f"the model does not use {info!r}")


def test_the_model_has_structures() -> None:
    """The tests below walk what they mean to walk."""
    names = {struct.__name__ for struct in STRUCTS}
    assert {"Block", "BlockHeader", "Outcome", "Certificate", "Receipt", "EpochRecord", "SignedGenesis"} <= names
    assert {"TransactionBody", "Single", "Bundle", "BundleEntry"} <= names


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_structure_comes_back(struct: type[msgspec.Struct]) -> None:
    """decode(encode(x)) == x, whatever stands in its fields."""

    @settings(max_examples=15, deadline=None, database=None)
    @given(drawn(inspect.type_info(struct)))
    def check(value: object) -> None:
        assert CODECS[struct].decode(encode(value)) == value

    check()


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_altered_bytes_decode_to_themselves_or_are_refused(struct: type[msgspec.Struct]) -> None:
    """encode(decode(b)) == b or refusal, for bytes changed, cut out and put in anywhere; SpokeWrongly alone is raised."""

    @settings(max_examples=25, deadline=None, database=None)
    @given(drawn(inspect.type_info(struct)), st.data())
    def check(value: object, data: st.DataObject) -> None:
        whole = encode(value)
        at = data.draw(st.integers(0, len(whole) - 1))
        cut = data.draw(st.integers(0, 4))
        altered = whole[:at] + data.draw(st.binary(max_size=4)) + whole[at + cut :]
        try:
            decoded = CODECS[struct].decode(altered)
        except SpokeWrongly as refused:
            assert refused.code.code == "encoding.malformed"
            return
        assert encode(decoded) == altered
        assert decoded != value or altered == whole

    check()


@pytest.mark.row("A-19")
@pytest.mark.row("F-3")
@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_malformed_structure_is_refused(struct: type[msgspec.Struct]) -> None:
    """a length or count that does not fit its payload is a decode error; no other exception leaves the codec. The
    same for each field absent, null, empty, out of its bounds, or of another type."""
    assert CODECS[struct].decode(well_formed(struct))
    admitted = []
    for what, data in malformed(struct):
        try:
            CODECS[struct].decode(data)
        except SpokeWrongly:
            continue
        admitted.append(what)
    assert not admitted


def _longer(data: bytes) -> list[tuple[str, bytes]]:
    """The same value of MessagePack in every longer form that the format has, head and tail."""
    first, rest = data[0], data[1:]
    match first:
        case _ if first < 0x80:
            wide = [b"\xcc" + data, b"\xcd\0" + data, b"\xce\0\0\0" + data, b"\xcf" + bytes(7) + data]
            signed = [b"\xd0" + data, b"\xd1\0" + data, b"\xd2\0\0\0" + data, b"\xd3" + bytes(7) + data]
            return [("int", each) for each in wide + signed]
        case _ if first & 0xF0 == 0x90:
            count = first & 0x0F
            heads = [b"\xdc" + count.to_bytes(2, "big"), b"\xdd" + count.to_bytes(4, "big")]
            return [("array", head + rest) for head in heads]
        case _ if first & 0xE0 == 0xA0:
            count = first & 0x1F
            heads = [b"\xd9", b"\xda\0", b"\xdb\0\0\0"]
            return [("text", head + bytes([count]) + rest) for head in heads]
        case 0xC4:
            return [("bytes", b"\xc5\0" + rest), ("bytes", b"\xc6\0\0\0" + rest)]
        case _:
            return []


def _forms(value: object) -> list[tuple[str, bytes]]:
    """All encodings of a plain value that are longer in exactly one place than the canonical one."""
    whole = encode(value)
    forms = _longer(whole)
    if isinstance(value, list):
        head = whole[: len(whole) - sum(len(encode(item)) for item in value)]
        for at, item in enumerate(value):
            before, after = (b"".join(encode(each) for each in part) for part in (value[:at], value[at + 1 :]))
            forms += [(what, head + before + form + after) for what, form in _forms(item)]
    return forms


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_forms_that_are_not_minimal_are_refused(struct: type[msgspec.Struct]) -> None:
    """One value has one encoding: each int, text, byte string and array in a longer form of MessagePack is refused,
    although a plain decoder takes it."""
    plain = sample(inspect.type_info(struct))
    forms = _forms(plain)
    assert forms
    for what, data in forms:
        assert msgspec.msgpack.decode(data) == plain, what
        with pytest.raises(SpokeWrongly):
            CODECS[struct].decode(data)


def test_a_union_is_told_by_its_tag() -> None:
    """A submission is a single or a bundle, and neither passes for the other."""
    for struct in (Single, Bundle):
        assert type(submission_codec.decode(well_formed(struct))) is struct
    single = msgspec.msgpack.decode(well_formed(Single))
    with pytest.raises(SpokeWrongly):
        submission_codec.decode(msgspec.msgpack.encode([2, *single[1:]]))
    with pytest.raises(SpokeWrongly):
        Codec[Submission](Single, what="single", bytes_max=1 << 20).decode(well_formed(Bundle))


def test_the_length_is_looked_at_before_the_bytes() -> None:
    """A codec refuses what is longer than its maximum by the length alone; at the maximum it decodes."""
    data = well_formed(Single)
    assert Codec[Single](Single, what="single", bytes_max=len(data)).decode(data)
    with pytest.raises(SpokeWrongly) as refused:
        Codec[Single](Single, what="single", bytes_max=len(data) - 1).decode(data)
    assert f"{len(data)} bytes" in refused.value.cause()
