"""Sensors of the queue. The decisions are in `decisions`."""

import dagster as dg

from cogo_dagster.dagster_support.backlog import read_demand
from cogo_dagster.dagster_support.decisions import launch, start_workers
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.ticks import TICK_SECONDS, within
from cogo_dagster.dagster_support.worker_runs import READY_JOBS
from cogo_dagster.dagster_support.zombies import end_zombies
from cogo_dagster.defs.queue.jobs import process_jobs
from cogo_dagster.formatting.values import counted
from cogo_dagster.supervision.zombies import Watch


@dg.sensor(
    name=READY_JOBS,
    job=process_jobs,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches runs of process_jobs according to the backlog, at most COGO_MAX_WORKERS.",
)
def ready_jobs(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch a run of process_jobs if jobs are due and there are too few workers, starting ones included."""
    instance = context.instance
    demand, _ = within(TICK_SECONDS, "Reading the queue", lambda: read_demand(instance, cogo))
    return launch("worker", start_workers(demand, cogo.application.settings.max_workers))


@dg.sensor(
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Reports a run of process_jobs as failed if its worker has sent no heartbeat while the database responded for "
        "three heartbeat intervals. Its jobs are requeued when their leases expire."
    ),
)
def zombie_runs(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """End runs of process_jobs whose worker is dead."""
    instance, watch = context.instance, Watch.from_text(context.cursor)
    watch, ended = within(TICK_SECONDS, "Checking for dead runs", lambda: end_zombies(instance, cogo, watch))
    reason = f"{counted(len(watch.silences), 'run')} with a silent worker, {len(ended)} ended."
    return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=watch.to_text())
