"""`cogo retry`, `replay`, `recover`, `cleanup` and `purge`: what operators do to many jobs at once."""

from typing import Annotated, Final
from uuid import UUID

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.bulk import Words, bulk
from cogo_dagster.cli.command import BadInput, Report, group
from cogo_dagster.cli.options import ExecutorFilter, Fingerprint, Since, TypePrefix, read_settings
from cogo_dagster.cli.tables import Column, column
from cogo_dagster.formatting.values import distance, error_line, size
from cogo_dagster.queue.bulk import Operation, Totals
from cogo_dagster.release import code_version

JobIds = Annotated[list[UUID] | None, typer.Argument(help="Only these jobs; all that match if left out.")]

_ENDED: Final = ("succeeded", "cancelled", "failed")
_JOB: Final = (column("job", "id", whole=True), column("type"))
_FAILED: Final = column("failed", "failed_at", distance, whole=True)
_ERROR: Final = column("error", "error", error_line)

retry = group("Give failed jobs another chance.")
replay = group("Put dead letters back into the queue.")
recover = group("Take back what lost workers left.")
cleanup = group("Let old artifacts go.")
purge = group("Delete jobs that ended long ago.")


_RETRIED: Final = Words(
    "job",
    "put back into the queue",
    (
        *_JOB,
        Column(
            "attempts",
            lambda row: (
                f"{row['attempts']}/{row['max_attempts']} → {row['attempts_after']}/{row['max_attempts_after']}"
            ),
            whole=True,
        ),
        _FAILED,
        _ERROR,
    ),
)


@bulk(retry, _RETRIED, cautious=True)
def failed(
    job_ids: JobIds = None,
    *,
    type_prefix: Annotated[
        str | None, typer.Option("--type", envvar="TYPE_PREFIX", help="Only types that begin so.")
    ] = None,
    executor_id: Annotated[
        str | None, typer.Option("--executor", envvar="EXECUTOR_ID", help="Only jobs addressed to this executor id.")
    ] = None,
    since_seconds: Since = None,
    reset_attempts: Annotated[
        bool,
        typer.Option(
            "--reset-attempts/--keep-attempts",
            envvar="RESET_ATTEMPTS",
            help="Count attempts from zero again; else a job out of attempts is granted one more.",
        ),
    ] = False,
) -> Operation:
    """Put failed jobs back into the queue, under their own ids; a dry run unless told otherwise."""
    return Operation(
        "retry_failed",
        {
            "type_prefix": type_prefix,
            "executor_id": executor_id,
            "since_seconds": since_seconds,
            "job_ids": _texts(job_ids),
            "reset_attempts": reset_attempts,
        },
    )


_REPLAYED: Final = Words(
    "dead letter",
    "replayed",
    (*_JOB, column("replays", whole=True), column("reason"), _FAILED, _ERROR),
)


def _warn_of_same_release(totals: Totals, dry_run: bool, as_json: bool) -> None:  # noqa: ARG001 - to standard error
    same = totals.counts["same_code_version"]
    if same and (dry_run or totals.changed):
        typer.echo(
            f"Warning: {same:,} of them failed on this very release ({code_version()}) and may fail again.",
            err=True,
        )


@bulk(replay, _REPLAYED, afterwards=_warn_of_same_release)
def dlq(
    job_ids: JobIds = None,
    *,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    fingerprint: Fingerprint = None,
) -> Operation:
    """Replay dead letters, each once, as new jobs with the idempotency key dlq:<job_id>."""
    return Operation(
        "replay_dlq",
        {
            "type_prefix": type_prefix,
            "executor_id": executor_id,
            "since_seconds": since_seconds,
            "fingerprint": fingerprint,
            "job_ids": _texts(job_ids),
        },
    )


_RECOVERED: Final = Words(
    "expired lease",
    "taken back",
    (
        *_JOB,
        Column("attempt", lambda row: f"{row['attempts']}/{row['max_attempts']}", whole=True),
        column("worker", "worker_id"),
        column("expired", "lease_expires_at", distance, whole=True),
    ),
)


def _say_what_became_of_them(totals: Totals, dry_run: bool, as_json: bool) -> None:  # noqa: ARG001 - nothing changed
    if totals.changed and not as_json:
        counts = ", ".join(f"{count} {name}" for name, count in totals.counts.items() if count)
        typer.echo(f"Their jobs: {counts}.")


@bulk(recover, _RECOVERED, planned=False, afterwards=_say_what_became_of_them)
def leases() -> Operation:
    """Requeue jobs whose lease expired; those out of attempts go to the dead letters."""
    return Operation("recover_leases")


_CLEANED: Final = Words(
    "artifact",
    "let go",
    (
        column("job", "job_id", whole=True),
        column("name"),
        column("size", "size_bytes", size, whole=True),
        column("made", "created_at", distance, whole=True),
        column("storage key", "storage_key"),
    ),
)


@bulk(cleanup, _CLEANED)
def artifacts(
    *,
    ttl_days: Annotated[
        float,
        typer.Option(
            min=0, max=36_500, envvar="ARTIFACT_TTL_DAYS", help="Those made so long ago, unless they say otherwise."
        ),
    ] = 30,
    delete_storage: Annotated[
        bool,
        typer.Option(
            "--delete-storage/--keep-storage",
            envvar="ARTIFACT_DELETE_STORAGE",
            help="Delete the files too; else they stay, and their rows say expired.",
        ),
    ] = True,
    adopt_store: Annotated[
        bool,
        typer.Option(
            "--adopt-store",
            help="Delete nothing; make this database the owner of its artifact store, after a copy of the database "
            "used the store, or after a backup was restored.",
        ),
    ] = False,
    as_json: bool,
) -> Operation:
    """Delete artifacts whose time is up; this acts at once, unless it is a dry run."""
    if adopt_store:
        _adopt_store(as_json=as_json)
        raise typer.Exit
    return Operation("cleanup_artifacts", {"older_than_days": ttl_days, "delete_objects": delete_storage})


def _adopt_store(*, as_json: bool) -> None:
    with open_application(read_settings()) as application:
        application.store.adopt()
        where = application.store.where
    Report({"adopted": where}, f"{where} belongs to this database now.").show(as_json=as_json)


_PURGED: Final = Words(
    "job",
    "purged",
    (
        *_JOB,
        column("status", whole=True),
        column("attempts", whole=True),
        column("ended", "finished_at", distance, whole=True),
    ),
)


@bulk(purge, _PURGED, cautious=True)
def jobs(
    *,
    ttl_days: Annotated[
        float, typer.Option(min=0, max=36_500, envvar="JOB_TTL_DAYS", help="Those that ended so long ago.")
    ] = 30,
    statuses: Annotated[
        str,
        typer.Option("--status", envvar="JOB_PURGE_STATUSES", help="Of succeeded, cancelled and failed, by commas."),
    ] = "succeeded,cancelled",
) -> Operation:
    """Delete ended jobs and their attempts; a dry run unless told otherwise. Dead letters and artifacts stay."""
    return Operation("purge_jobs", {"older_than_days": ttl_days, "statuses": _statuses(statuses)})


def _statuses(given: str) -> list[str]:
    words = [word.strip().lower() for word in given.split(",") if word.strip()]
    wrong = next((word for word in words if word not in _ENDED), None)
    if wrong in ("queued", "running"):
        raise BadInput(f"JOB_PURGE_STATUSES names {wrong}, and live jobs are never purged: use {', '.join(_ENDED)}.")
    if wrong or not words:
        raise BadInput(f"JOB_PURGE_STATUSES is {given!r}: it must be some of {', '.join(_ENDED)}, joined by commas.")
    return words


def _texts(job_ids: list[UUID] | None) -> list[str] | None:
    return [str(job_id) for job_id in job_ids] if job_ids else None
