"""Sensors that launch an operator's Dagster job. The decisions are in `decisions`."""

from datetime import UTC, datetime

import dagster as dg

from cogo_dagster.dagster_support.backlog import is_under_way, open_dead_lettered, read_demand
from cogo_dagster.dagster_support.decisions import launch, recover, replay
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.ticks import TICK_SECONDS, within
from cogo_dagster.defs.operators.jobs import REPLAY_SECONDS, recover_leases, replay_dlq


@dg.sensor(
    job=recover_leases,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches recover_leases if leases have expired and no worker recovers them.",
)
def expired_leases(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch recover_leases if leases have expired and no worker recovers them."""
    instance = context.instance
    demand, expired = within(TICK_SECONDS, "Reading the queue", lambda: read_demand(instance, cogo))
    return launch("recovery", recover(demand, expired))


@dg.sensor(
    job=replay_dlq,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Replays dead-lettered jobs with transient errors, after a cool-down, at most twice per lineage. All other "
        "dead-lettered jobs require an operator: see `cogo list incidents`."
    ),
)
def dlq_replay(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch replay_dlq for eligible jobs, unless such a run is queued or running."""
    dead_lettered = within(TICK_SECONDS, "Reading the dead-letter queue", lambda: open_dead_lettered(cogo))
    under_way = is_under_way(context.instance, replay_dlq.name, REPLAY_SECONDS)
    return launch("replay", replay(dead_lettered, replay_dlq.name, datetime.now(UTC), under_way=under_way))
