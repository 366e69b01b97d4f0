"""What a day or a week counts, as Markdown tables with links: pages, gate runs, days."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import dagster as dg

from cogo_dagster.bootstrap import Application
from cogo_dagster.dagster_support.lineage import PICTURES, REPORTS
from cogo_dagster.dagster_support.metadata import code_cell, link_cell, markdown_table, plain_cell
from cogo_dagster.links import artifact_content, day_partition, job_page
from cogo_dagster.quality.records import GateRun, Stored
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.jobs import WholeJob
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.redaction import redact
from cogo_dagster.release import code_version
from cogo_dagster.settings import Settings

LISTED_DAYS: Final = 14
"""Days that ended longer ago have no lists: reading them means to read all newer rows."""

_MAX_RUNS: Final = 1_000
_MAX_PAGES: Final = 50


def is_listed(start: datetime) -> bool:
    """Whether a day is recent enough for lists of its gate runs and pages."""
    return datetime.now(UTC) - start < timedelta(days=LISTED_DAYS)


def gate_runs_of_day(application: Application, start: datetime) -> list[GateRun]:
    """Return the gate runs that a day counts, newest first."""
    since = (datetime.now(UTC) - start).total_seconds()
    runs = application.gates.recent(None, _MAX_RUNS, since_seconds=max(since, 1))
    return [run for run in runs if _is_within(run.created_at, start)]


def runs_table(settings: Settings, runs: Sequence[GateRun]) -> dict[str, dg.MetadataValue[Any]]:
    """Return a table of gate runs with links to their jobs and reports."""
    rows = [
        [
            plain_cell(run.status),
            plain_cell(run.type),
            plain_cell(run.branch),
            plain_cell(run.commit_sha[:12]),
            link_cell(run.job_id[-8:], job_page(settings, run.job_id)) if run.job_id else "",
            " ".join(link_cell(kind, getattr(run, f"{kind}_url")) for kind in REPORTS if getattr(run, f"{kind}_url")),
        ]
        for run in runs
    ]
    columns = ["status", "type", "branch", "commit", "job", "reports"]
    return {"runs_of_the_day": markdown_table(columns, rows)} if rows else {}


def pages_table(application: Application, start: datetime) -> dict[str, dg.MetadataValue[Any]]:
    """Return a table of the last pages that a day counts, with links to their jobs and screenshots."""
    search = JobSearch.parse(f"family:browser status:succeeded,failed finished:{start:%Y-%m-%d}")
    found = application.queue.query_jobs(search.filter(code_version()), max_jobs=_MAX_PAGES)
    ids = [job.id for job in found.jobs]
    rows = [_page_row(application.settings, job) for job in application.queue.get_jobs(ids)] if ids else []
    return {"pages": markdown_table(["page", "status", "job", "screenshot"], rows)} if rows else {}


def days_table(settings: Settings, monday: date, stored: Sequence[Stored]) -> dict[str, dg.MetadataValue[Any]]:
    """Return a table of the days of a week, with links to their partitions."""
    known = {day.summary.window.start.astimezone(UTC).date(): day.summary.q1 for day in stored}
    rows = []
    for number in range(7):
        day = monday + timedelta(days=number)
        q1 = known.get(day)
        rate = f"{q1.pass_rate:.1f} %" if q1 is not None and q1.pass_rate is not None else ""
        rows.append(
            [
                link_cell(f"{day:%a %Y-%m-%d}", day_partition(settings, day)),
                plain_cell(q1.verdict.replace("_", " ")) if q1 else "not stored",
                str(q1.runs) if q1 else "",
                rate,
            ]
        )
    return {"days": markdown_table(["day", "Q1", "gate runs", "passed"], rows)}


def _page_row(settings: Settings, job: WholeJob) -> list[str]:
    picture = next((artifact for artifact in job.artifacts if artifact.content_type in PICTURES), None)
    return [
        code_cell(redact(job.subject or "")),
        plain_cell(job.status),
        link_cell(str(job.id)[-8:], job_page(settings, job.id)),
        _picture_cell(settings, picture),
    ]


def _picture_cell(settings: Settings, picture: ArtifactRow | None) -> str:
    return link_cell(picture.name, artifact_content(settings, picture.id)) if picture else ""


def _is_within(time: object, start: datetime) -> bool:
    return isinstance(time, datetime) and start <= time < start + timedelta(days=1)
