"""`cogo job`: show or cancel one job."""

from collections.abc import Sequence
from datetime import UTC, datetime

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.artifact_list import print_artifacts
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.command import Report, command, group
from cogo_dagster.cli.options import JobId
from cogo_dagster.cli.tables import column, print_facts, print_table
from cogo_dagster.formatting.explanation import why
from cogo_dagster.formatting.values import distance, error_line, run_time
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.errors import JobNotFound
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.jobs import WholeJob

app = group("Show one job, or cancel it.")

_FACTS = (
    "id",
    "type",
    "status",
    "subject",
    "why",
    "priority",
    "executor_id",
    "idempotency_key",
    "replay_of",
    "replayed_job_id",
    "payload",
    "result",
    "worker_id",
    "dagster_run_id",
)
_TIMES = ("created_at", "next_run_at", "claimed_at", "lease_expires_at", "finished_at")

_ATTEMPTS = (
    column("attempt"),
    column("outcome", is_status=True),
    column("worker", "worker_id"),
    column("ended", "finished_at", distance),
    column("error", "error", error_line),
)


@command(app)
def show(application: Application, job_id: JobId) -> Report:
    """Show one job: status with explanation, payload, attempts, artifacts and error."""
    found_id = application.queue.find_id(job_id)
    jobs = application.queue.get_jobs([found_id])
    if not jobs:
        raise JobNotFound(f"Job {job_id} not found: `cogo list jobs` lists the jobs.")
    [job] = jobs
    artifacts = [(artifact, application.address_of(artifact)) for artifact in job.artifacts]
    reasons = [why(fact, datetime.now(UTC)) for fact in application.queue.explain([found_id])]
    reason = reasons[0] if reasons else None
    shown = {
        "artifacts": [row.document | {"address": address} for row, address in artifacts],
        "subject": job.subject,
        "why": reason,
    }
    return Report(job.document | shown, lambda: _print(job, reason, artifacts))


@command(app)
def cancel(application: Application, job_id: JobId) -> Report:
    """Cancel a queued job immediately; request cancellation of a running one."""
    found_id = application.queue.find_id(job_id)
    result = application.queue.cancel(found_id, actor=actor())
    if result.status == "cancelled":
        return Report(result, f"Cancelled job {found_id}.")
    message = f"Job {found_id} is running: its worker stops it at the next lease renewal, unless it finishes first."
    return Report(result, message)


def _print(job: WholeJob, reason: str | None, artifacts: Sequence[tuple[ArtifactRow, str | None]]) -> None:
    print_facts(_facts(job, reason))
    if job.superseded_attempts:
        typer.echo("\nEarlier attempts")
        print_table(job.superseded_attempts, _ATTEMPTS, when_empty="")
    if artifacts:
        typer.echo("\nArtifacts")
        print_artifacts(job.id, artifacts)


def _facts(job: WholeJob, reason: str | None) -> dict[str, Json]:
    document = job.document | {"why": reason, "subject": job.subject}
    facts = {name: document[name] for name in _FACTS if document[name] is not None}
    facts["attempts"] = f"{job.attempts}/{job.max_attempts}"
    facts |= {name: _time(document[name]) for name in _TIMES if document[name]}
    if job.run_seconds is not None:
        facts["run"] = run_time(job.run_seconds)
    if job.error:
        facts["error"] = error_line(job.error)
    return facts


def _time(time: str) -> str:
    relative = distance(time)
    return relative if isinstance(relative, Unreadable) else f"{time} ({relative})"
