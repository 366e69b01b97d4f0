"""Which dead letters replay themselves: the decision alone, without a queue."""

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import pytest

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.dead_letters import DeadLetter
from cogo_dagster.supervision.replays import ReplayPolicy, worth_replaying

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
POLICY = ReplayPolicy(cooldown=timedelta(minutes=15), max_replays=2, max_at_once=3)


def letter(name: str = "a", minutes: float = 60, replays: int = 0, **changes: Json) -> DeadLetter:
    """Return an open letter that failed so many minutes ago with an error that may pass."""
    row = {
        "job_id": str(uuid5(NAMESPACE_URL, name)),
        "type": name,
        "executor_id": None,
        "attempts": 5,
        "max_attempts": 5,
        "fingerprint": "f",
        "code_version": None,
        "failed_at": (NOW - timedelta(minutes=minutes)).isoformat(),
        "replays": replays,
        "replayed_at": None,
        "replayed_job_id": None,
        "closed_at": None,
        "reason": "out_of_attempts",
        "error": {"class": "timeout", "message": "The page did not load.", "retryable": True},
    }
    return DeadLetter.model_validate(row | changes)


def chosen(*letters: DeadLetter) -> list[str | None]:
    """Return the names of those worth a replay."""
    return [one.type for one in worth_replaying(letters, POLICY, NOW)]


def test_an_error_that_may_pass_is_replayed_after_the_cooldown() -> None:
    """Not before: what broke is still broken."""
    assert chosen(letter("young", minutes=14), letter("old", minutes=15)) == ["old"]


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "permanent"},
        {"reason": "crashed"},
        {"reason": "snoozed_too_often"},
        {"reason": None},
        {"error": {"class": "not_found", "message": "", "retryable": False}},
        {"error": {"class": "old", "message": ""}},
        {"error": None},
    ],
)
def test_what_time_does_not_heal_waits_for_a_person(changes: Json) -> None:
    """Permanent errors, jobs that crashed their workers, and letters that do not say."""
    assert chosen(letter(**changes)) == []


def test_each_replay_waits_twice_as_long_as_the_one_before() -> None:
    """And a lineage has an end: poison does not go round for ever."""
    assert chosen(letter(minutes=29, replays=1)) == []
    assert chosen(letter(minutes=30, replays=1)) == ["a"]
    assert chosen(letter(minutes=100_000, replays=2)) == []


def test_the_oldest_go_first_and_not_all_at_once() -> None:
    """The rest comes at the next look."""
    letters = [letter(name, minutes) for name, minutes in (("a", 20), ("b", 50), ("c", 30), ("d", 40))]
    assert chosen(*letters) == ["b", "d", "c"]
