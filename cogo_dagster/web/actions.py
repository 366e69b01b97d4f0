"""Actions shared by the API and the dashboard."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.bootstrap import Application
from cogo_dagster.executors.registry import families, validate_payload
from cogo_dagster.quality.gates import PublishedWeek
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.queue.model import Enqueued, NewJob, family_of
from cogo_dagster.queue.rows.jobs import WholeJob
from cogo_dagster.text import storable_json
from cogo_dagster.web.access import RequestDenied

MAX_ROWS: Final = 10_000
"""Maximum number of rows that a request changes, so that it ends within seconds."""


@dataclass(frozen=True, slots=True)
class NotifiedWeek:
    """Result of announcing a week; `created` is False if the week had already been announced."""

    week: str
    targets: list[str]
    created: bool


def seconds_until(time: datetime) -> float:
    """Return the seconds until a time; one without a time zone is in UTC."""
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()


def notify(application: Application, week: str | None, actor: str) -> NotifiedWeek:
    """Announce a weekly summary.

    Raises:
        RequestDenied: 404 if the week does not exist or is not over.
    """
    try:
        summary = application.gates.weekly(week)
        announced = application.weeks.announce(PublishedWeek(summary))
    except InvalidArgument as error:
        raise RequestDenied(404, str(error)) from None
    application.queue.note("notify_weekly", actor, week=summary.week, created=announced.created)
    return NotifiedWeek(summary.week, announced.targets, announced.created)


def enqueue(application: Application, job: NewJob, actor: str) -> Enqueued:
    """Validate a job with the executor of its type, and enqueue it.

    Raises:
        InvalidPayload: As for `validated`.
        QueueError: Another value is invalid, or the idempotency key belongs to a job with another payload.
    """
    return _enqueue(application, validated(application, job), actor)


def validated(application: Application, job: NewJob) -> NewJob:
    """Return a job with its payload as it will be stored.

    Raises:
        InvalidPayload: The payload is invalid, or no executor is installed for the type.
    """
    if storable_json(job.payload)[1]:
        raise InvalidPayload(
            "The payload contains U+0000, a lone surrogate, a number of more than 300 digits, or more than 200 levels "
            "of nesting: remove it."
        )
    return replace(job, payload=validate_payload(job.type, job.payload, application.settings))


def run_again(application: Application, job: WholeJob, actor: str) -> Enqueued:
    """Enqueue a copy of a job. Its payload is validated if the executor of its type is installed here.

    Raises:
        InvalidPayload: The payload is invalid by now, or cannot be read.
    """
    copy = copy_of(job)
    if family_of(job.type) in families():
        return enqueue(application, copy, actor)
    return _enqueue(application, copy, actor)


def copy_of(job: WholeJob) -> NewJob:
    """Return a new job like another one, without its idempotency key, which would return that job.

    Raises:
        InvalidPayload: The payload cannot be read.
    """
    if not isinstance(job.payload, Mapping) or job.payload.keys() == {"unreadable"}:
        raise InvalidPayload(f"The payload of job {job.id} cannot be read: enqueue a new job.")
    return NewJob(
        job.type,
        job.payload,
        executor_id=job.executor_id,
        priority=job.priority,
        max_attempts=job.max_attempts,
        timeout_seconds=job.timeout_seconds if isinstance(job.timeout_seconds, int | float) else None,
    )


def _enqueue(application: Application, job: NewJob, actor: str) -> Enqueued:
    [enqueued] = application.queue.enqueue([job])
    if enqueued.created:
        application.queue.note("enqueue", actor, job_id=str(enqueued.job_id), type=job.type)
    return enqueued
