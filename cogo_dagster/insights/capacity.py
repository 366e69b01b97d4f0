"""How many workers to start for what waits. Pure: the sensor reads, this decides, Dagster launches."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cogo_dagster.queue.model import Json

JOBS_PER_WORKER: Final = 200
"""Waiting jobs that justify one more worker: a launch costs 5-8 s, time for some hundred light jobs."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What waits, and who is there to do it.

    Attributes:
        ready: Jobs due now.
        orphaned: Running jobs whose worker is gone; they become due when their leases expire.
        workers_alive: Workers that can run what waits.
        workers_starting: Runs launched that have not registered a worker yet.
    """

    ready: int
    orphaned: int
    workers_alive: int
    workers_starting: int


def demand(
    stats: Mapping[str, Json],
    runnable: Collection[str],
    workers: Sequence[Mapping[str, Json]],
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
    there = [worker for worker in workers if worker["dagster_run_id"] not in ended_runs]
    instances = {worker["instance_id"] for worker in there}
    ready = {family: n for family, n in stats["ready_by_family"].items() if family in runnable}
    families = set(ready)
    return Demand(
        ready=sum(ready.values()),
        # Who claimed without an instance id ("") sends no heartbeat either: expired leases tell when it is gone.
        orphaned=sum(
            n for instance, n in stats["running_by_instance"].items() if instance and instance not in instances
        ),
        workers_alive=sum(1 for worker in there if not families or families & set(worker["families"])),
        workers_starting=workers_starting,
    )


def workers_to_start(demand: Demand, max_workers: int) -> int:
    """Return how many workers to launch now, at most one, so that each launch sees what the one before changed.

    One worker per 200 jobs due, at least one while anything is due or orphaned, never more than `max_workers`.
    """
    if not demand.ready and not demand.orphaned:
        return 0
    wanted = min(max(1, -(-demand.ready // JOBS_PER_WORKER)), max_workers)
    return min(max(wanted - demand.workers_alive - demand.workers_starting, 0), 1)


def recovery_needed(demand: Demand, expired_leases: int) -> bool:
    """Whether to recover expired leases apart: workers do it themselves, so only when none is there or coming."""
    return expired_leases > 0 and not demand.workers_alive and not demand.workers_starting
