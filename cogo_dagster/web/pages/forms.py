"""Checks of the dashboard's forms: their origin and the session."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from starlette.responses import RedirectResponse

from cogo_dagster.vault.access_tokens import Role
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.dependencies import check_role, rule, session_of, web_of
from cogo_dagster.web.headers import MAX_BODY_BYTES, is_same_origin, own_origins

_MAX_FORM_BYTES = 10_000

Form = dict[str, str]


class NotLoggedIn(RequestDenied):
    """There is no session; the dashboard redirects to the login page."""


async def form_of(request: Request) -> Form:
    """Return the fields of a form.

    Raises:
        RequestDenied: The form was sent by another site, or is too long.
    """
    return await _form(request, _MAX_FORM_BYTES)


async def long_form_of(request: Request) -> Form:
    """Return the fields of a form that may have the size of a payload.

    Raises:
        RequestDenied: As for `form_of`.
    """
    return await _form(request, MAX_BODY_BYTES)


async def _form(request: Request, max_bytes: int) -> Form:
    if not is_same_origin(request, own_origins(web_of(request).settings)):
        raise RequestDenied(
            403,
            "The form was sent from another site. Open the page on this site and send the form again. "
            "Behind a proxy, set METRICS_BASE to the address that browsers use.",
        )
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > max_bytes:
            raise RequestDenied(403, f"The form is longer than {max_bytes:,} bytes: shorten its fields.")
    return dict(parse_qsl(content.decode(errors="replace"), keep_blank_values=True))


@rule("operator")
def operator_of(request: Request) -> str:
    """Return the logged-in operator as the actor for the log.

    Raises:
        NotLoggedIn: There is no session.
        RequestDenied: The role does not suffice.
    """
    return _logged_in(request, "operator")


def _logged_in(request: Request, role: Role) -> str:
    session = session_of(request)
    if session is None:
        raise NotLoggedIn(401, "Log in to make changes.")
    check_role(session.holder, role)
    return f"web:{session.holder.name}"


FormDep = Annotated[Form, Depends(form_of)]
LongFormDep = Annotated[Form, Depends(long_form_of)]
Operator = Annotated[str, Depends(operator_of)]


def back(address: str, did: str | None = None, n: int | None = None) -> RedirectResponse:
    """Redirect to a page of the dashboard with a flash message, or to another address without one."""
    if did is None or not address.startswith("/dashboard/"):
        return RedirectResponse(address, 303)
    mark = f"did={did}" + (f"&n={n}" if n is not None else "")
    return RedirectResponse(f"{address}{'&' if '?' in address else '?'}{mark}", 303)
