"""The artifact store, used once from end to end: put, sign, read, delete."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

from cogo_dagster.doctor.findings import Finding, failed, ok, warning
from cogo_dagster.net.guarded import NoAnswer, get, trusting
from cogo_dagster.queue.artifacts import ArtifactStore, ArtifactStoreError, StoreNotOwned
from cogo_dagster.queue.errors import QueueError

_CONTENT: Final = b"cogo doctor"
_ADVICE: Final = (
    "Verify the bucket (COGO_ARTIFACT_BUCKET) and that SUPABASE_SERVICE_ROLE_KEY is the service role key; "
    "for a folder, that COGO_HOME can be written."
)
_ADOPT: Final = "`cogo cleanup artifacts --adopt-store` makes this database the owner."


def check_storage(store: ArtifactStore) -> Iterator[Finding]:
    """Store a small object, read it back both ways, delete it, and look whose store it is."""
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
        sentence = (
            f"{store.where} holds files of an earlier release, and not all of them are this database's: they can be "
            "read, and nothing deletes them."
        )
        yield warning("artifact_owner", sentence, f"If no other database needs the others, {_ADOPT}")
        return
    yield ok("artifact_owner", "Nothing but this database's own files is swept.")


def _read_back(store: ArtifactStore, key: str) -> Iterator[Finding]:
    with store.open(key) as stored:
        content = stored.read()
    if content != _CONTENT:
        yield failed("storage", "The artifact store gives back other bytes than it took.", _ADVICE)
        return
    yield ok("storage", "The artifact store takes a file, gives it back and deletes it.")
    url = store.signed_url(key, 60)
    if url is None:
        yield ok("signed_url", "Files are read from a folder: nothing needs to be signed.")
        return
    try:
        answer = get(url, allowed=trusting(url))
    except NoAnswer as error:
        yield failed("signed_url", f"A signed address does not answer: {error}", _ADVICE)
        return
    if answer.status == 200 and answer.content == _CONTENT:
        yield ok("signed_url", "A signed address leads to the file.")
    else:
        yield failed("signed_url", f"A signed address answers {answer.status}.", _ADVICE)
