"""Sensors of the queue: read, ask a pure function, launch."""

import dagster as dg

from cogo_dagster.dagster_support.backlog import read_demand
from cogo_dagster.dagster_support.decisions import launch, start_workers
from cogo_dagster.dagster_support.jobs import OWNERS
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.ticks import TICK_SECONDS, within
from cogo_dagster.dagster_support.worker_runs import READY_JOBS
from cogo_dagster.dagster_support.zombies import end_zombies
from cogo_dagster.defs.queue.jobs import process_jobs
from cogo_dagster.supervision.zombies import Watch


@dg.sensor(
    name=READY_JOBS,
    job=process_jobs,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps as many process_jobs runs going as the backlog asks for, at most COGO_MAX_WORKERS.",
    owners=OWNERS,
)
def ready_jobs(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch a worker run when jobs wait and too few workers are there or coming."""
    instance = context.instance
    found, _ = within(TICK_SECONDS, "Reading the queue", lambda: read_demand(instance, cogo))
    return launch("worker", start_workers(found, cogo.application.settings.max_workers))


@dg.sensor(
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Reports a run of process_jobs as failed whose worker has sent no heartbeat, once the database has answered "
        "for three heartbeats meanwhile. Its jobs come back by their leases."
    ),
    owners=OWNERS,
)
def zombie_runs(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Look at the runs that work, and end those that are dead."""
    instance, watch = context.instance, Watch.from_text(context.cursor)
    watch, ended = within(TICK_SECONDS, "Looking for dead runs", lambda: end_zombies(instance, cogo, watch))
    reason = f"{len(watch.silences)} runs have a silent worker, {len(ended)} were ended."
    return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=watch.to_text())
