"""Which dead letters are worth another try without a person. Pure: the sensor reads, this decides, Dagster launches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.dead_letters import DeadLetter
from cogo_dagster.queue.rows.jobs import StoredError


@dataclass(frozen=True, slots=True)
class ReplayPolicy:
    """When a dead letter is replayed by itself.

    Attributes:
        cooldown: Time to wait after the failure; doubled with each replay the letter has behind it.
        max_replays: Of one lineage; then a person has to look.
        max_at_once: Letters replayed in one go, so that a replay is no flood.
    """

    cooldown: timedelta = timedelta(minutes=15)
    max_replays: int = 2
    max_at_once: int = 200


def is_transient(letter: DeadLetter) -> bool:
    """Whether time may heal the error: the executor said so, and it was tried to the end.

    A job whose workers crashed is none of these: it may be what crashed them.
    """
    retryable = isinstance(letter.error, StoredError) and letter.error.retryable is True
    return letter.reason == "out_of_attempts" and retryable


def worth_replaying(letters: Sequence[DeadLetter], policy: ReplayPolicy, now: datetime) -> list[DeadLetter]:
    """Return the letters to replay now, oldest failure first.

    Args:
        letters: Open dead letters as `list_dlq` returns them.
        now: With a time zone.
    """
    chosen = [
        (letter.failed_at, letter.job_id, letter)
        for letter in letters
        if is_transient(letter)
        and letter.replays < policy.max_replays
        and isinstance(letter.failed_at, datetime)
        and letter.failed_at <= now - policy.cooldown * 2**letter.replays
    ]
    return [letter for _, _, letter in sorted(chosen, key=lambda one: one[:2])[: policy.max_at_once]]


def is_after(time: datetime | Unreadable, moment: datetime) -> bool:
    """Whether a time that the database answered is later; one that Python cannot read, as `infinity`, is."""
    return not isinstance(time, datetime) or time > moment
