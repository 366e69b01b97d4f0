"""Decides which dead-lettered jobs to replay automatically. Pure functions of the rows that the sensor reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.dead_letters import DeadLetter
from cogo_dagster.queue.rows.jobs import StoredError


@dataclass(frozen=True, slots=True)
class ReplayPolicy:
    """Policy of automatic replays.

    Attributes:
        cooldown: Delay after the failure; doubled with each earlier replay.
        max_replays: Maximum number of replays of the original job and its replays.
        max_at_once: Maximum number of jobs per call.
    """

    cooldown: timedelta = timedelta(minutes=15)
    max_replays: int = 2
    max_at_once: int = 200


def is_transient(job: DeadLetter) -> bool:
    """Whether a later attempt may succeed: the error is retryable, and the attempts are exhausted.

    A job whose workers crashed is not transient: it may have crashed them.
    """
    retryable = isinstance(job.error, StoredError) and job.error.retryable is True
    return job.reason == "out_of_attempts" and retryable


def jobs_to_replay(dead_lettered: Sequence[DeadLetter], policy: ReplayPolicy, now: datetime) -> list[DeadLetter]:
    """Return the jobs to replay now, oldest failure first.

    Args:
        dead_lettered: Open rows of the dead-letter queue.
        policy: When to replay.
        now: Current time, with a time zone.
    """
    chosen = [
        (job.failed_at, job.job_id, job)
        for job in dead_lettered
        if is_transient(job)
        and job.replays < policy.max_replays
        and isinstance(job.failed_at, datetime)
        and job.failed_at <= now - policy.cooldown * 2**job.replays
    ]
    return [job for _, _, job in sorted(chosen, key=lambda entry: entry[:2])[: policy.max_at_once]]


def is_after(time: datetime | Unreadable, moment: datetime) -> bool:
    """Whether a time of the database is later; an unreadable time, such as `infinity`, counts as later."""
    return not isinstance(time, datetime) or time > moment
