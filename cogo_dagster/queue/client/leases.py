"""Calls of a worker for leased jobs: claim, renew, create artifacts, settle, recover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self
from uuid import UUID, uuid4

from cogo_dagster.queue.model import Job, Json, JsonValue, Settlement
from cogo_dagster.queue.transports.base import Transport, TypedCall


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """The number of jobs of one family that a claim may return; `prefetch` marks jobs that will wait in the worker."""

    family: str
    max_jobs: int
    prefetch: bool = False


ClaimCursor = Sequence[Json]
"""A priority and a time, as the SQL function `claim_jobs` returns them."""


class ClaimedJobs(NamedTuple):
    """The jobs of a claim and the cursor for the next claim; None if it must start from the beginning."""

    jobs: list[Job]
    cursor: ClaimCursor | None


@dataclass(frozen=True, slots=True)
class Settled:
    """The result of one settlement.

    Attributes:
        status: `ok`, `lease_lost` or `job_not_found`.
        job_status: The job's status afterwards (`queued` if it will be retried); None if there is no such job.
    """

    status: str
    job_status: str | None


_SUCCEEDED: Final = Settled("ok", "succeeded")

_MIN_PLAIN_SUCCESSES: Final = 20
"""With fewer, a second call costs more than it saves."""


@dataclass(frozen=True, slots=True)
class CreatedArtifact:
    """An artifact to be uploaded, with its storage key."""

    artifact_id: UUID
    storage_key: str

    @classmethod
    def from_json(cls, row: Mapping[str, Json]) -> Self:
        """Parse an artifact as `create_artifacts` returns it."""
        return cls(UUID(row["artifact_id"]), row["storage_key"])

    def to_json(self) -> dict[str, JsonValue]:
        """Return the artifact as `create_artifacts` returned it."""
        return {"artifact_id": str(self.artifact_id), "storage_key": self.storage_key}


@dataclass(frozen=True, slots=True)
class Recovered:
    """The result of a recovery of expired leases."""

    requeued: int
    failed: int
    cancelled: int = 0

    @property
    def changed(self) -> int:
        """The total number of jobs."""
        return self.requeued + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """The identity of a worker: a stable label, and an ID per process start, which owns the leases."""

    worker_id: str
    instance_id: UUID
    executor_id: str | None = None
    dagster_run_id: str | None = None


class ClaimEnded(Exception):
    """A lease of this claim was recovered, so that the claim returns no jobs."""


def claim_call(
    claim_id: UUID,
    requests: Sequence[ClaimRequest],
    worker: WorkerIdentity,
    *,
    lease_seconds: int,
    max_jobs: int,
    idle: bool | None,
    after: ClaimCursor | None,
) -> TypedCall[ClaimedJobs]:
    """Return the call of `LeaseCalls.claim`; reading its reply raises `ClaimEnded`."""

    def read(result: Json) -> ClaimedJobs:
        if result.get("claim_ended"):
            raise ClaimEnded
        return ClaimedJobs(Job.list_from_compact(result["jobs"], claim_id), result["cursor"])

    arguments = {
        "claim_id": str(claim_id),
        "families": [{"family": a.family, "max_jobs": a.max_jobs, "prefetch": a.prefetch} for a in requests],
        "worker_id": worker.worker_id,
        "instance_id": str(worker.instance_id),
        "executor_id": worker.executor_id,
        "lease_seconds": lease_seconds,
        "max_jobs": max_jobs,
        "idle": idle,
        "compact": True,
        "after": after,
    }
    return TypedCall("claim_jobs", arguments, read)


def success_call(settlements: Sequence[Settlement]) -> TypedCall[list[Settled]]:
    """Return the call that settles plain successes."""

    def read(result: Json) -> list[Settled]:
        if result is None:
            return [_SUCCEEDED] * len(settlements)
        return [Settled(*pair) for pair in zip(result["statuses"], result["job_statuses"], strict=True)]

    arguments: dict[str, Json] = {
        "job_ids": [str(settlement.job.id) for settlement in settlements],
        "lease_tokens": _texts([settlement.job.lease_token for settlement in settlements]),
        "run_seconds": [settlement.run_seconds for settlement in settlements],
    }
    if any(settlement.result is not None for settlement in settlements):
        arguments["results"] = [settlement.result for settlement in settlements]
    return TypedCall("succeed_jobs", arguments, read)


class LeaseCalls:
    """Calls of a worker."""

    _transport: Transport

    def claim(
        self,
        claim_id: UUID,
        requests: Sequence[ClaimRequest],
        worker: WorkerIdentity,
        *,
        lease_seconds: int,
        max_jobs: int = 1_000,
        idle: bool | None = None,
        after: ClaimCursor | None = None,
    ) -> ClaimedJobs:
        """Lease due jobs, by family. The same `claim_id` returns the same jobs again.

        Once a lease of a claim has been recovered, the claim returns no jobs; the client then claims under a new ID.

        Args:
            claim_id: A new UUID for each claim.
            requests: The number of jobs per family; earlier families are served first.
            worker: The claiming worker.
            lease_seconds: Length of the leases.
            max_jobs: Maximum number of jobs in total.
            idle: Whether enqueues should wake this worker; None keeps the current value.
            after: The cursor of an earlier claim; unaddressed jobs of its priority that became due earlier are skipped.
        """
        call = claim_call(
            claim_id, requests, worker, lease_seconds=lease_seconds, max_jobs=max_jobs, idle=idle, after=after
        )
        try:
            return call.read(self._transport.call(call.function, call.arguments))
        except ClaimEnded:
            return self.claim(uuid4(), requests, worker, lease_seconds=lease_seconds, max_jobs=max_jobs, idle=idle)

    def prepare_claim(self, worker: WorkerIdentity, max_jobs: int) -> None:
        """Claim from a family that no job can have: a connection is open and the claim planned before the first one."""
        self.claim(uuid4(), [ClaimRequest("", max_jobs)], worker, lease_seconds=60, max_jobs=max_jobs)

    def prepare_settle(self) -> None:
        """Settle no jobs, for the same reason."""
        self._succeed([])

    def fail_unreadable(self, claim_id: UUID, *, every_one: bool = False) -> int:
        """Fail claimed jobs with a payload beyond the limits permanently as `unreadable`; return how many.

        Args:
            claim_id: The ID of the claim.
            every_one: Whether to fail all jobs of the claim, because its reply cannot be decoded and every
                payload is within the limits.
        """
        failed: int = self._transport.call("fail_unreadable_jobs", {"claim_id": str(claim_id), "every_one": every_one})[
            "failed"
        ]
        return failed

    def next_due(self, families: Sequence[str], executor_id: str | None = None) -> float | None:
        """Return the seconds until the next job of these families becomes due; None if no job is scheduled."""
        seconds: float | None = self._transport.call(
            "next_due", {"families": list(families), "executor_id": executor_id}
        )["seconds"]
        return seconds

    def claim_chosen(self, claim_id: UUID, job_ids: Sequence[UUID], worker_id: str, lease_seconds: int) -> list[Job]:
        """Lease the given jobs, even if they are not due; jobs that are not queued are skipped."""
        result = self._transport.call(
            "claim_chosen_jobs",
            {
                "claim_id": str(claim_id),
                "job_ids": [str(job_id) for job_id in job_ids],
                "worker_id": worker_id,
                "lease_seconds": lease_seconds,
            },
        )
        return [Job.from_json(row) for row in result["jobs"]]

    def start(self, worker: WorkerIdentity, job_ids: Sequence[UUID]) -> None:
        """Record which prefetched jobs are running, replacing the previous record."""
        self._transport.call(
            "start_jobs", {"instance_id": str(worker.instance_id), "job_ids": [str(job_id) for job_id in job_ids]}
        )

    def renew(self, jobs: Sequence[Job], lease_seconds: int) -> list[str]:
        """Extend leases; return `ok`, `cancel_requested`, `lease_lost` or `job_not_found` for each job in order."""
        leases = [{"job_id": str(job.id), "lease_token": str(job.lease_token)} for job in jobs]
        statuses: list[str] = self._transport.call("renew_leases", {"leases": leases, "lease_seconds": lease_seconds})[
            "statuses"
        ]
        return statuses

    def create_artifacts(self, job: Job, artifacts: Sequence[Mapping[str, object]]) -> list[CreatedArtifact]:
        """Create artifacts to be uploaded; return them with their keys, in order.

        Raises:
            LeaseLost: The lease is lost.
        """
        result = self._transport.call(
            "create_artifacts",
            {
                "job_id": str(job.id),
                "lease_token": str(job.lease_token),
                "artifacts": [dict(artifact) for artifact in artifacts],
            },
        )
        return [CreatedArtifact.from_json(row) for row in result["artifacts"]]

    def finish_artifacts(self, job: Job, artifact_ids: Sequence[UUID | str]) -> None:
        """Mark uploaded and verified artifacts as ready.

        Raises:
            LeaseLost: The lease is lost.
        """
        self._transport.call(
            "finish_artifacts",
            {
                "job_id": str(job.id),
                "lease_token": str(job.lease_token),
                "artifact_ids": [str(artifact_id) for artifact_id in artifact_ids],
            },
        )

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Settle attempts; return a result for each, in order. A rejected settlement does not affect the others."""
        plain = [settlement for settlement in settlements if settlement.is_plain_success]
        if len(plain) == len(settlements):
            return self._succeed(plain)
        if len(plain) < _MIN_PLAIN_SUCCESSES:
            return self._settle(settlements)
        recorded = iter(self._succeed(plain))
        others = iter(self._settle([settlement for settlement in settlements if not settlement.is_plain_success]))
        return [next(recorded if settlement.is_plain_success else others) for settlement in settlements]

    def _settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        arguments = {"settlements": [settlement.to_json() for settlement in settlements]}
        if any(settlement.stored for settlement in settlements):
            result = self._transport.call("settle_with_artifacts", arguments)
        else:
            result = self._transport.call("settle_jobs", arguments)
        return [Settled(*pair) for pair in zip(result["statuses"], result["job_statuses"], strict=True)]

    def _succeed(self, settlements: Sequence[Settlement]) -> list[Settled]:
        call = success_call(settlements)
        return call.read(self._transport.call(call.function, call.arguments))

    def recover(self, batch_size: int = 500) -> Recovered:
        """Recover all jobs with expired leases, in batches."""
        requeued = failed = cancelled = 0
        while True:
            result = self._transport.call("recover_leases", {"batch_size": batch_size})
            requeued, failed = requeued + result["requeued"], failed + result["failed"]
            cancelled += result["cancelled"]
            if not result["more"]:
                return Recovered(requeued, failed, cancelled)

    def requeue_instance(self, worker: WorkerIdentity) -> int:
        """Requeue every job that this worker holds; return how many."""
        changed: int = self._transport.call("requeue_instance", {"instance_id": str(worker.instance_id)})["changed"]
        return changed


def _texts(ids: Sequence[UUID]) -> list[str]:
    """Return UUIDs as texts; each run of the same object is formatted once."""
    texts: list[str] = []
    last, text = None, ""
    for one in ids:
        if one is not last:
            last, text = one, str(one)
        texts.append(text)
    return texts
