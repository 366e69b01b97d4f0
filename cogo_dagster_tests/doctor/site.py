"""A real HTTP server that answers as each test says."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Site:
    """The server: its address, and what came in so far."""

    url: str
    host: str
    requests: list[Request] = field(default_factory=list)


@contextlib.contextmanager
def site(answer: Callable[[Request], Answer]) -> Iterator[Site]:
    """Serve on a free port of this machine until the end."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            made.requests.append(request)
            status, sent, content = answer(request)
            self.send_response(status)
            for name, value in (sent | {"content-length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked has given up
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that the base class calls

        def log_message(self, format: str, *arguments: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host = f"127.0.0.1:{server.server_port}"
    made = Site(f"http://{host}", host)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
