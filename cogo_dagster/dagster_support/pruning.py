"""Old Dagster runs, the assets of their events, and the folders of their logs and outputs."""

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import dagster as dg
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from cogo_dagster.dagster_support.run_status import ENDED

_BATCH: Final = 100


def old_runs(instance: dg.DagsterInstance, keep_days: int) -> Iterator[dg.DagsterRun]:
    """Yield finished runs, oldest first. The caller may delete a run before it requests the next one."""
    old = dg.RunsFilter(statuses=ENDED, created_before=datetime.now(UTC) - timedelta(days=keep_days))
    cursor: str | None = None
    while runs := instance.get_runs(old, cursor=cursor, limit=_BATCH, ascending=True):
        yield from runs
        kept = [run.run_id for run in runs if instance.has_run(run.run_id)]
        if not kept:
            continue  # the whole page was deleted: the next page starts at the same cursor
        cursor = kept[-1]


def assets_of(instance: dg.DagsterInstance, run_id: str) -> set[dg.AssetKey]:
    """Return the assets that a run materialized or checked."""
    types = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=types)]
    return {event.asset_key for event in events if event is not None and event.asset_key is not None}


def delete_folders(instance: dg.DagsterInstance, keep_days: int) -> int:
    """Delete the folders of deleted runs (logs, outputs of ops) and of Celery workers' starts; return their number."""
    folders = [folder for base in _bases(instance) for folder in _named_by_uuid(base) if _is_old(folder, keep_days)]
    gone = [folder for folder in folders if not instance.has_run(folder.name)]
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)
    return len(gone)


def _bases(instance: dg.DagsterInstance) -> Iterator[Path]:
    """Yield the folders in which Dagster makes a folder per run, or per start of a Celery worker."""
    manager = instance.compute_log_manager
    if isinstance(manager, LocalComputeLogManager):
        yield Path(manager._base_dir)  # noqa: SLF001
    yield Path(instance.storage_directory())
    yield Path(instance.root_directory) / "dagster_celery" / "config"


def _named_by_uuid(base: Path) -> Iterator[Path]:
    for folder in base.iterdir() if base.is_dir() else ():
        try:
            UUID(folder.name)
        except ValueError:
            continue  # the value of an asset, or a folder of Dagster itself
        if folder.is_dir() and not folder.is_symlink():
            yield folder


def _is_old(folder: Path, keep_days: int) -> bool:
    try:
        return folder.stat().st_mtime < time.time() - timedelta(days=keep_days).total_seconds()
    except OSError:
        return False
