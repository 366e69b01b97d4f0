"""Artifacts: announce, finish, read, sweep."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from cogo_dagster.queue.client.calls import Calls
from cogo_dagster.queue.model import Job, Json
from cogo_dagster.queue.rows.artifacts import AbandonedArtifact, AnnouncedArtifact, ArtifactRow
from cogo_dagster.queue.rows.base import Cursor, read_list


class ArtifactCalls(Calls):
    """What is done with the rows of files."""

    def create_artifacts(self, job: Job, artifacts: Sequence[Mapping[str, Json]]) -> list[AnnouncedArtifact]:
        """Announce files about to be uploaded; return where each goes, in order.

        Raises:
            LeaseLost: The attempt may not leave artifacts any more.
        """
        answer = self._call(
            "create_artifacts",
            job_id=str(job.id),
            lease_token=str(job.lease_token),
            artifacts=[dict(artifact) for artifact in artifacts],
        )
        return read_list(AnnouncedArtifact, answer["artifacts"])

    def finish_artifacts(self, job: Job, artifact_ids: Sequence[UUID | str]) -> None:
        """Mark uploaded and verified files as ready.

        Raises:
            LeaseLost: The attempt may not leave artifacts any more.
        """
        self._call(
            "finish_artifacts",
            job_id=str(job.id),
            lease_token=str(job.lease_token),
            artifact_ids=[str(artifact_id) for artifact_id in artifact_ids],
        )

    def get_artifacts(self, artifact_ids: Sequence[UUID]) -> list[ArtifactRow]:
        """Return artifacts by id, in the order asked."""
        ids = [str(artifact_id) for artifact_id in artifact_ids]
        return read_list(ArtifactRow, self._call("get_artifacts", artifact_ids=ids))

    def list_artifacts(
        self,
        *,
        job_id: UUID | None = None,
        status: str | None = None,
        type_prefix: str | None = None,
        executor_id: str | None = None,
        since_seconds: float | None = None,
        before: Cursor | None = None,
        max_artifacts: int = 50,
    ) -> list[ArtifactRow]:
        """Return artifacts, newest first.

        Args:
            type_prefix: Of the job.
            executor_id: Of the job.
            before: `created_at` and `id` of the last row of the page before.
        """
        rows = self._list(
            "list_artifacts",
            job_id=job_id and str(job_id),
            status=status,
            type_prefix=type_prefix,
            executor_id=executor_id,
            since_seconds=since_seconds,
            before=before and dict(before),
            max_artifacts=max_artifacts,
        )
        return read_list(ArtifactRow, rows)

    def list_abandoned_artifacts(
        self, grace_seconds: int = 300, max_artifacts: int = 100, after_id: UUID | None = None
    ) -> list[AbandonedArtifact]:
        """Return files whose attempt is gone; no key: delete only the row."""
        rows = self._call(
            "list_abandoned_artifacts",
            grace_seconds=grace_seconds,
            max_artifacts=max_artifacts,
            after_id=after_id and str(after_id),
        )
        return read_list(AbandonedArtifact, rows)

    def delete_artifacts(self, artifact_ids: Sequence[UUID | str]) -> int:
        """Forget abandoned artifacts whose objects are gone; return how many."""
        ids = [str(artifact_id) for artifact_id in artifact_ids]
        changed: int = self._call("delete_artifacts", artifact_ids=ids)["changed"]
        return changed

    def list_unknown_objects(self, storage_keys: Sequence[str]) -> list[str]:
        """Return the keys among these that no artifact row names."""
        keys: list[str] = self._call("list_unknown_objects", storage_keys=list(storage_keys))
        return keys
