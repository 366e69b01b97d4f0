"""Addresses of the pages where people look closer: ours and Dagster's."""

from urllib.parse import quote

from cogo_dagster.settings import Settings


def job_page(settings: Settings, job_id: object) -> str | None:
    """Return the dashboard's page of a job; None while METRICS_BASE is unset."""
    return _ours(settings, f"/dashboard/jobs/{job_id}")


def artifact_content(settings: Settings, artifact_id: object) -> str | None:
    """Return the address that signs on click and leads to an artifact's bytes; None while METRICS_BASE is unset."""
    return _ours(settings, f"/api/artifacts/{artifact_id}/content")


def alerts_page(settings: Settings) -> str | None:
    """Return the dashboard's page of alerts; None while METRICS_BASE is unset."""
    return _ours(settings, "/dashboard/alerts")


def dagster_run(settings: Settings, run_id: object) -> str:
    """Return the Dagster UI's page of a run."""
    return f"{settings.dagster_url.rstrip('/')}/runs/{run_id}"


def dagster_asset(settings: Settings, *key: str) -> str:
    """Return the Dagster UI's page of an asset."""
    return f"{settings.dagster_url.rstrip('/')}/assets/{'/'.join(quote(part, safe='') for part in key)}"


def week_links(settings: Settings) -> dict[str, str]:
    """Return what a weekly message links: the asset in Dagster, and the dashboard once METRICS_BASE is set."""
    links = {"Weekly summary": dagster_asset(settings, "weekly_summary")}
    dashboard = _ours(settings, "/dashboard/local")
    return links | {"Dashboard": dashboard} if dashboard else links


def _ours(settings: Settings, path: str) -> str | None:
    return f"{settings.metrics_base.rstrip('/')}{path}" if settings.metrics_base else None
