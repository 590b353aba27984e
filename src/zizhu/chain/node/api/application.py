"""The HTTP application of a node: its own endpoints, those of plug-ins, and the guard in front of all.

Decides which routes there are and that each answers errors in one form. Refuses to know a socket (`server`) and what
plug-ins serve: they are found in the entry-point group `zizhu.http`.
"""

from collections.abc import Sequence
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault, ZizhuError
from zizhu.chain.node import plugins as entry_points
from zizhu.chain.node.api import chain_routes, node_routes, proof_routes
from zizhu.chain.node.api.bodies import BODY
from zizhu.chain.node.api.faults import HEX_SHOWN, METHOD, NO_ADDRESS, error_reply, our_fault
from zizhu.chain.node.api.guard import BODY_MS, Guard, local_hosts
from zizhu.chain.node.api.guard import Served as ServedPath
from zizhu.chain.node.api.openapi import openapi_endpoint
from zizhu.chain.node.api.site import GROUP, PREFIX, Endpoint, RoutesFactory, Served, Site

BAD_PLUGIN = ErrorCode(
    "http.plugin",
    "the HTTP plug-in {name} cannot be served: {reason}",
    "uninstall the package that brings it, or ask who makes it",
    "HTTP 插件 {name} 无法使用:{reason}",
    "请卸载提供它的软件包,或联系其作者",
)


def find_plugins() -> dict[str, RoutesFactory]:
    """The factories of the installed plug-ins, by name.

    Raises OperatingFault (`plugin.broken`) for one that cannot be loaded.
    """
    return {name: cast(RoutesFactory, entry_points.load(GROUP, name)) for name in entry_points.names(GROUP)}


def own_endpoints(site: Site) -> list[Endpoint]:
    """The endpoints of the node itself."""
    return [*node_routes.endpoints(site), *chain_routes.endpoints(site), *proof_routes.endpoints(site)]


def build_app(site: Site, *, plugins: dict[str, RoutesFactory] | None = None, body_ms: int = BODY_MS) -> ASGIApp:
    """The ASGI application of a node.

    `plugins` are factories of more routes by name, by default those that are installed (`find_plugins`).
    `body_ms` is the time that a body may take, beside what its length takes.
    Raises OperatingFault (`http.plugin`) when two of them claim one method of one path, or one outside `PREFIX`.
    """
    served: list[tuple[str, Served]] = [("node", endpoint) for endpoint in own_endpoints(site)]
    for name, factory in (find_plugins() if plugins is None else plugins).items():
        served += [(name, one) for one in factory(site)]
    endpoints = checked_endpoints(served)
    endpoints.append(openapi_endpoint(endpoints))
    routes = [*grouped(endpoints, body_ms), *(one for _, one in served if isinstance(one, BaseRoute))]
    inner = Starlette(
        routes=routes,
        exception_handlers={HTTPException: _http_error, ZizhuError: _error, Exception: _our_fault},
    )
    inner.router.redirect_slashes = False
    return Guard(inner, hosts=local_hosts(site.http_port))


def checked_endpoints(served: Sequence[tuple[str, Served]]) -> list[Endpoint]:
    """The endpoints among what the plug-ins (named in front) serve."""
    claimed: dict[tuple[str, str], str] = {}
    found: list[Endpoint] = []
    for name, one in served:
        if not isinstance(one, Endpoint):
            continue
        if not one.path.startswith(PREFIX + "/"):
            raise OperatingFault(BAD_PLUGIN, name=name, reason=f"{one.path} is not below {PREFIX}")
        holder = claimed.setdefault((one.method, one.path), name)
        if holder != name or any(two.path == one.path and two.method == one.method for two in found):
            raise OperatingFault(BAD_PLUGIN, name=name, reason=f"{one.method} {one.path} belongs to {holder}")
        found.append(one)
    return found


def grouped(endpoints: Sequence[Endpoint], body_ms: int) -> list[Route]:
    """One route a path, so that a method it does not take is answered with those it does. Fixed paths come first."""
    paths: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, []).append(endpoint)
    order = sorted(paths, key=lambda path: path.count("{"))
    return [Route(path, each := ServedPath(paths[path], body_ms=body_ms), methods=each.methods) for path in order]


async def _http_error(request: Request, error: Exception) -> Response:
    """What Starlette raises itself: no such address, no such method."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:HEX_SHOWN]
    if error.status_code == 404:
        return error_reply(AskedWrongly(NO_ADDRESS, path=path), request.headers)
    if error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "GET").split(", ")))
        refused = AskedWrongly(METHOD, path=path, method=request.method[:HEX_SHOWN], allowed=allowed)
        return error_reply(refused, request.headers)
    return error_reply(AskedWrongly(BODY, reason=error.detail), request.headers)


async def _error(request: Request, error: Exception) -> Response:
    """An error of a plain route of a plug-in."""
    assert isinstance(error, ZizhuError)
    return error_reply(error, request.headers)


async def _our_fault(request: Request, error: Exception) -> Response:
    """A fault of our own: the caller learns that, and the log learns the rest (the server logs what is raised)."""
    return error_reply(our_fault(), request.headers)
