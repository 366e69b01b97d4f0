"""Sensors that launch an operator's Dagster job: read, ask a pure function, launch."""

from datetime import UTC, datetime

import dagster as dg

from cogo_dagster.dagster_support.backlog import is_under_way, open_letters, read_demand
from cogo_dagster.dagster_support.decisions import launch, recover, replay
from cogo_dagster.dagster_support.jobs import OWNERS
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.ticks import TICK_SECONDS, within
from cogo_dagster.defs.operators.jobs import REPLAY_SECONDS, recover_leases, replay_dlq


@dg.sensor(
    job=recover_leases,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Recovers expired leases when no worker is there to do it.",
    owners=OWNERS,
)
def expired_leases(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch recover_leases if leases have expired and no worker recovers them."""
    instance = context.instance
    found, expired = within(TICK_SECONDS, "Reading the queue", lambda: read_demand(instance, cogo))
    return launch("recovery", recover(found, expired))


@dg.sensor(
    job=replay_dlq,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Replays dead letters that time may have healed: transient errors, after a cool-down, twice at most in a "
        "lineage. The rest waits for a person: `cogo list incidents`."
    ),
    owners=OWNERS,
)
def dlq_replay(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch replay_dlq with the letters that are worth it, unless such a run is under way."""
    letters = within(TICK_SECONDS, "Reading the dead letters", lambda: open_letters(cogo))
    under_way = is_under_way(context.instance, replay_dlq.name, REPLAY_SECONDS)
    return launch("replay", replay(letters, replay_dlq.name, datetime.now(UTC), under_way=under_way))
