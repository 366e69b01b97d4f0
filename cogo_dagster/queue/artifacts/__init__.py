"""Artifacts: files that jobs produce, the stores that hold them, their upload and their deletion."""

from cogo_dagster.queue.artifacts.folder import FolderStore
from cogo_dagster.queue.artifacts.store import ArtifactStore, StoredObject
from cogo_dagster.queue.artifacts.store_errors import (
    ArtifactNotFound,
    ArtifactRejected,
    ArtifactStoreError,
    ArtifactStoreUnavailable,
    StoreNotOwned,
)
from cogo_dagster.queue.artifacts.sweep import sweep_artifacts, sweep_unknown_objects
from cogo_dagster.queue.artifacts.upload import Uploaded, storage_key, store_artifacts, upload_artifacts, upload_report

__all__ = [
    "ArtifactNotFound",
    "ArtifactRejected",
    "ArtifactStore",
    "ArtifactStoreError",
    "ArtifactStoreUnavailable",
    "FolderStore",
    "StoreNotOwned",
    "StoredObject",
    "Uploaded",
    "storage_key",
    "store_artifacts",
    "sweep_artifacts",
    "sweep_unknown_objects",
    "upload_artifacts",
    "upload_report",
]
