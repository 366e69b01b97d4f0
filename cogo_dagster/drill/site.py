"""A page that responds only when the drill allows it, so that jobs that open it run until then."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_MAX_SECONDS: Final = 60.0


@dataclass
class HeldSite:
    """The site and its waiting requests.

    Attributes:
        requests: Number of requests received.
        arrived: Notified at each request.
        opened: Allows the responses.
    """

    url: str
    host: str
    requests: int = 0
    arrived: threading.Condition = field(default_factory=threading.Condition)
    opened: threading.Event = field(default_factory=threading.Event)

    def wait_for_requests(self, count: int, seconds: float) -> bool:
        """Wait until a number of requests has been received; return False on timeout."""
        with self.arrived:
            return self.arrived.wait_for(lambda: self.requests >= count, seconds)


@contextmanager
def held_site() -> Iterator[HeldSite]:
    """Serve on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with site.arrived:
                site.requests += 1
                site.arrived.notify_all()
            site.opened.wait(_MAX_SECONDS)
            content = b"<!doctype html><title>drill</title>"
            try:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # the client was killed

        def log_message(self, format: str, *args: object) -> None:
            """Do not log requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host = f"127.0.0.1:{server.server_port}"
    site = HeldSite(f"http://{host}", host)
    thread = threading.Thread(target=server.serve_forever, name="drill-site", daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.opened.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
