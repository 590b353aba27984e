"""The OpenAPI 3.1 document, written from the endpoints and their structs.

Decides how an endpoint is described, so that nothing served is undescribed. Refuses to know handlers.
"""

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from zizhu.chain.node.api.bodies import JSON, known_parameters
from zizhu.chain.node.api.replies import ErrorReply
from zizhu.chain.node.api.site import PREFIX, Documents, Endpoint, Parameter

REF = "#/components/schemas/{name}"
_REASONS = {
    400: "The request breaks a rule",
    403: "Foreign page",
    404: "Not there",
    405: "Method not taken",
    408: "The body came too slowly",
    409: "Not in this state",
    413: "The body is too long",
    415: "Media type not taken",
    421: "Another host's name",
    429: "Busy: ask again after Retry-After",
    503: "The machine underneath failed",
}
_ALWAYS = (403, 421, 429)

Json = dict[str, object]


def openapi_endpoint(endpoints: Sequence[Endpoint]) -> Endpoint:
    """The endpoint that serves the document of `endpoints` and of itself."""
    data = b""

    async def serve(request: Request) -> Response:
        known_parameters(request)
        return Response(data, media_type=JSON)

    documents = Documents(summary="This document")
    itself = Endpoint("GET", f"{PREFIX}/openapi.json", serve, documents)
    data = msgspec.json.encode(openapi_document([*endpoints, itself]))
    return itself


def openapi_document(endpoints: Sequence[Endpoint]) -> Json:
    """The document as JSON values."""
    types = [kind for endpoint in endpoints for kind in (endpoint.request, endpoint.reply) if kind is not None]
    unique = list(dict.fromkeys([*types, ErrorReply]))
    references, components = msgspec.json.schema_components(unique, schema_hook=_any_value, ref_template=REF)
    schemas: dict[type, Json] = dict(zip(unique, references, strict=True))
    paths: dict[str, Json] = {}
    for endpoint in sorted(endpoints, key=lambda one: (one.path, one.method)):
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Zizhu node API",
            "version": _version(),
            "summary": "What one member of a consortium chain serves",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components},
    }


def _any_value(kind: type) -> Json:
    """`object` stands for any JSON value."""
    assert kind is object, f"{kind} has no JSON schema"
    return {"description": "Any JSON value"}


def _version() -> str:
    try:
        return version("zizhu")
    except PackageNotFoundError:
        return "0.0.0"


def _operation(endpoint: Endpoint, schemas: dict[type, Json]) -> Json:
    documents = endpoint.documents
    made: Json = {
        "operationId": _operation_id(endpoint),
        "summary": documents.summary,
        "tags": [endpoint.path.removeprefix(PREFIX).split("/")[1].removesuffix(".json")],
        "responses": _responses(endpoint, schemas),
    }
    if documents.parameters:
        made["parameters"] = [_parameter(one) for one in documents.parameters]
    if endpoint.body_bytes_max:
        made["requestBody"] = {
            "required": True,
            "content": {
                media: {"schema": _body_schema(media, endpoint.request, schemas)} for media in documents.request_media
            },
        }
    return made


def _responses(endpoint: Endpoint, schemas: dict[type, Json]) -> Json:
    documents = endpoint.documents
    content = {media: {"schema": _body_schema(media, endpoint.reply, schemas)} for media in documents.reply_media}
    made: Json = {str(documents.status): {"description": "As asked", "content": content}}
    for status in sorted(dict.fromkeys((*documents.errors, *documents.statuses.values(), *_ALWAYS))):
        made[str(status)] = {
            "description": _REASONS.get(status, "Refused"),
            "content": {JSON: {"schema": schemas[ErrorReply]}},
        }
    return made


def _body_schema(media: str, kind: type | None, schemas: dict[type, Json]) -> Json:
    if media == JSON:
        return {"type": "object"} if kind is None else schemas[kind]
    return {"type": "string", "contentMediaType": media}


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.summary,
        "schema": {"type": parameter.type},
    }


def _operation_id(endpoint: Endpoint) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9]+", endpoint.path.removeprefix(PREFIX)) if word]
    return "_".join([endpoint.method.lower(), *words])
