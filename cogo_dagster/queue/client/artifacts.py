"""Artifacts: read, sweep."""

from collections.abc import Sequence
from uuid import UUID

from cogo_dagster.queue.rows.artifacts import AbandonedArtifact, ArtifactRow
from cogo_dagster.queue.rows.base import Cursor, read_list
from cogo_dagster.queue.transports.base import Transport, without_none


class ArtifactCalls:
    """What is done with the rows of files."""

    _transport: Transport

    def get_artifacts(self, artifact_ids: Sequence[UUID]) -> list[ArtifactRow]:
        """Return artifacts by id, in the order asked."""
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
            type_prefix: Of the job.
            executor_id: Of the job.
            before: `created_at` and `id` of the last row of the page before.
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
        """Return files whose attempt is gone; no key: delete only the row."""
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
        """Forget abandoned artifacts whose objects are gone; return how many."""
        ids = [str(artifact_id) for artifact_id in artifact_ids]
        changed: int = self._transport.call("delete_artifacts", {"artifact_ids": ids})["changed"]
        return changed

    def list_unknown_objects(self, storage_keys: Sequence[str]) -> list[str]:
        """Return the keys among these that no artifact row names."""
        keys: list[str] = self._transport.call("list_unknown_objects", {"storage_keys": list(storage_keys)})
        return keys
