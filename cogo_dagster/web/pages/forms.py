"""What a form of the dashboard must prove before it acts: that it is ours, and who sent it."""

from typing import Annotated
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import Depends, Request
from starlette.responses import RedirectResponse

from cogo_dagster.web.access import Refused
from cogo_dagster.web.headers import is_same_origin
from cogo_dagster.web.parts import session_of

_MOST_BYTES = 10_000

Form = dict[str, str]


class NotLoggedIn(Refused):
    """Nobody is logged in; the dashboard answers with the login page."""


async def form_of(request: Request) -> Form:
    """Return what a form of ours sent.

    Raises:
        Refused: Another site sent it, or it is far too long.
    """
    if not is_same_origin(request):
        raise Refused(403, "This form came from another site: open the page here and try again.")
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MOST_BYTES:
            raise Refused(403, "This form is too long.")
    return dict(parse_qsl(content.decode(errors="replace"), keep_blank_values=True))


def operator_of(request: Request) -> str:
    """Return who is logged in, as the log keeps it.

    Raises:
        NotLoggedIn: Nobody is.
    """
    session = session_of(request)
    if session is None:
        raise NotLoggedIn(401, "Log in with the admin token to act.")
    return f"web:{session.name}"


FormPart = Annotated[Form, Depends(form_of)]
Operator = Annotated[str, Depends(operator_of)]


def back(address: str, did: str, n: int | None = None) -> RedirectResponse:
    """Lead back to a page, which then says what was done."""
    mark = f"did={did}" + (f"&n={n}" if n is not None else "")
    return RedirectResponse(f"{address}{'&' if '?' in address else '?'}{mark}", 303)


def own_page(address: str | None, default: str = "/dashboard/local") -> str:
    """Return an address if it is a page of ours, without what a page said before."""
    parts = urlsplit(address or "")
    if parts.scheme or parts.netloc or not parts.path.startswith("/dashboard/") or "\\" in parts.path:
        return default
    query = "&".join(word for word in parts.query.split("&") if word and not word.startswith(("did=", "n=")))
    return parts.path + (f"?{query}" if query else "")


def login_page(request: Request) -> str:
    """Return the login page that leads back here."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    # What was posted is not repeated: its page asks again.
    page = here if request.method == "GET" else own_page(urlsplit(request.headers.get("referer", "")).path)
    return f"/dashboard/login?next={quote(page, safe='')}"
