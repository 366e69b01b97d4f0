"""Deletes old rows of the queue, and old Dagster runs with their events: about 30 KB per job."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from pydantic import Field

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.pruning import assets_of, delete_folders, old_runs
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.defs.quality.assets import provider_health
from cogo_dagster.settings import Settings

PRUNING_SECONDS: Final = 1_800

_PARTITIONED: Final = {asset_keys.GATE_SNAPSHOT, asset_keys.WEEKLY_SUMMARY, asset_keys.WEEKLY_MESSAGE}
_PROBED: Final = {provider_health.key, asset_keys.JOBS}

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
"""Dagster jobs whose runs hold no history of assets that is kept; their events are not read."""


class PruneConfig(dg.Config):
    """Which runs to delete."""

    keep_days: int | None = Field(
        None, ge=1, description="Keep finished runs younger than this. Default: COGO_DAGSTER_RUN_TTL_DAYS."
    )
    keep_health_days: int | None = Field(
        None,
        ge=1,
        description="Keep finished runs with provider probes or checks of the queue younger than this. Default: "
        "COGO_ASSET_HISTORY_TTL_DAYS.",
    )
    dry_run: bool = Field(False, description="Count the runs without deleting them.")


@dg.op(
    description="Delete rows of the queue's database and finished runs with their events and logs after their "
    "retention periods, except runs with the history of an asset."
)
def prune_event_log(context: dg.OpExecutionContext, config: PruneConfig, cogo: CogoResource) -> None:
    """Delete rows, then runs, oldest first, for half an hour at most, and report the counts."""
    settings = cogo.application.settings
    keep_days = config.keep_days or settings.dagster_run_ttl_days
    keep_health_days = config.keep_health_days or settings.asset_history_ttl_days
    deleted = {} if config.dry_run else cogo.queue.delete_old_rows(retention(settings))
    matched = changed = 0
    ends_at = time.monotonic() + PRUNING_SECONDS
    for run in old_runs(context.instance, keep_days):
        if time.monotonic() > ends_at:
            context.log.warning("The time limit of %d s is reached; the next run continues.", PRUNING_SECONDS)
            break
        if _holds_history(context.instance, run, keep_health_days):
            continue
        matched += 1
        if not config.dry_run:
            context.instance.delete_run(run.run_id)
            changed += 1
    folders = 0 if config.dry_run else delete_folders(context.instance, keep_days)
    context.add_output_metadata(
        {"matched": matched, "changed": changed, "log_folders": folders, "dry_run": config.dry_run}
        | {f"deleted_{table}": rows for table, rows in deleted.items()}
    )


def retention(settings: Settings) -> dict[str, float | None]:
    """Return the retention periods of `delete_old_rows`, in days; None keeps the rows."""
    return {
        "workers": settings.worker_ttl_days,
        "heartbeats": settings.heartbeat_ttl_days,
        "operations": settings.operation_ttl_days,
        "dead_letters": settings.dlq_ttl_days,
        "alerts": settings.alert_ttl_days,
        "numbers": settings.numbers_ttl_days,
        "measures": settings.measure_ttl_days,
        "deduplication": settings.deduplication_ttl_days,
        "gate_runs": settings.gate_ttl_days,
        "expired_artifacts": settings.expired_artifact_ttl_days,
    }


def _holds_history(instance: dg.DagsterInstance, run: dg.DagsterRun, keep_health_days: int) -> bool:
    """Whether a run holds a day, a week or a data point on an asset's page."""
    if run.job_name in _NO_HISTORY:
        return False
    assets = assets_of(instance, run.run_id)
    if assets & _PARTITIONED:
        return True
    record = instance.get_run_record_by_id(run.run_id)
    kept_since = datetime.now(UTC) - timedelta(days=keep_health_days)
    return bool(assets & _PROBED) and record is not None and record.create_timestamp > kept_since
