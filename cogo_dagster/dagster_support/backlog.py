"""Reads the input of the queue's sensors: due jobs, workers, and the dead-letter queue."""

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.run_status import ENDED
from cogo_dagster.dagster_support.worker_runs import count_starting, living_workers, newest_workers
from cogo_dagster.executors.registry import families, left_to_others
from cogo_dagster.queue.rows.dead_letters import DeadLetter
from cogo_dagster.queue.rows.stats import QueueStats
from cogo_dagster.supervision.capacity import Demand, demand, runnable_families

_MAX_DEAD_LETTERED: Final = 10_000
_PAGE: Final = 1_000
_KNOWN_FOR: Final = timedelta(days=7)
"""Maximum age of a registration from which the families of new workers are derived; later, a new worker registers."""

_LOADED_AT: Final = datetime.now(UTC)
"""Earlier registrations do not count, since the code server is restarted after a change of settings."""


def read_demand(instance: dg.DagsterInstance, cogo: CogoResource) -> tuple[Demand, int]:
    """Return the demand for workers and the number of expired leases."""
    stats = _stats(cogo)
    alive, newest = living_workers(cogo.queue), newest_workers(cogo.queue)
    runs = [worker.dagster_run_id for worker in alive if worker.dagster_run_id]
    ended = instance.get_runs(dg.RunsFilter(run_ids=runs, statuses=ENDED)) if runs else []
    found = demand(
        stats,
        _runnable(cogo),
        alive,
        {run.run_id for run in ended},
        count_starting(instance, [*alive, *newest]),
    )
    return found, stats.expired_leases


def unserved(cogo: CogoResource) -> dict[str, int]:
    """Return the number of due jobs by family, for families that no worker, present or new, can run."""
    due = _stats(cogo).ready_by_family
    served = {family for worker in living_workers(cogo.queue) for family in worker.families}
    return {family: n for family, n in due.items() if n and family not in served | _runnable(cogo)}


def open_dead_lettered(cogo: CogoResource) -> list[DeadLetter]:
    """Return the open dead-lettered jobs, at most the newest ten thousand."""
    jobs: list[DeadLetter] = []
    while len(jobs) < _MAX_DEAD_LETTERED:
        before = jobs[-1].cursor("failed_at", "job_id") if jobs else None
        page = cogo.queue.list_dlq(max_jobs=_PAGE, before=before)
        if not page:
            break
        jobs.extend(page)
    return jobs


def is_under_way(instance: dg.DagsterInstance, job_name: str, max_seconds: float) -> bool:
    """Whether a run of a Dagster job is queued or running. A run older than its maximum runtime is ignored."""
    queued = dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.QUEUED])
    begun = dg.RunsFilter(
        job_name=job_name,
        statuses=[dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
        updated_after=datetime.now(UTC) - timedelta(seconds=max_seconds),
    )
    return any(instance.get_runs(chosen, limit=1) for chosen in (queued, begun))


def _stats(cogo: CogoResource) -> QueueStats:
    # Without an EXECUTOR_ID a worker claims unaddressed jobs only; no job is addressed to an empty ID.
    return cogo.queue.stats(executor_id=cogo.application.settings.executor_id or "")


def _runnable(cogo: CogoResource) -> set[str]:
    seconds = min(_KNOWN_FOR, max(datetime.now(UTC) - _LOADED_AT, timedelta())).total_seconds()
    own = families().keys() - left_to_others(cogo.application.settings).keys()
    return runnable_families(own, cogo.queue.registered_families(seconds))
