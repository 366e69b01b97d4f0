"""`cogo job`: one job, closely."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.command import Report, command, group
from cogo_dagster.cli.tables import Column, Row, column, print_facts, print_table
from cogo_dagster.formatting.explanation import why
from cogo_dagster.formatting.values import distance, error_line, one_line, run_time, size
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.errors import JobNotFound
from cogo_dagster.queue.model import Json

app = group("Look at one job, or cancel it.")

JobId = Annotated[UUID, typer.Argument(help="The job's id, as `cogo list jobs` shows it.")]

_FACTS = (
    "id",
    "type",
    "status",
    "why",
    "priority",
    "executor_id",
    "idempotency_key",
    "replay_of",
    "replayed_job_id",
    "payload",
    "result",
    "worker_id",
)
_TIMES = ("created_at", "next_run_at", "claimed_at", "lease_expires_at", "finished_at")

_ATTEMPTS = (
    column("attempt"),
    column("outcome"),
    column("worker", "worker_id"),
    Column("ended", lambda row: distance(row["finished_at"])),
    Column("error", lambda row: error_line(row["error"])),
)


@command(app)
def show(application: Application, job_id: JobId) -> Report:
    """Show everything about one job: why it is where it is, payload, attempts, artifacts, error."""
    job = _look(application, job_id)
    return Report(job, lambda: _print(job))


@command(app)
def cancel(application: Application, job_id: JobId) -> Report:
    """Cancel a queued job at once; ask a running one to stop."""
    answer = application.queue.cancel(job_id, actor=actor())
    if answer["status"] == "cancelled":
        return Report(answer, f"Job {job_id} is cancelled.")
    sentence = f"Job {job_id} is running: its worker stops it at the next renewal, unless it succeeds first."
    return Report(answer, sentence)


def _print(job: Row) -> None:
    print_facts(_facts(job))
    if job["superseded_attempts"]:
        typer.echo("\nEarlier attempts")
        print_table(job["superseded_attempts"], _ATTEMPTS, when_empty="")
    if job["artifacts"]:
        typer.echo("\nArtifacts")
        for artifact in job["artifacts"]:
            typer.echo(f"{one_line(artifact['name'])} ({size(artifact['size_bytes'])})")
            typer.echo(f"  {one_line(artifact['address'])}")


def _look(application: Application, job_id: UUID) -> Json:
    found = application.queue.get_jobs([job_id])
    if not found:
        raise JobNotFound(f"There is no job {job_id}: `cogo list jobs` shows those there are.")
    [job] = found
    artifacts = [one.document | {"address": application.address_of(one)} for one in job.artifacts]
    reasons = [why(fact, datetime.now(UTC)) for fact in application.queue.explain([job_id])]
    return job.document | {"artifacts": artifacts, "why": reasons[0] if reasons else None}


def _facts(job: Row) -> dict[str, Json]:
    facts = {name: job[name] for name in _FACTS if job[name] is not None}
    facts["attempts"] = f"{job['attempts']}/{job['max_attempts']}"
    facts |= {name: _time(job[name]) for name in _TIMES if job[name]}
    if job["run_seconds"] is not None:
        facts["run"] = run_time(job["run_seconds"])
    if job["error"]:
        facts["error"] = error_line(job["error"])
    return facts


def _time(time: str) -> str:
    words = distance(time)
    return words if isinstance(words, Unreadable) else f"{time} ({words})"
