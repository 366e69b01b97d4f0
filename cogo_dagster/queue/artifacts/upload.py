"""The upload protocols, which ensure that every ready row has an object and every object has a row.

Small files, of which the settlement creates the rows:

        upload to the key that follows from attempt and content → attempt settled, row ready

A crash between the two steps leaves an object without a row, which `sweep_unknown_objects` deletes after an hour.

Large files, which a crash must not leave for an hour:

        row pending → upload to the generated key → size and hash verified → row ready

A crash between two steps leaves a pending row, which the sweeper deletes with its object.

Each call is fenced by the lease token.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cogo_dagster.queue.artifacts.files import CheckedArtifact, checked_artifact, checked_artifacts
from cogo_dagster.queue.artifacts.store import ArtifactStore, StoredObject
from cogo_dagster.queue.artifacts.store_errors import ArtifactStoreError
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import LeaseLost, QueueError
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.model import ArtifactFile, Job, Json, JsonValue
from cogo_dagster.queue.rows.artifacts import CreatedReport
from cogo_dagster.queue.transports.base import Transport


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The artifacts of an attempt that the store holds.

    Attributes:
        rows: ID, name, address, storage key, size and hash of each.
        to_record: What the settlement records: the same files, or none if their rows are ready.
    """

    rows: list[Json]
    to_record: tuple[Mapping[str, JsonValue], ...] = ()


def store_artifacts(
    queue: Queue, store: ArtifactStore, job: Job, files: Sequence[ArtifactFile], workspace: Path | None = None
) -> Uploaded:
    """Upload an attempt's artifacts before it is settled; see `upload_artifacts` for arguments and errors."""
    checked = checked_artifacts(files, workspace)
    if not all(artifact.local.content is not None for artifact in checked):
        return Uploaded(_announced(queue, store, job, checked))
    store.bind(queue.transport)
    drafts = tuple({"id": str(new_request_id()), **artifact.announcement} for artifact in checked)
    keys = [storage_key(job, draft) for draft in drafts]
    for artifact, key in zip(checked, keys, strict=True):
        _put(store, key, artifact)
    rows = [
        {**draft, "artifact_id": draft["id"], "storage_key": key, "address": store.address(key)}
        for draft, key in zip(drafts, keys, strict=True)
    ]
    return Uploaded(rows, drafts)


def storage_key(job: Job, draft: Mapping[str, JsonValue]) -> str:
    """Return the key under which `settle_with_artifacts` expects the object of a file."""
    return f"jobs/{job.id}/{job.lease_token}/{draft['sha256']}.{draft['extension']}"


def upload_artifacts(
    queue: Queue, store: ArtifactStore, job: Job, files: Sequence[ArtifactFile], workspace: Path | None = None
) -> list[Json]:
    """Upload an attempt's artifacts with rows that are ready; return the name, address, size and hash of each.

    Args:
        workspace: The attempt's folder; links below it must not lead out of it.

    Raises:
        LeaseLost: The lease is lost; what was uploaded is deleted.
        ArtifactRejected: A file can never be uploaded: it is not a regular file, or the store does not accept it.
        ArtifactStoreUnavailable: The store is unreachable; the rows stay pending for the sweeper or a retry.
        ArtifactStoreError: A file cannot be read, or the store holds different bytes; the rows stay pending too.
    """
    return _announced(queue, store, job, checked_artifacts(files, workspace))


def _announced(queue: Queue, store: ArtifactStore, job: Job, checked: Sequence[CheckedArtifact]) -> list[Json]:
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
