"""Asking the members of a local network over HTTP, for commands that only look.

Decides time-outs and that an unreachable member is a fact, not a failure.
"""

import http.client
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from zizhu.chain.model.errors import ErrorCode, OperatingFault
from zizhu.cloud.nodes.network import MemberPlace, Network

TIMEOUT_S = 5.0
NOBODY = ErrorCode(
    "cli.nobody_answers",
    "no member of this network answers",
    "start it with `zizhu up`, and look at DIR/nodes/NAME/console.log",
    "该网络没有成员应答",
    "请用 `zizhu up` 启动,并查看 DIR/nodes/NAME/console.log",
)


def get(place: MemberPlace, path: str, *, timeout_s: float = TIMEOUT_S) -> tuple[int, dict[str, object]] | None:
    """Status and JSON of a GET at one member; None when it does not answer."""
    return ask(place, "GET", path, timeout_s=timeout_s)


def ask(
    place: MemberPlace,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> tuple[int, dict[str, object]] | None:
    """Status and JSON of a request to one member; None when it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", place.http_port, timeout=timeout_s)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, cast(dict[str, object], json.loads(response.read() or b"{}"))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def statuses(network: Network, *, timeout_s: float = TIMEOUT_S) -> dict[str, dict[str, object] | None]:
    """What each member says of itself, by name; None for one that does not answer."""
    with ThreadPoolExecutor(max_workers=max(1, len(network.members))) as pool:
        answers = pool.map(lambda place: get(place, "/api/v1/status", timeout_s=timeout_s), network.members)
    found: dict[str, dict[str, object] | None] = {}
    for place, answer in zip(network.members, answers, strict=True):
        found[place.name] = answer[1] if answer is not None and answer[0] == 200 else None
    return found


def first_answer(network: Network, path: str) -> tuple[int, dict[str, object]]:
    """The answer of the first member that gives one. Raises OperatingFault (`cli.nobody_answers`)."""
    for place in network.members:
        answer = get(place, path)
        if answer is not None:
            return answer
    raise OperatingFault(NOBODY)
