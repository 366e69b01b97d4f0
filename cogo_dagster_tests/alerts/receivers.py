"""Receivers that respond as the vendors do, over HTTP on 127.0.0.1."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from standardwebhooks import Webhook

from cogo_dagster_tests.polling import pause


@dataclass(frozen=True)
class Request:
    """A received request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query; the last value of repeated parameters."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """A response. `hang` sends nothing until the receiver ends; `drip` sends a byte at a time without end."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    drip: bool = False


Handler = Callable[[Request], Reply]


class Receiver:
    """A running receiver.

    Attributes:
        requests: All requests.
        accepted: Requests that got a 2xx response.
        next: Replies to the next requests, one each.
        down: Reply to every request while it is set.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.accepted: list[Request] = []
        self.next: deque[Reply] = deque()
        self.down: Reply | None = None
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True

    @property
    def authority(self) -> str:
        """`127.0.0.1:port`, for WEBHOOK_ALLOWED_HOSTS."""
        return f"127.0.0.1:{self.server.server_port}"

    def url(self, path: str = "/") -> str:
        """Return a URL of the receiver."""
        return f"http://{self.authority}{path}"

    def answer(self, request: Request) -> Reply:
        """Record a request and return the reply."""
        with self._lock:
            self.requests.append(request)
            reply = self.down or (self.next.popleft() if self.next else self.handler(request))
            if 200 <= reply.status < 300 and not reply.hang and not reply.drip:
                self.accepted.append(request)
            return reply


@contextmanager
def receiving(handler: Handler) -> Iterator[Receiver]:
    """Run a receiver in a thread."""
    receiver = Receiver(handler)
    threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.ended.set()
        receiver.server.shutdown()
        receiver.server.server_close()


def slack(request: Request) -> Reply:
    """Respond as an incoming webhook of Slack: error codes as text, and the limits of Block Kit."""
    if request.path != "/services/T0/B0/s3cr3tSlackPath":
        return Reply(404, "no_service")
    try:
        body = request.json
    except ValueError:
        return Reply(400, "invalid_payload")
    if not body.get("text"):
        return Reply(400, "no_text")
    return Reply(400, "invalid_blocks") if slack_faults(body.get("blocks", [])) else Reply(200, "ok")


def slack_faults(blocks: list[Any]) -> list[str]:
    """Return violations of Slack's limits."""
    faults = ["too many blocks"] if len(blocks) > 50 else []
    whole = 0
    for block in blocks:
        text = block["text"]["text"]
        limit, kind = (150, "plain_text") if block["type"] == "header" else (3_000, "mrkdwn")
        units = len(text.encode("utf-16-le", "surrogatepass")) // 2
        whole += units
        if not 1 <= units <= limit or block["text"]["type"] != kind:
            faults.append(f"{block['type']} of {units}")
    return faults + (["msg_blocks_too_long"] if whole > 13_200 else [])


def google_chat(request: Request) -> Reply:
    """Respond as a webhook of Google Chat: credentials in the query, JSON errors, and the limits of a message."""
    query = request.query
    if query.get("key") != "k1" or query.get("token") != "s3cr3tChatToken":
        return Reply(401, json.dumps({"error": {"code": 401, "message": "bad token", "status": "UNAUTHENTICATED"}}))
    body = request.json
    if len(body.get("text", "")) > 4_096 or len(request.body) > 32_000 or not (body.get("text") or body.get("cardsV2")):
        return Reply(400, json.dumps({"error": {"code": 400, "message": "too long", "status": "INVALID_ARGUMENT"}}))
    name = {"name": "spaces/A/messages/1", "thread": {"name": "spaces/A/threads/1"}}
    return Reply(200, json.dumps(name))


def signed_http(secret: str) -> Handler:
    """Return a handler that verifies signatures with the reference library."""
    verifier = Webhook(secret)

    def handle(request: Request) -> Reply:
        verifier.verify(request.body, dict(request.headers))
        return Reply(204)

    return handle


def anything(_: Request) -> Reply:
    """Accept any request."""
    return Reply(200, "ok")


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class HttpHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, self.rfile.read(length))
            try:
                reply = receiver.answer(request)
            except Exception as error:  # noqa: BLE001 - a failed verification is a 401
                reply = Reply(401, f"{type(error).__name__}: {error}")
            self._send(reply)

        do_POST = do_GET = do_PATCH = do_DELETE = handle_one  # noqa: N815 - http.server's names

        def _send(self, reply: Reply) -> None:
            if reply.hang:
                receiver.ended.wait(60)
                return
            content = reply.body.encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(content) if not reply.drip else 10_000))
            self.end_headers()
            while reply.drip and not receiver.ended.wait(0.2):
                self.wfile.write(b".")
                self.wfile.flush()
            if reply.status != 204:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return HttpHandler


def until(probe: Callable[[], Any], seconds: float = 20) -> Any:
    """Poll until the result is true, and return it."""
    started = time.monotonic()
    while not (seen := probe()):
        assert time.monotonic() < started + seconds, f"The condition did not hold within {seconds:g} s."
        pause(started)
    return seen
