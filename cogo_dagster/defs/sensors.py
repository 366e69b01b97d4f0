"""Sensors: read the queue, ask a pure function, launch."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from cogo_dagster.defs.jobs import process_jobs
from cogo_dagster.defs.operators import recover_leases, replay_dead_letters, replay_dlq
from cogo_dagster.defs.resources import CogoResource
from cogo_dagster.defs.run_status import ENDED, UNFINISHED
from cogo_dagster.executors.registry import families, lacking
from cogo_dagster.insights.capacity import Demand, demand, recovery_needed, workers_to_start
from cogo_dagster.insights.replays import ReplayPolicy, is_transient, worth_replaying
from cogo_dagster.queue.model import Json

_STARTING_SECONDS = 180
_MOST_LETTERS = 10_000


@dg.sensor(
    job=process_jobs,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps as many process_jobs runs going as the backlog asks for, at most COGO_MAX_WORKERS.",
)
def ready_jobs(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch a worker run when jobs wait and too few workers are there or coming."""
    found = _demand(context.instance, cogo, _stats(cogo))
    count = workers_to_start(found, cogo.application.settings.max_workers)
    number = int(context.cursor or 0)
    requests = [dg.RunRequest(run_key=f"worker-{number + 1 + i}") for i in range(count)]
    reason = (
        f"{found.ready} due, {found.orphaned} orphaned, "
        f"{found.workers_alive} workers alive, {found.workers_starting} starting."
    )
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(reason),
        cursor=str(number + count),
    )


@dg.sensor(
    job=recover_leases,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Recovers expired leases when no worker is there to do it.",
)
def expired_leases(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch recover_leases when leases have expired and nobody sees to it."""
    stats = _stats(cogo)
    expired = stats["expired_leases"]
    needed = recovery_needed(_demand(context.instance, cogo, stats), expired)
    number = int(context.cursor or 0) + int(needed)
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"recovery-{number}")] if needed else [],
        skip_reason=None if needed else dg.SkipReason(f"{expired} expired leases, or workers that see to them."),
        cursor=str(number),
    )


@dg.sensor(
    job=replay_dlq,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Replays dead letters that time may have healed: transient errors, after a cool-down, twice at most in a "
        "lineage. The rest waits for a person: `cogo list incidents`."
    ),
)
def dlq_replay(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch replay_dlq with the letters that are worth it, unless such a run is under way."""
    letters = _open_letters(cogo)
    chosen = worth_replaying(letters, ReplayPolicy(), datetime.now(UTC))
    if chosen and context.instance.get_runs(dg.RunsFilter(job_name=replay_dlq.name, statuses=UNFINISHED), limit=1):
        return dg.SensorResult(skip_reason=dg.SkipReason("A replay is under way."), cursor=context.cursor)
    transient = sum(map(is_transient, letters))
    reason = f"{len(letters)} open letters, {transient} of them transient: none is to be replayed now."
    number = int(context.cursor or 0) + bool(chosen)
    config = {"job_ids": [letter["job_id"] for letter in chosen], "skip_unfit": True}
    request = dg.RunRequest(
        run_key=f"replay-{number}", run_config={"ops": {replay_dead_letters.name: {"config": config}}}
    )
    return dg.SensorResult(
        run_requests=[request] if chosen else [],
        skip_reason=None if chosen else dg.SkipReason(reason),
        cursor=str(number),
    )


def _open_letters(cogo: CogoResource) -> list[Json]:
    """Read the open letters, the newest ten thousand of them."""
    letters: list[Json] = []
    while len(letters) < _MOST_LETTERS and (
        page := cogo.queue.list_dlq(max_jobs=1_000, before=letters[-1] if letters else None)
    ):
        letters.extend(page)
    return letters


def _stats(cogo: CogoResource) -> Mapping[str, Json]:
    # Without an executor id only unaddressed jobs are claimed; no address is empty.
    return cogo.queue.stats(executor_id=cogo.application.settings.executor_id or "")


def _demand(instance: dg.DagsterInstance, cogo: CogoResource, stats: Mapping[str, Json]) -> Demand:
    workers = cogo.queue.list_workers(alive_only=True, max_workers=1000)
    registered = {worker["dagster_run_id"] for worker in workers if worker["dagster_run_id"]}
    recent = dg.RunsFilter(
        job_name=process_jobs.name,
        statuses=UNFINISHED,
        created_after=datetime.now(UTC) - timedelta(seconds=_STARTING_SECONDS),
    )
    starting = [run for run in instance.get_runs(recent) if run.run_id not in registered]
    ended = instance.get_runs(dg.RunsFilter(run_ids=list(registered), statuses=ENDED)) if registered else []
    return demand(
        stats,
        families().keys() - lacking(cogo.application.settings).keys(),
        workers,
        {run.run_id for run in ended},
        len(starting),
    )
