"""What every request must bring and every answer carries: a known host, and headers that keep a page to itself."""

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cogo_dagster.settings import Settings

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

TRACES_HOST: Final = "traces.localhost"
"""Another origin on this machine: traces hold what strangers' pages sent, and this one has no session."""

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")

_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def known_hosts(settings: Settings, bound_to: str = "127.0.0.1") -> frozenset[str]:
    """Return the names this server answers to.

    Args:
        settings: COGO_WEB_HOSTS and METRICS_BASE name others.
        bound_to: The address it listens on, which is a name unless it means all of them.
    """
    base = urlsplit(settings.metrics_base or "").hostname
    bound = {bound_to} if bound_to not in ("0.0.0.0", "::", "") else set()  # noqa: S104 - recognised, not bound
    return LOOPBACK | {TRACES_HOST} | bound | set(settings.web_hosts) | ({base} if base else set())


def page_policy(settings: Settings) -> str:
    """Return the Content-Security-Policy of our own pages: nothing inline, nothing from elsewhere."""
    images = "'self' data:"
    if settings.supabase_url:
        parts = urlsplit(settings.supabase_url)
        images += f" {parts.scheme}://{parts.netloc}"  # signed addresses of screenshots lead there
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


class Guard:
    """Refuses requests under a name that is not ours (DNS rebinding) and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], policy: str) -> None:
        self._app = app
        self._hosts = hosts
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))
        await (refusal or self._app)(scope, receive, self._with_headers(send))

    def _refusal(self, request: Request) -> PlainTextResponse | None:
        # As it was sent: one that is malformed would be taken for the address we listen on.
        sent = _HOST.fullmatch(request.headers.get("host", ""))
        host = sent[1].strip("[]").lower() if sent else ""
        if host not in self._hosts:
            return PlainTextResponse(
                f"This server does not answer to the name {host[:100]!r}: use another, or add it to COGO_WEB_HOSTS.\n",
                status_code=421,
            )
        if host == TRACES_HOST and not _is_for_traces(request):
            return PlainTextResponse("Only traces are shown under this name.\n", status_code=404)
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


def _is_for_traces(request: Request) -> bool:
    path = request.url.path
    return request.method in ("GET", "HEAD") and (
        path.startswith("/traces/") or (path.startswith("/api/artifacts/") and path.endswith("/content"))
    )


def is_same_origin(request: Request) -> bool:
    """Whether a form of our own pages sent this: browsers say so, and what does not say is refused."""
    origin = request.headers.get("origin")
    if origin and origin != "null":
        return origin == f"{request.url.scheme}://{request.url.netloc}"
    return request.headers.get("sec-fetch-site") == "same-origin"
