"""A reverse proxy that forwards requests as nginx or Caddy with default settings do.

nginx with `proxy_pass http://127.0.0.1:8780;` alone: HTTP/1.0, `Host` is the address of the server behind it,
`Connection: close`, no header about the client. Caddy with `reverse_proxy 127.0.0.1:8780`: HTTP/1.1, the client's
`Host`, and X-Forwarded-For, -Proto and -Host, which replace those of the client; `Via` since 2.9.
"""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["nginx", "caddy"]

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection"}


@dataclass(frozen=True)
class Passed:
    """A forwarded request as the server receives it."""

    protocol: str
    headers: dict[str, str]


class _OldConnection(http.client.HTTPConnection):
    _http_vsn = 10
    _http_vsn_str = "HTTP/1.0"


@contextmanager
def reverse_proxy(upstream: str, kind: Kind, *, public_scheme: str = "http") -> Iterator[str]:
    """Forward requests to an address; yield the address of the proxy.

    Args:
        public_scheme: Scheme of the clients, reported to the server.
    """
    target = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            passed = _passed(dict(self.headers.items()), target, kind, public_scheme, self.client_address[0])
            make = _OldConnection if passed.protocol == "HTTP/1.0" else http.client.HTTPConnection
            connection = make(target, timeout=30)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in passed.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_POST = do_HEAD = _pass_on  # noqa: N815 - the names that the standard library calls

        def log_message(self, format: str, *arguments: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _passed(sent: dict[str, str], target: str, kind: Kind, scheme: str, client: str) -> Passed:
    kept = {name.lower(): value for name, value in sent.items() if name.lower() not in _HOP_BY_HOP}
    if kind == "nginx":
        return Passed("HTTP/1.0", kept | {"host": target, "connection": "close"})
    about = {"x-forwarded-for": client, "x-forwarded-proto": scheme, "x-forwarded-host": kept.get("host", "")}
    return Passed("HTTP/1.1", kept | about | {"via": "1.1 Caddy"})
