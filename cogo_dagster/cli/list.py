"""`cogo list`: what is in the queue, newest first."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import ExecutorFilter, Limit, Since, TypePrefix, read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.tables import Column, Row, column, print_table
from cogo_dagster.cli.words import NOTHING, distance, error_line, size, until

app = group("Show jobs, artifacts, workers, heartbeats and the dead-letter queue.")


class ArtifactStatus(StrEnum):
    """Where an artifact is in its life."""

    PENDING = "pending"
    READY = "ready"
    ORPHANED = "orphaned"
    EXPIRED = "expired"


@app.command()
def jobs(
    *,
    status: Annotated[
        list[str] | None, typer.Option(help="Only these: queued, running, succeeded, failed, cancelled.")
    ] = None,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show jobs with attempts and the time of the next run."""
    with open_application(read_settings()) as application:
        rows = application.queue.list_jobs(
            statuses=_split(status),
            type_prefix=type_prefix,
            executor_id=executor_id,
            since_seconds=since_seconds,
            max_jobs=limit,
        )
    _show(rows, JOBS, as_json, when_empty="No such jobs.")


@app.command()
def artifacts(
    job_id: Annotated[UUID | None, typer.Option("--job", help="Only this job's.")] = None,
    status: Annotated[ArtifactStatus | None, typer.Option(help="Only in this state.")] = None,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show artifacts and where they are."""
    with open_application(read_settings()) as application:
        rows = application.queue.list_artifacts(
            job_id=str(job_id) if job_id else None, status=status, max_artifacts=limit
        )
        rows = [row | {"address": application.address_of(row)} for row in rows]
    _show(rows, ARTIFACTS, as_json, when_empty="No such artifacts.")


@app.command()
def workers(
    alive: Annotated[
        bool, typer.Option("--alive", help="Only those that have missed no more than three heartbeats.")
    ] = False,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show worker starts and what each is doing."""
    with open_application(read_settings()) as application:
        rows = application.queue.list_workers(alive_only=alive, max_workers=limit)
    _show(rows, WORKERS, as_json, when_empty="No workers: start one with `cogo worker`.")


@app.command()
def heartbeats(
    worker_id: Annotated[str | None, typer.Option(envvar="WORKER_ID", help="Only this worker's.")] = None,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show heartbeats of the last day."""
    with open_application(read_settings()) as application:
        rows = application.queue.list_heartbeats(worker_id=worker_id, max_heartbeats=limit)
    _show(rows, HEARTBEATS, as_json, when_empty="No heartbeats in the last day.")


@app.command()
def dlq(
    type_prefix: TypePrefix = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what was replayed or retried since.")] = False,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show jobs that failed for good and wait in the dead-letter queue."""
    with open_application(read_settings()) as application:
        rows = application.queue.list_dlq(type_prefix=type_prefix, open_only=not everything, max_jobs=limit)
    _show(rows, DLQ, as_json, when_empty="The dead-letter queue is empty.")


def _show(rows: list[Row], columns: tuple[Column, ...], as_json: bool, *, when_empty: str) -> None:
    if as_json:
        print_json(rows)
    else:
        print_table(rows, columns, when_empty=when_empty)


def _split(given: list[str] | None) -> list[str] | None:
    return [word.strip() for part in given for word in part.split(",") if word.strip()] if given else None


def _attempts(row: Row) -> str:
    return f"{row['attempts']}/{row['max_attempts']}"


def _next_run(row: Row) -> str:
    return until(row["next_run_at"]) if row["status"] == "queued" else NOTHING


def _state(row: Row) -> str:
    if row["stopped_at"]:
        return "stopped"
    return "alive" if row["alive"] else "silent"


def _counted(row: Row) -> str:
    counters = row["counters"] or {}
    return " ".join(f"{name} {count}" for name, count in sorted(counters.items()) if count) or NOTHING


def _replayed(row: Row) -> str:
    return distance(row["replayed_at"] or row["closed_at"])


JOBS = (
    column("id", whole=True),
    column("type"),
    column("status", whole=True),
    Column("attempts", _attempts, whole=True),
    Column("next run", _next_run, whole=True),
    Column("created", lambda row: distance(row["created_at"]), whole=True),
    Column("error", lambda row: error_line(row["error"])),
)
ARTIFACTS = (
    column("job", "job_id", whole=True),
    column("name"),
    column("status"),
    Column("size", lambda row: size(row["size_bytes"]), whole=True),
    Column("made", lambda row: distance(row["created_at"])),
    column("address"),
)
WORKERS = (
    column("worker", "worker_id"),
    Column("state", _state, whole=True),
    Column("running", lambda row: f"{row['running']}/{row['concurrency']}", whole=True),
    Column("families", lambda row: ", ".join(row["families"])),
    column("executor", "executor_id"),
    Column("started", lambda row: distance(row["started_at"])),
    Column("heartbeat", lambda row: distance(row["last_heartbeat_at"])),
    column("instance", "instance_id", whole=True),
)
HEARTBEATS = (
    column("worker", "worker_id"),
    column("instance", "instance_id", whole=True),
    Column("at", lambda row: distance(row["created_at"]), whole=True),
    column("running"),
    Column("counters", _counted),
)
DLQ = (
    column("job", "job_id", whole=True),
    column("type"),
    Column("attempts", _attempts, whole=True),
    column("reason"),
    Column("failed", lambda row: distance(row["failed_at"]), whole=True),
    Column("replayed", _replayed),
    Column("error", lambda row: error_line(row["error"])),
)
