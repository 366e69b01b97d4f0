"""Sensors of the queue: read, ask a pure function, launch."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from cogo_dagster.defs.jobs import process_jobs
from cogo_dagster.defs.operators import REPLAY_SECONDS, recover_leases, replay_dead_letters, replay_dlq
from cogo_dagster.defs.resources import CogoResource
from cogo_dagster.defs.run_status import ENDED
from cogo_dagster.defs.ticks import TICK_SECONDS, within
from cogo_dagster.defs.worker_runs import READY_JOBS, count_starting, living_workers, newest_workers
from cogo_dagster.executors.registry import families, left_to_others
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import Settings
from cogo_dagster.supervision.capacity import Demand, demand, recovery_needed, runnable_families, workers_to_start
from cogo_dagster.supervision.replays import ReplayPolicy, is_after, is_transient, worth_replaying

_MOST_LETTERS: Final = 10_000
_KNOWN_FOR: Final = timedelta(hours=1)
"""So long what a worker registered says which families the next one could run; then another one is tried."""

_LOADED_AT: Final = datetime.now(UTC)


@dg.sensor(
    name=READY_JOBS,
    job=process_jobs,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps as many process_jobs runs going as the backlog asks for, at most COGO_MAX_WORKERS.",
)
def ready_jobs(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch a worker run when jobs wait and too few workers are there or coming."""
    instance = context.instance
    found = within(TICK_SECONDS, "Reading the queue", lambda: _demand(instance, cogo, _stats(cogo)))
    count = workers_to_start(found, cogo.application.settings.max_workers)
    reason = (
        f"{found.ready} due, {found.orphaned} orphaned, "
        f"{found.workers_alive} workers alive, {found.workers_starting} starting."
    )
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"worker-{_tick_key()}") for _ in range(count)],
        skip_reason=None if count else dg.SkipReason(reason),
    )


@dg.sensor(
    job=recover_leases,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Recovers expired leases when no worker is there to do it.",
)
def expired_leases(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Launch recover_leases when leases have expired and nobody sees to it."""
    instance = context.instance

    def read() -> tuple[Demand, int]:
        stats = _stats(cogo)
        return _demand(instance, cogo, stats), stats["expired_leases"]

    found, expired = within(TICK_SECONDS, "Reading the queue", read)
    needed = recovery_needed(found, expired)
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"recovery-{_tick_key()}")] if needed else [],
        skip_reason=None if needed else dg.SkipReason(f"{expired} expired leases, or workers that see to them."),
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
    instance = context.instance
    letters = within(TICK_SECONDS, "Reading the dead letters", lambda: _open_letters(cogo))
    chosen = worth_replaying(letters, ReplayPolicy(), datetime.now(UTC))
    if chosen and _replays(instance):
        return dg.SensorResult(skip_reason=dg.SkipReason("A replay is under way."))
    transient = sum(map(is_transient, letters))
    reason = f"{len(letters)} open letters, {transient} of them transient: none is to be replayed now."
    config = {"job_ids": [letter["job_id"] for letter in chosen], "skip_unfit": True}
    request = dg.RunRequest(
        run_key=f"replay-{_tick_key()}", run_config={"ops": {replay_dead_letters.name: {"config": config}}}
    )
    return dg.SensorResult(
        run_requests=[request] if chosen else [],
        skip_reason=None if chosen else dg.SkipReason(reason),
    )


def unserved(cogo: CogoResource) -> dict[str, int]:
    """Return how many jobs are due of each family that no worker runs and no new one would."""
    due: Mapping[str, int] = _stats(cogo)["ready_by_family"]
    served = {family for worker in living_workers(cogo.queue) for family in worker["families"]}
    runnable = _runnable(cogo.application.settings, newest_workers(cogo.queue))
    return {family: n for family, n in due.items() if n and family not in served | runnable}


def _tick_key() -> str:
    # A number in the cursor would begin again when somebody resets it, and Dagster skips a key that it has seen.
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"


def _replays(instance: dg.DagsterInstance) -> bool:
    """Whether a replay waits for its turn or works; one that works for longer than it may is dead."""
    queued = dg.RunsFilter(job_name=replay_dlq.name, statuses=[dg.DagsterRunStatus.QUEUED])
    begun = dg.RunsFilter(
        job_name=replay_dlq.name,
        statuses=[dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
        updated_after=datetime.now(UTC) - timedelta(seconds=REPLAY_SECONDS),
    )
    return any(instance.get_runs(chosen, limit=1) for chosen in (queued, begun))


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
    alive, newest = living_workers(cogo.queue), newest_workers(cogo.queue)
    runs = [worker["dagster_run_id"] for worker in alive if worker["dagster_run_id"]]
    ended = instance.get_runs(dg.RunsFilter(run_ids=runs, statuses=ENDED)) if runs else []
    return demand(
        stats,
        _runnable(cogo.application.settings, newest),
        alive,
        {run.run_id for run in ended},
        count_starting(instance, [*alive, *newest]),
    )


def _runnable(settings: Settings, newest: list[Json]) -> set[str]:
    since = max(datetime.now(UTC) - _KNOWN_FOR, _LOADED_AT)
    registered = [
        worker["families"] for worker in newest if worker["dagster_run_id"] and is_after(worker["started_at"], since)
    ]
    return runnable_families(families().keys() - left_to_others(settings).keys(), registered)
