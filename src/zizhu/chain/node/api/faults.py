"""Errors as replies: the status, the JSON, the language.

Decides which status an error of the tree has and how it is told. Refuses to know who raised it.
"""

import math
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import Response

from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode, OperatingFault, ZizhuError
from zizhu.chain.node.api.bodies import json_reply
from zizhu.chain.node.api.replies import ErrorBody, ErrorReply

HEX_SHOWN = 80
"""Characters of an address that an error repeats."""
TEXT_SHOWN = 200
"""Characters of a text among an error's values."""
LANGUAGES = ("en", "zh")

NO_ADDRESS = ErrorCode(
    "http.no_address",
    "there is nothing at {path}",
    "see /api/v1/openapi.json for what there is",
    "{path} 处没有内容",
    "可用的地址见 /api/v1/openapi.json",
)
METHOD = ErrorCode(
    "http.method",
    "{path} does not take {method}",
    "use {allowed}",
    "{path} 不支持 {method} 方法",
    "请使用 {allowed}",
)
HOST = ErrorCode(
    "http.host",
    "this request is for {host!r}, which is not this node",
    "use {wanted}",
    "该请求发往 {host!r},而不是本节点",
    "请使用 {wanted}",
)
ORIGIN = ErrorCode(
    "http.origin",
    "a page of {origin!r} may not use this node",
    "open the page that this node serves",
    "来自 {origin!r} 的页面不得使用本节点",
    "请打开本节点提供的页面",
)
SLOW = ErrorCode(
    "http.slow",
    "the body did not arrive within {limit_ms} ms",
    "send the body without pauses",
    "请求体未在 {limit_ms} 毫秒内到达",
    "请不间断地发送请求体",
)
CROWDED = ErrorCode(
    "http.crowded",
    "this node answers {requests_max} requests at once and has no room for another",
    "ask again after {retry_after_ms} ms, or ask another member",
    "本节点同时处理 {requests_max} 个请求,已无余量",
    "请在 {retry_after_ms} 毫秒后重试,或询问其他成员",
)
OUR_FAULT = ErrorCode(
    "http.fault",
    "this node could not answer because of a fault of its own",
    "see the node's log; if it goes on, run `zizhu doctor`",
    "由于自身故障,本节点无法回答",
    "请查看节点日志;如持续出现,请运行 `zizhu doctor`",
)

_STATUS = {
    "http.no_address": 404,
    "http.method": 405,
    "http.host": 421,
    "http.origin": 403,
    "http.slow": 408,
    "http.body_too_large": 413,
    "http.media_type": 415,
    "http.fault": 500,
}


def language_of(headers: Headers) -> str:
    """The language to answer in: what Accept-Language weighs highest of en and zh; en without a preference."""
    best, best_weight = "en", 0.0
    for part in headers.get("accept-language", "")[:TEXT_SHOWN].split(","):
        tag, _, weight_text = part.strip().partition(";q=")
        language = tag.strip().lower().split("-")[0]
        if language not in LANGUAGES:
            continue
        try:
            weight = float(weight_text) if weight_text else 1.0
        except ValueError:
            continue
        if weight > best_weight:
            best, best_weight = language, weight
    return best


def error_body(error: ZizhuError, language: str) -> ErrorBody:
    """The error as every reply tells it."""
    values: dict[str, str | int] = {}
    for name, value in error.values.items():
        if isinstance(value, int):
            values[name] = value if abs(value) < 1 << 53 else str(value)
        elif isinstance(value, (str, bytes)):
            values[name] = (value if isinstance(value, str) else value.hex())[:TEXT_SHOWN]
    retry_after_ms = error.retry_after_ms if isinstance(error, Busy) else None
    return ErrorBody(error.code.code, error.cause(language), error.fix(language), values, retry_after_ms)


def status_of(error: ZizhuError, statuses: Mapping[str, int]) -> int:
    """The status of an error; `statuses` are those of an endpoint's own codes."""
    code = error.code.code
    if code in statuses:
        return statuses[code]
    if code in _STATUS:
        return _STATUS[code]
    if isinstance(error, Busy):
        return 429
    return 503 if isinstance(error, OperatingFault) else 400


def error_reply(error: ZizhuError, headers: Headers, statuses: Mapping[str, int] | None = None) -> Response:
    """The reply that tells an error to who sent a request with these `headers`."""
    sent: dict[str, str] = {"cache-control": "no-store"}
    if isinstance(error, Busy):
        sent["retry-after"] = str(max(1, math.ceil(error.retry_after_ms / 1000)))
    if error.code in (HOST, ORIGIN):
        sent["connection"] = "close"
    if error.code is METHOD:
        sent["allow"] = str(error.values["allowed"])
    body = ErrorReply(error_body(error, language_of(headers)))
    return json_reply(body, status=status_of(error, statuses or {}), headers=sent)


def our_fault() -> AskedWrongly:
    """What a client is told of a fault of ours: nothing of its inside."""
    return AskedWrongly(OUR_FAULT)
