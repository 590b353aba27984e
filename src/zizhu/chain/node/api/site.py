"""What a plug-in of HTTP routes gets of the node it is served by, and what it gives back.

Decides the door of the entry-point group `zizhu.http`: an entry names a factory `routes(site) -> Sequence[Served]`,
called once when the node opens its port. Refuses to know what is served. A plug-in raises errors of
`model.errors`; the application turns them into replies in the caller's language.

A minimal plug-in::

    def routes(site: Site) -> list[Served]:
        service = Service(site)
        documents = Documents(summary="Add a thing", status=201)
        return [Endpoint("POST", "/api/v1/things", service.add, documents, request=NewThing, reply=Thing,
                         body_bytes_max=65_536)]
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from zizhu.chain.crypto.port import Suite
from zizhu.chain.model.ids import AccountId
from zizhu.chain.node.backend import Backend

GROUP = "zizhu.http"
"""The entry-point group of HTTP routes."""
PREFIX = "/api/v1"
"""Every endpoint of the API, of plug-ins too, stands below this; pages stand elsewhere."""

Handler = Callable[[Request], Awaitable[Response]]
"""Answers one request. `request.path_params` are strings; bodies are read by `bodies.read_json` or `read_bytes`."""


class AccountKey(NamedTuple):
    """An opened account: its crypto suite and its secret key (32 bytes). Never stored, logged or sent."""

    suite: Suite
    secret: bytes


@dataclass(frozen=True, slots=True)
class Issuer:
    """The account as which this member's own services sign: the name of its keystore file, and its id."""

    name: str
    account: AccountId


@dataclass(frozen=True, slots=True)
class Site:
    """One node as its HTTP routes see it.

    `folder` is the node's own folder; a plug-in keeps its files in `folder / <plug-in's name>` and nowhere else.
    `http_port` is the port that is really listened on. `issuer` is None on a member without an issuer account.
    `open_account(name)` opens a keystore of this node; it is slow (a password hash) and blocks: call it once.
    It raises AskedWrongly for a name it does not know.
    """

    backend: Backend
    folder: Path
    http_port: int
    issuer: Issuer | None
    open_account: Callable[[str], AccountKey]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an endpoint for OpenAPI: `place` is "path", "query" or "header", `type` a JSON schema type."""

    name: str
    place: str
    summary: str
    type: str = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What OpenAPI says of an endpoint beside its types.

    `request_media` and `reply_media` list media types; one that is not JSON is described as bytes.
    `errors` are statuses that the endpoint answers with beside `status`. `statuses` says which status an error's
    code has; of a code that is not in it: 400 for AskedWrongly and SpokeWrongly, 429 for Busy, 503 for OperatingFault.
    """

    summary: str
    parameters: tuple[Parameter, ...] = ()
    request_media: tuple[str, ...] = ("application/json",)
    reply_media: tuple[str, ...] = ("application/json",)
    status: int = 200
    errors: tuple[int, ...] = (400,)
    statuses: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path of the API.

    `path` is a Starlette path below `PREFIX`. `request` and `reply` are msgspec structs (None: no body; bytes).
    A body longer than `body_bytes_max` is refused before it is buffered (413); 0 means that no body is taken.
    """

    method: str
    path: str
    handler: Handler
    documents: Documents
    request: type | None = None
    reply: type | None = None
    body_bytes_max: int = 0


Served = Endpoint | BaseRoute
"""An endpoint of the API, or a route or mount of a page (which takes no bodies and stands in no OpenAPI)."""


class RoutesFactory(Protocol):
    """What an entry of the group `zizhu.http` names."""

    def __call__(self, site: Site) -> Sequence[Served]: ...
