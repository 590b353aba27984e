"""The OpenAPI document: valid in structure, complete, and true of what is served."""

import re
from pathlib import Path

import msgspec

from zizhu.chain.node.api.application import build_app, own_endpoints
from zizhu.chain.node.api.openapi import openapi_document, openapi_endpoint
from zizhu.framework.testkit.fakes.node import FakeNode
from zizhu.framework.testkit.fakes.served import site_of

SITE = site_of(FakeNode(), Path("/nowhere"), 4711)
ENDPOINTS = own_endpoints(SITE)
DOCUMENT = msgspec.json.decode(msgspec.json.encode(openapi_document([*ENDPOINTS, openapi_endpoint(ENDPOINTS)])))
OPERATION_FIELDS = {"operationId", "summary", "tags", "responses", "parameters", "requestBody"}


def references(node: object) -> list[str]:
    """Every $ref below `node`."""
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for item in node.values() for found in references(item)]


def test_the_document_has_the_structure_of_openapi_3_1() -> None:
    """Version, info, paths, operations, parameters, responses and media types are formed as OpenAPI 3.1 asks."""
    assert re.fullmatch(r"3\.1\.\d+", DOCUMENT["openapi"])
    assert {"title", "version"} <= set(DOCUMENT["info"]) and {"name"} <= set(DOCUMENT["info"]["license"])
    assert not ("identifier" in DOCUMENT["info"]["license"] and "url" in DOCUMENT["info"]["license"])
    ids = []
    for path, methods in DOCUMENT["paths"].items():
        assert path.startswith("/")
        for method, operation in methods.items():
            assert method in {"get", "post", "put", "delete", "patch"} and set(operation) <= OPERATION_FIELDS
            ids.append(operation["operationId"])
            in_path = [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]
            assert in_path == re.findall(r"{(\w+)}", path), "every place in the path is a parameter"
            for one in operation.get("parameters", []):
                assert one["in"] in {"path", "query", "header"} and one["schema"]["type"] in {
                    "string",
                    "integer",
                    "boolean",
                }
                assert one["required"] is (one["in"] == "path")
            for status, response in operation["responses"].items():
                assert re.fullmatch(r"[1-5]\d\d", status) and response["description"]
                for media, content in response["content"].items():
                    assert re.fullmatch(r"[a-z]+/[a-z.+-]+", media) and isinstance(content["schema"], dict)
            if "requestBody" in operation:
                assert operation["requestBody"]["required"] is True and operation["requestBody"]["content"]
    assert len(ids) == len(dict.fromkeys(ids)), "operation ids are unique"


def test_every_reference_leads_somewhere() -> None:
    """Each $ref names a schema that is there, and each schema is wanted by somebody."""
    wanted = dict.fromkeys(reference.removeprefix("#/components/schemas/") for reference in references(DOCUMENT))
    assert sorted(wanted) == sorted(DOCUMENT["components"]["schemas"])


def test_every_served_endpoint_is_described_and_the_other_way_round() -> None:
    """The routes of the application and the paths of the document are the same, with the same methods."""
    inner = build_app(SITE, plugins={})._inner
    served = {(route.path, method.lower()) for route in inner.routes for method in route.methods if method != "HEAD"}
    described = {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert served == described and len(served) >= 17


def test_errors_have_one_schema() -> None:
    """Every status of 400 or more that is described has the one error reply as its JSON."""
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status >= "400":
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorReply"}
