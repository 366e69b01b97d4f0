"""Deletes what nobody needs any more, and only what belongs to this database."""

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
    """Delete files whose attempt is gone, object first, then row; return how many.

    Args:
        grace_seconds: Spare younger rows.
        max_seconds: Stop after the batch in which this time is up, and go on from there at the next call, past objects
            that cannot be deleted; None goes on until all are swept.

    Raises:
        StoreNotOwned: The store may belong to another database; nothing is deleted.
        ArtifactStoreError: Some objects could not be deleted; the others are gone.
    """
    store.belong_to(queue.transport)
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
        raise ArtifactStoreError(f"{len(failed)} abandoned artifacts cannot be deleted, {key} for one: {error}")
    return swept


def sweep_unknown_objects(
    queue: Queue, store: ArtifactStore, grace_seconds: float = 3_600, max_seconds: float | None = _MAX_SECONDS
) -> int:
    """Delete objects that no row names, left by uploaders that died at the worst moment; return how many.

    Args:
        queue: Says which keys have a row.
        store: Where the objects are.
        grace_seconds: Spare younger objects: their upload may still be under way.
        max_seconds: Stop after the batch in which this time is up; the next call goes on from there.

    Raises:
        StoreNotOwned: The store may belong to another database; nothing is deleted.
        ArtifactStoreError: Some objects could not be deleted; the others are gone.
    """
    store.belong_to(queue.transport)
    store.confirm_owner()
    swept, failed = 0, dict[str, ArtifactStoreError]()
    ends_at = _ends_at(max_seconds)
    with store.resumed_walk(grace_seconds) as keys:
        while batch := list(itertools.islice(keys, _BATCH)):
            unknown = queue.list_unknown_objects(batch)
            failures = store.delete_all(unknown) if unknown else {}
            swept += len(unknown) - len(failures)
            failed |= failures
            if time.monotonic() > ends_at:
                break
    if failed:
        key, error = next(iter(failed.items()))
        raise ArtifactStoreError(f"{len(failed)} forgotten objects cannot be deleted, {key} for one: {error}")
    return swept


def _forget(queue: Queue, rows: list[AbandonedArtifact], kept: list[UUID]) -> int:
    gone = [row.artifact_id for row in rows if row.artifact_id not in set(kept)]
    return queue.delete_artifacts(gone) if gone else 0


def _ends_at(max_seconds: float | None) -> float:
    return float("inf") if max_seconds is None else time.monotonic() + max_seconds
