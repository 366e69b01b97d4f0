"""How many workers to start for what waits. Pure: the sensor reads, this decides, Dagster launches."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from cogo_dagster.queue.rows.stats import QueueStats
from cogo_dagster.queue.rows.workers import WorkerRow

JOBS_PER_WORKER: Final = 200
"""Waiting jobs that justify one more worker: a launch costs 5-8 s, time for some hundred light jobs."""

PATIENCE_SECONDS: Final = 30.0
"""So long the oldest due job may wait for a busy worker before another one is started: a launch takes 5-8 s."""

UNTAKEN_SECONDS: Final = 120.0
"""A job that nobody has taken for so long needs another worker, also where slots seem to be free."""

REGISTERED_WORKERS: Final = 5
"""So many of the newest workers say which families a new one could run."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What waits, and who is there to do it.

    Attributes:
        ready: Jobs due now, of families that a new worker can run.
        orphaned: Running jobs whose worker is gone; they become due when their leases expire.
        workers_alive: Workers that can run what waits.
        workers_starting: Runs launched that have not registered a worker yet, those in Dagster's queue among them.
        runs_alive: Living workers that are Dagster runs, whatever they can run.
        slots: Jobs at once that the workers in `workers_alive` can run.
        slots_free: Of these, those that are not in use.
        oldest_seconds: How long the oldest of the ready jobs has been due, as far as that is known.
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
    """Read the demand off the queue's numbers.

    Args:
        stats: `Queue.stats()` of the jobs a new worker may claim.
        runnable: Families a new worker can run; it would wait in vain beside jobs of others.
        workers: The workers with a fresh heartbeat.
        ended_runs: Ids of Dagster runs that have ended: their workers are gone, however fresh the heartbeat.
        workers_starting: See `Demand`.
    """
    there = [worker for worker in workers if worker.dagster_run_id not in ended_runs]
    instances = {str(worker.instance_id) for worker in there}
    ready = {family: n for family, n in stats.ready_by_family.items() if family in runnable}
    serving = [worker for worker in there if not ready or set(ready) & set(worker.families)]
    slots = sum(worker.concurrency for worker in serving)
    return Demand(
        ready=sum(ready.values()),
        # Who claimed without an instance id ("") sends no heartbeat either: expired leases tell when it is gone.
        orphaned=sum(n for instance, n in stats.running_by_instance.items() if instance and instance not in instances),
        workers_alive=len(serving),
        workers_starting=workers_starting,
        runs_alive=sum(1 for worker in there if worker.dagster_run_id),
        slots=slots,
        slots_free=sum(max(worker.concurrency - worker.running, 0) for worker in serving),
        oldest_seconds=_oldest_seconds(stats, runnable, sum(ready.values()), slots),
    )


def _oldest_seconds(stats: QueueStats, runnable: Collection[str], ready: int, slots: int) -> float:
    """Read how long the oldest ready job has waited; the number is of all families.

    With a family that nobody runs among them it says nothing of the others: then two rounds of jobs count as a wait.
    """
    oldest = stats.oldest_ready_seconds
    if {family for family, n in stats.ready_by_family.items() if n} <= set(runnable):
        return oldest
    return min(oldest, PATIENCE_SECONDS) if ready >= 2 * slots else 0


def workers_to_start(demand: Demand, max_workers: int) -> int:
    """Return how many workers to launch now, at most one, so that each launch sees what the one before changed.

    At least one while anything is due or orphaned; one per 200 jobs due; one more where all slots are in use and a job
    has waited half a minute, or where nobody takes a job for two minutes. Never more Dagster runs than `max_workers`.
    """
    if not demand.ready and not demand.orphaned:
        return 0
    there = demand.workers_alive + demand.workers_starting
    wanted = max(1, -(-demand.ready // JOBS_PER_WORKER), demand.workers_alive + 1 if _is_too_slow(demand) else 0)
    room = max_workers - demand.runs_alive - demand.workers_starting
    return min(max(min(wanted, max_workers) - there, 0), max(room, 0), 1)


def _is_too_slow(demand: Demand) -> bool:
    """Whether the workers that are there do not keep up, however few jobs wait."""
    if not demand.workers_alive or not demand.ready:
        return False
    busy = demand.slots > 0 and demand.slots_free == 0
    return demand.oldest_seconds >= (PATIENCE_SECONDS if busy else UNTAKEN_SECONDS)


def recovery_needed(demand: Demand, expired_leases: int) -> bool:
    """Whether to recover expired leases apart: workers do it themselves, so only when none is there or coming."""
    return expired_leases > 0 and not demand.workers_alive and not demand.workers_starting


def runnable_families(own: Collection[str], registered: Sequence[Collection[str | None]]) -> set[str]:
    """Return the families that a new worker can run.

    Runs may be launched on machines with other settings than the one that decides, so what the newest workers have
    registered counts more than what could be run here.

    Args:
        own: Families that could be run here.
        registered: Families of the workers that were launched as runs lately, newest first.
    """
    newest = registered[:REGISTERED_WORKERS]
    return {family for families in newest for family in families if family} if newest else set(own)


def is_surplus(run_id: str, under_way: Sequence[str], max_workers: int) -> bool:
    """Whether a run that begins is one too many: so many older ones are at work already.

    Args:
        under_way: Ids of the runs of `process_jobs` that start or work and are not dead, oldest first.
    """
    older = under_way.index(run_id) if run_id in under_way else len(under_way)
    return older >= max_workers
