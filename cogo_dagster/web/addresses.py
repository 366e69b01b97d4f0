"""Addresses of this server that are safe to redirect to."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.requests import Request

_OURS: Final = re.compile(r"/(?:dashboard/|api/|metrics$)[^\\\x00-\x20\x7f]*$")


def own_page(address: str | None, default: str = "/dashboard/local") -> str:
    """Return an address if it is a page of this server, else the default. The flash parameters are removed."""
    try:
        parts = urlsplit(address or "")
    except ValueError:
        return default
    if parts.scheme or parts.netloc or not _OURS.match(parts.path):
        return default
    query = "&".join(part for part in parts.query.split("&") if part and not part.startswith(("did=", "n=")))
    return parts.path + (f"?{query}" if query else "")


def login_page(request: Request) -> str:
    """Return the address of the login page, which redirects back afterwards."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    # A POST is not repeated after login: the user sends the form again.
    page = here if request.method in ("GET", "HEAD") else page_before(request)
    return f"/dashboard/login?next={quote(page, safe='')}"


def page_before(request: Request) -> str:
    """Return the address of the page that a form was sent from, without its query."""
    try:
        return own_page(urlsplit(request.headers.get("referer", "")).path)
    except ValueError:
        return own_page(None)
