"""How a file becomes an artifact, so that every ready row has its object and every object its row.

    row pending → upload to the key the server chose → size and hash verified → row ready

Each step is fenced by the lease token. A crash between two steps leaves a pending row, which the sweeper removes
together with its object; an object without any row goes after an hour.
"""

import contextlib
import hashlib
import itertools
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol
from uuid import uuid4

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import LeaseLost
from cogo_dagster.queue.model import ArtifactFile, Job, Json
from cogo_dagster.queue.transports.base import Transport

_CHUNK_BYTES: Final = 1 << 20
_BATCH: Final = 500
_TRIES: Final = 50


class ArtifactStoreError(Exception):
    """Base of what a store raises; the message says what to do."""


class ArtifactStoreUnavailable(ArtifactStoreError):
    """The store is away, or rejects everything for now: wait and try again. Also the class of unknown errors."""


class ArtifactRejected(ArtifactStoreError):
    """This file can never be stored there: repeating the upload does not help."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the store holds under a key."""

    size_bytes: int
    sha256: str


class ArtifactStore(Protocol):
    """Where artifacts' bytes live. Keys are chosen by the engine."""

    def check(self) -> None:
        """Find out cheaply whether the store takes files now.

        Raises:
            ArtifactStoreUnavailable: It does not.
        """
        ...

    def put(self, storage_key: str, source: Path, content_type: str) -> StoredObject:
        """Store a copy of a file whole or not at all, replacing what was there; return what is stored now.

        Raises:
            ArtifactStoreUnavailable: The store is away or rejects everything for now.
            ArtifactRejected: The store will never take this file.
        """
        ...

    def delete(self, storage_key: str) -> None:
        """Delete an object; one that is not there is no error."""
        ...

    def address(self, storage_key: str) -> str:
        """Return where a person finds the object: an absolute path or an address."""
        ...

    def signed_url(self, storage_key: str, expires_seconds: int, download_name: str | None = None) -> str | None:
        """Return an address that leads anybody to the object for so long; None where the bytes are only `open`ed.

        Args:
            storage_key: Which object.
            expires_seconds: How long the address works.
            download_name: Save it under this name instead of showing it.
        """
        ...

    def open(self, storage_key: str) -> BinaryIO:
        """Open an object for reading.

        Raises:
            ArtifactStoreError: It is not there.
        """
        ...

    def keys(self, older_than_seconds: float) -> Iterator[str]:
        """Yield the keys of all objects that were stored so long ago."""
        ...


class FolderStore:
    """Artifacts as files below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self) -> None:
        """Write and remove an empty file."""
        probe = self._folder / f".{uuid4().hex}.part"
        try:
            _created(probe).close()
            probe.unlink(missing_ok=True)
        except OSError as error:
            message = f"The artifact folder {self._folder} cannot be written: {error.strerror}."
            raise ArtifactStoreUnavailable(message) from error

    def put(self, storage_key: str, source: Path, content_type: str) -> StoredObject:  # noqa: ARG002 - the row keeps the type
        """Copy, flush to disk, then rename: a reader sees the whole file or none."""
        target = self._path(storage_key)
        temporary = target.with_name(f".{uuid4().hex}.part")
        try:
            with source.open("rb") as read, _created(temporary) as written:
                shutil.copyfileobj(read, written, _CHUNK_BYTES)
                written.flush()
                os.fsync(written.fileno())
            temporary.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            message = f"The artifact cannot be written to {target.parent}: {error.strerror}."
            raise ArtifactStoreUnavailable(message) from error
        return StoredObject(*_measure(target))

    def delete(self, storage_key: str) -> None:
        """Delete the file, and the folders it leaves empty."""
        path = self._path(storage_key)
        path.unlink(missing_ok=True)
        root = self._folder.resolve()
        with contextlib.suppress(OSError):  # not empty, or tidied by another at this moment
            for folder in path.parents:
                if folder == root:
                    break
                folder.rmdir()

    def address(self, storage_key: str) -> str:
        """Return the absolute path."""
        return str(self._path(storage_key))

    def signed_url(self, storage_key: str, expires_seconds: int, download_name: str | None = None) -> str | None:  # noqa: ARG002 - a folder signs nothing
        """Return None: the bytes are on this machine."""
        return None

    def open(self, storage_key: str) -> BinaryIO:
        """Open the file."""
        try:
            return self._path(storage_key).open("rb")
        except OSError as error:
            raise ArtifactStoreError(f"The artifact {storage_key} cannot be read: {error.strerror}.") from error

    def keys(self, older_than_seconds: float) -> Iterator[str]:
        """Walk the folder; parts of uploads that a crash cut off are among the keys."""
        latest = time.time() - older_than_seconds
        for path in self._folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # somebody else is sweeping too
                if path.is_file() and path.stat().st_mtime < latest:
                    yield path.relative_to(self._folder).as_posix()

    def _path(self, storage_key: str) -> Path:
        path = (self._folder / storage_key).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise ArtifactStoreError(f"The storage key {storage_key!r} leads out of the artifact folder.")
        return path


def _created(path: Path) -> BinaryIO:
    """Create a file and its folders, although a sweeper may remove a folder that is still empty."""
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")


def upload_artifacts(queue: Queue, store: ArtifactStore, job: Job, files: Sequence[ArtifactFile]) -> list[Json]:
    """Take an attempt's files through the protocol; return name, address, size and hash of each.

    Raises:
        LeaseLost: The attempt may not leave artifacts; what was uploaded is deleted again.
        ArtifactStoreError: The store failed; the rows stay pending for the sweeper or the next try.
    """
    if not files:
        return []
    drafts = [_draft(file) for file in files]
    rows = queue.create_artifacts(job, drafts)
    try:
        for file, draft, row in zip(files, drafts, rows, strict=True):
            _put(store, row["storage_key"], file, draft)
        queue.finish_artifacts(job, [row["artifact_id"] for row in rows])
    except LeaseLost:
        for row in rows:
            store.delete(row["storage_key"])
        raise
    return [
        draft | row | {"address": store.address(row["storage_key"])} for draft, row in zip(drafts, rows, strict=True)
    ]


def upload_report(transport: Transport, store: ArtifactStore, file: ArtifactFile) -> dict[str, Json]:
    """Store a file that belongs to no job, equal content once; return its row with `artifact_id` and `address`.

    Raises:
        InvalidArgument: The upload took longer than ten minutes.
        ArtifactStoreError: The store failed; the row stays pending for the sweeper or the next try.
    """
    draft = _draft(file)
    announced = ("name", "content_type", "size_bytes", "sha256", "extension")
    row = transport.call("create_report", {name: draft[name] for name in announced})
    if row["status"] != "ready":
        _put(store, row["storage_key"], file, draft)
        transport.call("finish_report", {"artifact_id": row["artifact_id"]})
    return {**draft, **row, "status": "ready", "address": store.address(row["storage_key"])}


def sweep_artifacts(queue: Queue, store: ArtifactStore, grace_seconds: int = 300) -> int:
    """Delete files whose attempt is gone, object first, then row; return how many.

    Raises:
        ArtifactStoreError: Some objects could not be deleted; the others are gone.
    """
    swept = 0
    while rows := queue.list_abandoned_artifacts(grace_seconds):
        gone, trouble = [], None
        for row in rows:
            try:
                if row["storage_key"]:
                    store.delete(row["storage_key"])
                gone.append(row["artifact_id"])
            except (ArtifactStoreError, OSError) as error:
                trouble = error
        swept += queue.delete_artifacts(gone)
        if trouble is not None:
            raise ArtifactStoreError(f"Abandoned artifacts cannot be deleted: {trouble}") from trouble
        if not gone:
            break
    return swept


def sweep_unknown_objects(queue: Queue, store: ArtifactStore, grace_seconds: float = 3_600) -> int:
    """Delete objects that no row names, left by uploaders that died at the worst moment; return how many.

    Args:
        queue: Says which keys have a row.
        store: Where the objects are.
        grace_seconds: Spare younger objects: their upload may still be under way.
    """
    swept = 0
    keys = store.keys(grace_seconds)
    while batch := list(itertools.islice(keys, _BATCH)):
        for key in queue.list_unknown_objects(batch):
            store.delete(key)
            swept += 1
    return swept


def _put(store: ArtifactStore, storage_key: str, file: ArtifactFile, draft: Mapping[str, Json]) -> None:
    stored = store.put(storage_key, file.path, file.content_type)
    if stored != StoredObject(draft["size_bytes"], draft["sha256"]):
        raise ArtifactStoreError(f"The store holds other bytes than {file.name} has: the upload is repeated.")


def _draft(file: ArtifactFile) -> dict[str, Json]:
    size_bytes, sha256 = _measure(file.path)
    return {
        "name": file.name,
        "content_type": file.content_type,
        "size_bytes": size_bytes,
        "sha256": sha256,
        "extension": file.path.suffix.lstrip(".").lower() or "bin",
        "cache_key": file.cache_key,
    }


def _measure(path: Path) -> tuple[int, str]:
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as read:
        while chunk := read.read(_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return size_bytes, digest.hexdigest()
