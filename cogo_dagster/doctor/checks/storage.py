"""Check of the artifact store with a test object: put, sign, read and delete."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

from cogo_dagster.doctor.findings import Finding, failed, ok, unused, warning
from cogo_dagster.net.guarded import RequestFailed, allow_host_of, get
from cogo_dagster.queue.artifacts import ArtifactNotFound, ArtifactStore, ArtifactStoreError, StoreNotOwned
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import QueueError

_CONTENT: Final = b"cogo doctor"
_ADVICE: Final = (
    "Check the bucket (COGO_ARTIFACT_URL, or COGO_ARTIFACT_BUCKET and SUPABASE_SERVICE_ROLE_KEY) and the permissions "
    "of the key; for a folder, check that COGO_HOME is writable."
)
_SHARED: Final = (
    "Set COGO_ARTIFACT_URL on all machines to a store that all of them reach, for example s3://bucket, or a folder of "
    "a shared file system; files stored before stay where they are."
)
_ADOPT: Final = "`cogo cleanup artifacts --adopt-store` makes this database the owner."


def check_storage(store: ArtifactStore) -> Iterator[Finding]:
    """Put a small object, read it directly and by a signed URL, delete it, and check the owner of the store."""
    key = f"reports/doctor-{uuid4().hex}.txt"
    try:
        store.check()
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "doctor.txt"
            source.write_bytes(_CONTENT)
            store.put(key, source, "text/plain")
        try:
            yield from _read_back(store, key)
        finally:
            store.delete(key)
        if store.is_bound:
            yield from _owner(store)
    except (ArtifactStoreError, QueueError, OSError) as error:
        yield failed("storage", f"The artifact store does not work: {error}", _ADVICE)


def check_recent_artifact(store: ArtifactStore, queue: Queue) -> Iterator[Finding]:
    """Read the newest artifact, which another machine may have stored in a folder of its own."""
    rows = queue.list_artifacts(status="ready", max_artifacts=1)
    if not rows or rows[0].storage_key is None:
        yield unused("recent_artifact", "No artifact is stored.")
        return
    try:
        with store.open(rows[0].storage_key) as stored:
            stored.read(1)
    except ArtifactNotFound as error:
        yield failed("recent_artifact", f"The newest artifact cannot be read on this machine: {error}", _SHARED)
    except ArtifactStoreError as error:
        yield failed("recent_artifact", f"The newest artifact cannot be read: {error}", _ADVICE)
    else:
        yield ok("recent_artifact", f"The newest artifact was read ({rows[0].name}).")


def _owner(store: ArtifactStore) -> Iterator[Finding]:
    try:
        store.confirm_owner()
    except StoreNotOwned as error:
        yield failed("artifact_owner", str(error), _ADOPT)
        return
    if store.has_unowned_objects():
        message = (
            f"{store.where} contains objects of an earlier release that may belong to another database: they can be "
            "read, but are never deleted."
        )
        yield warning("artifact_owner", message, f"If no other database uses the store, {_ADOPT}")
        return
    yield ok("artifact_owner", "The store belongs to this database.")


def _read_back(store: ArtifactStore, key: str) -> Iterator[Finding]:
    with store.open(key) as stored:
        content = stored.read()
    if content != _CONTENT:
        yield failed("storage", "The artifact store returns other content than was stored.", _ADVICE)
        return
    yield ok("storage", "An object was stored, read and deleted.")
    url = store.signed_url(key, 60)
    if url is None:
        yield ok("signed_url", "Not needed: artifacts are read from a folder.")
        return
    try:
        response = get(url, allowed=allow_host_of(url))
    except RequestFailed as error:
        yield failed("signed_url", f"A signed URL does not respond: {error}", _ADVICE)
        return
    if response.status == 200 and response.content == _CONTENT:
        yield _private(url)
    else:
        yield failed("signed_url", f"A signed URL responds with {response.status}.", _ADVICE)


def _private(signed_url: str) -> Finding:
    """Check that the object cannot be read without the signature."""
    url = signed_url.partition("?")[0]
    try:
        response = get(url, allowed=allow_host_of(url))
    except RequestFailed:
        return ok("signed_url", "An object was read by a signed URL.")
    if response.status == 200 and response.content == _CONTENT:
        message = "Anyone can read the objects of the artifact store, without a signature."
        return failed("signed_url", message, "Make the bucket private.")
    return ok("signed_url", "An object was read by a signed URL, and not without the signature.")
