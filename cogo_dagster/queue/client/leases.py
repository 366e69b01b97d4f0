"""What a worker calls for the jobs it has leased: claim, renew, announce files, settle, recover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self
from uuid import UUID, uuid4

from cogo_dagster.queue.model import Job, Json, JsonValue, Settlement
from cogo_dagster.queue.transports.base import Transport


@dataclass(frozen=True, slots=True)
class Ask:
    """How many jobs of one family a claim may return; `prefetch` marks jobs that will wait in the worker."""

    family: str
    max_jobs: int
    prefetch: bool = False


ClaimCursor = Sequence[Json]
"""The priority and the time up to which a claim went: see the SQL function `claim_jobs`."""


class ClaimedJobs(NamedTuple):
    """The jobs of a claim, and where the next one may go on; None where it has to begin again."""

    jobs: list[Job]
    cursor: ClaimCursor | None


@dataclass(frozen=True, slots=True)
class Settled:
    """The engine's answer to one settlement.

    Attributes:
        status: `ok`, `lease_lost` or `job_not_found`.
        job_status: The job's status now (`queued` when it will be retried); None when there is no such job.
    """

    status: str
    job_status: str | None


_SUCCEEDED: Final = Settled("ok", "succeeded")

_MIN_PLAIN_SUCCESSES: Final = 20
"""From here on a second call for them costs less than their documents do."""


@dataclass(frozen=True, slots=True)
class AnnouncedArtifact:
    """A file that is about to be uploaded, and the key to upload it to."""

    artifact_id: UUID
    storage_key: str

    @classmethod
    def from_json(cls, row: Mapping[str, Json]) -> Self:
        """Read an artifact as `create_artifacts` returns it."""
        return cls(UUID(row["artifact_id"]), row["storage_key"])

    def to_json(self) -> dict[str, JsonValue]:
        """Return the artifact as `create_artifacts` returned it."""
        return {"artifact_id": str(self.artifact_id), "storage_key": self.storage_key}


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


class LeaseCalls:
    """What a worker does with jobs."""

    _transport: Transport

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
        """Lease due jobs as `claim_batch` does, from the beginning of the queue."""
        return self.claim_batch(claim_id, asks, worker, lease_seconds=lease_seconds, max_jobs=max_jobs, idle=idle).jobs

    def claim_batch(
        self,
        claim_id: UUID,
        asks: Sequence[Ask],
        worker: WorkerIdentity,
        *,
        lease_seconds: int,
        max_jobs: int = 1_000,
        idle: bool | None = None,
        after: ClaimCursor | None = None,
    ) -> ClaimedJobs:
        """Lease due jobs, by family. The same `claim_id` again returns the same jobs.

        A claim whose leases were recovered returns nothing more: then this claims again under a new id.

        Args:
            claim_id: A new uuid for each claim.
            asks: How many of which family; those named first are served first.
            worker: Who claims.
            lease_seconds: Length of the leases.
            max_jobs: At most this many in all.
            idle: Whether enqueues should wake this worker from now on; None leaves it.
            after: The cursor of an earlier claim: unaddressed jobs of its priority that became due before are left out.
        """
        answer = self._transport.call(
            "claim_jobs",
            {
                "claim_id": str(claim_id),
                "families": [{"family": a.family, "max_jobs": a.max_jobs, "prefetch": a.prefetch} for a in asks],
                "worker_id": worker.worker_id,
                "instance_id": str(worker.instance_id),
                "executor_id": worker.executor_id,
                "lease_seconds": lease_seconds,
                "max_jobs": max_jobs,
                "idle": idle,
                "compact": True,
                "after": after,
            },
        )
        if answer.get("claim_ended"):
            return self.claim_batch(uuid4(), asks, worker, lease_seconds=lease_seconds, max_jobs=max_jobs, idle=idle)
        return ClaimedJobs([Job.from_compact(row, claim_id) for row in answer["jobs"]], answer["cursor"])

    def fail_unreadable(self, claim_id: UUID, *, every_one: bool = False) -> int:
        """Fail the claimed jobs whose payload breaks the limits, for good, class `unreadable`; return how many.

        Args:
            claim_id: As the claim had it.
            every_one: All jobs of the claim, because one of them cannot be decoded and none looks wrong.
        """
        failed: int = self._transport.call("fail_unreadable_jobs", {"claim_id": str(claim_id), "every_one": every_one})[
            "failed"
        ]
        return failed

    def next_due(self, families: Sequence[str], executor_id: str | None = None) -> float | None:
        """Return in how many seconds the next job of these families becomes due; None when none waits for its time."""
        seconds: float | None = self._transport.call(
            "next_due", {"families": list(families), "executor_id": executor_id}
        )["seconds"]
        return seconds

    def claim_chosen(self, claim_id: UUID, job_ids: Sequence[UUID], worker_id: str, lease_seconds: int) -> list[Job]:
        """Lease these very jobs, also before their time; those that are not queued are left out."""
        answer = self._transport.call(
            "claim_chosen_jobs",
            {
                "claim_id": str(claim_id),
                "job_ids": [str(job_id) for job_id in job_ids],
                "worker_id": worker_id,
                "lease_seconds": lease_seconds,
            },
        )
        return [Job.from_json(row) for row in answer["jobs"]]

    def start(self, worker: WorkerIdentity, job_ids: Sequence[UUID]) -> None:
        """Record which prefetched jobs run now, replacing the record before."""
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

    def create_artifacts(self, job: Job, artifacts: Sequence[Mapping[str, object]]) -> list[AnnouncedArtifact]:
        """Announce files about to be uploaded; return where each goes, in order.

        Raises:
            LeaseLost: The attempt may not leave artifacts any more.
        """
        answer = self._transport.call(
            "create_artifacts",
            {
                "job_id": str(job.id),
                "lease_token": str(job.lease_token),
                "artifacts": [dict(artifact) for artifact in artifacts],
            },
        )
        return [AnnouncedArtifact.from_json(row) for row in answer["artifacts"]]

    def finish_artifacts(self, job: Job, artifact_ids: Sequence[UUID | str]) -> None:
        """Mark uploaded and verified files as ready.

        Raises:
            LeaseLost: The attempt may not leave artifacts any more.
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
        """End attempts; one answer for each settlement in order. A rejected one leaves the others standing."""
        plain = [settlement for settlement in settlements if settlement.is_plain_success]
        if len(plain) == len(settlements):
            return self._succeed(plain)
        if len(plain) < _MIN_PLAIN_SUCCESSES:
            return self._settle(settlements)
        recorded = iter(self._succeed(plain))
        others = iter(self._settle([settlement for settlement in settlements if not settlement.is_plain_success]))
        return [next(recorded if settlement.is_plain_success else others) for settlement in settlements]

    def _settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        answer = self._transport.call(
            "settle_jobs", {"settlements": [settlement.to_json() for settlement in settlements]}
        )
        return [Settled(*pair) for pair in zip(answer["statuses"], answer["job_statuses"], strict=True)]

    def _succeed(self, settlements: Sequence[Settlement]) -> list[Settled]:
        tokens = {token: str(token) for token in {one.job.lease_token for one in settlements}}
        arguments: dict[str, Json] = {
            "job_ids": [str(one.job.id) for one in settlements],
            "lease_tokens": [tokens[one.job.lease_token] for one in settlements],
            "run_seconds": [one.run_seconds for one in settlements],
        }
        if any(one.result is not None for one in settlements):
            arguments["results"] = [one.result for one in settlements]
        answer = self._transport.call("succeed_jobs", arguments)
        if answer is None:
            return [_SUCCEEDED] * len(settlements)
        return [Settled(*pair) for pair in zip(answer["statuses"], answer["job_statuses"], strict=True)]

    def recover(self, batch_size: int = 500) -> Recovered:
        """Take back all jobs whose lease expired, in batches."""
        requeued = failed = cancelled = 0
        while True:
            answer = self._transport.call("recover_leases", {"batch_size": batch_size})
            requeued, failed = requeued + answer["requeued"], failed + answer["failed"]
            cancelled += answer["cancelled"]
            if not answer["more"]:
                return Recovered(requeued, failed, cancelled)

    def requeue_instance(self, worker: WorkerIdentity) -> int:
        """Give back every job this worker start still holds; return how many."""
        changed: int = self._transport.call("requeue_instance", {"instance_id": str(worker.instance_id)})["changed"]
        return changed
