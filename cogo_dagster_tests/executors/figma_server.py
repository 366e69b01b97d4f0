"""A Figma on 127.0.0.1, which answers as Figma's description says, and the storage that its links lead to."""

import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cogo_dagster_tests.executors.figma_description import mistakes_of_answer, mistakes_of_request

PICTURES = {
    "png": b"\x89PNG\r\n",
    "jpg": b"\xff\xd8\xff",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'>",
    "pdf": b"%PDF-",
}

Headers = dict[str, str]
Given = tuple[int, Any, Headers]
_NEVER: Given = (0, b"", {})


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    query: dict[str, str]
    headers: Headers

    @property
    def ids(self) -> list[str]:
        """The nodes asked for."""
        return self.query.get("ids", "").split(",")


@dataclass
class FigmaStandIn:
    """A running stand-in.

    Attributes:
        keys: The files there are.
        nodes: What each of them holds.
        unrenderable: Nodes whose rendering fails.
        poison: Nodes that make every call fail in which they are.
        most: More nodes in one call than this are too large.
        too_large: How a call fails that is too large; None: it is not answered while the test runs.
        next: Answers given before any other, first one first; None lets one call pass.
        expired: How many links stop working before one works, by node.
        elsewhere: Links of these nodes lead there.
        mistakes: Where requests or answers differ from Figma's description; a test ends by looking here.
    """

    version: str = "1001"
    keys: tuple[str, ...] = ("KEY",)
    nodes: dict[str, str] = field(default_factory=lambda: {f"1:{n}": f"Frame {n}" for n in range(1, 201)})
    unrenderable: set[str] = field(default_factory=set)
    poison: set[str] = field(default_factory=set)
    most: int = 1_000
    too_large: Given | None = (400, {"status": 400, "err": "Render timeout, try requesting fewer images"}, {})
    next: list[Given | None] = field(default_factory=list)
    expired: Counter[str] = field(default_factory=Counter)
    elsewhere: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    downloads: list[Asked] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    tls: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        """The host and port it is called by."""
        return f"{'localhost' if self.tls else '127.0.0.1'}:{self.port}"

    @property
    def url(self) -> str:
        """The API's address."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"

    def paths(self) -> list[str]:
        """What the API was asked, in order."""
        return [asked.path for asked in self.asked]

    def batches(self) -> list[list[str]]:
        """The nodes of each call that rendered."""
        return [asked.ids for asked in self.asked if asked.path.startswith("/v1/images/")]

    def answer(self, asked: Asked) -> Given:
        """Answer the API."""
        if self.next and (given := self.next.pop(0)) is not None:
            return given
        if asked.path.split("/")[3] not in self.keys:
            return 404, {"status": 404, "err": "Not found"}, {}
        if "ids" in asked.query and (len(asked.ids) > self.most or self.poison & set(asked.ids)):
            return self.too_large or _NEVER
        return 200, self._body(asked), {}

    def _body(self, asked: Asked) -> Any:
        if asked.path.endswith("/meta"):
            return {"file": _FACTS | {"creator": _USER, "last_touched_at": _TIME, "version": self.version}}
        if asked.path.endswith("/nodes"):
            return _FILE | {"version": self.version, "nodes": {node: self._node(node) for node in asked.ids}}
        if asked.path.startswith("/v1/images/"):
            return {"err": None, "images": {node: self._link(node, asked) for node in asked.ids}}
        return _FILE | _TABLES | {"version": self.version, "document": _DOCUMENT}

    def _node(self, node: str) -> Any:
        if node not in self.nodes:
            return None
        part = {"id": node, "name": self.nodes[node], "type": "SLICE", "scrollBehavior": "SCROLLS"}
        return _TABLES | {"document": part}

    def _link(self, node: str, asked: Asked) -> str | None:
        if node not in self.nodes or node in self.unrenderable:
            return None
        if node in self.elsewhere:
            return self.elsewhere[node]
        return f"{self.url}/renders/{node}.{asked.query.get('format', 'png')}?X-Amz-Signature=signed-{self.version}"

    def rendering(self, asked: Asked) -> tuple[int, bytes]:
        """Answer the storage."""
        node, _, kind = asked.path.removeprefix("/renders/").rpartition(".")
        if self.expired[node] > 0:
            self.expired[node] -= 1
            return 403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        return 200, PICTURES[kind] + f" {node} of {self.version}".encode()


_TIME = "2026-11-20T08:00:00Z"
_USER = {"id": "1", "handle": "anna", "img_url": "https://example.com/anna.png"}
_FACTS = {"name": "Landing", "editorType": "figma"}
_FILE = _FACTS | {"role": "viewer", "lastModified": _TIME, "thumbnailUrl": "https://example.com/thumb.png"}
_TABLES: dict[str, Any] = {"components": {}, "componentSets": {}, "schemaVersion": 0, "styles": {}}
_DOCUMENT = {"id": "0:0", "name": "Document", "type": "DOCUMENT", "scrollBehavior": "SCROLLS", "children": []}


@contextmanager
def serving_figma(**options: Any) -> Iterator[FigmaStandIn]:
    """Run a stand-in for as long as this is entered, and hold what went through it against Figma's description."""
    figma = FigmaStandIn(**options)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(figma))
    server.daemon_threads = True
    if figma.tls is not None:
        server.socket = figma.tls.wrap_socket(server.socket, server_side=True)
    figma.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield figma
    finally:
        figma.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
    assert figma.mistakes == []


def _handler(figma: FigmaStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = Asked(parts.path, dict(parse_qsl(parts.query)), {k.lower(): v for k, v in self.headers.items()})
            with figma.lock:
                api = parts.path.startswith("/v1/")
                (figma.asked if api else figma.downloads).append(asked)
                status, content, headers = self._answer(asked, parse_qsl(parts.query)) if api else self._stored(asked)
            if (status, content) == _NEVER[:2]:
                figma.ended.wait(60)
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _answer(self, asked: Asked, query: list[tuple[str, str]]) -> tuple[int, bytes, Headers]:
            figma.mistakes += mistakes_of_request("GET", asked.path, query, asked.headers.get("x-figma-token"))
            status, body, headers = figma.answer(asked)
            if isinstance(body, bytes):  # something between us and Figma said it
                return status, body, headers
            figma.mistakes += mistakes_of_answer("GET", asked.path, status, body)
            return status, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers

        def _stored(self, asked: Asked) -> tuple[int, bytes, Headers]:
            status, content = figma.rendering(asked)
            return status, content, {}

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


Serve = Callable[..., FigmaStandIn]
