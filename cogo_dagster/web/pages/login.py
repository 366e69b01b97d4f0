"""Login and logout: a token or a login link is exchanged for a session cookie."""

from html import escape
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, Response

from cogo_dagster.vault.access_tokens import Holder
from cogo_dagster.web.access import SESSION_COOKIE, RequestDenied, named
from cogo_dagster.web.addresses import own_page
from cogo_dagster.web.dependencies import Web, WebDep, allow_anonymous, client_of, session_of, web_of
from cogo_dagster.web.pages.forms import FormDep, back, form_of

router = APIRouter(prefix="/dashboard", include_in_schema=False, dependencies=[Depends(allow_anonymous)])

LINK_NAME: Final = "cogo dev"
"""Holder of the sessions of login links, as the operations log shows it."""


@router.get("/login")
def show_login(
    request: Request,
    web: WebDep,
    page: Annotated[str | None, Query(alias="next", max_length=600)] = None,
    ticket: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Show the login form, or redeem a login link. A client with a session is redirected to the page it wanted."""
    if ticket is not None:
        return _redeem(request, web, ticket, page)
    # On a cross-site navigation, browsers withhold a SameSite=Strict cookie; a refresh from this origin sends it.
    if request.headers.get("sec-fetch-site") == "cross-site" and SESSION_COOKIE not in request.cookies:
        return _refresh(own_page(page))
    if page is not None and session_of(request) is not None:
        return back(own_page(page))
    return _page(request, page, None, 200)


@router.post("/login")
def login(request: Request, web: WebDep, form: FormDep) -> Response:
    """Check a token and open a session."""
    try:
        holder = web.access.holder_of(form.get("token", "").strip(), client_of(request))
    except RequestDenied as denied:
        return _page(request, form.get("next"), str(denied), denied.status)
    known = Holder(named(holder, form.get("name")), holder.role, holder.token_id)
    return _with_session(request, web, known, form.get("next"))


@router.post("/logout", dependencies=[Depends(form_of)])
def logout(request: Request, web: WebDep) -> Response:
    """End the session on every server, and delete the cookie."""
    web.access.end_session(request.cookies.get(SESSION_COOKIE))
    response = back("/dashboard/local", "logout")
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
    return response


def _redeem(request: Request, web: Web, ticket: str, page: str | None) -> Response:
    try:
        holder = web.access.redeem(ticket, LINK_NAME)
    except RequestDenied as denied:
        # A browser may open the link twice; the first request has created the session.
        return back(own_page(page)) if session_of(request) else _page(request, page, str(denied), denied.status)
    return _with_session(request, web, holder, page)


def _with_session(request: Request, web: Web, holder: Holder, page: str | None) -> Response:
    response = back(own_page(page), "login" if holder.may("operator") else "login_viewer")
    response.set_cookie(
        SESSION_COOKIE,
        web.access.open_session(holder),
        max_age=round(web.access.session_seconds),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


def _refresh(page: str) -> Response:
    address = escape(f"/dashboard/login?next={quote(page, safe='')}", quote=True)
    return HTMLResponse(
        f'<!doctype html><title>COGO</title><meta http-equiv="refresh" content="0;url={address}">'
        f'<p><a href="{address}">Continue</a></p>'
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
