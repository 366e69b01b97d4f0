"""The queue as Python sees it: one method per operation, each one call of the engine."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from cogo_dagster.queue.fault_points import reach
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.model import Enqueued, Job, Json, NewJob, Settlement
from cogo_dagster.queue.transports.base import Transport

_ENQUEUE_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Ask:
    """How many jobs of one family a claim may return; `prefetch` marks jobs that will wait in the worker."""

    family: str
    max_jobs: int
    prefetch: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """The engine's answer to one settlement.

    Attributes:
        status: `ok`, `lease_lost` or `job_not_found`.
        job_status: The job's status now (`queued` when it will be retried); None when there is no such job.
    """

    status: str
    job_status: str | None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did to jobs whose lease had expired."""

    requeued: int
    failed: int
    cancelled: int = 0

    @property
    def changed(self) -> int:
        """All of them."""
        return self.requeued + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Who claims: a stable label, and one id per process start, which the leases belong to."""

    worker_id: str
    instance_id: UUID
    executor_id: str | None = None
    dagster_run_id: str | None = None


class Queue:
    """The engine's client. Thread-safe; owns no connection of its own.

    Every method raises `QueueError` (see `queue.errors`).
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def transport(self) -> Transport:
        """What calls the SQL functions."""
        return self._transport

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Add jobs in order, in batches of 1,000, each batch whole or not at all."""
        enqueued: list[Enqueued] = []
        for first in range(0, len(jobs), _ENQUEUE_BATCH):
            batch = [job.to_json() for job in jobs[first : first + _ENQUEUE_BATCH]]
            answer = self._call("enqueue_jobs", jobs=batch, request_id=str(new_request_id()))
            enqueued.extend(Enqueued(UUID(job["job_id"]), job["created"]) for job in answer["jobs"])
        return enqueued

    def claim(
        self,
        claim_id: UUID,
        asks: Sequence[Ask],
        worker: WorkerIdentity,
        *,
        lease_seconds: int,
        max_jobs: int = 1_000,
        idle: bool | None = None,
    ) -> list[Job]:
        """Lease due jobs, by family. The same `claim_id` again returns the same jobs.

        A claim whose leases were recovered gives nothing more: then this asks again under a new id.

        Args:
            claim_id: A new uuid for each claim.
            asks: How many of which family; those named first are served first.
            worker: Who claims.
            lease_seconds: Length of the leases.
            max_jobs: At most so many in all.
            idle: Whether enqueues should wake this worker from now on; None leaves it.
        """
        answer = self._call(
            "claim_jobs",
            claim_id=str(claim_id),
            families=[{"family": a.family, "max_jobs": a.max_jobs, "prefetch": a.prefetch} for a in asks],
            worker_id=worker.worker_id,
            instance_id=str(worker.instance_id),
            executor_id=worker.executor_id,
            lease_seconds=lease_seconds,
            max_jobs=max_jobs,
            idle=idle,
        )
        if answer.get("claim_ended"):
            return self.claim(uuid4(), asks, worker, lease_seconds=lease_seconds, max_jobs=max_jobs, idle=idle)
        return [Job.from_json(row) for row in answer["jobs"]]

    def fail_unreadable(self, claim_id: UUID, *, every_one: bool = False) -> int:
        """Fail the claimed jobs whose payload breaks the limits, for good, class `unreadable`; return how many.

        Args:
            claim_id: As the claim had it.
            every_one: All jobs of the claim, because one of them cannot be decoded and none looks wrong.
        """
        failed: int = self._call("fail_unreadable_jobs", claim_id=str(claim_id), every_one=every_one)["failed"]
        return failed

    def next_due(self, families: Sequence[str], executor_id: str | None = None) -> float | None:
        """Return in how many seconds the next job of these families becomes due; None when none waits for its time."""
        seconds: float | None = self._call("next_due", families=list(families), executor_id=executor_id)["seconds"]
        return seconds

    def claim_chosen(self, claim_id: UUID, job_ids: Sequence[UUID], worker_id: str, lease_seconds: int) -> list[Job]:
        """Lease these very jobs, also before their time; those that are not queued are left out."""
        answer = self._call(
            "claim_chosen_jobs",
            claim_id=str(claim_id),
            job_ids=[str(job_id) for job_id in job_ids],
            worker_id=worker_id,
            lease_seconds=lease_seconds,
        )
        return [Job.from_json(row) for row in answer["jobs"]]

    def start(self, worker: WorkerIdentity, job_ids: Sequence[UUID]) -> None:
        """Record which prefetched jobs run now, replacing the record before."""
        self._call("start_jobs", instance_id=str(worker.instance_id), job_ids=[str(job_id) for job_id in job_ids])

    def renew(self, jobs: Sequence[Job], lease_seconds: int) -> list[str]:
        """Extend leases; return `ok`, `cancel_requested`, `lease_lost` or `job_not_found` for each job in order."""
        leases = [{"job_id": str(job.id), "lease_token": str(job.lease_token)} for job in jobs]
        statuses: list[str] = self._call("renew_leases", leases=leases, lease_seconds=lease_seconds)["statuses"]
        return statuses

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """End attempts; one answer for each settlement in order. A refused one leaves the others standing."""
        answer = self._call("settle_jobs", settlements=[settlement.to_json() for settlement in settlements])
        return [Settled(*pair) for pair in zip(answer["statuses"], answer["job_statuses"], strict=True)]

    def recover(self, batch_size: int = 500) -> Recovered:
        """Take back all jobs whose lease expired, in batches."""
        requeued = failed = cancelled = 0
        while True:
            answer = self._call("recover_leases", batch_size=batch_size)
            requeued, failed = requeued + answer["requeued"], failed + answer["failed"]
            cancelled += answer["cancelled"]
            if not answer["more"]:
                return Recovered(requeued, failed, cancelled)

    def operate(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Make one call of an operator's bulk function; see `queue.bulk`, which calls it batch by batch."""
        return self._transport.call(function, arguments)

    def pause(self, kind: str, name: str, *, reason: str | None = None, actor: str) -> Json:
        """Claim no more of a `type`, or let an `executor` id claim nothing; return `changed` and `paused_at`."""
        return self._call("pause", kind=kind, name=name, reason=reason, actor=actor)

    def resume(self, kind: str, name: str, *, actor: str) -> Json:
        """End a pause; return `changed`."""
        return self._call("resume", kind=kind, name=name, actor=actor)

    def explain(self, job_ids: Sequence[UUID]) -> list[Json]:
        """Return why jobs are where they are, at most 1,000; see the SQL function `explain_jobs`."""
        rows: list[Json] = self._call("explain_jobs", job_ids=[str(job_id) for job_id in job_ids])
        return rows

    def cancel(self, job_id: UUID, *, actor: str | None = None) -> Json:
        """Cancel a queued job, or ask a running one to stop; return `job_id`, `status`, `cancel_requested`.

        Args:
            actor: Who does this, as `operations_log` keeps it; None names the database's user.
        """
        return self._call("cancel_job", job_id=str(job_id), actor=actor)

    def note(self, operation: str, actor: str, **done_to: Json) -> None:
        """Write down in `operations_log` what somebody did where no function of its own does."""
        self._call("note_operation", note_id=str(new_request_id()), operation=operation, actor=actor, filter=done_to)

    def register_worker(
        self,
        worker: WorkerIdentity,
        *,
        families: Sequence[str],
        concurrency: int,
        pid: int,
        code_version: str,
        heartbeat_seconds: float,
        device: Mapping[str, Json],
    ) -> None:
        """Announce a worker process start and its device."""
        self._call(
            "register_worker",
            instance_id=str(worker.instance_id),
            worker_id=worker.worker_id,
            families=list(families),
            executor_id=worker.executor_id,
            concurrency=concurrency,
            pid=pid,
            code_version=code_version,
            dagster_run_id=worker.dagster_run_id,
            heartbeat_seconds=heartbeat_seconds,
            device=dict(device),
        )

    def heartbeat(self, worker: WorkerIdentity, running: int, metrics: Mapping[str, Json]) -> bool:
        """Say that the worker is alive; `metrics` are totals since its start. False: it must register again."""
        answer = self._call(
            "record_heartbeat", instance_id=str(worker.instance_id), running=running, metrics=dict(metrics)
        )
        return bool(answer["known"])

    def requeue_instance(self, worker: WorkerIdentity) -> int:
        """Give back every job this worker start still holds; return how many."""
        changed: int = self._call("requeue_instance", instance_id=str(worker.instance_id))["changed"]
        return changed

    def stop_worker(self, worker: WorkerIdentity) -> None:
        """Say that the worker start ended in good order."""
        self._call("stop_worker", instance_id=str(worker.instance_id))

    def report_stuck(self, worker: WorkerIdentity, reason: str) -> None:
        """Say that the worker start cannot go on and ends itself."""
        self._call("report_stuck_worker", instance_id=str(worker.instance_id), reason=reason)

    def create_artifacts(self, job: Job, artifacts: Sequence[Mapping[str, Json]]) -> list[Json]:
        """Announce files about to be uploaded; return `artifact_id` and `storage_key` for each in order.

        Raises:
            LeaseLost: The attempt may not leave artifacts any more.
        """
        rows: list[Json] = self._call(
            "create_artifacts",
            job_id=str(job.id),
            lease_token=str(job.lease_token),
            artifacts=[dict(artifact) for artifact in artifacts],
        )["artifacts"]
        return rows

    def finish_artifacts(self, job: Job, artifact_ids: Sequence[str]) -> None:
        """Mark uploaded and verified files as ready.

        Raises:
            LeaseLost: The attempt may not leave artifacts any more.
        """
        self._call(
            "finish_artifacts", job_id=str(job.id), lease_token=str(job.lease_token), artifact_ids=list(artifact_ids)
        )

    def list_abandoned_artifacts(
        self, grace_seconds: int = 300, max_artifacts: int = 100, after_id: str | None = None
    ) -> list[Json]:
        """Return `artifact_id` and `storage_key` of files whose attempt is gone; no key: delete only the row."""
        page = {"max_artifacts": max_artifacts, "after_id": after_id}
        rows: list[Json] = self._call("list_abandoned_artifacts", grace_seconds=grace_seconds, **page)
        return rows

    def delete_artifacts(self, artifact_ids: Sequence[str]) -> int:
        """Forget abandoned artifacts whose objects are gone; return how many."""
        changed: int = self._call("delete_artifacts", artifact_ids=list(artifact_ids))["changed"]
        return changed

    def list_unknown_objects(self, storage_keys: Sequence[str]) -> list[str]:
        """Return the keys among these that no artifact row names."""
        keys: list[str] = self._call("list_unknown_objects", storage_keys=list(storage_keys))
        return keys

    def get_jobs(self, job_ids: Sequence[UUID]) -> list[Json]:
        """Return whole jobs with payload, result, superseded attempts and artifacts, in the order asked."""
        rows: list[Json] = self._call("get_jobs", job_ids=[str(job_id) for job_id in job_ids])
        return rows

    def look_at(self, job_id: UUID, most_chars: int = 65_536) -> Json:
        """Return a whole job without a payload or result that is longer; None where there is none.

        See the SQL function `look_at_job`.
        """
        return self._call("look_at_job", job_id=str(job_id), most_chars=most_chars)

    def list_jobs(self, **filters: Json) -> list[Json]:
        """Return jobs, newest first; filters are the arguments of the SQL function `list_jobs`."""
        return self._list("list_jobs", filters)

    def search_jobs(self, **filters: Json) -> Json:
        """Return a page of jobs as somebody looks for them; filters are the arguments of `search_jobs`."""
        return self._call("search_jobs", **{name: value for name, value in filters.items() if value is not None})

    def get_artifacts(self, artifact_ids: Sequence[UUID]) -> list[Json]:
        """Return artifacts by id, in the order asked."""
        rows: list[Json] = self._call("get_artifacts", artifact_ids=[str(artifact_id) for artifact_id in artifact_ids])
        return rows

    def list_artifacts(self, **filters: Json) -> list[Json]:
        """Return artifacts, newest first; filters are the arguments of `list_artifacts`."""
        return self._list("list_artifacts", filters)

    def list_workers(self, **filters: Json) -> list[Json]:
        """Return worker starts, newest first; filters are the arguments of `list_workers`."""
        return self._list("list_workers", filters)

    def list_heartbeats(self, **filters: Json) -> list[Json]:
        """Return heartbeats of the last day, newest first; filters are the arguments of `list_heartbeats`."""
        return self._list("list_heartbeats", filters)

    def list_dlq(self, **filters: Json) -> list[Json]:
        """Return the dead-letter queue, newest first; filters are the arguments of `list_dlq`."""
        return self._list("list_dlq", filters)

    def list_incidents(self, **filters: Json) -> list[Json]:
        """Return open dead letters by the cause of their error; filters are the arguments of `list_incidents`."""
        return self._list("list_incidents", filters)

    def list_operations(self, **filters: Json) -> list[Json]:
        """Return what operators did, newest first; filters are the arguments of `list_operations`."""
        return self._list("list_operations", filters)

    def list_paused(self) -> list[Json]:
        """Return what is paused, newest first."""
        return self._list("list_paused", {})

    def send_wakeup(self) -> bool:
        """Call all workers; return whether the database can do so over Realtime."""
        return bool(self._call("send_wakeup")["broadcast"])

    def stats(self, executor_id: str | None = None) -> Mapping[str, Json]:
        """Return the queue in numbers; see the SQL function `queue_stats`."""
        numbers: Mapping[str, Json] = self._call("queue_stats", executor_id=executor_id)
        return numbers

    def set_payload_limit(self, max_bytes: int) -> None:
        """Let payloads and results have so many bytes as JSON text, whoever enqueues them."""
        self._call("set_payload_limit", max_bytes=max_bytes)

    def schema_version(self) -> Json:
        """Return `release` and `deployment_id` of the database."""
        return self._call("schema_version")

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()

    def _list(self, function: str, filters: Mapping[str, Json]) -> list[Json]:
        given = {name: value for name, value in filters.items() if value is not None}
        rows: list[Json] = self._call(function, **given)
        return rows

    def _call(self, function: str, **arguments: Json) -> Json:
        reach("before", function)
        answer = self._transport.call(function, arguments)
        reach("after", function)
        return answer


def content_key(type: str, executor_id: str | None, payload: Mapping[str, Json]) -> str:
    """Return the idempotency key of a job's content: SHA-256 of its canonical JSON, in hexadecimal."""
    canonical = json.dumps([type, executor_id, payload], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
