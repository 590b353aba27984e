"""The pages of a member as files, the stream of new blocks, and everything behind one port."""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from zizhu.chain.node.api.application import build_app, find_plugins
from zizhu.chain.node.api.node_routes import STREAMS_MAX
from zizhu.chain.node.backend import NodeStatus
from zizhu.console.routes import MEDIA_TYPES, page_files
from zizhu.console.routes import routes as console_routes
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, Chain
from zizhu.framework.testkit.fakes.node import FakeNode
from zizhu.framework.testkit.fakes.served import HOST, ServedNode, served, site_of

FILES = page_files()
SCRIPTS = {name: data.decode() for name, data in FILES.items() if name.endswith(".js")}
TABLES = {language: json.loads(FILES[f"{language}.json"]) for language in ("en", "zh")}
STATES = ("starting", "syncing", "voting", "changing view", "silent", "stopping")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    """A node that serves its pages."""
    with served(tmp_path, plugins={"console": console_routes}) as running:
        yield running


def get(node: ServedNode, path: str, **headers: str) -> http.client.HTTPResponse:
    """The answer to one request."""
    link = http.client.HTTPConnection(HOST, node.port, timeout=10)
    link.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    return link.getresponse()


def test_every_file_of_the_page_is_served_with_its_type_and_the_policy(node: ServedNode) -> None:
    """Each file comes as it lies in the package, is asked for again by its tag, and nothing else is served."""
    for name, data in FILES.items():
        reply = get(node, f"/page/{name}")
        assert reply.status == 200 and reply.read() == data
        assert reply.headers["content-type"] == MEDIA_TYPES[name.rpartition(".")[2]]
        assert "default-src 'self'" in reply.headers["content-security-policy"]
        assert get(node, f"/page/{name}", if_none_match=reply.headers["etag"]).status == 304
    assert get(node, "/").read() == FILES["index.html"]
    for path in ("/page/", "/page/../routes.py", "/page/%2e%2e/routes.py", "/page/routes.py", "/page/en.json/", "//"):
        assert get(node, path).status == 404, path


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline() -> None:
    """No address of another host, no inline script, style or handler: the content security policy can be strict."""
    for name, data in FILES.items():
        text = data.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|(?<!:)//[a-z]+\.", re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)), name
        if name.endswith(".html"):
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), name
        assert "innerHTML" not in text and "eval(" not in text and 'setAttribute("style"' not in text, name


def test_no_file_of_the_page_is_longer_than_500_lines() -> None:
    """The limit of the house holds for pages as for code."""
    for name, data in FILES.items():
        assert data.count(b"\n") <= 500, name


def test_both_languages_have_the_same_texts_with_the_same_places() -> None:
    """The two tables have the same keys, each text the same {places}, and none is empty."""
    assert list(TABLES["en"]) == list(TABLES["zh"])
    for key, text in TABLES["en"].items():
        other = TABLES["zh"][key]
        assert text and other and sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", other)), key


def test_every_text_that_is_asked_for_is_there_and_every_text_is_asked_for() -> None:
    """Keys in the scripts and keys in the tables are the same; keys made of parts are those of known words."""
    source = "\n".join(SCRIPTS.values())
    asked = dict.fromkeys(re.findall(r'\bt\(\s*"([^"]+)"', source))
    asked |= dict.fromkeys(re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', source))
    heads = re.findall(r"`([a-z_.]+)\.\$\{", source)
    assert dict.fromkeys(f"state.{one}" for one in STATES).keys() <= TABLES["en"].keys()
    assert [key for key in re.findall(r'\bt\(\s*"([^"]+)"', source) if key not in TABLES["en"]] == []
    unused = [
        key
        for key in TABLES["en"]
        if key not in asked
        and key.removesuffix(".one") not in asked
        and not any(key.startswith(f"{h}.") for h in heads)
    ]
    assert unused == []


def test_the_page_reads_only_fields_that_the_status_has() -> None:
    """What the page takes from the status is in the struct that the API sends."""
    fields = dict.fromkeys(NodeStatus.__struct_fields__)
    used = re.findall(r"\bstatus\.([a-z_]+)\b", SCRIPTS["overview.js"] + SCRIPTS["main.js"])
    assert used and [name for name in used if name not in fields] == []


def test_the_installed_plug_ins_serve_together() -> None:
    """Console and vouchers come in through their entry points, and no two claim one address."""
    found = find_plugins()
    assert {"console", "vouchers"} <= found.keys()
    build_app(site_of(FakeNode(), Path("/nowhere"), 4711), plugins=found)


def read_events(link: socket.socket, wanted: int) -> list[tuple[str, dict]]:
    """The first `wanted` server-sent events."""
    got = b""
    events: list[tuple[str, dict]] = []
    while len(events) < wanted:
        piece = link.recv(1 << 16)
        assert piece, "the stream goes on"
        got += piece
        events = [
            (kind.decode(), json.loads(data)) for kind, data in re.findall(rb"event: (\w+)\ndata: (.*?)\n\n", got)
        ]
    return events


def test_new_blocks_are_told_as_they_come_and_from_where_one_left_off(node: ServedNode) -> None:
    """The stream begins with the status, tells each block once and in order, and resumes behind Last-Event-ID."""
    fake, chain = node.node, Chain(ledger=node.node.ledger)
    head = f"GET /api/v1/events/stream HTTP/1.1\r\nHost: {HOST}:{node.port}\r\n"
    with socket.create_connection((HOST, node.port), 10) as link:
        link.sendall(f"{head}\r\n".encode())
        assert [kind for kind, _ in read_events(link, 1)] == ["status"]
        node.do(lambda: fake.make_block(chain.call(ACCOUNTS[0], 1, "increment", b"n")))
        kind, told = read_events(link, 1)[0]
        assert (kind, told["height"], told["count"]) == ("block", 1, 1)
    for _ in range(3):
        node.do(fake.make_block)
    with socket.create_connection((HOST, node.port), 10) as link:
        link.sendall(f"{head}Last-Event-ID: 2\r\n\r\n".encode())
        told = read_events(link, 4)
        assert [kind for kind, _ in told] == ["status", "block", "block", "status"]
        assert [event["height"] for kind, event in told if kind == "block"] == [3, 4]
    assert node.faults == []


def test_streams_have_a_limit_and_end_with_their_clients(node: ServedNode) -> None:
    """One stream too many is answered 429 with Retry-After; a client that leaves makes room."""
    head = f"GET /api/v1/events/stream HTTP/1.1\r\nHost: {HOST}:{node.port}\r\n\r\n".encode()
    links = [socket.create_connection((HOST, node.port), 10) for _ in range(STREAMS_MAX)]
    for link in links:
        link.sendall(head)
        read_events(link, 1)
    refused = get(node, "/api/v1/events/stream")
    assert refused.status == 429 and refused.headers["retry-after"]
    for link in links:
        link.close()
    for _ in range(100):
        node.do(node.node.make_block)
        reply = get(node, "/api/v1/events/stream")
        if reply.status == 200:
            break
    assert reply.status == 200


def test_the_page_is_part_of_the_package() -> None:
    """Whoever installs the wheel has the files of the page."""
    assert resources.files("zizhu.console").joinpath("page", "index.html").is_file()
