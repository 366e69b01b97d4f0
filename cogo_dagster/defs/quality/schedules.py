"""The runbook's schedules. A tick that was missed is caught up by its partition at the next one."""

from collections.abc import Collection, Sequence
from datetime import datetime

import dagster as dg

from cogo_dagster.dagster_support.jobs import OWNERS
from cogo_dagster.defs.quality.assets import DAYS, WEEKS, gate_snapshot, weekly_message
from cogo_dagster.defs.quality.jobs import check_health, snapshot_gate, summarize_week

_DAYS_BACK = 14
_WEEKS_BACK = 3


@dg.schedule(
    job=snapshot_gate,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    owners=OWNERS,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Keeps yesterday's numbers, and those of days whose tick was missed.",
)
def nightly_gate_snapshot(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
    """Ask for each day that is due."""
    now = context.scheduled_execution_time
    keys = DAYS.get_partition_keys(now)[-_DAYS_BACK:]
    return _requests(missing(keys, context.instance.get_materialized_partitions(gate_snapshot.key)), now)


@dg.schedule(
    job=summarize_week,
    cron_schedule="5 2 * * 1",
    execution_timezone="UTC",
    owners=OWNERS,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Keeps last week's summary and enqueues the job that sends it, once a week.",
)
def weekly_enqueue(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
    """Ask for each week that is due."""
    now = context.scheduled_execution_time
    keys = WEEKS.get_partition_keys(now)[-_WEEKS_BACK:]
    return _requests(missing(keys, context.instance.get_materialized_partitions(weekly_message.key)), now)


hourly_health = dg.ScheduleDefinition(
    name="hourly_health",
    job=check_health,
    cron_schedule="20 * * * *",
    execution_timezone="UTC",
    owners=OWNERS,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Probes the providers, and checks the queue and its database.",
)


def missing(keys: Sequence[str], done: Collection[str]) -> list[str]:
    """Return what a tick asks for: the newest partition, and those since the first one that was ever made.

    What was before the first is history of a time without this schedule: a backfill, if somebody wants it.
    """
    first = min(done, default=keys[-1]) if keys else ""
    return [key for key in keys if (key not in done and key >= first) or key == keys[-1]]


def _requests(keys: list[str], now: datetime) -> list[dg.RunRequest]:
    # One tick asks once for a partition, and the next tick may ask again.
    return [dg.RunRequest(run_key=f"{key}@{now:%Y-%m-%dT%H:%M}", partition_key=key) for key in keys]
