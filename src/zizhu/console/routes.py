"""The pages of a member, as files: what the entry point `console` of `zizhu.http` serves at `/`.

Decides which files there are and how browsers may keep them. Refuses to know what they show: the pages ask the API
like everybody else, and sign nothing.
"""

import hashlib
from collections.abc import Awaitable, Callable
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from zizhu.chain.node.api.site import Site

PAGE = "zizhu.console"
FOLDER = "page"
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
INDEX = "index.html"


def page_files() -> dict[str, bytes]:
    """The files of the page by name, read once: no request names a path on a disk."""
    folder = resources.files(PAGE).joinpath(FOLDER)
    files = [entry for entry in folder.iterdir() if entry.name.rpartition(".")[2] in MEDIA_TYPES]
    return {entry.name: entry.read_bytes() for entry in sorted(files, key=lambda entry: entry.name)}


def routes(site: Site) -> list[BaseRoute]:
    """One route a file, and the page itself at `/`; the same for every site."""
    files = page_files()
    assert INDEX in files, "the page is part of the package"
    assert site.http_port >= 0
    found: list[BaseRoute] = [Route("/", _serving(INDEX, files[INDEX]))]
    return found + [Route(f"/page/{name}", _serving(name, data)) for name, data in files.items()]


def _serving(name: str, data: bytes) -> Callable[[Request], Awaitable[Response]]:
    """The handler of one file; a browser asks each time whether it has changed."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers, media_type=media_type)

    return serve
