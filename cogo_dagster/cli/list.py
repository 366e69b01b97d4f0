"""`cogo list`: what is in the queue, newest first."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.list_columns import (
    ARTIFACTS,
    DLQ,
    HEARTBEATS,
    INCIDENTS,
    JOBS,
    LIMITS,
    OPERATIONS,
    PAUSED,
    WHY,
    WORKERS,
)
from cogo_dagster.cli.options import ExecutorFilter, Limit, Since, TypePrefix, read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.tables import Column, Row, print_table
from cogo_dagster.formatting.explanation import why as in_words

app = group("Show what is in the queue, who works on it, and what operators did.")


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
    why: Annotated[bool, typer.Option("--why", help="Say of each why it is where it is.")] = False,
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
        if why:
            rows = _explained(application, rows)
    _show(rows, WHY if why else JOBS, as_json, when_empty="No such jobs.")


@app.command()
def artifacts(
    job_id: Annotated[UUID | None, typer.Option("--job", help="Only this job's.")] = None,
    status: Annotated[ArtifactStatus | None, typer.Option(help="Only in this state.")] = None,
    *,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show artifacts and where they are."""
    with open_application(read_settings()) as application:
        rows = application.queue.list_artifacts(
            job_id=str(job_id) if job_id else None,
            status=status,
            type_prefix=type_prefix,
            executor_id=executor_id,
            since_seconds=since_seconds,
            max_artifacts=limit,
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
    *,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    fingerprint: Annotated[
        str | None, typer.Option(help="Only of this cause, as `cogo list incidents` shows it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what was replayed or retried since.")] = False,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show jobs that failed for good and wait in the dead-letter queue."""
    with open_application(read_settings()) as application:
        rows = application.queue.list_dlq(
            type_prefix=type_prefix,
            executor_id=executor_id,
            since_seconds=since_seconds,
            fingerprint=fingerprint,
            open_only=not everything,
            max_jobs=limit,
        )
    _show(rows, DLQ, as_json, when_empty="The dead-letter queue is empty.")


@app.command()
def incidents(
    type_prefix: TypePrefix = None, since_seconds: Since = None, limit: Limit = 50, as_json: JsonFlag = False
) -> None:
    """Show the dead-letter queue by the cause of the errors, the most frequent first."""
    with open_application(read_settings()) as application:
        rows = application.queue.list_incidents(
            type_prefix=type_prefix, since_seconds=since_seconds, max_incidents=limit
        )
    _show(rows, INCIDENTS, as_json, when_empty="The dead-letter queue is empty.")


@app.command()
def paused(as_json: JsonFlag = False) -> None:
    """Show what is paused, by whom and why."""
    with open_application(read_settings()) as application:
        rows = application.queue.list_paused()
    _show(rows, PAUSED, as_json, when_empty="Nothing is paused.")


@app.command()
def limits(as_json: JsonFlag = False) -> None:
    """Show which outside services have told us to wait, and until when nothing is asked of them."""
    with open_application(read_settings()) as application:
        rows = application.rates.open_circuits()
    _show(rows, LIMITS, as_json, when_empty="No service has told us to wait.")


@app.command()
def operations(since_seconds: Since = None, limit: Limit = 50, as_json: JsonFlag = False) -> None:
    """Show what operators did: retries, replays, purges, pauses."""
    with open_application(read_settings()) as application:
        rows = application.queue.list_operations(since_seconds=since_seconds, max_operations=limit)
    _show(rows, OPERATIONS, as_json, when_empty="Nobody did anything.")


def _show(rows: list[Row], columns: tuple[Column, ...], as_json: bool, *, when_empty: str) -> None:
    if as_json:
        print_json(rows)
    else:
        print_table(rows, columns, when_empty=when_empty)


def _split(given: list[str] | None) -> list[str] | None:
    return [word.strip() for part in given for word in part.split(",") if word.strip()] if given else None


def _explained(application: Application, rows: list[Row]) -> list[Row]:
    facts = {fact["job_id"]: fact for fact in application.queue.explain([UUID(row["id"]) for row in rows])}
    now = datetime.now(UTC)
    return [{**row, "why": in_words(facts[row["id"]], now)} for row in rows if row["id"] in facts]
