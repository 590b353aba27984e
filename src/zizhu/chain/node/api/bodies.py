"""Reading requests and writing replies: the same limits, errors and JSON for every endpoint.

Decides how bodies, query numbers, hex ids and JSON become values, and which error says what is wrong. Refuses to
know an endpoint. All of these raise AskedWrongly with the code of the rule that was broken.
"""

from typing import Annotated, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly, ErrorCode

JSON = "application/json"
BYTES = "application/octet-stream"
HEX_SHOWN = 80
"""Characters of a wrong value that an error repeats."""

BODY = ErrorCode(
    "http.body",
    "the body is not what this address takes: {reason}",
    "send JSON as described in /api/v1/openapi.json",
    "请求体不符合该地址的要求:{reason}",
    "请按 /api/v1/openapi.json 的说明发送 JSON",
)
BODY_TOO_LARGE = ErrorCode(
    "http.body_too_large",
    "the body is longer than the {bytes_max} bytes that this address takes",
    "send less at once",
    "请求体超过该地址允许的 {bytes_max} 字节",
    "请分批发送",
)
MEDIA_TYPE = ErrorCode(
    "http.media_type",
    "this address takes {wanted}, not {found!r}",
    "set the header Content-Type, and send the body uncompressed",
    "该地址接受 {wanted},而不是 {found!r}",
    "请设置 Content-Type 请求头,并且不要压缩请求体",
)
PARAMETER = ErrorCode(
    "http.parameter",
    "{name} is {found!r}: {reason}",
    "correct {name}; /api/v1/openapi.json describes it",
    "参数 {name} 的值为 {found!r}:{reason}",
    "请更正 {name};其说明见 /api/v1/openapi.json",
)
GONE = ErrorCode(
    "http.client_gone",
    "the client closed the connection before its body was complete",
    "send the whole body",
    "客户端在请求体发送完之前关闭了连接",
    "请发送完整的请求体",
)

T = TypeVar("T")
_encoder = msgspec.json.Encoder()


def json_reply(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A struct (or what msgspec can encode) as JSON; bytes fields come out in base64, so ids are hex strings."""
    return Response(_encoder.encode(value), status, headers, media_type=JSON)


def bytes_reply(data: bytes, *, file_name: str | None = None) -> Response:
    """Bytes as they are; a browser saves them under `file_name` (ASCII)."""
    headers = {} if file_name is None else {"content-disposition": f'attachment; filename="{file_name}"'}
    return Response(data, headers=headers, media_type=BYTES)


def media_type(request: Request) -> str:
    """The media type of the body, without parameters, in lower case; "" when none is named."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_bytes(request: Request) -> bytes:
    """The whole body; the endpoint's `body_bytes_max` holds while it is read."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise AskedWrongly(GONE) from None


async def read_json(request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    """The body decoded as JSON; anything but `application/json` of the decoder's type is refused."""
    found = media_type(request)
    if found != JSON:
        raise AskedWrongly(MEDIA_TYPE, wanted=JSON, found=found[:HEX_SHOWN])
    return decode_json(await read_bytes(request), decoder)


def decode_json(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """JSON as the decoder's type; raises AskedWrongly (`http.body`)."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError, OverflowError) as error:
        # msgspec answers arrays nested very deep with RecursionError, and huge integers with OverflowError.
        raise AskedWrongly(BODY, reason=str(error)) from None


def hex_bytes(text: str, *, name: str, sizes: tuple[int, ...] | None = None, bytes_max: int = 32) -> bytes:
    """`text` as bytes: lower or upper case hex, of one of `sizes` bytes, or of at most `bytes_max`."""
    longest = max(sizes) if sizes else bytes_max
    if len(text) > 2 * longest:
        raise parameter(name, text, f"longer than {2 * longest} hex digits")
    if not text.isascii() or not text.isalnum() or len(text) % 2:
        raise parameter(name, text, "not an even number of hex digits")
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise parameter(name, text, "not hex digits") from None
    if sizes and len(data) not in sizes:
        raise parameter(name, text, f"{len(data)} bytes instead of {' or '.join(map(str, sizes))}")
    return data


def number(text: str, *, name: str, least: int = 0, most: int = limits.NUMBER_MAX) -> int:
    """`text` as a decimal number in least..most: digits only."""
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise parameter(name, text, f"not a number from {least} to {most}")
    value = int(text)
    if not least <= value <= most:
        raise parameter(name, text, f"not from {least} to {most}")
    return value


def query_number(request: Request, name: str, *, default: int, least: int = 0, most: int = limits.NUMBER_MAX) -> int:
    """The query parameter `name` as a number; one that is given twice is refused."""
    found = request.query_params.getlist(name)
    if not found:
        return default
    if len(found) > 1:
        raise parameter(name, found[1], "given more than once")
    return number(found[0], name=name, least=least, most=most)


def known_parameters(request: Request, *names: str) -> None:
    """Refuses query parameters other than `names`: a misspelt one must not be ignored in silence."""
    if not request.scope["query_string"]:
        return
    for name in request.query_params:
        if name not in names:
            raise parameter(name, request.query_params[name], f"this address knows {', '.join(names) or 'none'}")


def parameter(name: str, found: str, reason: str) -> AskedWrongly:
    """The error for a parameter of the address."""
    return AskedWrongly(PARAMETER, name=name[:HEX_SHOWN], found=found[:HEX_SHOWN], reason=reason)


Hex = Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{2})*$")]
"""Bytes as hex digits in JSON."""
