"""The calls of a client, run with the package of the last release: `older_client.py migrate|steps|beside DSN`.

It uses the names of that release, which may differ from those of this one.
"""

# It imports the code of the last release.
# mypy: ignore-errors

import select
import sys
from uuid import uuid4

from cogo_dagster.queue.bulk import Operation, perform, preview
from cogo_dagster.queue.client import Ask, Queue, WorkerIdentity
from cogo_dagster.queue.migrate import SCHEMA_RELEASE, migrate, require_current
from cogo_dagster.queue.model import Job, JobError, NewJob, Outcome, Settlement
from cogo_dagster.queue.transports.postgres import PostgresTransport

_BROKEN = JobError("timeout", "The page did not load.")
_HOPELESS = JobError("not_found", "There is no such page.", retryable=False)
_PREPARED_AFTER = 4
"""The release prepares a statement that is executed for the fourth time."""


def cycle(queue: Queue, worker: WorkerIdentity) -> None:
    """Make every call of a client and a worker, and check the results."""
    assert queue.heartbeat(worker, 0, {"counters": {"claimed": 1}})
    key = str(uuid4())
    names = ("done", "retried", "dead", "snoozed", "given back", "cancelled")
    made = queue.enqueue([NewJob("browser", {"url": name}, max_attempts=2) for name in names])
    [first] = queue.enqueue([NewJob("figma", {}, idempotency_key=key)])
    [again] = queue.enqueue([NewJob("figma", {}, idempotency_key=key)])
    assert (again.job_id, again.created) == (first.job_id, False)
    claim_id = uuid4()
    asks = [Ask("browser", len(names), prefetch=True)]
    jobs = queue.claim(claim_id, asks, worker, lease_seconds=600)
    assert queue.claim(claim_id, asks, worker, lease_seconds=600) == jobs
    by_id = {job.id: job for job in jobs}
    held = {name: by_id[one.job_id] for name, one in zip(names, made, strict=True)}
    queue.start(worker, [job.id for job in jobs])
    assert set(queue.renew(jobs, 600)) == {"ok"}
    queue.cancel(held["cancelled"].id, actor="me")
    _leave_a_file(queue, held["done"])
    settled = queue.settle(
        [
            Settlement(held["done"], Outcome.SUCCEEDED, {"status": 200}, run_seconds=1.0),
            Settlement(held["retried"], Outcome.FAILED, error=_BROKEN),
            Settlement(held["dead"], Outcome.FAILED, error=_HOPELESS),
            Settlement(held["snoozed"], Outcome.SNOOZED, delay_seconds=3600),
            Settlement(held["given back"], Outcome.REQUEUED),
            Settlement(held["cancelled"], Outcome.CANCELLED),
        ]
    )
    assert {one.status for one in settled} == {"ok"}
    found = {name: queue.get_jobs([job.id])[0].status for name, job in held.items()}
    assert list(found.values()) == ["succeeded", "queued", "failed", "queued", "queued", "cancelled"], found
    _operate(queue, held["dead"])
    for rows in (queue.list_jobs(), queue.list_workers(), queue.list_heartbeats(), queue.list_operations()):
        assert rows
    assert queue.list_artifacts(job_id=held["done"].id)[0].status == "ready"
    assert queue.stats()
    queue.recover()
    for one in (*made, first):
        if queue.get_jobs([one.job_id])[0].status == "queued":
            queue.cancel(one.job_id)
    perform(queue, Operation("purge_jobs", {"older_than_days": 0, "statuses": ["succeeded", "cancelled"]}), "me")
    assert not queue.get_jobs([held["done"].id])


def _leave_a_file(queue: Queue, job: Job) -> None:
    file = {"name": "a", "content_type": "text/plain", "size_bytes": 1, "sha256": "a" * 64, "extension": "txt"}
    [row] = queue.create_artifacts(job, [file])
    queue.finish_artifacts(job, [row.artifact_id])


def _operate(queue: Queue, dead: Job) -> None:
    named = {"job_ids": [str(dead.id)]}
    assert preview(queue, Operation("replay_dlq", named)).matched == 1
    [made] = perform(queue, Operation("replay_dlq", named), "me").items
    queue.cancel(made["job_id"])


def steps(queue: Queue, worker: WorkerIdentity) -> None:
    """Make the calls once, then shut down gracefully."""
    cycle(queue, worker)
    assert queue.requeue_instance(worker) == 0
    queue.stop_worker(worker)


def beside(queue: Queue, worker: WorkerIdentity) -> None:
    """Repeat the calls, with statements prepared before, until a line on stdin; then make them once more."""
    for _ in range(_PREPARED_AFTER):
        cycle(queue, worker)
    print("ready", flush=True)  # noqa: T201
    cycles = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        cycle(queue, worker)
        cycles += 1
    cycle(queue, worker)
    print(f"{cycles} cycles beside it", flush=True)  # noqa: T201


def main(what: str, dsn: str) -> None:
    """Migrate, or make the calls."""
    if what == "migrate":
        migrate(dsn)
        print(SCHEMA_RELEASE)  # noqa: T201
        return
    require_current(dsn)
    transport = PostgresTransport(dsn, role="service_role", max_connections=1)
    queue, worker = Queue(transport), WorkerIdentity("older", uuid4())
    queue.register_worker(
        worker,
        families=["browser"],
        concurrency=4,
        pid=1,
        code_version="older",
        heartbeat_seconds=10,
        device={"hostname": "box"},
    )
    {"steps": steps, "beside": beside}[what](queue, worker)
    transport.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
