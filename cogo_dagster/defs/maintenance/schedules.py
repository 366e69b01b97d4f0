"""Schedule of the deletion of old runs."""

import dagster as dg

from cogo_dagster.defs.maintenance.jobs import prune_event_log

nightly_pruning = dg.ScheduleDefinition(
    name="nightly_pruning",
    job=prune_event_log,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Deletes old runs and events from Dagster's own database.",
)
