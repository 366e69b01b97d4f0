"""Ownership of a store's objects, proved by a marker in the store and a row in the database.

    cogo/deployment                      {"deployment_id", "store_id", "marker", "disputed"}
    deployments/<id>/cogo/deployment     the same, for a deployment that shares a store of another one

The marker's random value is replaced whenever the store is used: first in the database, then in the store. If a copy of
the database uses the store, the values of one of the two databases and the store differ. The database that detects this
marks the store as disputed, and no database deletes from it until an operator decides.
"""

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol
from uuid import uuid4

from cogo_dagster.queue.artifacts.store_errors import ArtifactStoreUnavailable, StoreNotOwned
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.text import load_json

MARKER_NAME: Final = "cogo/deployment"

_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PART: Final = r"\.[0-9a-f]{32}\.part"
_OURS: Final = re.compile(
    rf"jobs/{_UUID}/{_UUID}/(?:[0-9a-f]{{64}}\.[a-z0-9]{{1,10}}|{_PART})"
    rf"|reports/(?:[0-9a-f]{{64}}(?:\.[0-9]{{1,4}})?\.[a-z0-9]{{1,10}}|{_PART})"
)
"""The keys that the queue generates, and the parts left by interrupted uploads."""

_FOLDERS: Final = ("jobs/", "reports/")
_CONFIRM_SECONDS: Final = 300
_MAX_OBJECTS: Final = 200_000
_BATCH: Final = 500
_TRIES: Final = 5


class Objects(Protocol):
    """The operations that ownership needs of a store. Objects are addressed by their full names."""

    @property
    def where(self) -> str:
        """The store's name, for messages."""
        ...

    def names(self, prefix: str, older_than_seconds: float) -> Iterator[str]:
        """Yield the names with the prefix of objects stored at least this long ago."""
        ...

    def read_marker(self, name: str) -> bytes | None:
        """Return the content of a small object, or None if it does not exist."""
        ...

    def write_marker(self, name: str, content: bytes, *, replace: bool) -> bool:
        """Write a small object atomically; return False if it exists and must not be replaced."""
        ...


@dataclass(frozen=True, slots=True)
class Marker:
    """The owner marker of a store.

    Attributes:
        deployment_id: Empty if the marker cannot be read.
        store_id: None in a marker of an earlier release, which contains the deployment ID only.
        marker: The random value.
        disputed: Whether two databases have used the store as theirs.
    """

    deployment_id: str
    store_id: str | None = None
    marker: str | None = None
    disputed: bool = False

    @classmethod
    def from_bytes(cls, content: bytes) -> "Marker":
        """Parse a marker of this or an earlier release; an unreadable one gets an empty deployment ID."""
        text = content.decode(errors="replace").strip()
        if re.fullmatch(r"[\w -]{1,100}", text):
            return cls(text)
        try:
            document = load_json(text)
            return cls(
                str(document["deployment_id"]),
                str(document["store_id"]),
                str(document["marker"]),
                bool(document["disputed"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls("")

    def to_bytes(self) -> bytes:
        """Return the content to write into the store."""
        return json.dumps(asdict(self)).encode()


def generated_keys(objects: Objects, prefix: str, older_than_seconds: float) -> Iterator[str]:
    """Yield the storage keys below a prefix that the queue generated; other objects must not be deleted."""
    for folder in _FOLDERS:
        for name in objects.names(prefix + folder, older_than_seconds):
            key = name.removeprefix(prefix)
            if _OURS.fullmatch(key):
                yield key


class Ownership:
    """The part of a store that belongs to one database. Thread-safe.

    A store without a marker is claimed if it is empty or all its objects, at most 200,000, belong to this database. In
    a store of another deployment, this deployment's objects are stored below `deployments/<id>/`.

    Methods raise ArtifactStoreError and QueueError.
    """

    def __init__(self, objects: Objects, transport: Transport) -> None:
        self.transport = transport
        self._objects = objects
        self._lock = threading.RLock()
        self._deployment_id: str | None = None
        self._own: tuple[str, ...] | None = None
        self._confirmed_at = -float("inf")

    @property
    def deployment_id(self) -> str:
        """The deployment ID of the database."""
        if self._deployment_id is None:
            self._deployment_id = str(self.transport.call("schema_version", {})["deployment_id"])
        return self._deployment_id

    @property
    def prefixes(self) -> tuple[str, str]:
        """All prefixes below which objects of this deployment may be."""
        return "", f"deployments/{self.deployment_id}/"

    def prefixes_to_read(self) -> Iterator[str]:
        """Yield the prefixes below which an object may be, likeliest first, as far as known without a call."""
        own = self._own or ("",)
        yield from own
        yield from (prefix for prefix in self.prefixes if prefix not in own)

    @property
    def own_prefixes(self) -> tuple[str, ...]:
        """The prefixes whose marker names this deployment, the one to write to first. Claims nothing."""
        with self._lock:
            if self._own is None:
                self._own = tuple(prefix for prefix, _ in self._located()) or None
            return self._own or ()

    def prefix_to_write(self) -> str:
        """Return the prefix for new objects, claiming it if necessary; a dispute prevents deletion only."""
        with self._lock:
            if self._own is None or time.monotonic() - self._confirmed_at > _CONFIRM_SECONDS:
                with suppress(StoreNotOwned):
                    self.confirm()
                self._confirmed_at = time.monotonic()
            return self.own_prefixes[0]

    def confirm(self) -> None:
        """Replace the marker's random value in the database and the store.

        Raises:
            StoreNotOwned: Another database, for example a copy of this one, uses the store.
        """
        with self._lock:
            located = self._located() or [self._claimed()]
            self._own = tuple(prefix for prefix, _ in located)
            for prefix, marker in located:
                self._rotate(prefix, marker)

    def adopt(self) -> None:
        """Make this database the store's owner regardless of its marker, unless it names another deployment.

        Raises:
            StoreNotOwned: The store belongs to another deployment.
        """
        with self._lock:
            adopted = []
            for prefix in self.prefixes:
                marker = self._read(prefix)
                is_free = not prefix if marker is None else marker.deployment_id in ("", self.deployment_id)
                if is_free:
                    self._register(prefix, replace_marker=True)
                    adopted.append(prefix)
            if not adopted:
                raise StoreNotOwned(
                    f"{self._objects.where} belongs to another COGO database and cannot be adopted: this database "
                    f"keeps its files below {self.prefixes[1]} there, and deletes only those."
                )
            self._own, self._confirmed_at = None, -float("inf")

    def has_unowned_objects(self) -> bool:
        """Whether the store is unclaimed because it holds objects of an earlier release of another database."""
        return self._read("") is None and next(generated_keys(self._objects, "", 0), None) is not None

    def _located(self) -> list[tuple[str, Marker]]:
        found = [(prefix, self._read(prefix)) for prefix in self.prefixes]
        return [(prefix, marker) for prefix, marker in found if marker and marker.deployment_id == self.deployment_id]

    def _claimed(self) -> tuple[str, Marker]:
        claimable = self._read("") is None and self._all_known()
        for prefix in self.prefixes if claimable else self.prefixes[1:]:
            marker = self._register(prefix) or self._read(prefix)  # another process may have registered it first
            if marker is not None and marker.deployment_id == self.deployment_id:
                return prefix, marker
        raise ArtifactStoreUnavailable(f"The owner marker of {self._objects.where} could not be written.")

    def _all_known(self) -> bool:
        """Whether every object belongs to this database; an object of another database would be deleted as unknown."""
        keys = generated_keys(self._objects, "", -_CONFIRM_SECONDS)  # including objects stored by a clock that is ahead
        for _ in range(0, _MAX_OBJECTS, _BATCH):
            batch = list(itertools.islice(keys, _BATCH))
            if not batch:
                return True
            if self.transport.call("list_unknown_objects", {"storage_keys": batch}):
                return False
        return False

    def _register(self, prefix: str, *, replace_marker: bool = False) -> Marker | None:
        """Write a new marker to the database, then to the store; return None if the store has one already."""
        marker = Marker(self.deployment_id, str(uuid4()), str(uuid4()))
        self._rotate_marker(marker.store_id, None, marker.marker)
        return marker if self._write(prefix, marker, replace_marker=replace_marker) else None

    def _rotate(self, prefix: str, marker: Marker) -> None:
        for _ in range(_TRIES):
            if marker.disputed:
                break
            if marker.store_id is None:
                self._register(prefix, replace_marker=True)
                return
            result = self._rotate_marker(marker.store_id, marker.marker, str(uuid4()))
            if result["status"] in ("rotated", "unfinished"):
                self._write(prefix, replace(marker, marker=result["marker"]), replace_marker=True)
                return
            current = self._read(prefix)
            if current == marker:
                self._write(prefix, replace(marker, disputed=True), replace_marker=True)
            if current is None or current == marker:
                break
            marker = current  # replaced by another process of this deployment since it was read
        raise StoreNotOwned(
            f"{self._objects.where} was also used by a copy of this database, or this database was restored from a "
            "backup: nothing is deleted from it. Give the copy its own store (COGO_HOME or COGO_ARTIFACT_BUCKET); "
            "then run `cogo cleanup artifacts --adopt-store` on the database that keeps these files."
        )

    def _rotate_marker(self, store_id: str | None, seen: str | None, following: str | None) -> Json:
        return self.transport.call("rotate_store_marker", {"store_id": store_id, "seen": seen, "next": following})

    def _read(self, prefix: str) -> Marker | None:
        content = self._objects.read_marker(prefix + MARKER_NAME)
        return None if content is None else Marker.from_bytes(content)

    def _write(self, prefix: str, marker: Marker, *, replace_marker: bool) -> bool:
        return self._objects.write_marker(prefix + MARKER_NAME, marker.to_bytes(), replace=replace_marker)
