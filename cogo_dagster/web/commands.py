"""Commands that enqueue a job, to be copied. Pure functions."""

import json
import shlex
from collections.abc import Mapping
from typing import Final

from cogo_dagster.queue.model import Json, NewJob, family_of
from cogo_dagster.queue.rows.jobs import TruncatedJob

_COMMANDS: Final = ("browser", "figma")
_DEFAULTS: Final = NewJob("browser", {})


def job_like(job: TruncatedJob) -> NewJob | None:
    """Return a new job like a job; None if its payload is unreadable or truncated."""
    if job.payload_start is not None or not isinstance(job.payload, Mapping) or job.payload.keys() == {"unreadable"}:
        return None
    return NewJob(job.type, job.payload, **_options_of(job))


def command_with_file(job: TruncatedJob) -> str | None:
    """Return the command that enqueues a job like one whose payload is too long, from the file that it is saved as."""
    if job.payload_start is None:
        return None
    return _command(NewJob(job.type, {}, **_options_of(job)), f"@payload-{job.id}.json")


def enqueue_command(job: NewJob) -> str:
    """Return the command that enqueues a job."""
    if job.timeout_seconds is not None and family_of(job.type) in _COMMANDS:
        return f"printf '%s' {shlex.quote(_document(job))} | cogo enqueue {family_of(job.type)} @-"
    return _command(job, _json(job.payload))


def enqueue_curl(job: NewJob, base: str) -> str:
    """Return the request that enqueues a job.

    Args:
        base: URL of the server.
    """
    data = shlex.quote(_document(job))
    address = shlex.quote(f"{base.rstrip('/')}/api/jobs")
    return f'curl {address} -H "x-admin-token: $COGO_TOKEN" -H "content-type: application/json" --data {data}'


def _command(job: NewJob, payload: str) -> str:
    family = family_of(job.type)
    words = ["cogo", "enqueue", family if family in _COMMANDS else "idempotent"]
    if job.type != family or family not in _COMMANDS:
        words += ["--type", job.type]
    words += ["--payload", payload]
    if job.executor_id:
        words += ["--executor-id", job.executor_id]
    if job.idempotency_key:
        words += ["--idempotency-key", job.idempotency_key]
    if family in _COMMANDS:
        words += [] if job.priority == _DEFAULTS.priority else ["--priority", str(job.priority)]
        words += [] if job.max_attempts == _DEFAULTS.max_attempts else ["--max-attempts", str(job.max_attempts)]
        words += ["--run-in", f"{job.run_in_seconds:g}s"] if job.run_in_seconds else []
    elif not job.idempotency_key:
        # `cogo enqueue idempotent` finds an earlier job with this payload without a new key.
        return f'{shlex.join(words)} --idempotency-key "$(date +%s)"'
    return shlex.join(words)


def _options_of(job: TruncatedJob) -> dict[str, Json]:
    options: dict[str, Json] = {"executor_id": job.executor_id}
    options |= {"priority": job.priority, "max_attempts": job.max_attempts}
    if isinstance(job.timeout_seconds, int | float):
        options["timeout_seconds"] = job.timeout_seconds
    return options


def _document(job: NewJob) -> str:
    """Return a job as JSON, with whole numbers as such."""
    found = job.to_json().items()
    whole = {name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in found}
    return _json(whole)


def _json(document: Json) -> str:
    return json.dumps(document, ensure_ascii=False)
