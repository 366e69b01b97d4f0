"""Which dead letters are worth another try without a person. Pure: the sensor reads, this decides, Dagster launches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cogo_dagster.queue.model import Json


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


def is_transient(letter: Mapping[str, Json]) -> bool:
    """Whether time may heal the error: the executor said so, and it was tried to the end.

    A job whose workers crashed is none of these: it may be what crashed them.
    """
    error = letter["error"] or {}
    return letter["reason"] == "out_of_attempts" and error.get("retryable") is True


def worth_replaying(
    letters: Sequence[Mapping[str, Json]], policy: ReplayPolicy, now: datetime
) -> list[Mapping[str, Json]]:
    """Return the letters to replay now, oldest failure first.

    Args:
        letters: Open dead letters as `list_dlq` returns them.
        now: With a time zone.
    """
    chosen = [
        letter
        for letter in letters
        if is_transient(letter)
        and letter["replays"] < policy.max_replays
        and not is_after(letter["failed_at"], now - policy.cooldown * 2 ** letter["replays"])
    ]
    return sorted(chosen, key=lambda letter: (letter["failed_at"], letter["job_id"]))[: policy.max_at_once]


def is_after(text: object, moment: datetime) -> bool:
    """Whether a time that the database answered is later; one that Python cannot read, as `infinity`, is."""
    try:
        return datetime.fromisoformat(str(text)) > moment
    except (ValueError, TypeError):
        return True
