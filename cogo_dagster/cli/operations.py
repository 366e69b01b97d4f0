"""`cogo retry`, `replay`, `discard`, `undo`, `recover`, `cleanup` and `purge`: bulk operations."""

from typing import Annotated, Final

import typer

from cogo_dagster.cli import completion
from cogo_dagster.cli.bulk import Labels, bulk
from cogo_dagster.cli.bulk_filter import Name, operation_of
from cogo_dagster.cli.command import BadInput, Report, group
from cogo_dagster.cli.opened import opened
from cogo_dagster.cli.options import (
    ExecutorFilter,
    Fingerprint,
    JobIds,
    Since,
    TypePrefix,
    Where,
    executor_option,
    part_of_id,
    read_settings,
)
from cogo_dagster.cli.tables import Column, column
from cogo_dagster.formatting.values import distance, error_line, size
from cogo_dagster.queue.bulk import Operation, Totals
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.release import code_version

_FINISHED_STATUSES: Final = ("succeeded", "cancelled", "failed")
_JOB: Final = (column("job", "id", whole=True, is_id=True), column("type"), column("about", "subject"))
_FAILED: Final = column("failed", "failed_at", distance, whole=True)
_ERROR: Final = column("error", "error", error_line)

retry = group("Retry failed jobs.")
replay = group("Replay dead-lettered jobs.")
discard = group("Discard dead-lettered jobs.")
cancel = group("Cancel jobs.")
undo = group("Undo an operation.")
recover = group("Recover jobs whose lease has expired.")
cleanup = group("Delete expired artifacts.")
purge = group("Delete finished jobs.")


_RETRIED: Final = Labels(
    "job",
    "retried",
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


@bulk(retry, _RETRIED, dry_run_by_default=True)
def failed(
    job_ids: JobIds = None,
    *,
    where: Where = None,
    name: Name = "",
    type_prefix: Annotated[
        str | None,
        typer.Option(
            "--type",
            envvar="TYPE_PREFIX",
            autocompletion=completion.types,
            help="Only types with this prefix.",
        ),
    ] = None,
    executor_id: Annotated[str | None, executor_option("EXECUTOR_ID")] = None,
    since_seconds: Since = None,
    reset_attempts: Annotated[
        bool,
        typer.Option(
            "--reset-attempts/--keep-attempts",
            envvar="RESET_ATTEMPTS",
            help="Count attempts from zero again; otherwise a job without attempts left gets one more.",
        ),
    ] = False,
) -> Operation:
    """Requeue failed jobs under the same IDs. A dry run by default."""
    filters = _filters(job_ids, type_prefix, executor_id, since_seconds)
    return operation_of("retry_failed", filters, {"reset_attempts": reset_attempts}, where, name)


def _filters(
    job_ids: list[str] | None,
    type_prefix: str | None,
    executor_id: str | None,
    since_seconds: float | None,
    fingerprint: str | None = None,
) -> dict[str, Json]:
    filters = {
        "type_prefix": type_prefix,
        "executor_id": executor_id,
        "since_seconds": since_seconds,
        "job_ids": job_ids or None,
    }
    return filters | ({"fingerprint": fingerprint} if fingerprint else {})


_REPLAYED: Final = Labels(
    "dead-lettered job",
    "replayed",
    (*_JOB, column("replays", whole=True, min_width=120), column("reason", min_width=110), _FAILED, _ERROR),
)


def _warn_of_same_release(totals: Totals, dry_run: bool, as_json: bool) -> None:  # noqa: ARG001 - to standard error
    count = totals.counts["same_code_version"]
    if count and (dry_run or totals.changed):
        typer.echo(
            f"Warning: {count:,} of the jobs failed on this release ({code_version()}) and may fail again.",
            err=True,
        )


@bulk(replay, _REPLAYED, afterwards=_warn_of_same_release)
def dlq(
    job_ids: JobIds = None,
    *,
    where: Where = None,
    name: Name = "",
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    fingerprint: Fingerprint = None,
) -> Operation:
    """Replay dead-lettered jobs, each once, as new jobs with the idempotency key dlq:<job_id>."""
    filters = _filters(job_ids, type_prefix, executor_id, since_seconds, fingerprint)
    return operation_of("replay_dlq", filters, {}, where, name)


_DISCARDED: Final = Labels("dead-lettered job", "discarded", (*_JOB, column("reason", min_width=110), _FAILED, _ERROR))


def _name_the_undo(totals: Totals, dry_run: bool, as_json: bool) -> None:  # noqa: ARG001 - to standard error
    if totals.changed:
        typer.echo(f"Undo it with `cogo undo discard {totals.action_id}`.", err=True)


@bulk(discard, _DISCARDED, dry_run_by_default=True, name="dlq", afterwards=_name_the_undo)
def discard_dlq(
    job_ids: JobIds = None,
    *,
    where: Where = None,
    name: Name = "",
    reason: Annotated[str | None, typer.Option("--reason", help="Why; required unless it is a dry run.")] = None,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    fingerprint: Fingerprint = None,
) -> Operation:
    """Close dead-lettered jobs without a replay. A dry run by default."""
    filters = _filters(job_ids, type_prefix, executor_id, since_seconds, fingerprint)
    return operation_of("discard_dlq", filters, {"reason": reason}, where, name)


_CANCELLED: Final = Labels("job", "cancelled", ())


@bulk(cancel, _CANCELLED, dry_run_by_default=True, name="jobs")
def cancel_jobs(*, where: Where = None, name: Name = "") -> Operation:
    """Cancel the queued jobs of a filter, and request the cancellation of running ones. A dry run by default."""
    return operation_of("cancel_jobs", {}, {}, where or JobSearch(), name)


_OPENED: Final = Labels("dead-lettered job", "opened again", (*_JOB, _FAILED, _ERROR))


@bulk(undo, _OPENED, planned=False, name="discard")
def undo_discard(
    discard_id: Annotated[
        str,
        typer.Argument(
            parser=part_of_id,
            metavar="DISCARD_ID",
            autocompletion=completion.discard_ids,
            help="ID of the discard, from `cogo list operations`; 8 first or last digits suffice.",
        ),
    ],
) -> Operation:
    """Open the dead-lettered jobs of a discard again, except those that were retried since."""
    return Operation("undo_discard", {"discard_id": discard_id})


_RECOVERED: Final = Labels(
    "expired lease",
    "recovered",
    (
        *_JOB,
        Column("attempt", lambda row: f"{row['attempts']}/{row['max_attempts']}", whole=True),
        column("worker", "worker_id"),
        column("expired", "lease_expires_at", distance, whole=True),
    ),
)


def _print_outcomes(totals: Totals, dry_run: bool, as_json: bool) -> None:  # noqa: ARG001 - nothing changed
    if totals.changed and not as_json:
        counts = ", ".join(f"{count} {name}" for name, count in totals.counts.items() if count)
        typer.echo(f"Jobs: {counts}.")


@bulk(recover, _RECOVERED, afterwards=_print_outcomes)
def leases() -> Operation:
    """Requeue jobs whose lease has expired; jobs without attempts left are dead-lettered."""
    return Operation("recover_leases")


_CLEANED: Final = Labels(
    "artifact",
    "deleted",
    (
        column("job", "job_id", whole=True, is_id=True),
        column("name"),
        column("size", "size_bytes", size, whole=True),
        column("created", "created_at", distance, whole=True),
        column("storage key", "storage_key", min_width=110),
    ),
)


@bulk(cleanup, _CLEANED)
def artifacts(
    *,
    ttl_days: Annotated[
        float,
        typer.Option(
            min=0,
            max=36_500,
            envvar="ARTIFACT_TTL_DAYS",
            help="Minimum age in days; the TTL of an artifact overrides it.",
        ),
    ] = 30,
    delete_storage: Annotated[
        bool,
        typer.Option(
            "--delete-storage/--keep-storage",
            envvar="ARTIFACT_DELETE_STORAGE",
            help="Delete the objects too; otherwise only the rows are marked as expired.",
        ),
    ] = True,
    adopt_store: Annotated[
        bool,
        typer.Option(
            "--adopt-store",
            help="Delete nothing, but make this database the owner of its artifact store. For use after a copy of "
            "the database has used the store, or after a restore from a backup.",
        ),
    ] = False,
    as_json: bool,
) -> Operation:
    """Delete expired artifacts immediately; use --dry-run to list them."""
    if adopt_store:
        _adopt_store(as_json=as_json)
        raise typer.Exit
    return Operation("cleanup_artifacts", {"older_than_days": ttl_days, "delete_objects": delete_storage})


def _adopt_store(*, as_json: bool) -> None:
    with opened(read_settings()) as application:
        application.store.adopt()
        where = application.store.where
    Report({"adopted": where}, f"{where} belongs to this database now.").show(as_json=as_json)


_PURGED: Final = Labels(
    "job",
    "purged",
    (
        *_JOB,
        column("status", whole=True, is_status=True),
        column("attempts", whole=True, min_width=90),
        column("ended", "finished_at", distance, whole=True),
    ),
)


@bulk(purge, _PURGED, dry_run_by_default=True)
def jobs(
    *,
    ttl_days: Annotated[
        float,
        typer.Option(min=0, max=36_500, envvar="JOB_TTL_DAYS", help="Minimum number of days since the jobs finished."),
    ] = 30,
    statuses: Annotated[
        str,
        typer.Option(
            "--status",
            envvar="JOB_PURGE_STATUSES",
            autocompletion=completion.finished_statuses,
            help="Comma-separated: succeeded, cancelled, failed.",
        ),
    ] = "succeeded,cancelled",
) -> Operation:
    """Delete finished jobs and their attempts, but not dead-lettered jobs and artifacts. A dry run by default."""
    return Operation("purge_jobs", {"older_than_days": ttl_days, "statuses": _statuses(statuses)})


def _statuses(text: str) -> list[str]:
    statuses = [status.strip().lower() for status in text.split(",") if status.strip()]
    wrong = next((status for status in statuses if status not in _FINISHED_STATUSES), None)
    if wrong in ("queued", "running"):
        raise BadInput(
            f"JOB_PURGE_STATUSES contains {wrong}; only finished jobs are purged: use {', '.join(_FINISHED_STATUSES)}."
        )
    if wrong or not statuses:
        raise BadInput(
            f"JOB_PURGE_STATUSES is {text!r}: use a comma-separated list of {', '.join(_FINISHED_STATUSES)}."
        )
    return statuses
