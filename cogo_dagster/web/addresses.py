"""Addresses of this server that an answer may lead to."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.requests import Request

_OURS: Final = re.compile(r"/(?:dashboard/|api/|metrics$)[^\\\x00-\x20\x7f]*$")


def own_page(address: str | None, default: str = "/dashboard/local") -> str:
    """Return an address if it is one of ours that can be read, without what a page said before."""
    try:
        parts = urlsplit(address or "")
    except ValueError:
        return default
    if parts.scheme or parts.netloc or not _OURS.match(parts.path):
        return default
    query = "&".join(word for word in parts.query.split("&") if word and not word.startswith(("did=", "n=")))
    return parts.path + (f"?{query}" if query else "")


def login_page(request: Request) -> str:
    """Return the login page that leads back here."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    # What was posted is not repeated: its page asks again.
    page = here if request.method in ("GET", "HEAD") else _page_before(request)
    return f"/dashboard/login?next={quote(page, safe='')}"


def _page_before(request: Request) -> str:
    try:
        return own_page(urlsplit(request.headers.get("referer", "")).path)
    except ValueError:
        return own_page(None)
