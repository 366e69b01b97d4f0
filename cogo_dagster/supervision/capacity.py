"""Decides how many workers to start. Pure functions of the state that the sensor reads."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from cogo_dagster.queue.rows.stats import QueueStats
from cogo_dagster.queue.rows.workers import RegisteredFamily, WorkerRow

JOBS_PER_WORKER: Final = 200
"""Due jobs per worker: a launch takes 5-8 s, in which a worker runs some hundred light jobs."""

MAX_WAIT_SECONDS: Final = 30.0
"""Wait of the oldest due job after which busy workers get another worker: a launch takes 5-8 s."""

MAX_UNCLAIMED_SECONDS: Final = 120.0
"""Wait of the oldest due job after which another worker is started even if slots seem to be free."""

MAX_REGISTRATIONS: Final = 5
"""Number of newest workers whose families a new worker certainly runs."""

RETRY_SECONDS: Final = 600.0
"""Time between launches for a family that none of the newest workers registered, but an earlier one."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Due jobs, and the workers for them.

    Attributes:
        ready: Due jobs of families that a new worker can run.
        orphaned: Running jobs whose worker is dead; they become due when their leases expire.
        workers_alive: Live workers that can run the due jobs.
        workers_starting: Launched runs that have not registered a worker yet, including queued runs.
        runs_alive: Live workers that are Dagster runs, of all families.
        slots: Slots of the workers in `workers_alive`.
        slots_free: Free slots of the workers in `workers_alive`.
        oldest_seconds: Time since the oldest of the ready jobs became due, or an estimate.
    """

    ready: int
    orphaned: int
    workers_alive: int
    workers_starting: int
    runs_alive: int = 0
    slots: int = 0
    slots_free: int = 0
    oldest_seconds: float = 0


def demand(
    stats: QueueStats,
    runnable: Collection[str],
    workers: Sequence[WorkerRow],
    ended_runs: Collection[str],
    workers_starting: int,
) -> Demand:
    """Compute the demand from the state of the queue.

    Args:
        stats: `Queue.stats()` of the jobs that a new worker may claim.
        runnable: Families that a new worker can run.
        workers: Workers with a recent heartbeat.
        ended_runs: IDs of finished Dagster runs: their workers are dead, even with a recent heartbeat.
        workers_starting: See `Demand`.
    """
    alive = [worker for worker in workers if worker.dagster_run_id not in ended_runs]
    instances = {str(worker.instance_id) for worker in alive}
    ready = {family: n for family, n in stats.ready_by_family.items() if family in runnable}
    serving = [worker for worker in alive if not ready or set(ready) & set(worker.families)]
    slots = sum(worker.concurrency for worker in serving)
    return Demand(
        ready=sum(ready.values()),
        # Clients that claim without an instance ID ("") send no heartbeats: only their expired leases are known.
        orphaned=sum(n for instance, n in stats.running_by_instance.items() if instance and instance not in instances),
        workers_alive=len(serving),
        workers_starting=workers_starting,
        runs_alive=sum(1 for worker in alive if worker.dagster_run_id),
        slots=slots,
        slots_free=sum(max(worker.concurrency - worker.running, 0) for worker in serving),
        oldest_seconds=_oldest_seconds(stats, runnable, sum(ready.values()), slots),
    )


def _oldest_seconds(stats: QueueStats, runnable: Collection[str], ready: int, slots: int) -> float:
    """Return how long the oldest ready job has waited; the statistic covers all families.

    If it includes a family that no worker runs, it is not usable: then twice as many jobs as slots count as a wait.
    """
    oldest = stats.oldest_ready_seconds
    if {family for family, n in stats.ready_by_family.items() if n} <= set(runnable):
        return oldest
    return min(oldest, MAX_WAIT_SECONDS) if ready >= 2 * slots else 0


def workers_to_start(demand: Demand, max_workers: int) -> int:
    """Return how many workers to launch now: 0 or 1, so that each launch considers the effect of the previous one.

    There is at least one worker while a job is due or orphaned, and one per 200 due jobs; one more if all slots are
    busy and a job has waited for 30 s, or if a job has not been claimed for 120 s. At most `max_workers` Dagster runs.
    """
    if not demand.ready and not demand.orphaned:
        return 0
    existing = demand.workers_alive + demand.workers_starting
    wanted = max(1, -(-demand.ready // JOBS_PER_WORKER), demand.workers_alive + 1 if _is_too_slow(demand) else 0)
    remaining = max_workers - demand.runs_alive - demand.workers_starting
    return min(max(min(wanted, max_workers) - existing, 0), max(remaining, 0), 1)


def _is_too_slow(demand: Demand) -> bool:
    """Whether the live workers do not keep up, even with few due jobs."""
    if not demand.workers_alive or not demand.ready:
        return False
    busy = demand.slots > 0 and demand.slots_free == 0
    return demand.oldest_seconds >= (MAX_WAIT_SECONDS if busy else MAX_UNCLAIMED_SECONDS)


def recovery_needed(demand: Demand, expired_leases: int) -> bool:
    """Whether to recover expired leases in a separate run: only if there is no worker and none is starting."""
    return expired_leases > 0 and not demand.workers_alive and not demand.workers_starting


def runnable_families(own: Collection[str], registered: Sequence[RegisteredFamily]) -> set[str]:
    """Return the families that a new worker can run.

    Runs may be launched on machines with other settings than this one, so that registered families take precedence
    over those of this process. A family that the newest workers lack may be that of another machine: it is included
    again when no worker has registered for ten minutes.

    Args:
        own: Families that this process can run.
        registered: Families that recently launched workers registered.
    """
    if not registered:
        return set(own)
    last_seconds = min(family.seconds for family in registered)
    retried = last_seconds >= RETRY_SECONDS
    return {row.family for row in registered if retried or row.newer < MAX_REGISTRATIONS}


def is_surplus(run_id: str, under_way: Sequence[str], max_workers: int) -> bool:
    """Whether a starting run exceeds the maximum number of runs.

    Args:
        run_id: ID of the starting run.
        under_way: IDs of the live runs of `process_jobs`, oldest first.
        max_workers: Maximum number of runs.
    """
    older = under_way.index(run_id) if run_id in under_way else len(under_way)
    return older >= max_workers
