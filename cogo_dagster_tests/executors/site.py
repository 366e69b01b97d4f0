"""A small web site on 127.0.0.1 for browser tests."""

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGES = {
    "/": "<title>Home</title><h1>static</h1><script>document.querySelector('h1').textContent = 'by script'</script>",
    "/list": "<title>List</title><a href='/a'>first</a><a href='/b'>second</a><a>third</a><p hidden>x</p>",
    "/form": (
        "<title>Form</title><form action='/greet'><input name='name' id='name'>"
        "<select name='tone' id='tone'><option>plain<option>loud</select><button id='go'>Go</button></form>"
    ),
    "/tall": "<title>Tall</title><div style='height:20000px;width:10px;background:linear-gradient(red,blue)'></div>",
    "/busy": "<title>Busy</title><script>setTimeout(() => { for (;;) {} }, 0)</script>",
    "/wait": "<title>Wait</title><img src='/reached'>",
    "/agent": "<title>Agent</title><p id='p'></p><script>p.textContent = [navigator.userAgent, navigator.language,"
    "Intl.DateTimeFormat().resolvedOptions().timeZone, matchMedia('(prefers-color-scheme: dark)').matches,"
    "innerWidth + 'x' + innerHeight].join('|')</script>",
    "/file": "<title>File</title><script>location = 'file:///etc/passwd'</script><iframe src='file:///etc/passwd'></iframe>",
}


class Site:
    """A running site.

    Attributes:
        connections: The number of connections.
        requests: The requested paths, in order.
        headers: Headers of the latest request, by path.
        reached: Set when the page `/wait` has loaded far enough to request its image.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.headers: dict[str, dict[str, str]] = {}
        self.reached = threading.Event()
        self.closed = threading.Event()
        self.pages: dict[str, str] = dict(PAGES)
        self.connections = 0
        self.server = Server(("127.0.0.1", 0), _handler(self))

    @property
    def authority(self) -> str:
        """`127.0.0.1:port`."""
        return f"127.0.0.1:{self.server.server_port}"

    def url(self, path: str = "/") -> str:
        """Return the URL of a page."""
        return f"http://{self.authority}{path}"


class Server(ThreadingHTTPServer):
    """Counts connections, including those without a request."""

    daemon_threads = True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count the connection and handle it."""
        self.RequestHandlerClass.site.connections += 1  # type: ignore[attr-defined]
        super().process_request(request, client_address)


@contextmanager
def serving() -> Iterator[Site]:
    """Serve a site in a thread."""
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.closed.set()
        site.server.shutdown()
        site.server.server_close()


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(PageHandler):
        """Serves this site."""

    Handler.site = site
    return Handler


class PageHandler(BaseHTTPRequestHandler):
    """Serves pages by path, `/status/N`, `/to?URL` (a redirect), `/socket` (one WebSocket message)."""

    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Dispatch on the first part of the path."""
        path, _, query = self.path.partition("?")
        self.site.requests.append(self.path)
        self.site.headers[path] = {name.lower(): value for name, value in self.headers.items()}
        page = self.site.pages.get(path)
        if page is not None:
            self._send(200, page)
        else:
            special = getattr(self, f"answer_{path.split('/')[1]}", None)
            rest = query or path.rpartition("/")[2]
            special(rest) if special else self._send(404, "<title>Missing</title>")

    def answer_to(self, rest: str) -> None:
        """Redirect to the URL after the question mark."""
        self._send(302, "", {"Location": rest})

    def answer_loop(self, _: str) -> None:
        """Redirect to itself."""
        self._send(302, "", {"Location": "/loop"})

    def answer_status(self, rest: str) -> None:
        """Respond with a status."""
        body = "" if int(rest) in (204, 205, 304) else "<title>Sorry</title>"
        self._send(int(rest), body, {"Retry-After": "7"})

    def answer_empty(self, rest: str) -> None:
        """Respond with a status and no body."""
        self._send(int(rest), "", {"Retry-After": "7"})

    def answer_greet(self, rest: str) -> None:
        """Show the submitted form."""
        self._send(200, f"<title>Greeting</title><p id='who'>{rest}</p>")

    def do_POST(self) -> None:
        """Read the form, and respond as to GET."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def answer_slow(self, rest: str) -> None:
        """Respond with a status after half a second."""
        threading.Event().wait(0.5)
        self._send(int(rest), "<title>Slow</title>")

    def answer_hang(self, _: str) -> None:
        """Do not respond before the site ends."""
        self.site.closed.wait(60)

    def answer_cut(self, _: str) -> None:
        """Close the connection without a response."""
        self.close_connection = True

    def answer_picture(self, _: str) -> None:
        """Send a small image."""
        picture = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
        self._send(200, picture, {"Content-Type": "image/svg+xml"})

    def answer_cached(self, _: str) -> None:
        """Send a script that may be cached."""
        self._send(200, "", {"Content-Type": "text/javascript", "Cache-Control": "max-age=3600"})

    def answer_challenge(self, rest: str) -> None:
        """Require a credential, as a server does with 401 and a proxy with 407."""
        name = "Proxy-Authenticate" if rest == "407" else "WWW-Authenticate"
        self._send(int(rest), "<title>Sorry</title>", {name: 'Basic realm="cogo"'})

    def answer_tagged(self, _: str) -> None:
        """Send a page with an ETag; 304 if the client has it."""
        known = self.headers.get("If-None-Match") == '"1"'
        self._send(304 if known else 200, "" if known else "<title>Tagged</title>", {"ETag": '"1"'})

    def answer_download(self, _: str) -> None:
        """Send a file."""
        self._send(200, "x", {"Content-Disposition": "attachment; filename=x.bin"})

    def answer_reached(self, _: str) -> None:
        """Set `reached`."""
        self.site.reached.set()
        self._send(200, "")

    def answer_socket(self, _: str) -> None:
        """Send hello over a WebSocket."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        for name, value in {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"\x81\x05hello")
        self.rfile.read(1)

    def _send(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        fields = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body.encode()))}
        self.send_response(status)
        for name, value in (fields | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""
