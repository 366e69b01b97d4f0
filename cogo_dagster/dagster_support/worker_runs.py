"""Runs of process_jobs, combined with the workers that they run."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord

from cogo_dagster.dagster_support.run_status import seconds_since
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.rows.workers import WorkerRow
from cogo_dagster.supervision.zombies import WorkerRun, is_starting, worker_run

PROCESS_JOBS: Final = "process_jobs"
READY_JOBS: Final = "ready_jobs"

DEPLOYMENT_TAG: Final = "cogo/deployment"
"""Deployment whose queue a run uses: several queues may share Dagster's storage."""

SENSOR_TAG: Final = "dagster/sensor_name"

MAX_JOB_SECONDS: Final = 86_400.0
"""Maximum `timeout_seconds` of a job. A run finishes its jobs after it has stopped claiming."""

MAX_GRACE_SECONDS: Final = 3_600.0
"""Maximum COGO_GRACE_SECONDS."""

_MARGIN_SECONDS: Final = 600.0
_STARTING_SECONDS: Final = 180
_PAGE: Final = 1_000
_MAX_WORKERS: Final = 10_000


def max_runtime_seconds(run_seconds: float, grace_seconds: float) -> int:
    """Return the runtime after which Dagster ends a run of process_jobs, whatever the state of its worker."""
    return int(run_seconds + MAX_JOB_SECONDS + grace_seconds + _MARGIN_SECONDS)


def living_workers(queue: Queue) -> list[WorkerRow]:
    """Return all workers with a recent heartbeat."""
    workers: list[WorkerRow] = []
    while len(workers) < _MAX_WORKERS:
        before = workers[-1].cursor("started_at", "instance_id") if workers else None
        page = queue.list_workers(alive_only=True, before=before, max_workers=_PAGE)
        workers += page
        if len(page) < _PAGE:
            break
    return workers


def newest_workers(queue: Queue) -> list[WorkerRow]:
    """Return the last started workers, dead ones included, newest first."""
    return queue.list_workers(max_workers=_PAGE)


def begun_runs(instance: dg.DagsterInstance, statuses: Sequence[dg.DagsterRunStatus]) -> list[RunRecord]:
    """Return the runs of process_jobs with one of these statuses, oldest first."""
    chosen = dg.RunsFilter(job_name=PROCESS_JOBS, statuses=list(statuses))
    return sorted(instance.get_run_records(chosen), key=lambda record: record.storage_id)


def with_workers(records: Sequence[RunRecord], workers: Sequence[WorkerRow]) -> list[WorkerRun]:
    """Return runs with the state of their workers."""
    return [worker_run(record.dagster_run.run_id, _seconds_in_status(record), workers) for record in records]


def under_way(instance: dg.DagsterInstance, queue: Queue) -> list[str]:
    """Return the IDs of the runs that are starting or working, oldest first."""
    records = begun_runs(instance, [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    workers = [*living_workers(queue), *newest_workers(queue)]
    return [run.run_id for run in with_workers(records, workers) if run.alive or is_starting(run)]


def count_starting(instance: dg.DagsterInstance, workers: Sequence[WorkerRow]) -> int:
    """Return the number of runs that have not registered a worker: runs in Dagster's queue, and starting runs.

    Args:
        workers: Recently started workers, dead ones included: a run whose worker has died is not starting.
    """
    queued = instance.get_runs_count(dg.RunsFilter(job_name=PROCESS_JOBS, statuses=[dg.DagsterRunStatus.QUEUED]))
    registered = {worker.dagster_run_id for worker in workers}
    begun = dg.RunsFilter(
        job_name=PROCESS_JOBS,
        statuses=[dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
        updated_after=datetime.now(UTC) - timedelta(seconds=_STARTING_SECONDS),
    )
    return queued + sum(run.run_id not in registered for run in instance.get_runs(begun))


def _seconds_in_status(record: RunRecord) -> float:
    # Not since its creation: a run may have waited in Dagster's queue for hours.
    since = record.start_time if record.dagster_run.status is dg.DagsterRunStatus.STARTED else None
    return seconds_since(since or record.update_timestamp.timestamp())
