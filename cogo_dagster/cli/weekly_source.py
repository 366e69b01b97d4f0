"""Where the weekly summary's numbers come from: the metrics API, or the database itself."""

import json
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlencode

import httpx

from cogo_dagster.alerts.model import Announcement
from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import Settings, SettingsError

_SECONDS = 20.0


class Source(StrEnum):
    """As the runbook's scripts have it: `notify:weekly`, `notify:weekly:sb`."""

    API = "api"
    DB = "db"


def weekly_summary(application: Application, source: Source, week: str | None) -> Announcement:
    """Return a week's summary as an announcement.

    Raises:
        SettingsError: METRICS_BASE is not set or does not answer.
        QueueError: The database is away, or there is no such week.
    """
    if source is Source.API:
        summary = _from_api(application.settings, week)
    else:
        summary = json.loads(application.gates.weekly(week).model_dump_json())
    return announcement_of(summary)


def announcement_of(summary: Mapping[str, Json]) -> Announcement:
    """Make the announcement of a WeeklySummary's document."""
    week = summary["week"]
    return Announcement(
        key=f"weekly:{week}", kind="weekly", title=f"Weekly summary {week}", markdown=summary["markdown"]
    )


def _from_api(settings: Settings, week: str | None) -> Mapping[str, Json]:
    if settings.metrics_base is None:
        raise SettingsError("METRICS_BASE is not set: set it to the metrics API's address, or use --source db.")
    query = f"?{urlencode({'week': week})}" if week else ""
    url = f"{settings.metrics_base.rstrip('/')}/api/metrics/weekly/summary{query}"
    token = settings.admin_token.get_secret_value() if settings.admin_token else None
    try:
        answer = httpx.get(url, headers={"x-admin-token": token} if token else {}, timeout=_SECONDS)
        answer.raise_for_status()
        found: Mapping[str, Json] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = f"it answered {status}" if status else f"there was no usable answer ({type(error).__name__})"
        raise SettingsError(f"METRICS_BASE gives no weekly summary: {reason}; use --source db meanwhile.") from None
    return found
