"""Logging in: a token or a login link once, then a session that only this browser has."""

from html import escape
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, Response

from cogo_dagster.vault.access_tokens import Holder
from cogo_dagster.web.access import SESSION_COOKIE, SESSION_SECONDS, RequestDenied, named
from cogo_dagster.web.addresses import own_page
from cogo_dagster.web.dependencies import Web, WebPart, anybody, client_of, session_of, web_of
from cogo_dagster.web.pages.forms import FormPart, back, form_of

router = APIRouter(prefix="/dashboard", include_in_schema=False, dependencies=[Depends(anybody)])

LINK_NAME: Final = "cogo dev"
"""Whose the sessions of login links are, as the operations log says."""


@router.get("/login")
def ask(
    request: Request,
    web: WebPart,
    page: Annotated[str | None, Query(alias="next", max_length=600)] = None,
    ticket: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Ask for a token; let those in who have a session, or a login link that is new."""
    if ticket is not None:
        return _redeem(request, web, ticket, page)
    # Browsers leave our cookie out where another site led here: asked again from here, they send it.
    if request.headers.get("sec-fetch-site") == "cross-site" and SESSION_COOKIE not in request.cookies:
        return _again(own_page(page))
    if page is not None and session_of(request) is not None:
        return back(own_page(page))
    return _page(request, page, None, 200)


@router.post("/login")
def login(request: Request, web: WebPart, form: FormPart) -> Response:
    """Take a token and open a session."""
    try:
        holder = web.access.holder_of(form.get("token", "").strip(), client_of(request))
    except RequestDenied as refused:
        return _page(request, form.get("next"), str(refused), refused.status)
    known = Holder(named(holder, form.get("name")), holder.role, holder.token_id)
    return _with_session(request, web, known, form.get("next"))


@router.post("/logout", dependencies=[Depends(form_of)])
def logout(request: Request, web: WebPart) -> Response:
    """End the session, in this browser and on every server."""
    web.access.end_session(request.cookies.get(SESSION_COOKIE))
    answer = back("/dashboard/local", "logout")
    answer.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _redeem(request: Request, web: Web, ticket: str, page: str | None) -> Response:
    try:
        holder = web.access.redeem(ticket, LINK_NAME)
    except RequestDenied as refused:
        # Pressed twice in one browser: the first time was enough.
        return back(own_page(page)) if session_of(request) else _page(request, page, str(refused), refused.status)
    return _with_session(request, web, holder, page)


def _with_session(request: Request, web: Web, holder: Holder, page: str | None) -> Response:
    answer = back(own_page(page), "login" if holder.may("operator") else "login_viewer")
    answer.set_cookie(
        SESSION_COOKIE,
        web.access.open_session(holder),
        max_age=SESSION_SECONDS,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


def _again(page: str) -> Response:
    address = escape(f"/dashboard/login?next={quote(page, safe='')}", quote=True)
    return HTMLResponse(
        f'<!doctype html><title>COGO</title><meta http-equiv="refresh" content="0;url={address}">'
        f'<p><a href="{address}">Go on</a></p>'
    )


def _page(request: Request, page: str | None, problem: str | None, status: int) -> Response:
    return web_of(request).pages.page(
        request,
        "login.html",
        status,
        title="Log in",
        next=own_page(page),
        problem=problem,
        is_closed=web_of(request).access.is_closed,
    )
