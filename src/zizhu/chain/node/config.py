"""What an operator writes into a node's `node.toml`, as one frozen value.

Decides the keys, their types, bounds and defaults, and how a mistake is told: the file, the key, the rule.
Refuses to know who the members are and what they agreed on: the genesis and the chain say that.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from zizhu.chain.crypto.passphrase import Source, parse_source
from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault, ZizhuError
from zizhu.chain.storage.atomic_file import write_atomic_file
from zizhu.chain.storage.placement import DATA_CLASSES, Placement, checked_placement

FILE_BYTES_MAX = 1024 * 1024
PEERS_MAX = 1024
CLOCK_OFFSET_MS_MAX = 24 * 3600 * 1000
DEVELOPMENT_PREFIX = "file:"
"""A passphrase source of development networks: a file that only its owner may read."""

SYNTAX = ErrorCode(
    "config.syntax",
    "{file} is not valid TOML: {reason}",
    "correct the line that is named; https://toml.io describes the format",
    "{file} 不是有效的 TOML:{reason}",
    "请更正所指的行;格式说明见 https://toml.io",
)
UNREADABLE = ErrorCode(
    "config.unreadable",
    "{file} cannot be read: {reason}",
    "check the path and the file's permissions; `zizhu up` writes the files of a new network",
    "无法读取 {file}:{reason}",
    "请检查路径与文件权限;`zizhu up` 会为新网络生成这些文件",
)
UNKNOWN_KEY = ErrorCode(
    "config.unknown_key",
    "{file} has the key {key}, which nothing reads; known there: {known}",
    "correct the spelling or delete the key; docs/guides/configuration.md lists all keys",
    "{file} 中的键 {key} 不被识别;此处可用的键:{known}",
    "请更正拼写或删除该键;全部键见 docs/guides/configuration.md",
)
MISSING_KEY = ErrorCode(
    "config.missing_key",
    "{file} lacks the key {key}",
    "add the key; docs/guides/configuration.md lists all keys",
    "{file} 缺少键 {key}",
    "请补上该键;全部键见 docs/guides/configuration.md",
)
WRONG_TYPE = ErrorCode(
    "config.wrong_type",
    "{key} in {file} must be of type {expected}, not {got}",
    "write a value of that type; text stands in quotation marks, numbers do not",
    "{file} 中的 {key} 类型应为 {expected},而不是 {got}",
    "请写入该类型的值;文本需加引号,数字不加",
)
BAD_VALUE = ErrorCode(
    "config.bad_value",
    "{key} in {file} breaks a rule: {reason}",
    "choose a value within the rule; docs/guides/configuration.md lists all keys",
    "{file} 中的 {key} 不符合规则:{reason}",
    "请选择符合规则的值;全部键见 docs/guides/configuration.md",
)

NodeName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")]
HostName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._:%-]{1,253}$")]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to listen; port 0 lets the system choose."""

    host: HostName = "127.0.0.1"
    port: Port = 0


class PeerAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where another member listens. `name` is its name in the genesis."""

    name: NodeName
    host: HostName
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One member's choices. `folder` holds its keys, data and logs; relative to the file, and absolute once loaded.

    `passphrase`: `prompt`, `fd:N`, `credential:NAME`, or for development `file:PATH`.
    `clock_offset_ms` is added to the clock, for tests of clocks that are wrong.
    """

    name: NodeName
    folder: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] = "."
    listen: Address = Address()
    http: Address = Address()
    peers: Annotated[tuple[PeerAddress, ...], msgspec.Meta(max_length=PEERS_MAX)] = ()
    storage: Placement = Placement()
    transport: NodeName = "tcp"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    passphrase: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] = "prompt"
    clock_offset_ms: Annotated[int, msgspec.Meta(ge=-CLOCK_OFFSET_MS_MAX, le=CLOCK_OFFSET_MS_MAX)] = 0


_KNOWN: dict[str, tuple[str, ...]] = {
    "": NodeConfig.__struct_fields__,
    "listen": Address.__struct_fields__,
    "http": Address.__struct_fields__,
    "peers": PeerAddress.__struct_fields__,
    "storage": DATA_CLASSES,
}
_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_TYPE = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_TYPES = {"int": "integer", "str": "string", "object": "table", "array": "array", "bool": "boolean", "float": "float"}


def load_config(path: Path, *, key_value_stores: tuple[str, ...] | None = None) -> NodeConfig:
    """The configuration in `path`, its folder made absolute.

    `key_value_stores` are the stores that exist here; by default the built-in ones. Raises AskedWrongly
    (`config.syntax`, `.unknown_key`, `.missing_key`, `.wrong_type`, `.bad_value`), OperatingFault
    (`config.unreadable`).
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise OperatingFault(UNREADABLE, file=path, reason=error.strerror or str(error)) from None
    if len(data) > FILE_BYTES_MAX:
        raise AskedWrongly(SYNTAX, file=path, reason=f"it is longer than {FILE_BYTES_MAX} bytes")
    try:
        tree = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AskedWrongly(SYNTAX, file=path, reason=str(error)) from None
    try:
        config = msgspec.convert(tree, NodeConfig)
    except msgspec.ValidationError as error:
        raise _told(path, str(error)) from None
    _check(path, config, key_value_stores)
    return msgspec.structs.replace(config, folder=str((path.parent / config.folder).resolve()))


def write_config(path: Path, config: NodeConfig) -> None:
    """Write `config` to `path`, whole or not at all. Raises OperatingFault (`storage.write_failed`).

    A folder that is the file's own is written as ".".
    """
    if Path(config.folder).resolve() == path.parent.resolve():
        config = msgspec.structs.replace(config, folder=".")
    write_atomic_file(path, as_toml(config).encode())


def as_toml(config: NodeConfig) -> str:
    """The text of a file that says `config`; keys with their default value are left out, but for addresses."""
    lines = [f"name = {_text(config.name)}"]
    chosen = {"folder": config.folder, "transport": config.transport, "log_level": config.log_level}
    chosen |= {"passphrase": config.passphrase}
    default = NodeConfig(name="a")
    lines += [f"{key} = {_text(value)}" for key, value in chosen.items() if value != getattr(default, key)]
    if config.clock_offset_ms:
        lines.append(f"clock_offset_ms = {config.clock_offset_ms}")
    for title, address in (("listen", config.listen), ("http", config.http)):
        lines += ["", f"[{title}]", f"host = {_text(address.host)}", f"port = {address.port}"]
    stores = [(key, getattr(config.storage, key)) for key in DATA_CLASSES]
    stores = [(key, store) for key, store in stores if store != getattr(default.storage, key)]
    if stores:
        lines += ["", "[storage]", *(f"{key} = {_text(store)}" for key, store in stores)]
    for peer in config.peers:
        lines += ["", "[[peers]]", f"name = {_text(peer.name)}", f"host = {_text(peer.host)}", f"port = {peer.port}"]
    return "\n".join(lines) + "\n"


def development_file(config: NodeConfig) -> Path | None:
    """The file that holds the passphrase of a development network's member; None for every other source."""
    if not config.passphrase.startswith(DEVELOPMENT_PREFIX):
        return None
    return Path(config.folder) / config.passphrase.removeprefix(DEVELOPMENT_PREFIX)


def passphrase_source(config: NodeConfig) -> Source:
    """Where the passphrase comes from, unless from a development file. Raises AskedWrongly (`crypto.passphrase`)."""
    return parse_source(config.passphrase)


def _check(path: Path, config: NodeConfig, key_value_stores: tuple[str, ...] | None) -> None:
    """The rules that no single key can tell."""
    names = [peer.name for peer in config.peers]
    for index, name in enumerate(names):
        if name == config.name:
            raise AskedWrongly(BAD_VALUE, file=path, key=f"peers[{index}].name", reason=f"{name} is this node itself")
        if name in names[:index]:
            raise AskedWrongly(BAD_VALUE, file=path, key=f"peers[{index}].name", reason=f"{name} stands there twice")
    if config.listen.port and config.listen == config.http:
        raise AskedWrongly(BAD_VALUE, file=path, key="http.port", reason="it is the port of [listen] too")
    chosen = {data_class: str(getattr(config.storage, data_class)) for data_class in DATA_CLASSES}
    try:
        if key_value_stores is None:
            checked_placement(chosen)
        else:
            checked_placement(chosen, key_value_stores=key_value_stores)
    except AskedWrongly as error:
        key = f"storage.{error.values.get('data_class', '')}"
        raise AskedWrongly(BAD_VALUE, file=path, key=key, reason=error.cause()) from None
    if development_file(config) is None:
        try:
            passphrase_source(config)
        except AskedWrongly as error:
            raise AskedWrongly(BAD_VALUE, file=path, key="passphrase", reason=error.cause()) from None


def _told(path: Path, message: str) -> ZizhuError:
    """What msgspec found, as an error with the key's path."""
    match = _MESSAGE.fullmatch(message)
    assert match is not None
    what, where = match["what"], match["path"] or ""
    if found := _UNKNOWN.fullmatch(what):
        known = ", ".join(_KNOWN.get(re.sub(r"\[.*?\]", "", where), ()))
        return AskedWrongly(UNKNOWN_KEY, file=path, key=_joined(where, found[1]), known=known)
    if found := _MISSING.fullmatch(what):
        return AskedWrongly(MISSING_KEY, file=path, key=_joined(where, found[1]))
    if found := _TYPE.fullmatch(what):
        expected, got = (_TYPES.get(name, name) for name in found.groups())
        return AskedWrongly(WRONG_TYPE, file=path, key=where or "(top)", expected=expected, got=got)
    return AskedWrongly(BAD_VALUE, file=path, key=where or "(top)", reason=what)


def _joined(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's; DEL is the one character JSON leaves and TOML forbids."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
