"""The gate's schedules. The next tick requests the partition of a missed tick."""

from collections.abc import Collection, Sequence
from datetime import datetime

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.defs.quality.jobs import check_health, snapshot_gate, summarize_week

_DAYS_BACK = 14
_WEEKS_BACK = 3


@dg.schedule(
    job=snapshot_gate,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Stores the numbers of yesterday, and of days whose tick was missed.",
)
def nightly_gate_snapshot(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Request each day that is due."""
    now = context.scheduled_execution_time
    return _requests(_due(context, asset_keys.GATE_SNAPSHOT, _DAYS_BACK), now, "day")


@dg.schedule(
    job=summarize_week,
    cron_schedule="5 2 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Stores the summary of last week and enqueues the job that sends it, once a week.",
)
def weekly_enqueue(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Request each week that is due."""
    now = context.scheduled_execution_time
    return _requests(_due(context, asset_keys.WEEKLY_MESSAGE, _WEEKS_BACK), now, "week")


hourly_health = dg.ScheduleDefinition(
    name="hourly_health",
    job=check_health,
    cron_schedule="20 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Probes the providers, and checks the queue and its database.",
)


def missing(keys: Sequence[str], done: Collection[str]) -> list[str]:
    """Return the partitions that a tick requests: the newest one, and missing ones since the first materialized one.

    Older partitions precede the use of this schedule; a backfill can create them.
    """
    first = min(done, default=keys[-1]) if keys else ""
    return [key for key in keys if (key not in done and key >= first) or key == keys[-1]]


def _due(context: dg.ScheduleEvaluationContext, key: dg.AssetKey, count: int) -> list[str]:
    """Return the due ones of the last partitions of an asset."""
    repository = context.repository_def
    partitions = repository.asset_graph.get(key).partitions_def if repository else None
    if partitions is None:
        return []
    keys = partitions.get_partition_keys(context.scheduled_execution_time)[-count:]
    return missing(keys, context.instance.get_materialized_partitions(key))


def _requests(keys: list[str], now: datetime, period: str) -> list[dg.RunRequest] | dg.SkipReason:
    if not keys:
        return dg.SkipReason(f"No {period} has ended since the first day of the partitions (COGO_FIRST_DAY).")
    # A partition is requested once per tick; the next tick may request it again.
    return [dg.RunRequest(run_key=f"{key}@{now:%Y-%m-%dT%H:%M}", partition_key=key) for key in keys]
