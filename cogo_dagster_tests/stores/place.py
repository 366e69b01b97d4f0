"""A store that several databases use, and common steps of tests of stores."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

import psycopg
import pytest

from cogo_dagster.queue.artifacts import ArtifactStore, FolderStore, upload_artifacts
from cogo_dagster.queue.artifacts.owner import MARKER_NAME
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile
from cogo_dagster.queue.supabase.store import SupabaseStore
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.queue.steps import running_job, settle
from cogo_dagster_tests.servers import TestServer
from cogo_dagster_tests.stores.s3_server import S3Server
from cogo_dagster_tests.supabase.objects import Stored
from cogo_dagster_tests.supabase.server import StandIn

KINDS: Final = ("folder", "bucket", "s3")
"""The kinds of places of the fixture `place`."""

_TWO_HOURS: Final = timedelta(hours=2)


class Place(Protocol):
    """A store that several databases use."""

    def store(self) -> ArtifactStore:
        """Open the store as a new process does."""
        ...

    def files(self) -> set[str]:
        """Return the names of all objects except markers."""
        ...

    def age(self) -> None:
        """Make all objects two hours old."""
        ...

    def make_unavailable(self) -> None:
        """Make the store unavailable."""
        ...

    def make_available(self) -> None:
        """Make the store available again."""
        ...

    def make_undeletable(self, keys: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the deletion of some objects fail."""
        ...

    def write_marker(self, content: bytes) -> None:
        """Write another marker into the store."""
        ...

    def move_to_root(self) -> None:
        """Move the objects of a deployment that shares the store to where an earlier release stored them."""
        ...

    def remove_marker(self) -> None:
        """Remove the marker: stores of earlier releases have none."""
        ...


@dataclass
class FolderPlace:
    """A folder."""

    folder: Path

    def store(self) -> ArtifactStore:
        """Open the store as a new process does."""
        return FolderStore(self.folder)

    def files(self) -> set[str]:
        """Return the names of all objects except markers."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return _without_markers(path.relative_to(self.folder).as_posix() for path in paths)

    def age(self) -> None:
        """Make all objects two hours old."""
        for path in self.folder.rglob("*"):
            os.utime(path, (path.stat().st_mtime - _TWO_HOURS.total_seconds(),) * 2)

    def make_unavailable(self) -> None:
        """Make the store unavailable."""
        self.folder.parent.mkdir(exist_ok=True)
        self.folder.write_text("a file where the folder should be")

    def make_available(self) -> None:
        """Make the store available again."""
        self.folder.unlink()

    def make_undeletable(self, keys: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the deletion of some objects fail."""
        unlink = Path.unlink

        def failing_unlink(path: Path, missing_ok: bool = False) -> None:
            if any(path.as_posix().endswith(key) for key in keys):
                raise PermissionError(1, "Operation not permitted")
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(Path, "unlink", failing_unlink)

    def write_marker(self, content: bytes) -> None:
        """Write another marker into the store."""
        (self.folder / MARKER_NAME).write_bytes(content)

    def move_to_root(self) -> None:
        """Move the objects of a deployment that shares the store to where an earlier release stored them."""
        for path in [*self.folder.glob("deployments/*/jobs/*")]:
            path.rename(self.folder / "jobs" / path.name)
        shutil.rmtree(self.folder / "deployments", ignore_errors=True)

    def remove_marker(self) -> None:
        """Remove the marker: stores of earlier releases have none."""
        shutil.rmtree(self.folder / "cogo", ignore_errors=True)


@dataclass
class BucketPlace:
    """A bucket of Supabase Storage.

    Attributes:
        opened: The stores to close.
    """

    stand_in: StandIn
    opened: list[ArtifactStore] = field(default_factory=list)

    def store(self) -> ArtifactStore:
        """Open the store as a new process does."""
        store = SupabaseStore(self.stand_in.project(), "artifacts", first_pause_seconds=0.01)
        self.opened.append(store)
        return store

    @property
    def objects(self) -> dict[str, Stored]:
        """The objects by name."""
        return self.stand_in.storage.buckets["artifacts"].objects

    def files(self) -> set[str]:
        """Return the names of all objects except markers."""
        return _without_markers(self.objects)

    def age(self) -> None:
        """Make all objects two hours old."""
        for stored in self.objects.values():
            stored.created_at -= _TWO_HOURS

    def make_unavailable(self) -> None:
        """Make the store unavailable."""
        self.stand_in.faults.cut()

    def make_available(self) -> None:
        """Make the store available again."""
        self.stand_in.faults.clear()

    def make_undeletable(self, keys: set[str], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG002
        """Let the deletion of some objects fail."""
        self.stand_in.storage.undeletable = keys

    def write_marker(self, content: bytes) -> None:
        """Write another marker into the store."""
        self.objects[MARKER_NAME].data = content

    def move_to_root(self) -> None:
        """Move the objects of a deployment that shares the store to where an earlier release stored them."""
        for name in [name for name in self.objects if name.startswith("deployments/")]:
            stored, key = self.objects.pop(name), name.split("/", 2)[2]
            if key != MARKER_NAME:
                self.objects[key] = stored

    def remove_marker(self) -> None:
        """Remove the marker: stores of earlier releases have none."""
        self.objects.pop(MARKER_NAME, None)


@dataclass
class S3Place:
    """A bucket of a server with the API of S3."""

    server: S3Server

    def store(self) -> ArtifactStore:
        """Open the store as a new process does."""
        return self.server.store()

    def files(self) -> set[str]:
        """Return the names of all objects except markers."""
        return _without_markers(self.server.objects)

    def age(self) -> None:
        """Make all objects two hours old."""
        for stored in self.server.objects.values():
            stored.last_modified -= _TWO_HOURS

    def make_unavailable(self) -> None:
        """Make the store unavailable."""
        self.server.error = "AccessDenied"

    def make_available(self) -> None:
        """Make the store available again."""
        self.server.error = None

    def make_undeletable(self, keys: set[str], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG002
        """Let the deletion of some objects fail."""
        self.server.undeletable = keys

    def write_marker(self, content: bytes) -> None:
        """Write another marker into the store."""
        self.server.write(MARKER_NAME, content)

    def move_to_root(self) -> None:
        """Move the objects of a deployment that shares the store to where an earlier release stored them."""
        for name, stored in self.server.objects.items():
            if name.startswith("deployments/"):
                key, content = name.split("/", 2)[2], stored.value
                self.server.remove(name)
                if key != MARKER_NAME:
                    self.server.write(key, content)

    def remove_marker(self) -> None:
        """Remove the marker: stores of earlier releases have none."""
        self.server.remove(MARKER_NAME)


def _without_markers(names: Iterable[str]) -> set[str]:
    return {name for name in names if not name.endswith(MARKER_NAME)}


def upload(queue: Queue, store: ArtifactStore, folder: Path, text: str) -> str:
    """Upload a file of a job; return its key."""
    path = folder / "page.txt"
    path.write_text(text)
    job = running_job(queue)
    [row] = upload_artifacts(queue, store, job, [ArtifactFile("page.txt", "text/plain", path)])
    settle(queue, job)
    return str(row["storage_key"])


def read(store: ArtifactStore, key: str) -> str:
    """Return the text of a stored file."""
    with store.open(key) as file:
        return file.read().decode()


def delete_artifact_rows(dsn: str) -> None:
    """Delete all artifact rows."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("delete from public.artifacts")


@contextmanager
def another_database(server: TestServer) -> Iterator[str]:
    """Yield the DSN of a migrated database with a deployment id of its own."""
    with server.clone("migrated") as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("update public.deployment set id = gen_random_uuid()")
        yield dsn


@contextmanager
def copied(server: TestServer, dsn: str) -> Iterator[Queue]:
    """Yield the queue of a copy of a database, as pg_dump and pg_restore make it."""
    with server.clone("migrated") as copy, psycopg.connect(copy, autocommit=True) as target:
        with psycopg.connect(dsn, autocommit=True) as source:
            for table in ("deployment", "artifact_stores", "jobs", "artifacts"):
                target.execute(f"delete from public.{table}")
                with source.cursor().copy(f"copy public.{table} to stdout") as rows:
                    content = b"".join(rows)
                with target.cursor().copy(f"copy public.{table} from stdin") as into:
                    into.write(content)
        transport = PostgresTransport(copy, role="service_role")
        yield Queue(transport)
        transport.close()
