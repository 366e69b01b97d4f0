"""Deletes abandoned artifacts and unknown objects of this database."""

import itertools
import time
from typing import Final
from uuid import UUID

from cogo_dagster.queue.artifacts.store import ArtifactStore
from cogo_dagster.queue.artifacts.store_errors import ArtifactStoreError
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.rows.artifacts import AbandonedArtifact

_BATCH: Final = 500
_MAX_SECONDS: Final = 60.0


def sweep_artifacts(
    queue: Queue, store: ArtifactStore, grace_seconds: int = 300, max_seconds: float | None = _MAX_SECONDS
) -> int:
    """Delete the objects, then the rows, of artifacts whose attempt is lost; return how many.

    Args:
        grace_seconds: Rows younger than this are kept.
        max_seconds: Stop after the batch in which this limit is exceeded; the next call resumes after it, past objects
            that could not be deleted. None sweeps everything.

    Raises:
        StoreNotOwned: The store may belong to another database; nothing is deleted.
        ArtifactStoreError: Some objects could not be deleted; the others were.
    """
    store.bind(queue.transport)
    swept, failed, after_id, confirmed = 0, dict[str, ArtifactStoreError](), store.swept_until, False
    ends_at = _ends_at(max_seconds)
    while rows := queue.list_abandoned_artifacts(grace_seconds, _BATCH, after_id):
        if not confirmed:
            store.confirm_owner()
            confirmed = True
        failures = store.delete_all(list({row.storage_key: None for row in rows if row.storage_key}))
        kept = [row.artifact_id for row in rows if row.storage_key in failures]
        swept += _forget(queue, rows, kept)
        failed |= failures
        after_id = kept[-1] if kept else after_id
        if time.monotonic() > ends_at:
            break
    store.swept_until = after_id if rows else None
    if failed:
        key, error = next(iter(failed.items()))
        raise ArtifactStoreError(
            f"Abandoned artifacts that cannot be deleted: {len(failed)}, for example {key}: {error}"
        )
    return swept


def sweep_unknown_objects(
    queue: Queue, store: ArtifactStore, grace_seconds: float = 3_600, max_seconds: float | None = _MAX_SECONDS
) -> int:
    """Delete objects without a row, left by uploads that were interrupted; return how many.

    Args:
        queue: Looks up which keys have a row.
        store: The store to sweep.
        grace_seconds: Objects younger than this are kept, since their upload may be in progress.
        max_seconds: Stop after the batch in which this limit is exceeded; the next call resumes there.

    Raises:
        StoreNotOwned: The store may belong to another database; nothing is deleted.
        ArtifactStoreError: Some objects could not be deleted; the others were.
    """
    store.bind(queue.transport)
    store.confirm_owner()
    swept, failed = 0, dict[str, ArtifactStoreError]()
    ends_at = _ends_at(max_seconds)
    with store.resume_keys(grace_seconds) as keys:
        while batch := list(itertools.islice(keys, _BATCH)):
            unknown = queue.list_unknown_objects(batch)
            failures = store.delete_all(unknown) if unknown else {}
            swept += len(unknown) - len(failures)
            failed |= failures
            if time.monotonic() > ends_at:
                break
    if failed:
        key, error = next(iter(failed.items()))
        raise ArtifactStoreError(f"Unknown objects that cannot be deleted: {len(failed)}, for example {key}: {error}")
    return swept


def _forget(queue: Queue, rows: list[AbandonedArtifact], kept: list[UUID]) -> int:
    gone = [row.artifact_id for row in rows if row.artifact_id not in set(kept)]
    return queue.delete_artifacts(gone) if gone else 0


def _ends_at(max_seconds: float | None) -> float:
    return float("inf") if max_seconds is None else time.monotonic() + max_seconds
