"""Middleware that checks the Host header and sets security headers, and the checks of a form's origin."""

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cogo_dagster.settings import Settings

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

TRACES_HOST: Final = "traces.localhost"
"""Another origin on this machine, without a session: traces contain content of captured pages."""

MAX_BODY_BYTES: Final = 2_000_000
"""Maximum size of a request body."""

TOO_LONG: Final = f"The request body exceeds {MAX_BODY_BYTES:,} bytes: send a shorter one."

_CUT_OFF: Final = "cogo.body_cut_off"

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")

_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


_FORWARDED: Final = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip"}
)
"""Headers that proxies add, besides those that start with x-forwarded."""


def known_hosts(settings: Settings, bound_to: str = "127.0.0.1") -> frozenset[str]:
    """Return the host names that this server accepts.

    Args:
        settings: COGO_WEB_HOSTS and METRICS_BASE add names.
        bound_to: The address that the server listens on, accepted unless it is a wildcard.
    """
    base = urlsplit(settings.metrics_base or "").hostname
    bound = {bound_to} if bound_to not in ("0.0.0.0", "::", "") else set()  # noqa: S104 - compared, not bound
    return LOOPBACK | {TRACES_HOST} | bound | set(settings.web_hosts) | ({base} if base else set())


def page_policy(settings: Settings) -> str:
    """Return the Content-Security-Policy of the dashboard: nothing inline, nothing from other origins."""
    images = "'self' data:"
    if settings.supabase_url:
        parts = urlsplit(settings.supabase_url)
        images += f" {parts.scheme}://{parts.netloc}"  # signed URLs of screenshots
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


class RequestGuard:
    """Middleware that rejects unknown Host headers (DNS rebinding) and sets security headers.

    Args:
        hosts: Accepted host names.
        direct_only: Reject requests that came through a proxy, and accept only loopback names (`cogo dev`, where this
            machine reads without a session).
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], policy: str, direct_only: bool = False) -> None:
        self._app = app
        self._hosts = LOOPBACK | {TRACES_HOST} if direct_only else hosts
        self._policy = policy
        self._direct_only = direct_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or reject it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rejection = self._rejection(Request(scope))
        await (rejection or self._app)(scope, _bounded(scope, receive), self._with_headers(send))

    def _rejection(self, request: Request) -> Response | None:
        # Not `request.url`: for a malformed Host header, Starlette uses the address of the socket.
        sent = _HOST.fullmatch(request.headers.get("host", ""))
        host = sent[1].strip("[]").lower() if sent else ""
        if self._direct_only and _is_proxied(request):
            message = "`cogo dev` does not serve requests through a proxy: run `cogo web` behind the proxy."
            return _rejected(request, 403, message)
        if self._direct_only and host not in self._hosts:
            message = f"`cogo dev` does not accept the host name {host[:100]!r}: use localhost, or run `cogo web`."
            return _rejected(request, 421, message)
        if host not in self._hosts:
            message = f"Unknown host name {host[:100]!r}: use another, or add it to COGO_WEB_HOSTS."
            return _rejected(request, 421, message)
        if _declared_bytes(request) > MAX_BODY_BYTES:
            return _rejected(request, 413, TOO_LONG)
        if host == TRACES_HOST and not _is_for_traces(request):
            return _rejected(request, 404, "This host name serves traces only.")
        return None

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("content-security-policy", self._policy)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        return sending


def _rejected(request: Request, status: int, message: str) -> Response:
    """Return an error in the form of the API, or as text, since pages may not be shown under an unknown host name."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": message}, status)
    return PlainTextResponse(f"{message}\n", status)


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdecimal() and len(declared) < 20 else 0


def is_body_cut_off(request: Request) -> bool:
    """Whether a body without Content-Length exceeded the limit."""
    return bool(request.scope.get(_CUT_OFF))


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Cut off a body without Content-Length at the limit; bodies are read before the client is authenticated."""
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken <= MAX_BODY_BYTES:
            return message
        scope[_CUT_OFF] = True
        return {"type": "http.disconnect"}

    return receiving


def _is_for_traces(request: Request) -> bool:
    path = request.url.path
    return request.method in ("GET", "HEAD") and (
        path.startswith("/traces/") or (path.startswith("/api/artifacts/") and path.endswith("/content"))
    )


def _is_proxied(request: Request) -> bool:
    # nginx forwards with HTTP/1.0 and adds no header by default; browsers and HTTP clients do not use HTTP/1.0.
    return request.scope.get("http_version") == "1.0" or any(
        name.startswith("x-forwarded") or name in _FORWARDED for name in request.headers
    )


def own_origins(settings: Settings) -> frozenset[str]:
    """Return the origins of this server's pages in addition to the one in a request's Host header.

    A proxy may send its own name as Host, and may terminate TLS without a header.
    """
    base = urlsplit(settings.metrics_base or "")
    named = {f"{base.scheme}://{base.netloc}".lower()} if base.netloc else set()
    return frozenset(named | {f"{scheme}://{host}" for host in settings.web_hosts for scheme in ("http", "https")})


def is_same_origin(request: Request, others: Collection[str] = ()) -> bool:
    """Whether a page of this server sent a form. A request with neither Sec-Fetch-Site nor Origin is rejected.

    Args:
        others: Further origins of this server.
    """
    # Pages cannot set this header. The browser derives it from the address that the user sees, even behind a proxy.
    if request.headers.get("sec-fetch-site"):
        return request.headers["sec-fetch-site"] == "same-origin"
    origin = request.headers.get("origin", "").lower()
    return origin == f"{request.url.scheme}://{request.url.netloc}" or origin in others
