"""Pruning Dagster's own event log, which nothing else does: a run's events take some 30 KB a job and stay for ever."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from cogo_dagster.defs.hooks import HOOKS
from cogo_dagster.defs.run_status import ENDED

_BATCH = 100


class PruneConfig(dg.Config):
    """What may go."""

    keep_days: int = Field(14, ge=1, description="Runs that ended and are younger than this stay.")
    dry_run: bool = Field(False, description="Only count them.")


@dg.op(description="Delete ended runs and their events.")
def delete_old_runs(context: dg.OpExecutionContext, config: PruneConfig) -> None:
    """Delete in batches, oldest last, and report how many runs went."""
    before = datetime.now(UTC) - timedelta(days=config.keep_days)
    old = dg.RunsFilter(statuses=ENDED, created_before=before)
    matched = context.instance.get_runs_count(old)
    changed = 0
    while not config.dry_run and (runs := context.instance.get_runs(old, limit=_BATCH)):
        for run in runs:
            context.instance.delete_run(run.run_id)
        changed += len(runs)
    context.add_output_metadata({"matched": matched, "changed": changed, "dry_run": config.dry_run})


@dg.job(
    executor_def=dg.in_process_executor,
    hooks=HOOKS,
    description="Delete Dagster's runs and events older than two weeks.",
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
