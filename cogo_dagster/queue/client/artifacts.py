"""Reading and deleting artifacts."""

from collections.abc import Sequence
from uuid import UUID

from cogo_dagster.queue.rows.artifacts import AbandonedArtifact, ArtifactRow
from cogo_dagster.queue.rows.base import Cursor, read_list
from cogo_dagster.queue.transports.base import Transport, without_none


class ArtifactCalls:
    """Calls for artifact rows."""

    _transport: Transport

    def get_artifacts(self, artifact_ids: Sequence[UUID]) -> list[ArtifactRow]:
        """Return artifacts by ID, in the given order."""
        ids = [str(artifact_id) for artifact_id in artifact_ids]
        return read_list(ArtifactRow, self._transport.call("get_artifacts", {"artifact_ids": ids}))

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
            type_prefix: Prefix of the job's type.
            executor_id: Executor ID of the job.
            before: `created_at` and `id` of the last row of the previous page.
        """
        rows = self._transport.call(
            "list_artifacts",
            without_none(
                job_id=None if job_id is None else str(job_id),
                status=status,
                type_prefix=type_prefix,
                executor_id=executor_id,
                since_seconds=since_seconds,
                before=before and dict(before),
                max_artifacts=max_artifacts,
            ),
        )
        return read_list(ArtifactRow, rows)

    def list_abandoned_artifacts(
        self, grace_seconds: int = 300, max_artifacts: int = 100, after_id: UUID | None = None
    ) -> list[AbandonedArtifact]:
        """Return artifacts whose attempt is lost; without a key, only the row needs to be deleted."""
        rows = self._transport.call(
            "list_abandoned_artifacts",
            {
                "grace_seconds": grace_seconds,
                "max_artifacts": max_artifacts,
                "after_id": None if after_id is None else str(after_id),
            },
        )
        return read_list(AbandonedArtifact, rows)

    def delete_artifacts(self, artifact_ids: Sequence[UUID | str]) -> int:
        """Delete the rows of abandoned artifacts whose objects are deleted; return how many."""
        ids = [str(artifact_id) for artifact_id in artifact_ids]
        changed: int = self._transport.call("delete_artifacts", {"artifact_ids": ids})["changed"]
        return changed

    def list_unknown_objects(self, storage_keys: Sequence[str]) -> list[str]:
        """Return the keys that have no artifact row."""
        keys: list[str] = self._transport.call("list_unknown_objects", {"storage_keys": list(storage_keys)})
        return keys
