"""The upload protocol, which ensures that every ready row has an object and every object has a row.

        row pending → upload to the generated key → size and hash verified → row ready

Each step is fenced by the lease token. A crash between two steps leaves a pending row, which the sweeper deletes
with its object. An object without a row is deleted after an hour.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cogo_dagster.queue.artifacts.files import CheckedArtifact, checked_artifact, checked_artifacts
from cogo_dagster.queue.artifacts.store import ArtifactStore, StoredObject
from cogo_dagster.queue.artifacts.store_errors import ArtifactStoreError
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import LeaseLost, QueueError
from cogo_dagster.queue.model import ArtifactFile, Job, Json
from cogo_dagster.queue.rows.artifacts import CreatedReport
from cogo_dagster.queue.transports.base import Transport


def upload_artifacts(
    queue: Queue, store: ArtifactStore, job: Job, files: Sequence[ArtifactFile], workspace: Path | None = None
) -> list[Json]:
    """Upload an attempt's artifacts; return the name, address, size and hash of each.

    Args:
        workspace: The attempt's folder; links below it must not lead out of it.

    Raises:
        LeaseLost: The lease is lost; what was uploaded is deleted.
        ArtifactRejected: A file can never be uploaded: it is not a regular file, or the store does not accept it.
        ArtifactStoreUnavailable: The store is unreachable; the rows stay pending for the sweeper or a retry.
        ArtifactStoreError: A file cannot be read, or the store holds different bytes; the rows stay pending too.
    """
    checked = checked_artifacts(files, workspace)
    if not checked:
        return []
    store.bind(queue.transport)
    drafts = [artifact.announcement for artifact in checked]
    rows = queue.create_artifacts(job, drafts)
    try:
        for artifact, row in zip(checked, rows, strict=True):
            _put(store, row.storage_key, artifact)
        queue.finish_artifacts(job, [row.artifact_id for row in rows])
    except LeaseLost:
        with suppress(ArtifactStoreError, QueueError):  # the sweeper deletes what remains
            store.delete_all([row.storage_key for row in rows])
        raise
    return [
        draft | row.to_json() | {"address": store.address(row.storage_key)}
        for draft, row in zip(drafts, rows, strict=True)
    ]


def upload_report(transport: Transport, store: ArtifactStore, file: ArtifactFile) -> dict[str, Json]:
    """Store a file without a job, once per content; return its row with `artifact_id` and `address`.

    Raises:
        InvalidArgument: The upload took longer than ten minutes.
        ArtifactStoreError: See `upload_artifacts`.
    """
    checked = checked_artifact(file)
    store.bind(transport)
    draft = checked.announcement
    created = ("name", "content_type", "size_bytes", "sha256", "extension")
    row = CreatedReport.model_validate(transport.call("create_report", {name: draft[name] for name in created}))
    if row.status != "ready":
        _put(store, row.storage_key, checked)
        transport.call("finish_report", {"artifact_id": str(row.artifact_id)})
    return {**draft, **row.document, "status": "ready", "address": store.address(row.storage_key)}


def _put(store: ArtifactStore, storage_key: str, artifact: CheckedArtifact) -> None:
    stored = store.put(storage_key, artifact.local, artifact.file.content_type)
    if stored != StoredObject(artifact.local.size_bytes, artifact.local.sha256):
        raise ArtifactStoreError(
            f"The store holds other bytes than {artifact.file.name} contains: the upload is repeated."
        )
