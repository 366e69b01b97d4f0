"""Common steps of queue tests, with defaults for arguments that a test is not about."""

import os
from collections.abc import Sequence
from uuid import UUID, uuid4

from cogo_dagster.queue.client import ClaimRequest, Queue, Settled, WorkerIdentity
from cogo_dagster.queue.model import Job, JobError, Json, NewJob, Outcome, Settlement
from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.rows.jobs import WholeJob

BROKEN = JobError("timeout", "The page did not load.")
PERMANENT = JobError("not_found", "There is no such page.", retryable=False)


def a_worker(worker_id: str = "worker", executor_id: str | None = None) -> WorkerIdentity:
    """Return a new worker instance."""
    return WorkerIdentity(worker_id, uuid4(), executor_id)


def register(
    queue: Queue, worker: WorkerIdentity, *, families: Sequence[str] = ("browser",), concurrency: int = 4
) -> None:
    """Register a worker."""
    queue.register_worker(
        worker,
        families=families,
        concurrency=concurrency,
        pid=os.getpid(),
        code_version="1.2.3",
        heartbeat_seconds=10,
        device={"hostname": "box", "cpu_count": 2},
    )


def add(queue: Queue, type: str = "browser", **options: Json) -> UUID:
    """Enqueue one job."""
    return queue.enqueue([NewJob(type, **options)])[0].job_id


def add_all(queue: Queue, count: int, type: str = "browser", **options: Json) -> list[UUID]:
    """Enqueue equal jobs in one call."""
    return [enqueued.job_id for enqueued in queue.enqueue([NewJob(type, **options) for _ in range(count)])]


def take(
    queue: Queue,
    max_jobs: int = 100,
    *,
    families: Sequence[str] = ("browser",),
    worker: WorkerIdentity | None = None,
    claim_id: UUID | None = None,
    lease_seconds: int = 60,
    prefetch: bool = False,
) -> list[Job]:
    """Claim due jobs."""
    requests = [ClaimRequest(family, max_jobs, prefetch) for family in families]
    return queue.claim(
        claim_id or uuid4(), requests, worker or a_worker(), lease_seconds=lease_seconds, max_jobs=max_jobs
    ).jobs


def take_one(queue: Queue, *, worker: WorkerIdentity | None = None, prefetch: bool = False) -> Job:
    """Claim the one due job."""
    [job] = take(queue, 1, worker=worker, prefetch=prefetch)
    return job


def running_job(queue: Queue, type: str = "browser", **options: Json) -> Job:
    """Enqueue a job and claim it."""
    job_id = add(queue, type, **options)
    [job] = take(queue, 1, families=[type.partition(".")[0]])
    assert job.id == job_id
    return job


def settle(
    queue: Queue,
    job: Job,
    outcome: Outcome = Outcome.SUCCEEDED,
    *,
    result: Json = None,
    error: JobError | None = None,
    delay_seconds: float | None = None,
    run_seconds: float | None = None,
) -> Settled:
    """Settle one attempt."""
    [settled] = queue.settle([Settlement(job, outcome, result, error, delay_seconds, run_seconds)])
    return settled


def whole(queue: Queue, job: Job | UUID) -> WholeJob:
    """Return the job as it is stored."""
    [found] = queue.get_jobs([job.id if isinstance(job, Job) else job])
    return found


def look(queue: Queue, job: Job | UUID) -> Json:
    """Return the job's document from the database."""
    return whole(queue, job).document


def documents(rows: Sequence[Row]) -> list[Json]:
    """Return the documents of the rows."""
    return [row.document for row in rows]


def dead_letters(queue: Queue) -> list[Json]:
    """Return the open rows of the DLQ."""
    return documents(queue.list_dlq())
