"""Pruning Dagster's own event log, which nothing else does: a run's events take some 30 KB a job and stay for ever."""

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import dagster as dg
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from pydantic import Field

from cogo_dagster.defs.gate import gate_snapshot, provider_health, weekly_message, weekly_summary
from cogo_dagster.defs.hooks import HOOKS
from cogo_dagster.defs.reporting import JOBS_ASSET
from cogo_dagster.defs.run_status import ENDED, max_runtime

_BATCH: Final = 100
_PRUNING_SECONDS: Final = 1_800

_PARTITIONED: Final = {gate_snapshot.key, weekly_summary.key, weekly_message.key}
_PROBED: Final = {provider_health.key, JOBS_ASSET}

_NO_HISTORY: Final = (
    "process_jobs",
    "inspect_job",
    "retry_failed",
    "replay_dlq",
    "recover_leases",
    "cleanup_artifacts",
    "purge_jobs",
    "deliver_alerts",
    "prune_event_log",
)
"""Jobs whose runs hold no history of an asset that is worth keeping: their events need not be read."""


class PruneConfig(dg.Config):
    """What may go."""

    keep_days: int = Field(14, ge=1, description="Runs that ended and are younger than this stay.")
    keep_health_days: int = Field(400, ge=1, description="The same for runs with probes and checks of the queue.")
    dry_run: bool = Field(False, description="Only count them.")


@dg.op(description="Delete ended runs, their events and their logs; runs that hold an asset's history stay.")
def delete_old_runs(context: dg.OpExecutionContext, config: PruneConfig) -> None:
    """Delete the oldest first, for half an hour at most, and report how many runs went and stayed."""
    matched = changed = 0
    ends_at = time.monotonic() + _PRUNING_SECONDS
    for run in _old_runs(context.instance, config.keep_days):
        if time.monotonic() > ends_at:
            context.log.warning("The time is up: the next run goes on.")
            break
        if _holds_history(context.instance, run, config):
            continue
        matched += 1
        if not config.dry_run:
            context.instance.delete_run(run.run_id)
            changed += 1
    folders = 0 if config.dry_run else _delete_logs(context.instance, config.keep_days)
    context.add_output_metadata(
        {"matched": matched, "changed": changed, "log_folders": folders, "dry_run": config.dry_run}
    )


@dg.job(
    executor_def=dg.in_process_executor,
    hooks=HOOKS,
    description="Delete Dagster's runs and events older than two weeks, but for the history of assets.",
    tags=max_runtime(2 * _PRUNING_SECONDS),
)
def prune_event_log() -> None:
    """One op."""
    delete_old_runs()


nightly_pruning = dg.ScheduleDefinition(
    name="nightly_pruning",
    job=prune_event_log,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Keeps Dagster's own database from growing for ever.",
)


def _old_runs(instance: dg.DagsterInstance, keep_days: int) -> Iterator[dg.DagsterRun]:
    """Yield ended runs, oldest first; the one that was yielded may be deleted before the next is asked for."""
    old = dg.RunsFilter(statuses=ENDED, created_before=datetime.now(UTC) - timedelta(days=keep_days))
    cursor: str | None = None
    while runs := instance.get_runs(old, cursor=cursor, limit=_BATCH, ascending=True):
        yield from runs
        stayed = [run.run_id for run in runs if instance.has_run(run.run_id)]
        if not stayed:
            continue  # the page is gone, and the next one begins where it did
        cursor = stayed[-1]


def _holds_history(instance: dg.DagsterInstance, run: dg.DagsterRun, config: PruneConfig) -> bool:
    """Whether deleting a run would take a day, a week or a plot's point from an asset's page."""
    if run.job_name in _NO_HISTORY:
        return False
    assets = _assets_of(instance, run.run_id)
    if assets & _PARTITIONED:
        return True
    record = instance.get_run_record_by_id(run.run_id)
    kept_since = datetime.now(UTC) - timedelta(days=config.keep_health_days)
    return bool(assets & _PROBED) and record is not None and record.create_timestamp > kept_since


def _assets_of(instance: dg.DagsterInstance, run_id: str) -> set[dg.AssetKey]:
    """Return the assets that a run materialized or checked."""
    types = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=types)]
    return {event.asset_key for event in events if event is not None and event.asset_key is not None}


def _delete_logs(instance: dg.DagsterInstance, keep_days: int) -> int:
    """Delete the folders of what runs printed, of runs that are gone; return how many."""
    manager = instance.compute_log_manager
    if not isinstance(manager, LocalComputeLogManager):
        return 0
    folders = [folder for folder in _run_folders(Path(manager._base_dir)) if _is_old(folder, keep_days)]  # noqa: SLF001
    gone = [folder for folder in folders if not instance.has_run(folder.name)]
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)
    return len(gone)


def _run_folders(base: Path) -> Iterator[Path]:
    for folder in base.iterdir() if base.is_dir() else ():
        try:
            UUID(folder.name)
        except ValueError:
            continue  # Dagster has folders of its own beside them
        if folder.is_dir() and not folder.is_symlink():
            yield folder


def _is_old(folder: Path, keep_days: int) -> bool:
    try:
        return folder.stat().st_mtime < time.time() - timedelta(days=keep_days).total_seconds()
    except OSError:
        return False
