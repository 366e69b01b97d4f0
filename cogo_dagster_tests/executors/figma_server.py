"""A fake Figma on 127.0.0.1 that conforms to Figma's OpenAPI document, and the storage of its image links."""

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

from cogo_dagster_tests.executors.figma_openapi import request_errors, response_errors

IMAGES = {
    "png": b"\x89PNG\r\n",
    "jpg": b"\xff\xd8\xff",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'>",
    "pdf": b"%PDF-",
}

Headers = dict[str, str]
Response = tuple[int, Any, Headers]
_NO_RESPONSE: Response = (0, b"", {})


@dataclass(frozen=True)
class ApiRequest:
    """One request."""

    path: str
    query: dict[str, str]
    headers: Headers

    @property
    def ids(self) -> list[str]:
        """The requested nodes."""
        return self.query.get("ids", "").split(",")


@dataclass
class FakeFigma:
    """A running fake.

    Attributes:
        keys: The file keys that exist.
        nodes: The nodes of each file, with their names.
        unrenderable: Nodes that cannot be rendered.
        poison: Nodes that make every call that names them fail.
        max_nodes: The maximum number of nodes in one call.
        too_large: The response to a larger call; None never responds.
        next: Responses to the next calls, in order; None handles one call as usual.
        expired: The number of links that are expired before one works, by node.
        elsewhere: Links of these nodes, by node.
        errors: Violations of Figma's OpenAPI document; checked at the end of a test.
    """

    version: str = "1001"
    keys: tuple[str, ...] = ("KEY",)
    nodes: dict[str, str] = field(default_factory=lambda: {f"1:{n}": f"Frame {n}" for n in range(1, 201)})
    unrenderable: set[str] = field(default_factory=set)
    poison: set[str] = field(default_factory=set)
    max_nodes: int = 1_000
    too_large: Response | None = (400, {"status": 400, "err": "Render timeout, try requesting fewer images"}, {})
    next: list[Response | None] = field(default_factory=list)
    expired: Counter[str] = field(default_factory=Counter)
    elsewhere: dict[str, str] = field(default_factory=dict)
    requests: list[ApiRequest] = field(default_factory=list)
    downloads: list[ApiRequest] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    tls: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"{'localhost' if self.tls else '127.0.0.1'}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL of the API."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"

    def paths(self) -> list[str]:
        """The paths of the API calls, in order."""
        return [request.path for request in self.requests]

    def batches(self) -> list[list[str]]:
        """The nodes of each render call."""
        return [request.ids for request in self.requests if request.path.startswith("/v1/images/")]

    def respond(self, request: ApiRequest) -> Response:
        """Return the response to an API call."""
        if self.next and (given := self.next.pop(0)) is not None:
            return given
        if request.path.split("/")[3] not in self.keys:
            return 404, {"status": 404, "err": "Not found"}, {}
        if "ids" in request.query and (len(request.ids) > self.max_nodes or self.poison & set(request.ids)):
            return self.too_large or _NO_RESPONSE
        return 200, self._body(request), {}

    def _body(self, request: ApiRequest) -> Any:
        if request.path.endswith("/meta"):
            return {"file": _FACTS | {"creator": _USER, "last_touched_at": _TIME, "version": self.version}}
        if request.path.endswith("/nodes"):
            return _FILE | {"version": self.version, "nodes": {node: self._node(node) for node in request.ids}}
        if request.path.startswith("/v1/images/"):
            return {"err": None, "images": {node: self._link(node, request) for node in request.ids}}
        return _FILE | _TABLES | {"version": self.version, "document": _DOCUMENT}

    def _node(self, node: str) -> Any:
        if node not in self.nodes:
            return None
        part = {"id": node, "name": self.nodes[node], "type": "SLICE", "scrollBehavior": "SCROLLS"}
        return _TABLES | {"document": part}

    def _link(self, node: str, request: ApiRequest) -> str | None:
        if node not in self.nodes or node in self.unrenderable:
            return None
        if node in self.elsewhere:
            return self.elsewhere[node]
        return f"{self.url}/renders/{node}.{request.query.get('format', 'png')}?X-Amz-Signature=signed-{self.version}"

    def download_response(self, request: ApiRequest) -> tuple[int, bytes]:
        """Return the response to a download."""
        node, _, kind = request.path.removeprefix("/renders/").rpartition(".")
        if self.expired[node] > 0:
            self.expired[node] -= 1
            return 403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        return 200, IMAGES[kind] + f" {node} of {self.version}".encode()


_TIME = "2026-11-20T08:00:00Z"
_USER = {"id": "1", "handle": "anna", "img_url": "https://example.com/anna.png"}
_FACTS = {"name": "Landing", "editorType": "figma"}
_FILE = _FACTS | {"role": "viewer", "lastModified": _TIME, "thumbnailUrl": "https://example.com/thumb.png"}
_TABLES: dict[str, Any] = {"components": {}, "componentSets": {}, "schemaVersion": 0, "styles": {}}
_DOCUMENT = {"id": "0:0", "name": "Document", "type": "DOCUMENT", "scrollBehavior": "SCROLLS", "children": []}


@contextmanager
def serving_figma(**options: Any) -> Iterator[FakeFigma]:
    """Run a fake, and check its requests and responses against Figma's OpenAPI document at the end."""
    figma = FakeFigma(**options)
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
    assert figma.errors == []


def _handler(figma: FakeFigma) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            request = ApiRequest(
                parts.path, dict(parse_qsl(parts.query)), {k.lower(): v for k, v in self.headers.items()}
            )
            with figma.lock:
                api = parts.path.startswith("/v1/")
                (figma.requests if api else figma.downloads).append(request)
                status, content, headers = (
                    self._respond_api(request, parse_qsl(parts.query)) if api else self._respond_download(request)
                )
            if (status, content) == _NO_RESPONSE[:2]:
                figma.ended.wait(60)
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _respond_api(self, request: ApiRequest, query: list[tuple[str, str]]) -> tuple[int, bytes, Headers]:
            figma.errors += request_errors("GET", request.path, query, request.headers.get("x-figma-token"))
            status, body, headers = figma.respond(request)
            if isinstance(body, bytes):  # a proxy's response
                return status, body, headers
            figma.errors += response_errors("GET", request.path, status, body)
            return status, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers

        def _respond_download(self, request: ApiRequest) -> tuple[int, bytes, Headers]:
            status, content = figma.download_response(request)
            return status, content, {}

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler


Serve = Callable[..., FakeFigma]
