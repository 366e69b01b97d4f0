"""Logging in: the admin token once, then a session that only this browser has."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cogo_dagster.web.access import SESSION_COOKIE, SESSION_SECONDS, Refused
from cogo_dagster.web.pages.forms import FormPart, back, form_of, own_page
from cogo_dagster.web.parts import WebPart, web_of
from cogo_dagster.web.render import Pages

router = APIRouter(prefix="/dashboard", include_in_schema=False)


@router.get("/login")
def ask(request: Request, page: Annotated[str | None, Query(alias="next", max_length=600)] = None) -> Response:
    """Ask for the admin token."""
    return _page(request, page, None, 200)


@router.post("/login")
def login(request: Request, web: WebPart, form: FormPart) -> Response:
    """Take the admin token and open a session."""
    try:
        web.access.require(form.get("token", "").strip())
    except Refused as refused:
        return _page(request, form.get("next"), str(refused), refused.status)
    answer = back(own_page(form.get("next")), "login")
    answer.set_cookie(
        SESSION_COOKIE,
        web.access.new_session(form.get("name", "")),
        max_age=SESSION_SECONDS,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/logout", dependencies=[Depends(form_of)])
def logout() -> Response:
    """End the session of this browser."""
    answer = back("/dashboard/local", "logout")
    answer.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _page(request: Request, page: str | None, problem: str | None, status: int) -> Response:
    pages: Pages = request.app.state.pages
    return pages.page(
        request,
        "login.html",
        status,
        title="Log in",
        next=own_page(page),
        problem=problem,
        can_act=web_of(request).access.is_open,
    )
