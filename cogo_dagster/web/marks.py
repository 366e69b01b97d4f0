"""Hashes of what pages show: a page is fetched again when its hash differs from the one that the server sends."""

import hashlib
import json
from typing import Final

from cogo_dagster.queue.rows.jobs import TruncatedJob
from cogo_dagster.queue.stats import Numbers

_AGES: Final = {"oldest_ready_seconds"}
"""Numbers that change without an event."""


def mark_of(numbers: Numbers, job: TruncatedJob | None = None) -> str:
    """Return a hash of the numbers of the queue, and of the job whose page is shown."""
    seen = numbers.model_dump(exclude=_AGES)
    if job is not None:
        seen["job"] = job.document
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]
