"""What a form of the dashboard must prove before it acts: that it is ours, and who sent it."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from starlette.responses import RedirectResponse

from cogo_dagster.vault.access_tokens import Role
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.dependencies import check_role, rule, session_of, web_of
from cogo_dagster.web.headers import is_same_origin, own_origins

_MOST_BYTES = 10_000

Form = dict[str, str]


class NotLoggedIn(RequestDenied):
    """Nobody is logged in; the dashboard answers with the login page."""


async def form_of(request: Request) -> Form:
    """Return what a form of ours sent.

    Raises:
        RequestDenied: Another site sent it, or it is far too long.
    """
    if not is_same_origin(request, own_origins(web_of(request).settings)):
        raise RequestDenied(
            403,
            "This form came from another site: open the page here and try again. "
            "Behind a proxy, set METRICS_BASE to the address that people see.",
        )
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MOST_BYTES:
            raise RequestDenied(403, "This form is too long.")
    return dict(parse_qsl(content.decode(errors="replace"), keep_blank_values=True))


@rule("operator")
def operator_of(request: Request) -> str:
    """Return who is logged in, as the log keeps it.

    Raises:
        NotLoggedIn: Nobody is.
        RequestDenied: Their role is too small.
    """
    return _logged_in(request, "operator")


def _logged_in(request: Request, role: Role) -> str:
    session = session_of(request)
    if session is None:
        raise NotLoggedIn(401, "Log in to act.")
    check_role(session.holder, role)
    return f"web:{session.holder.name}"


FormPart = Annotated[Form, Depends(form_of)]
Operator = Annotated[str, Depends(operator_of)]


def back(address: str, did: str | None = None, n: int | None = None) -> RedirectResponse:
    """Lead back to a page of the dashboard, which then says what was done; or to another address, as it is."""
    if did is None or not address.startswith("/dashboard/"):
        return RedirectResponse(address, 303)
    mark = f"did={did}" + (f"&n={n}" if n is not None else "")
    return RedirectResponse(f"{address}{'&' if '?' in address else '?'}{mark}", 303)
