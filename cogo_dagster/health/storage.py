"""The artifact store, used once from end to end: put, sign, read, delete."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

from cogo_dagster.health.asking import NoAnswer, get, trusting
from cogo_dagster.health.findings import Finding, failed, ok
from cogo_dagster.queue.artifacts import ArtifactStore, ArtifactStoreError

_CONTENT: Final = b"cogo doctor"
_ADVICE: Final = (
    "Verify the bucket (COGO_ARTIFACT_BUCKET) and that SUPABASE_SERVICE_ROLE_KEY is the service role key; "
    "for a folder, that COGO_HOME can be written."
)


def check_storage(store: ArtifactStore) -> Iterator[Finding]:
    """Store a small object, read it back both ways, and delete it."""
    key = f"reports/doctor-{uuid4().hex}.txt"
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "doctor.txt"
            source.write_bytes(_CONTENT)
            store.put(key, source, "text/plain")
        try:
            yield from _read_back(store, key)
        finally:
            store.delete(key)
    except (ArtifactStoreError, OSError) as error:
        yield failed("storage", f"The artifact store does not work: {error}", _ADVICE)


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
