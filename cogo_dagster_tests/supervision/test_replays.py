"""Selection of dead-lettered jobs for automatic replays."""

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import pytest

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.dead_letters import DeadLetter
from cogo_dagster.supervision.replays import ReplayPolicy, jobs_to_replay

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
POLICY = ReplayPolicy(cooldown=timedelta(minutes=15), max_replays=2, max_at_once=3)


def dead_lettered(name: str = "a", minutes: float = 60, replays: int = 0, **changes: Json) -> DeadLetter:
    """Return an open row that failed some minutes ago with a transient error."""
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
        "discarded_at": None,
        "discard_reason": None,
        "reason": "out_of_attempts",
        "error": {"class": "timeout", "message": "The page did not load.", "retryable": True},
    }
    return DeadLetter.model_validate(row | changes)


def chosen(*jobs: DeadLetter) -> list[str | None]:
    """Return the types of the jobs to replay."""
    return [one.type for one in jobs_to_replay(jobs, POLICY, NOW)]


def test_a_transient_error_is_replayed_after_the_cooldown() -> None:
    """It is not replayed before, because the cause may persist."""
    assert chosen(dead_lettered("young", minutes=14), dead_lettered("old", minutes=15)) == ["old"]


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
def test_other_errors_are_not_replayed(changes: Json) -> None:
    """Permanent errors, jobs that crashed their workers, and rows without a reason are not replayed."""
    assert chosen(dead_lettered(**changes)) == []


def test_each_replay_doubles_the_cooldown() -> None:
    """The number of replays is limited, so that a poison job is not replayed forever."""
    assert chosen(dead_lettered(minutes=29, replays=1)) == []
    assert chosen(dead_lettered(minutes=30, replays=1)) == ["a"]
    assert chosen(dead_lettered(minutes=100_000, replays=2)) == []


def test_the_oldest_are_replayed_first() -> None:
    """The number per call is limited."""
    jobs = [dead_lettered(name, minutes) for name, minutes in (("a", 20), ("b", 50), ("c", 30), ("d", 40))]
    assert chosen(*jobs) == ["b", "d", "c"]
