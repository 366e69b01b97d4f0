"""`cogo list`: list rows of the queue, newest first."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli import completion
from cogo_dagster.cli.command import BadInput, Report, command, group
from cogo_dagster.cli.options import ExecutorFilter, Fingerprint, Limit, Since, TypePrefix, Where, part_of_id
from cogo_dagster.cli.tables import Column, Row, column, listed, lists
from cogo_dagster.cli.worker_rows import state, worker_rows
from cogo_dagster.formatting.explanation import why as explanation_of
from cogo_dagster.formatting.values import NOTHING, distance, error_line, size, until
from cogo_dagster.queue.rows.bulk_actions import BulkAction
from cogo_dagster.queue.rows.dead_letters import DeadLetter, Incident
from cogo_dagster.queue.rows.jobs import FoundJob, JobRow
from cogo_dagster.queue.rows.operations import OperationRow, PausedRow
from cogo_dagster.queue.rows.workers import Heartbeat
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.queue.search.times import duration_text
from cogo_dagster.release import code_version

app = group("Show jobs, artifacts, workers, dead-lettered jobs and operations.")


class ArtifactStatus(StrEnum):
    """Status of an artifact."""

    PENDING = "pending"
    READY = "ready"
    ORPHANED = "orphaned"
    EXPIRED = "expired"


_ATTEMPTS: Final = Column("attempts", lambda row: f"{row.attempts}/{row.max_attempts}", whole=True, min_width=90)
_ABOUT: Final = column("about", "subject")
_JOB_ID: Final = column("job", "job_id", whole=True, is_id=True)
_ERROR: Final = column("error", "error", error_line)
_REASON: Final = column("reason")


def _status(row: JobRow) -> str:
    return f"{row.status} (forced)" if row.forced else row.status


def _next_run(row: JobRow) -> str:
    return until(row.next_run_at) if row.status == "queued" else NOTHING


_JOBS: Final = (
    column("id", whole=True, is_id=True),
    column("type"),
    Column("status", _status, whole=True, is_status=True),
    _ATTEMPTS,
    _ABOUT,
    Column("next run", _next_run, whole=True, min_width=100),
    column("created", "created_at", distance, whole=True, min_width=120),
    _ERROR,
)
_WHY: Final = (*_JOBS[:5], column("why"))


@command(app)
def jobs(
    application: Application,
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[queued|running|succeeded|failed|cancelled]",
            autocompletion=completion.statuses,
            help="Only these statuses; repeatable or comma-separated.",
        ),
    ] = None,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    where: Where = None,
    why: Annotated[bool, typer.Option("--why", help="Explain the status of each job.")] = False,
    limit: Limit = 50,
) -> Report:
    """Show jobs with their attempts and the time of the next attempt."""
    if where is None:
        rows = application.queue.list_jobs(
            statuses=_split(status),
            type_prefix=type_prefix,
            executor_id=executor_id,
            since_seconds=since_seconds,
            max_jobs=limit,
        )
    else:
        narrowed = where.and_also(
            status=",".join(_split(status) or ()) or None,
            type=type_prefix,
            executor=executor_id,
            since=None if since_seconds is None else duration_text(since_seconds),
        )
        rows = found_jobs(application, narrowed, limit)
    if not why:
        return listed(rows, _JOBS, "No matching jobs.")
    facts = {fact.job_id: fact for fact in application.queue.explain([row.id for row in rows])}
    now = datetime.now(UTC)
    explained = [row for row in rows if row.id in facts]
    return listed(
        explained, _WHY, "No matching jobs.", [{"why": explanation_of(facts[row.id], now)} for row in explained]
    )


_ARTIFACTS: Final = (
    _JOB_ID,
    column("name"),
    column("status", whole=True, is_status=True),
    column("size", "size_bytes", size, whole=True),
    column("created", "created_at", distance, min_width=90),
    column("artifact", "id", is_id=True),
    column("address", min_width=160),
)


@command(app)
def artifacts(
    application: Application,
    job_id: Annotated[
        str | None,
        typer.Option(
            "--job",
            parser=part_of_id,
            metavar="JOB_ID",
            autocompletion=completion.job_ids,
            help="Only artifacts of this job.",
        ),
    ] = None,
    status: Annotated[ArtifactStatus | None, typer.Option(help="Only this status.")] = None,
    *,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    limit: Limit = 50,
) -> Report:
    """Show artifacts with their addresses."""
    rows = application.queue.list_artifacts(
        job_id=application.queue.find_id(job_id) if job_id else None,
        status=status,
        type_prefix=type_prefix,
        executor_id=executor_id,
        since_seconds=since_seconds,
        max_artifacts=limit,
    )
    addresses = [{"address": application.address_of(row)} for row in rows]
    return listed(rows, _ARTIFACTS, "No matching artifacts.", addresses)


_WORKERS: Final = (
    column("worker", "worker_id"),
    Column("state", state, whole=True, is_status=True),
    Column("running", lambda row: f"{row.running}/{row.concurrency}", whole=True),
    Column("families", lambda row: ", ".join(str(family) for family in row.families)),
    column("executor", "executor_id", min_width=90),
    column("leases lost", "leases_lost_24h", whole=True),
    column("started", "started_at", distance, min_width=90),
    column("heartbeat", "last_heartbeat_at", distance),
    column("instance", "instance_id", whole=True, is_id=True, min_width=110),
)


@command(app)
def workers(
    application: Application,
    alive: Annotated[bool, typer.Option("--alive", help="Only workers that missed at most three heartbeats.")] = False,
    limit: Limit = 50,
) -> Report:
    """Show worker instances with their state, running jobs, and leases that the worker lost in 24 hours.

    An unregistered worker lost leases, and its registration is unknown.
    """
    rows, more = worker_rows(application.queue, alive_only=alive, limit=limit)
    return listed(rows, _WORKERS, "No workers. Start one with `cogo worker`.", more)


def _counted(counters: object) -> str:
    counters = counters or {}
    if not isinstance(counters, dict):
        return "unreadable: not an object"
    return " ".join(f"{name} {count}" for name, count in sorted(counters.items()) if count) or NOTHING


_HEARTBEATS: Final = (
    column("worker", "worker_id"),
    column("instance", "instance_id", whole=True, is_id=True),
    column("at", "created_at", distance, whole=True),
    column("running"),
    column("counters", show=_counted),
)


@lists(app, _HEARTBEATS, "No heartbeats in the last day.")
def heartbeats(
    application: Application,
    worker_id: Annotated[str | None, typer.Option(envvar="WORKER_ID", help="Only heartbeats of this worker.")] = None,
    limit: Limit = 50,
) -> list[Heartbeat]:
    """Show heartbeats of the last day."""
    return application.queue.list_heartbeats(worker_id=worker_id, max_heartbeats=limit)


_DLQ: Final = (
    _JOB_ID,
    column("type"),
    _ATTEMPTS,
    column("reason", min_width=110),
    column("replays", whole=True, min_width=130),
    column("failed", "failed_at", distance, whole=True),
    Column("replayed", lambda row: distance(row.replayed_at or row.closed_at), min_width=130),
    _ABOUT,
    _ERROR,
)
_EMPTY_DLQ: Final = "The dead-letter queue is empty."


@lists(app, _DLQ, _EMPTY_DLQ)
def dlq(
    application: Application,
    *,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    fingerprint: Fingerprint = None,
    everything: Annotated[bool, typer.Option("--all", help="Include replayed, retried and discarded jobs.")] = False,
    limit: Limit = 50,
) -> list[DeadLetter]:
    """Show the dead-letter queue."""
    return application.queue.list_dlq(
        type_prefix=type_prefix,
        executor_id=executor_id,
        since_seconds=since_seconds,
        fingerprint=fingerprint,
        open_only=not everything,
        max_jobs=limit,
    )


_INCIDENTS: Final = (
    column("fingerprint", whole=True),
    column("count", whole=True),
    column("type"),
    column("first", "first_failed_at", distance, whole=True, min_width=110),
    column("last", "last_failed_at", distance, whole=True),
    Column("error", lambda row: f"{row.error_class}: {row.message}"),
)


@lists(app, _INCIDENTS, _EMPTY_DLQ)
def incidents(
    application: Application, type_prefix: TypePrefix = None, since_seconds: Since = None, limit: Limit = 50
) -> list[Incident]:
    """Show dead-lettered jobs grouped by the fingerprint of their error, most frequent first."""
    return application.queue.list_incidents(type_prefix=type_prefix, since_seconds=since_seconds, max_incidents=limit)


_PAUSED: Final = (
    column("kind", whole=True),
    column("name", whole=True),
    column("since", "paused_at", distance, whole=True),
    column("by", "actor"),
    _REASON,
)


@lists(app, _PAUSED, "Nothing is paused.")
def paused(application: Application) -> list[PausedRow]:
    """Show paused types and executors, with actor and reason."""
    return application.queue.list_paused()


_LIMITS: Final = (
    column("name", whole=True),
    column("blocked until", "open_until", distance, whole=True),
    _REASON,
)


@lists(app, _LIMITS, "No rate limits in effect.")
def limits(application: Application) -> list[Row]:
    """Show external services whose rate limit is in effect, and until when no request is sent to them."""
    return application.rates.open_circuits()


_OPERATIONS: Final = (
    column("at", "created_at", distance, whole=True),
    column("id", "id", whole=True, min_width=120),
    column("operation", whole=True),
    column("by", "actor"),
    column("changed", whole=True),
    column("skipped", whole=True),
    column("filter"),
)


@lists(app, _OPERATIONS, "No operations.")
def operations(application: Application, since_seconds: Since = None, limit: Limit = 50) -> list[OperationRow]:
    """Show the log of operations: retries, replays, purges, pauses."""
    return application.queue.list_operations(since_seconds=since_seconds, max_operations=limit)


_ACTIONS: Final = (
    column("id", whole=True),
    column("name"),
    column("operation", whole=True),
    column("state", whole=True),
    Column("done", lambda row: f"{row.changed}/{row.planned}", whole=True),
    column("by", "actor"),
    column("at", "created_at", distance, whole=True),
    column("filter", "query"),
)


@lists(app, _ACTIONS, "No bulk actions.")
def actions(application: Application, limit: Limit = 50) -> list[BulkAction]:
    """Show bulk actions with their progress; `cogo list jobs --where action:ID` shows the jobs of one."""
    return application.queue.list_actions(max_actions=limit)


def found_jobs(application: Application, search: JobSearch, limit: int) -> list[FoundJob]:
    """Return the jobs of a search, over as many pages as it takes.

    Raises:
        BadInput: The search and the options exclude each other.
    """
    if problems := JobSearch.parse(str(search)).problems:
        raise BadInput(" ".join(problems))
    rows: list[FoundJob] = []
    filters, before_id = search.filter(code_version()), None
    while len(rows) < limit:
        page = application.queue.query_jobs(filters, before_id=before_id, max_jobs=limit - len(rows))
        rows += page.jobs
        before_id = page.before_id
        if before_id is None:
            break
    return rows


def _split(values: list[str] | None) -> list[str] | None:
    return [status.strip() for part in values for status in part.split(",") if status.strip()] if values else None
