"""Faults between a client and its project, which a test injects."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

Scope = dict[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]
Kind = Literal["drop_before", "drop_after", "answer", "delay", "cut_short"]


@dataclass
class Fault:
    """A fault for requests whose path contains a word.

    Attributes:
        kind: `drop_before` closes the connection before the request is handled, `drop_after` after that, `cut_short`
            in the middle of the response; `answer` responds in place of the service; `delay` waits before that.
        word: Part of the path.
        times: The number of requests that it affects.
        met: The number of requests that it has affected.
    """

    kind: Kind
    word: str = ""
    times: int = 1
    status: int = 503
    body: bytes = b"<html><h1>503 Service Temporarily Unavailable</h1></html>"
    content_type: str = "text/html"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    seconds: float = 0.0
    met: int = 0


class Faults:
    """Wraps the services and injects the ordered faults. Thread-safe.

    Attributes:
        requests: Method and path of each request.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._ordered: list[Fault] = []
        self._cut = False
        self.requests: list[tuple[str, str]] = []

    def order(self, kind: Kind, word: str = "", **details: Any) -> Fault:
        """Inject a fault from now on."""
        fault = Fault(kind, word, **details)
        with self._lock:
            self._ordered.append(fault)
        return fault

    def cut(self) -> None:
        """Break the connection of every request, until `clear`."""
        self._cut = True

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._cut = False
            self._ordered.clear()

    def paths(self, word: str) -> list[str]:
        """Return the paths of earlier requests that contain a word."""
        return [path for _, path in self.requests if word in path]

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request, or fail as ordered."""
        if scope["type"] != "http":
            await (_reject_socket(receive, send) if self._cut else self._app(scope, receive, send))
            return
        self.requests.append((scope["method"], scope["path"]))
        fault = self._fault_for(scope["path"])
        if self._cut or (fault and fault.kind == "drop_before"):
            _transport(send).abort()
        elif fault and fault.kind == "drop_after":
            await self._app(scope, receive, _swallow)
            _transport(send).abort()
        elif fault and fault.kind == "cut_short":
            await self._app(scope, receive, _halved(send))
        elif fault and fault.kind == "answer":
            await _answer(fault, send)
        else:
            if fault:
                await asyncio.sleep(fault.seconds)
            await self._app(scope, receive, send)

    def _fault_for(self, path: str) -> Fault | None:
        with self._lock:
            for fault in self._ordered:
                if fault.word in path and fault.met < fault.times:
                    fault.met += 1
                    return fault
        return None


def _transport(send: Any) -> Any:
    return send.__self__.transport


async def _swallow(message: Scope) -> None:
    """Drop the response."""


def _halved(send: Any) -> Any:
    async def halved(message: Scope) -> None:
        if message["type"] == "http.response.body" and (body := message.get("body", b"")):
            await send({**message, "body": body[: len(body) // 2], "more_body": True})
            _transport(send).abort()
        else:
            await send(message)

    return halved


async def _answer(fault: Fault, send: Any) -> None:
    headers = [(b"content-type", fault.content_type.encode()), *fault.headers]
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": fault.body})


async def _reject_socket(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1011})
