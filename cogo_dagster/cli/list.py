"""`cogo list`: what is in the queue, newest first. `cogo stats`: the queue in numbers."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.command import Report, command, group
from cogo_dagster.cli.options import ExecutorFilter, Fingerprint, Limit, Since, TypePrefix
from cogo_dagster.cli.tables import Column, Row, column, listed, lists, print_facts
from cogo_dagster.formatting.explanation import why as in_words
from cogo_dagster.formatting.values import NOTHING, distance, error_line, size, span, until
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.dead_letters import DeadLetter, Incident
from cogo_dagster.queue.rows.operations import OperationRow, PausedRow
from cogo_dagster.queue.rows.workers import Heartbeat, WorkerRow
from cogo_dagster.queue.stats import Numbers

app = group("Show what is in the queue, who works on it, and what operators did.")


class ArtifactStatus(StrEnum):
    """Where an artifact is in its life."""

    PENDING = "pending"
    READY = "ready"
    ORPHANED = "orphaned"
    EXPIRED = "expired"


_ATTEMPTS: Final = Column("attempts", lambda row: f"{row.attempts}/{row.max_attempts}", whole=True)
_ERROR: Final = column("error", "error", error_line)
_REASON: Final = column("reason")

_JOBS: Final = (
    column("id", whole=True),
    column("type"),
    Column("status", lambda row: f"{row.status} (forced)" if row.forced else row.status, whole=True),
    _ATTEMPTS,
    Column("next run", lambda row: until(row.next_run_at) if row.status == "queued" else NOTHING, whole=True),
    column("created", "created_at", distance, whole=True),
    _ERROR,
)
_WHY: Final = (*_JOBS[:4], column("why"))


@command(app)
def jobs(
    application: Application,
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[queued|running|succeeded|failed|cancelled]", help="Only these; several by commas or again."
        ),
    ] = None,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    why: Annotated[bool, typer.Option("--why", help="Say of each why it is where it is.")] = False,
    limit: Limit = 50,
) -> Report:
    """Show jobs with attempts and the time of the next run."""
    rows = application.queue.list_jobs(
        statuses=_split(status),
        type_prefix=type_prefix,
        executor_id=executor_id,
        since_seconds=since_seconds,
        max_jobs=limit,
    )
    if not why:
        return listed(rows, _JOBS, "No such jobs.")
    facts = {fact.job_id: fact for fact in application.queue.explain([row.id for row in rows])}
    now = datetime.now(UTC)
    explained = [row for row in rows if row.id in facts]
    return listed(explained, _WHY, "No such jobs.", [{"why": in_words(facts[row.id], now)} for row in explained])


_ARTIFACTS: Final = (
    column("job", "job_id", whole=True),
    column("name"),
    column("status"),
    column("size", "size_bytes", size, whole=True),
    column("made", "created_at", distance),
    column("address"),
)


@command(app)
def artifacts(
    application: Application,
    job_id: Annotated[UUID | None, typer.Option("--job", help="Only this job's.")] = None,
    status: Annotated[ArtifactStatus | None, typer.Option(help="Only in this state.")] = None,
    *,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    limit: Limit = 50,
) -> Report:
    """Show artifacts and where they are."""
    rows = application.queue.list_artifacts(
        job_id=job_id,
        status=status,
        type_prefix=type_prefix,
        executor_id=executor_id,
        since_seconds=since_seconds,
        max_artifacts=limit,
    )
    addresses = [{"address": application.address_of(row)} for row in rows]
    return listed(rows, _ARTIFACTS, "No such artifacts.", addresses)


def _state(row: WorkerRow) -> str:
    if row.stopped_at:
        return "stopped"
    return "alive" if row.alive else "silent"


_WORKERS: Final = (
    column("worker", "worker_id"),
    Column("state", _state, whole=True),
    Column("running", lambda row: f"{row.running}/{row.concurrency}", whole=True),
    Column("families", lambda row: ", ".join(str(family) for family in row.families)),
    column("executor", "executor_id"),
    column("started", "started_at", distance),
    column("heartbeat", "last_heartbeat_at", distance),
    column("instance", "instance_id", whole=True),
)


@lists(app, _WORKERS, "No workers: start one with `cogo worker`.")
def workers(
    application: Application,
    alive: Annotated[
        bool, typer.Option("--alive", help="Only those that have missed no more than three heartbeats.")
    ] = False,
    limit: Limit = 50,
) -> list[WorkerRow]:
    """Show worker starts and what each is doing."""
    return application.queue.list_workers(alive_only=alive, max_workers=limit)


def _counted(counters: object) -> str:
    counters = counters or {}
    if not isinstance(counters, dict):
        return "unreadable: no counters"
    return " ".join(f"{name} {count}" for name, count in sorted(counters.items()) if count) or NOTHING


_HEARTBEATS: Final = (
    column("worker", "worker_id"),
    column("instance", "instance_id", whole=True),
    column("at", "created_at", distance, whole=True),
    column("running"),
    column("counters", show=_counted),
)


@lists(app, _HEARTBEATS, "No heartbeats in the last day.")
def heartbeats(
    application: Application,
    worker_id: Annotated[str | None, typer.Option(envvar="WORKER_ID", help="Only this worker's.")] = None,
    limit: Limit = 50,
) -> list[Heartbeat]:
    """Show heartbeats of the last day."""
    return application.queue.list_heartbeats(worker_id=worker_id, max_heartbeats=limit)


_DLQ: Final = (
    column("job", "job_id", whole=True),
    column("type"),
    _ATTEMPTS,
    _REASON,
    column("replays", whole=True),
    column("failed", "failed_at", distance, whole=True),
    Column("replayed", lambda row: distance(row.replayed_at or row.closed_at)),
    _ERROR,
)
_NO_DEAD_LETTERS: Final = "The dead-letter queue is empty."


@lists(app, _DLQ, _NO_DEAD_LETTERS)
def dlq(
    application: Application,
    *,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    fingerprint: Fingerprint = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what was replayed or retried since.")] = False,
    limit: Limit = 50,
) -> list[DeadLetter]:
    """Show jobs that failed for good and wait in the dead-letter queue."""
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
    column("first", "first_failed_at", distance, whole=True),
    column("last", "last_failed_at", distance, whole=True),
    Column("error", lambda row: f"{row.error_class}: {row.message}"),
)


@lists(app, _INCIDENTS, _NO_DEAD_LETTERS)
def incidents(
    application: Application, type_prefix: TypePrefix = None, since_seconds: Since = None, limit: Limit = 50
) -> list[Incident]:
    """Show the dead-letter queue by the cause of the errors, the most frequent first."""
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
    """Show what is paused, by whom and why."""
    return application.queue.list_paused()


_LIMITS: Final = (
    column("name", whole=True),
    column("open again", "open_until", distance, whole=True),
    _REASON,
)


@lists(app, _LIMITS, "No service has told us to wait.")
def limits(application: Application) -> list[Row]:
    """Show which outside services have told us to wait, and until when nothing is asked of them."""
    return application.rates.open_circuits()


_OPERATIONS: Final = (
    column("at", "created_at", distance, whole=True),
    column("operation", whole=True),
    column("by", "actor"),
    column("changed", whole=True),
    column("skipped", whole=True),
    column("filter"),
)


@lists(app, _OPERATIONS, "Nobody did anything.")
def operations(application: Application, since_seconds: Since = None, limit: Limit = 50) -> list[OperationRow]:
    """Show what operators did: retries, replays, purges, pauses."""
    return application.queue.list_operations(since_seconds=since_seconds, max_operations=limit)


@command()
def stats(application: Application) -> Report:
    """Show the queue in numbers: what waits, runs, failed, was lost, and who is there to work."""
    numbers = application.stats.numbers()
    return Report(numbers.model_dump() | {"queued": numbers.queued}, lambda: print_facts(_facts(numbers)))


def _facts(numbers: Numbers) -> dict[str, Json]:
    waits = f", the oldest for {span(numbers.oldest_ready_seconds)}" if numbers.ready else ""
    return {
        "queued": f"{numbers.queued:,} ({numbers.ready:,} due{waits})",
        "running": f"{numbers.running:,} of {numbers.slots_alive:,} slots",
        "succeeded in 24 h": f"{numbers.succeeded_24h:,}",
        "jobs failed in 24 h, and not retried": f"{numbers.failed_24h:,}",
        "dead letters": f"{numbers.dlq_open:,}",
        "lease losses in 24 h": f"{numbers.lease_losses_24h:,}",
        "expired leases": f"{numbers.expired_leases:,}",
        "paused": f"{numbers.paused:,}",
        "workers alive": f"{numbers.workers_alive:,}",
    }


def _split(given: list[str] | None) -> list[str] | None:
    return [word.strip() for part in given for word in part.split(",") if word.strip()] if given else None
