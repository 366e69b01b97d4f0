"""When old runs are deleted."""

import dagster as dg

from cogo_dagster.dagster_support.jobs import OWNERS
from cogo_dagster.defs.maintenance.jobs import prune_event_log

nightly_pruning = dg.ScheduleDefinition(
    name="nightly_pruning",
    job=prune_event_log,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    owners=OWNERS,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Keeps Dagster's own database from growing for ever.",
)
