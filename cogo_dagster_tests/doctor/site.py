"""An HTTP server whose responses are defined by the test."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Site:
    """The address of the server and the requests that it has received."""

    url: str
    host: str
    requests: list[Request] = field(default_factory=list)


@contextlib.contextmanager
def site(respond: Callable[[Request], Answer]) -> Iterator[Site]:
    """Serve on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            served.requests.append(request)
            status, sent, content = respond(request)
            self.send_response(status)
            for name, value in (sent | {"content-length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # the client has disconnected
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names that the base class calls

        def log_message(self, format: str, *arguments: Any) -> None:
            """Do not log requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host = f"127.0.0.1:{server.server_port}"
    served = Site(f"http://{host}", host)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
