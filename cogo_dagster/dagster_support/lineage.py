"""Observations of pages, artifacts and gate runs, each with links to the next asset of the chain.

page ─▶ screenshot ─▶ gate run ─▶ day ─▶ week
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.metadata import number
from cogo_dagster.formatting.values import counted
from cogo_dagster.links import artifact_content, day_partition, job_page, week_partition
from cogo_dagster.quality.records import GateRun
from cogo_dagster.queue.model import Job, Json
from cogo_dagster.queue.rows.jobs import payload_subject
from cogo_dagster.redaction import redact
from cogo_dagster.settings import Settings

Metadata = dict[str, dg.MetadataValue[Any]]

PICTURES: Final = ("image/png", "image/jpeg", "image/webp")
REPORTS: Final = ("eslint", "coverage", "junit")


def artifacts_observation(settings: Settings, job: Job, files: Sequence[Json]) -> dg.AssetObservation:
    """Return the observation of `queue/artifacts` for the files of an attempt."""
    return dg.AssetObservation(
        asset_keys.ARTIFACTS,
        description=f"{counted(len(files), 'artifact')} of a {job.type} job",
        metadata={**_job(settings, job), **file_links(settings, files), **window_links(settings, datetime.now(UTC))},
    )


def page_observation(
    settings: Settings, job: Job, status: str, error: str | None, files: Sequence[Json]
) -> dg.AssetObservation | None:
    """Return the observation of `queue/pages` for an attempt; None if its job has no page or file.

    Args:
        status: Status of the job after the attempt.
        error: Message of the attempt's error.
        files: Rows of the attempt's artifacts.
    """
    address = job.payload.get("url") or job.payload.get("file_key")
    if not isinstance(address, str):
        return None
    picture = next((row for row in files if row.get("content_type") in PICTURES), None)
    shown: Metadata = {
        **_job(settings, job),
        "status": dg.MetadataValue.text(status),
        **({"error": dg.MetadataValue.text(error)} if error else {}),
        **({"screenshot": file_link(settings, picture)} if picture else {}),
        "artifacts": dg.MetadataValue.int(len(files)),
        **window_links(settings, datetime.now(UTC)),
    }
    return dg.AssetObservation(asset_keys.PAGES, description=redact(address)[:200], metadata=shown)


def gate_run_observation(settings: Settings, run: GateRun) -> dg.AssetObservation:
    """Return the observation of `quality/gate_runs` for a gate run, with links to its reports, day and week."""
    page = job_page(settings, run.job_id) if run.job_id else None
    reports = {kind: getattr(run, f"{kind}_url") for kind in REPORTS}
    counts = {
        "tests_total": run.tests_total,
        "tests_failed": run.tests_failed,
        "lint_errors": run.lint_errors,
        "coverage_percent": run.coverage_percent,
    }
    shown: Metadata = {
        "type": dg.MetadataValue.text(str(run.type)),
        "status": dg.MetadataValue.text(str(run.status)),
        "branch": dg.MetadataValue.text(run.branch),
        "commit": dg.MetadataValue.text(run.commit_sha),
        **({"job": dg.MetadataValue.url(page)} if page else {}),
        **{f"{kind}_report": dg.MetadataValue.url(url) for kind, url in reports.items() if url},
        **{name: number(value) for name, value in counts.items() if isinstance(value, int | float)},
        **(window_links(settings, run.created_at) if isinstance(run.created_at, datetime) else {}),
    }
    return dg.AssetObservation(
        asset_keys.GATE_RUNS, description=f"{run.status} on {run.branch} at {run.commit_sha[:12]}", metadata=shown
    )


def window_links(settings: Settings, time: datetime) -> Metadata:
    """Return links to the day and the week in which a time is counted."""
    day = time.astimezone(UTC).date()
    return {
        "day": dg.MetadataValue.url(day_partition(settings, day)),
        "week": dg.MetadataValue.url(week_partition(settings, day)),
    }


def file_links(settings: Settings, files: Sequence[Json]) -> Metadata:
    """Return a link to each file, by its name."""
    return {row["name"]: file_link(settings, row) for row in files}


def file_link(settings: Settings, row: Json) -> dg.MetadataValue[Any]:
    """Return the URL of an artifact in the API; its address in the store if METRICS_BASE is not set."""
    url = artifact_content(settings, row["artifact_id"])
    return dg.MetadataValue.url(url) if url else dg.MetadataValue.path(row["address"])


def job_link(settings: Settings, job_id: object) -> dg.MetadataValue[Any]:
    """Return the page of a job; the command that shows it if METRICS_BASE is not set."""
    page = job_page(settings, job_id)
    return dg.MetadataValue.url(page) if page else dg.MetadataValue.text(f"cogo job show {job_id}")


def _job(settings: Settings, job: Job) -> Metadata:
    subject = payload_subject(job.payload)
    return {
        "job": job_link(settings, job.id),
        "job_id": dg.MetadataValue.text(str(job.id)),
        "type": dg.MetadataValue.text(job.type),
        **({"subject": dg.MetadataValue.text(redact(subject))} if subject else {}),
    }
