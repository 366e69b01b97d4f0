"""Check of the artifact store with a test object: put, sign, read and delete."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

from cogo_dagster.doctor.findings import Finding, failed, ok, warning
from cogo_dagster.net.guarded import RequestFailed, allow_host_of, get
from cogo_dagster.queue.artifacts import ArtifactStore, ArtifactStoreError, StoreNotOwned
from cogo_dagster.queue.errors import QueueError

_CONTENT: Final = b"cogo doctor"
_ADVICE: Final = (
    "Check the bucket (COGO_ARTIFACT_BUCKET) and SUPABASE_SERVICE_ROLE_KEY; for a folder, check that COGO_HOME is "
    "writable."
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
        yield ok("signed_url", "An object was read by a signed URL.")
    else:
        yield failed("signed_url", f"A signed URL responds with {response.status}.", _ADVICE)
