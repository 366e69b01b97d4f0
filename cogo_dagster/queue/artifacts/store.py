"""Where artifacts' bytes live, and which of them belong to this database."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar
from uuid import UUID

from cogo_dagster.queue.artifacts.files import LocalFile, measured
from cogo_dagster.queue.artifacts.owner import Objects, Ownership, engine_keys
from cogo_dagster.queue.artifacts.store_errors import (
    ArtifactNotFound,
    ArtifactStoreError,
    ArtifactStoreUnavailable,
    StoreNotOwned,
)
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.transports.base import Transport

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the store holds under a key."""

    size_bytes: int
    sha256: str


class ObjectStore(Objects, Protocol):
    """What one kind of store does: objects by their whole names, whoever's they are.

    Every method raises ArtifactStoreError; each ends within a limited time.
    """

    def check(self) -> None:
        """Find out cheaply whether the store takes files now; see `ArtifactStore.check`."""
        ...

    def put(self, name: str, file: LocalFile, content_type: str) -> StoredObject:
        """Store a copy of a file whole or not at all, replacing what was there; return what is stored now."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open an object for reading; raise ArtifactNotFound."""
        ...

    def delete(self, names: Sequence[str]) -> Mapping[str, ArtifactStoreError]:
        """Delete objects, also such as are not there; return those that could not be deleted, and why."""
        ...

    def address(self, names: Sequence[str]) -> str:
        """Return where a person finds the object, which has one of these names, the first being the likeliest."""
        ...

    def signed_url(self, name: str, expires_seconds: int, download_name: str | None) -> str | None:
        """See `ArtifactStore.signed_url`; raise ArtifactNotFound."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class ArtifactStore:
    """Where artifacts' bytes live. Keys are chosen by the engine. Thread-safe.

    Deleting is limited to what belongs to the database that the store was told of (`belong_to`). Every error that is
    not told apart is ArtifactStoreUnavailable.

    Args:
        objects: The kind of store.

    Attributes:
        swept_until: The artifact after which `sweep_artifacts` goes on, having run out of time.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._ownership: Ownership | None = None
        self.swept_until: UUID | None = None
        self._walk: Iterator[str] | None = None
        self._walking = threading.Lock()

    @property
    def where(self) -> str:
        """The store's name, for messages."""
        return self._objects.where

    @property
    def is_bound(self) -> bool:
        """Whether the store was told whose it is."""
        return self._ownership is not None

    def belong_to(self, transport: Transport) -> "Ownership":
        """Say whose objects these are; nothing is read or written yet."""
        if self._ownership is None or self._ownership.transport is not transport:
            self._ownership = Ownership(self._objects, transport)
        return self._ownership

    def close(self) -> None:
        """Close connections."""
        self._objects.close()

    def check(self) -> None:
        """Find out cheaply whether the store takes files now.

        Raises:
            ArtifactStoreUnavailable: It does not.
        """
        with _unknown_is_unavailable():
            self._objects.check()

    def put(self, storage_key: str, source: Path | LocalFile, content_type: str) -> StoredObject:
        """Store a copy of a file whole or not at all, replacing what was there; return what is stored now.

        Raises:
            ArtifactStoreUnavailable: The store is away or rejects everything for now.
            ArtifactRejected: The store will never take this file.
            QueueError: The database cannot be asked whose store this is.
        """
        file = source if isinstance(source, LocalFile) else measured(source)
        with _unknown_is_unavailable():
            prefix = self._ownership.prefix_to_write() if self._ownership else ""
            return self._objects.put(prefix + storage_key, file, content_type)

    def delete(self, storage_key: str) -> None:
        """Delete an object of this database; one that is not there is no error."""
        for error in self.delete_all([storage_key]).values():
            raise error

    def delete_all(self, storage_keys: Sequence[str]) -> dict[str, ArtifactStoreError]:
        """Delete objects of this database; return the keys of those that could not be deleted, and why.

        Raises:
            ArtifactStoreUnavailable: The store is away; some objects may be gone.
        """
        failed: dict[str, ArtifactStoreError] = {}
        with _unknown_is_unavailable():
            for prefix in self._ownership.own_prefixes if self._ownership else ("",):
                answer = self._objects.delete([prefix + key for key in storage_keys])
                failed |= {name.removeprefix(prefix): error for name, error in answer.items()}
        return failed

    def address(self, storage_key: str) -> str:
        """Return where a person finds the object: an absolute path or an address."""
        return self._objects.address([prefix + storage_key for prefix in self._likely_prefixes()])

    def signed_url(self, storage_key: str, expires_seconds: int, download_name: str | None = None) -> str | None:
        """Return an address that leads anybody to the object for so long; None where the bytes are only `open`ed.

        Args:
            storage_key: Which object.
            expires_seconds: How long the address works.
            download_name: Save it under this name instead of showing it.

        Raises:
            ArtifactNotFound: It is not there.
        """
        return self._found(storage_key, lambda name: self._objects.signed_url(name, expires_seconds, download_name))

    def open(self, storage_key: str) -> BinaryIO:
        """Open an object for reading.

        Raises:
            ArtifactNotFound: It is not there.
            ArtifactStoreUnavailable: The store cannot be read now.
        """
        return self._found(storage_key, self._objects.open)

    def keys(self, older_than_seconds: float) -> Iterator[str]:
        """Yield the keys of this database's objects that were stored so long ago, as far as the engine chose them."""
        with _unknown_is_unavailable():
            for prefix in self._ownership.own_prefixes if self._ownership else ("",):
                yield from engine_keys(self._objects, prefix, older_than_seconds)

    def confirm_owner(self) -> None:
        """Prove, before anything is deleted, that the store belongs to this database and to no copy of it.

        Raises:
            StoreNotOwned: It does not.
        """
        with _unknown_is_unavailable():
            self._owned().confirm()

    def adopt(self) -> None:
        """Make this database the store's owner after a dispute.

        Raises:
            StoreNotOwned: It belongs to another deployment.
        """
        with _unknown_is_unavailable():
            self._owned().adopt()

    def has_unowned_objects(self) -> bool:
        """Whether the store holds objects that no database has claimed, which nothing deletes."""
        with _unknown_is_unavailable():
            return self._owned().has_unowned_objects()

    @contextmanager
    def resumed_walk(self, older_than_seconds: float) -> Iterator[Iterator[str]]:
        """Go on with `keys` where the walk before was left; empty while another thread walks."""
        if not self._walking.acquire(blocking=False):
            yield iter(())
            return
        try:
            walk = self._walk or self.keys(older_than_seconds)
            self._walk = None
            left = _Left(walk)
            yield left
            self._walk = None if left.ended else walk
        finally:
            self._walking.release()

    def _owned(self) -> Ownership:
        if self._ownership is None:
            raise StoreNotOwned(f"{self.where} was opened without a database: nothing is deleted from it.")
        return self._ownership

    def _found(self, storage_key: str, ask: Callable[[str], _Found]) -> _Found:
        """Ask for an object by each name it may have: in a shared store, files of earlier releases are elsewhere."""
        missing: list[ArtifactNotFound] = []
        with _unknown_is_unavailable():
            for prefix in self._ownership.prefixes_to_read() if self._ownership else ("",):
                try:
                    return ask(prefix + storage_key)
                except ArtifactNotFound as error:
                    missing.append(error)
        raise missing[0]

    def _likely_prefixes(self) -> list[str]:
        if self._ownership is None:
            return [""]
        try:
            with _unknown_is_unavailable():
                return [*self._ownership.own_prefixes, *self._ownership.prefixes]
        except (ArtifactStoreError, QueueError):  # to say where a file is must not need the store
            return [""]


class _Left(Iterator[str]):
    """An iterator that knows whether it has ended."""

    def __init__(self, keys: Iterator[str]) -> None:
        self._keys = keys
        self.ended = False

    def __next__(self) -> str:
        try:
            return next(self._keys)
        except BaseException:
            self.ended = True
            raise


@contextmanager
def _unknown_is_unavailable() -> Iterator[None]:
    try:
        yield
    except (ArtifactStoreError, QueueError):
        raise
    except Exception as error:
        kind = type(error).__name__
        raise ArtifactStoreUnavailable(f"The artifact store failed unexpectedly ({kind}: {error}).") from error
