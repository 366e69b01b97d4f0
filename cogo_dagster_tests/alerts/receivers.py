"""Receivers that answer as the vendors do, over real HTTP on 127.0.0.1."""

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


@dataclass(frozen=True)
class Request:
    """What arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's last values."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """An answer; `hang` sends nothing until the receiver ends, `drip` a byte now and then for ever."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    drip: bool = False


Judge = Callable[[Request], Reply]


class Receiver:
    """A running receiver.

    Attributes:
        requests: All that arrived, refused ones too.
        accepted: Those that were answered with 2xx.
        next: Replies that come first, one request each.
        down: While set, every request is answered by it.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
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
        """An address here."""
        return f"http://{self.authority}{path}"

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        with self._lock:
            self.requests.append(request)
            reply = self.down or (self.next.popleft() if self.next else self.judge(request))
            if 200 <= reply.status < 300 and not reply.hang and not reply.drip:
                self.accepted.append(request)
            return reply


@contextmanager
def receiving(judge: Judge) -> Iterator[Receiver]:
    """Serve in a thread."""
    receiver = Receiver(judge)
    threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.ended.set()
        receiver.server.shutdown()
        receiver.server.server_close()


def slack(request: Request) -> Reply:
    """An incoming webhook: plain words, and the limits of Block Kit."""
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
    """What Slack would refuse."""
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
    """A space's webhook: credentials in the query, JSON errors, the limits of a message."""
    query = request.query
    if query.get("key") != "k1" or query.get("token") != "s3cr3tChatToken":
        return Reply(401, json.dumps({"error": {"code": 401, "message": "bad token", "status": "UNAUTHENTICATED"}}))
    body = request.json
    if len(body.get("text", "")) > 4_096 or len(request.body) > 32_000 or not (body.get("text") or body.get("cardsV2")):
        return Reply(400, json.dumps({"error": {"code": 400, "message": "too long", "status": "INVALID_ARGUMENT"}}))
    name = {"name": "spaces/A/messages/1", "thread": {"name": "spaces/A/threads/1"}}
    return Reply(200, json.dumps(name))


def signed_http(secret: str) -> Judge:
    """A receiver that verifies with the reference library."""
    verifier = Webhook(secret)

    def judge(request: Request) -> Reply:
        verifier.verify(request.body, dict(request.headers))
        return Reply(204)

    return judge


def anything(_: Request) -> Reply:
    """Take whatever comes."""
    return Reply(200, "ok")


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, self.rfile.read(length))
            try:
                reply = receiver.answer(request)
            except Exception as error:  # noqa: BLE001 - as a server does
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
            """Say nothing."""

    return Handler


def until(look: Callable[[], Any], seconds: float = 20) -> Any:
    """Look again and again until what is seen is true."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{seconds:g} s have passed without it."
        time.sleep(0.02)
    return seen
