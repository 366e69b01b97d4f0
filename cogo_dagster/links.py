"""URLs of pages of the dashboard and of the Dagster UI."""

from datetime import date, timedelta
from urllib.parse import quote

from cogo_dagster.settings import Settings


def job_page(settings: Settings, job_id: object) -> str | None:
    """Return the URL of a job in the dashboard; None if METRICS_BASE is not set."""
    return _dashboard_url(settings, f"/dashboard/jobs/{job_id}")


def artifact_content(settings: Settings, artifact_id: object) -> str | None:
    """Return the URL that redirects to the signed URL of an artifact; None if METRICS_BASE is not set."""
    return _dashboard_url(settings, f"/api/artifacts/{artifact_id}/content")


def dashboard_page(settings: Settings, path: str) -> str | None:
    """Return the URL of a path of the dashboard; None if METRICS_BASE is not set."""
    return _dashboard_url(settings, path)


def dagster_page(settings: Settings, path: str) -> str:
    """Return the URL of a path of the Dagster UI."""
    return f"{settings.dagster_url.rstrip('/')}{path}"


def alerts_page(settings: Settings) -> str | None:
    """Return the URL of the alerts in the dashboard; None if METRICS_BASE is not set."""
    return _dashboard_url(settings, "/dashboard/alerts")


def dagster_run(settings: Settings, run_id: object) -> str:
    """Return the URL of a run in the Dagster UI."""
    return f"{settings.dagster_url.rstrip('/')}/runs/{run_id}"


def dagster_asset(settings: Settings, *key: str) -> str:
    """Return the URL of an asset in the Dagster UI."""
    return f"{settings.dagster_url.rstrip('/')}/assets/{'/'.join(quote(part, safe='') for part in key)}"


def day_partition(settings: Settings, day: date) -> str:
    """Return the URL of a day of `gate_snapshot` in the Dagster UI."""
    return f"{dagster_asset(settings, 'gate_snapshot')}?partition={day:%Y-%m-%d}"


def week_partition(settings: Settings, day: date) -> str:
    """Return the URL of the week of a day, a partition of `weekly_summary`, in the Dagster UI."""
    monday = day - timedelta(days=day.weekday())
    return f"{dagster_asset(settings, 'weekly_summary')}?partition={monday:%Y-%m-%d}"


def week_links(settings: Settings) -> dict[str, str]:
    """Return the links of a weekly summary: the asset in Dagster, and the dashboard if METRICS_BASE is set."""
    links = {"Weekly summary": dagster_asset(settings, "weekly_summary")}
    dashboard = _dashboard_url(settings, "/dashboard/local")
    return links | {"Dashboard": dashboard} if dashboard else links


def _dashboard_url(settings: Settings, path: str) -> str | None:
    return f"{settings.metrics_base.rstrip('/')}{path}" if settings.metrics_base else None
