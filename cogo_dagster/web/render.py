"""Templates become pages: everything escaped, every page with the same frame."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from cogo_dagster.formatting.values import distance, error_line, one_line, run_time, size, span
from cogo_dagster.links import dagster_asset, dagster_run
from cogo_dagster.queue.decoding import Unreadable, read_time
from cogo_dagster.queue.model import Json
from cogo_dagster.supervision.replays import is_after
from cogo_dagster.web.dependencies import is_open_here, session_of, web_of
from cogo_dagster.web.files import StaticFiles

_DID: Final = {
    "cancelled": "The job is cancelled.",
    "asked": "The worker was asked to stop; success still wins.",
    "retried": "{n} put back into the queue.",
    "replayed": "{n} replayed as new jobs.",
    "paused": "Paused: nothing more of it is claimed.",
    "resumed": "Resumed: it is claimed again.",
    "notified": "The weekly summary is on its way to {n} targets.",
    "notified_nobody": "No alert target is configured, so nobody was told: set WEBHOOK_TYPE.",
    "notified_before": "Everybody was told of this week before.",
    "login": "You can act now, for twelve hours.",
    "login_viewer": "You can read now, for twelve hours.",
    "logout": "You are logged out.",
}
"""What a page says after an action."""


_FRAME: Final = {"session": None, "acts": False, "follows": False, "numbers": None}


class Pages:
    """Makes pages."""

    def __init__(self, static: StaticFiles) -> None:
        self._environment = Environment(
            loader=PackageLoader("cogo_dagster.web"),
            autoescape=True,
            undefined=ChainableUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["static"] = static.address
        self._environment.filters.update(
            ago=ago,
            clock=clock,
            seconds=in_seconds,
            span=span,
            size=size,
            error_line=error_line,
            line=one_line,
            with_code=with_code,
            number=number,
            compact=compact,
            pretty=pretty,
            cut=cut,
            items=items,
            short=short,
            tojson_plain=in_json,
            is_after=is_after,
        )

    def page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: object,
    ) -> HTMLResponse:
        """Answer with a page."""
        web = web_of(request)
        text = self._environment.get_template(template).render(
            path=request.url.path,
            address=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            now=datetime.now(UTC),
            settings=web.settings,
            dagster_run=lambda run_id: dagster_run(web.settings, run_id),
            dagster_asset=lambda *key: dagster_asset(web.settings, *key),
            did=did(request),
            **_FRAME | _frame(request, status) | context,
        )
        return HTMLResponse(text, status, headers=dict(headers or {}))

    def problem(self, request: Request, status: int, sentence: str, headers: Mapping[str, str]) -> HTMLResponse:
        """Answer with a page that says what went wrong."""
        return self.page(request, "problem.html", status, headers, code=status, sentence=sentence)


def _frame(request: Request, status: int) -> dict[str, Any]:
    """Return what the frame of a page shows; of a page about trouble, nothing that needs the database."""
    if status >= 400:
        return {}
    session = session_of(request)
    return {
        "session": session,
        "acts": session is not None and session.holder.may("operator"),
        "follows": session is not None or is_open_here(request),
        "numbers": web_of(request).backend.numbers(),
    }


def did(request: Request) -> str | None:
    """Return what the action before this page did, if there was one."""
    sentence = _DID.get(request.query_params.get("did", ""))
    count = request.query_params.get("n", "")
    return sentence.format(n=count if count.isdecimal() and len(count) < 10 else "Some") if sentence else None


def ago(time: str | datetime | None) -> Markup | str:
    """Return a time as its distance from now, with the time itself for whoever asks."""
    if time is None:
        return "-"
    moment = time if isinstance(time, datetime) else read_time(time)
    if isinstance(moment, Unreadable):
        return unreadable(moment)
    moment = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
        moment.isoformat(timespec="seconds"), moment.strftime("%Y-%m-%d %H:%M:%S UTC"), distance(moment)
    )


def clock(time: datetime | Unreadable) -> Markup:
    """Return a time of day, with the date for whoever asks."""
    if isinstance(time, Unreadable):
        return unreadable(time)
    moment = time.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), moment.strftime("%Y-%m-%d %H:%M:%S UTC"), moment.strftime("%H:%M:%S")
    )


def unreadable(reason: str) -> Markup:
    """Say that a value cannot be read, with the reason for whoever asks."""
    return Markup('<span class="muted" title="{}">unreadable</span>').format(reason)


def in_seconds(value: object) -> Markup | str:
    """Say a run time: `12 ms`, `3.4 s`, `2 min 5 s`."""
    words = run_time(value)
    return unreadable(words) if isinstance(words, Unreadable) else words


def with_code(sentence: str) -> Markup:
    """Return a sentence with what stands between backticks as code."""
    parts = sentence.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def number(value: object) -> str:
    """Write a number with thin gaps between thousands; what is none, as it is."""
    if not isinstance(value, int | float) or not -1e30 < value < 1e30:
        return cut(value, 60)
    return f"{value:,}".replace(",", "\u2009")


def compact(value: int) -> str:
    """Write a count in few letters: 9,870 as it is, 12k, 1.3M."""
    if value < 10_000:
        return number(value)
    return f"{value / 1000:.0f}k" if value < 999_500 else f"{value / 1_000_000:.1f}M"


def in_json(document: Json) -> str:
    """Write a document in one line, or its beginning."""
    return cut(_json(document), 1_000)


def pretty(document: Json) -> str:
    """Write a document to be read."""
    return _json(document, indent=2)


def _json(document: Json, indent: int | None = None) -> str:
    try:
        return json.dumps(document, indent=indent, ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        return f"unreadable: {type(error).__name__}"


def cut(value: object, most_chars: int) -> str:
    """Return a value as text, or the beginning of it."""
    try:
        text = str(value)
    except ValueError:
        return "unreadable: a number of more than 4,300 digits"
    return text if len(text) <= most_chars else f"{text[: most_chars - 1]}…"


def short(id: object) -> str:
    """Return the end of an id, which tells neighbours apart: ids made together begin alike."""
    return str(id)[-8:]


def items(document: Json) -> list[tuple[str, Json]]:
    """Return an object's members; of what is no object, one that says so."""
    if isinstance(document, dict):
        return list(document.items())
    return [("unreadable", document)]
