"""Commands that enqueue a job like another one, to be copied. Pure functions."""

import json
import shlex
from collections.abc import Mapping
from typing import Final

from cogo_dagster.queue.model import Json, family_of
from cogo_dagster.queue.rows.jobs import TruncatedJob

_COMMANDS: Final = ("browser", "figma")


def enqueue_command(job: TruncatedJob) -> str | None:
    """Return the command that enqueues a job like this one; None if its payload is unreadable or too long."""
    if not _is_whole(job):
        return None
    family = family_of(job.type)
    words = ["cogo", "enqueue", family if family in _COMMANDS else "idempotent"]
    if job.type != family or family not in _COMMANDS:
        words += ["--type", job.type]
    words += ["--payload", json.dumps(job.payload, ensure_ascii=False)]
    if job.executor_id:
        words += ["--executor-id", job.executor_id]
    if family in _COMMANDS:
        words += [] if job.priority == 5 else ["--priority", str(job.priority)]
        words += [] if job.max_attempts == 5 else ["--max-attempts", str(job.max_attempts)]
        return shlex.join(words)
    # `cogo enqueue idempotent` finds this job again without a new key.
    return f'{shlex.join(words)} --idempotency-key "$(date +%s)"'


def enqueue_curl(job: TruncatedJob, base: str) -> str | None:
    """Return the request that enqueues a job like this one; None if its payload is unreadable or too long.

    Args:
        base: URL of the server.
    """
    if not _is_whole(job):
        return None
    body: dict[str, Json] = {"type": job.type, "payload": job.payload}
    if job.executor_id:
        body["executor_id"] = job.executor_id
    body |= {} if job.priority == 5 else {"priority": job.priority}
    body |= {} if job.max_attempts == 5 else {"max_attempts": job.max_attempts}
    data = shlex.quote(json.dumps(body, ensure_ascii=False))
    address = shlex.quote(f"{base.rstrip('/')}/api/jobs")
    return f'curl {address} -H "x-admin-token: $COGO_TOKEN" -H "content-type: application/json" --data {data}'


def _is_whole(job: TruncatedJob) -> bool:
    return job.payload_start is None and isinstance(job.payload, Mapping) and job.payload.keys() != {"unreadable"}
