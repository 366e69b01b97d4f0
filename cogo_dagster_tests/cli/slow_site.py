"""A page that responds when the test allows it."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PAGE = b"<title>At last</title>"


class SlowSite:
    """A site with one page.

    Attributes:
        requests: Number of requests received.
        answer: Event that allows all responses, present and future.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.answer = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True

    @property
    def authority(self) -> str:
        """Return `127.0.0.1:port`."""
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def url(self) -> str:
        """Return the URL of the page."""
        return f"http://{self.authority}/slow"


@contextmanager
def slow_site() -> Iterator[SlowSite]:
    """Serve the site in threads."""
    site = SlowSite()
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.answer.set()
        site.server.shutdown()
        site.server.server_close()


def _handler(site: SlowSite) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Waits for the event, then responds."""

        def do_GET(self) -> None:
            """Respond after the event is set."""
            if self.path != "/slow":
                self.send_error(404)
                return
            site.requests += 1
            site.answer.wait(60)
            with contextlib.suppress(OSError):  # the client may have exited
                self._answer()

        def _answer(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(_PAGE)))
            self.end_headers()
            self.wfile.write(_PAGE)

        def log_message(self, format: str, *args: object) -> None:
            """Do not log requests."""

    return Handler
