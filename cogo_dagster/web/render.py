"""Renders templates with autoescaping, in one layout."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from jinja2 import ChainableUndefined, Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse

from cogo_dagster.formatting.explanation import advice_for
from cogo_dagster.formatting.values import error_line, one_line, size, span
from cogo_dagster.links import dagster_asset, dagster_run
from cogo_dagster.queue.stats import Numbers
from cogo_dagster.web import filters, views, worker_views
from cogo_dagster.web.addresses import page_before
from cogo_dagster.web.attempt_views import waterfall
from cogo_dagster.web.dependencies import is_open_here, session_of, web_of
from cogo_dagster.web.files import static_files
from cogo_dagster.web.marks import mark_of

_FLASH_MESSAGES: Final = {
    "enqueued": "Job enqueued.",
    "existing": "No new job: this job has the same idempotency key.",
    "cancelled": "Job cancelled.",
    "cancel_requested": "Cancellation requested. If the job succeeds first, it stays succeeded.",
    "retried": "Jobs requeued: {n}.",
    "replayed": "Jobs replayed: {n}.",
    "silenced": "Alert silenced.",
    "unsilenced": "Silence ended.",
    "unsilenced_before": "This silence had already ended.",
    "discarded": "Dead-lettered jobs discarded: {n}. The log can undo it.",
    "undone": "Dead-lettered jobs opened again: {n}.",
    "not_undone": "Nothing was undone: the jobs of this discard were opened again, retried or deleted before.",
    "paused": "Paused. Jobs of this type or executor are not claimed until it is resumed.",
    "paused_unknown": "Paused, but no worker or job has this name: resume it if it is misspelt.",
    "paused_before": "It was already paused; the list below says by whom and why.",
    "resumed": "Resumed.",
    "resumed_before": "It was not paused any more.",
    "notified": "The weekly summary is being delivered; targets: {n}.",
    "not_notified": "The weekly summary was not delivered: no alert target is configured. Set WEBHOOK_TYPE.",
    "notified_before": "The weekly summary has already been announced.",
    "login": "You are logged in.",
    "login_viewer": "You are logged in with read access.",
    "logout": "You are logged out.",
}
"""Flash messages after an action."""

_HEADINGS: Final = {403: "Not allowed", 404: "Not found", 409: "Conflict", 413: "Too large", 422: "Invalid request"}

_FRAME: Final = {"session": None, "may_act": False, "follows": False, "mark": None, "numbers": None}


class Pages:
    """Renders the dashboard's pages."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("cogo_dagster.web"),
            autoescape=True,
            undefined=ChainableUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            static=static_files().address,
            tabs=views.TABS,
            icon=views.icon,
            job_search=views.job_search,
            job_search_text=views.job_search_text,
        )
        self._environment.tests.update(
            past=views.is_past, stopping=views.is_stopping, without_worker=views.has_no_worker
        )
        self._environment.filters.update(
            about=views.about,
            advice=advice_for,
            age=views.age,
            actor_run=filters.actor_run,
            ago=filters.ago,
            alert_pages=views.alert_pages,
            alert_state=views.alert_state,
            clock=filters.clock,
            compact=filters.compact,
            counted=filters.counted,
            counter=worker_views.counter,
            counters=worker_views.counters,
            cut=filters.cut,
            dash=filters.dash,
            day=filters.day,
            default_text=views.default_text,
            error_line=error_line,
            gate_reports=views.gate_reports,
            gate_tests=views.gate_tests,
            in_json=filters.in_json,
            items=filters.items,
            json=filters.plain_json,
            known=views.known,
            line=one_line,
            machine=worker_views.machine,
            moment=filters.moment,
            number=filters.number,
            other_facts=worker_views.other_facts,
            percent=views.percent,
            plain=filters.plain,
            pretty=filters.pretty,
            probe_state=views.probe_state,
            progress=views.progress,
            reason_query=views.reason_query,
            reason_search=views.reason_search,
            seconds=filters.in_seconds,
            short=filters.short,
            size=size,
            slots_in_use=worker_views.slots_in_use,
            spaced=views.spaced,
            span=span,
            status_icon=views.status_icon,
            steps=waterfall,
            target_state=views.target_state,
            text_or_error=views.text_or_error,
            tiles=views.tiles,
            verdict_state=views.verdict_state,
            wait_reason=views.wait_reason,
            with_code=filters.with_code,
            with_job_links=filters.with_job_links,
            with_gaps=views.with_gaps,
            worker_state=worker_views.worker_state,
        )

    def page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: object,
    ) -> HTMLResponse:
        """Render a page."""
        web = web_of(request)
        text = self._environment.get_template(template).render(
            path=request.url.path,
            address=_address(request),
            now=datetime.now(UTC),
            settings=web.settings,
            dagster_run=lambda run_id: dagster_run(web.settings, run_id),
            dagster_asset=lambda *key: dagster_asset(web.settings, *key),
            flash=flash_message(request),
            **_FRAME | ({} if template == "problem.html" else _frame(request, status)) | context,
        )
        return HTMLResponse(text, status, headers=dict(headers or {}))

    def problem(
        self,
        request: Request,
        status: int,
        message: str,
        headers: Mapping[str, str],
        heading: str | None = None,
    ) -> HTMLResponse:
        """Render an error page."""
        is_temporary = status >= 500 and request.method in ("GET", "HEAD") and not flash_message(request)
        target, button = _after_problem(request, is_temporary=is_temporary)
        heading = heading or _HEADINGS.get(status, "Request failed")
        return self.page(
            request,
            "problem.html",
            status,
            headers,
            title=heading,
            code=status,
            heading=heading,
            session=getattr(request.state, "session", None),
            message=message,
            next_url=target,
            button=button,
            retries=is_temporary,
        )


@cache
def shared_pages() -> Pages:
    """Return the pages, which all applications of the process share: a template is compiled once."""
    return Pages()


def _after_problem(request: Request, *, is_temporary: bool) -> tuple[str, str]:
    """Return the address of the button of an error page, and its text. The address of a form cannot be opened."""
    if is_temporary:
        return _address(request), "Try again"
    if request.method not in ("GET", "HEAD"):
        return page_before(request), "Back"
    return "/dashboard/local", "Overview"


def _address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _frame(request: Request, status: int) -> dict[str, Any]:
    """Return the variables of the layout; on an error page, none that need the database."""
    if status >= 400 and status != 422:  # 422: a form with its errors
        return {}
    session = session_of(request)
    numbers: Numbers | None = getattr(request.state, "numbers", None)
    return {
        "session": session,
        "may_act": session is not None and session.holder.may("operator"),
        "follows": session is not None or is_open_here(request),
        "mark": numbers and mark_of(numbers),
        "numbers": numbers or web_of(request).backend.numbers(),
    }


def flash_message(request: Request) -> str | None:
    """Return the message about the action before the redirect to this page; None without one."""
    message = _FLASH_MESSAGES.get(request.query_params.get("did", ""))
    count = request.query_params.get("n", "")
    return message.format(n=count if count.isdecimal() and len(count) < 10 else "?") if message else None
