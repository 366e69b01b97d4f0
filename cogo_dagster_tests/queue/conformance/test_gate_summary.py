"""Gate summaries of windows: equal to an independent computation, reproducible, and stored permanently."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.quality.history import Attempt, FinishedJob, History, Run, a_month, same, shape
from cogo_dagster_tests.queue.conformance.conftest import BY_VERSION
from cogo_dagster_tests.queue.steps import BROKEN, PERMANENT, running_job, settle

MONDAY = datetime(2026, 10, 5, tzinfo=UTC)
DAY = timedelta(days=1)


def summary(transport: Transport, start: datetime, end: datetime, branch: str = "main") -> Any:
    """Return the numbers of a window."""
    given = {"window_start": start.isoformat(), "window_end": end.isoformat(), "branch": branch}
    return transport.call("gate_summary", given)


def store(transport: Transport, day: datetime) -> Any:
    """Store the snapshot of a day."""
    return transport.call("store_gate_snapshot", {"kind": "daily", "window_start": day.isoformat()})


@BY_VERSION
def test_the_numbers_equal_an_independent_computation(transport: Transport, owner: Owner) -> None:
    """This holds for each day of a month, a week, and the month."""
    month = a_month(MONDAY)
    month.write(owner)
    windows = [(MONDAY + i * DAY, MONDAY + (i + 1) * DAY) for i in range(30)]
    for start, end in [*windows, (MONDAY, MONDAY + 7 * DAY), (MONDAY, MONDAY + 30 * DAY)]:
        assert same(shape(summary(transport, start, end)), month.numbers(start, end))
    assert same(
        shape(summary(transport, *windows[3], branch="feature/x")), month.numbers(*windows[3], branch="feature/x")
    )


def test_a_window_includes_its_start_and_excludes_its_end(transport: Transport, owner: Owner) -> None:
    """A row at midnight belongs to the day that begins."""
    moments = (MONDAY - timedelta(microseconds=1), MONDAY, MONDAY + DAY - timedelta(microseconds=1), MONDAY + DAY)
    History(
        [FinishedJob("browser", "succeeded", at) for at in moments], [Run("gate", "pass", "main", at) for at in moments]
    ).write(owner)
    numbers = summary(transport, MONDAY, MONDAY + DAY)
    assert (numbers["jobs"]["succeeded"], numbers["gate"]["runs"]) == (2, 2)


def test_a_window_without_data_has_no_rates(transport: Transport) -> None:
    """Counts are zero, and rates are null."""
    numbers = summary(transport, MONDAY, MONDAY + DAY)
    assert numbers["gate"] == {"runs": 0, "passed": 0, "failed": 0, "pass_rate": None}
    assert (numbers["jobs"]["success_rate"], numbers["jobs"]["queue_wait_seconds"]) == (
        None,
        {"p50": None, "p95": None},
    )
    assert (numbers["days"], numbers["top_failures"], numbers["branch_known"]) == ([], [], False)


@pytest.mark.parametrize(("start", "end"), [(MONDAY, MONDAY), (MONDAY + DAY, MONDAY), (MONDAY, MONDAY + 32 * DAY)])
def test_an_invalid_window_is_rejected(transport: Transport, start: datetime, end: datetime) -> None:
    """A window must end after it begins, and span at most a month."""
    with pytest.raises(InvalidArgument, match="at most 31 days"):
        summary(transport, start, end)


def test_the_clients_time_zone_changes_nothing(transport: Transport, owner: Owner) -> None:
    """Days are in UTC, whatever the session's time zone or daylight saving time."""
    a_month(datetime(2026, 10, 24, tzinfo=UTC), days=3).write(owner)
    asked = b"select public.gate_summary('2026-10-25 00:00+00', '2026-10-26 00:00+00')::text"
    answers = set()
    for zone in (b"UTC", b"Europe/Berlin", b"Asia/Seoul"):
        owner.execute(b"set timezone to '" + zone + b"'")
        answers |= set(owner.execute(asked).fetchall())
    assert len(answers) == 1


def test_a_retry_does_not_remove_a_failure(transport: Transport, queue: Queue) -> None:
    """After the job is queued again, the window still has its failure."""
    job = running_job(queue)
    settle(queue, job, Outcome.FAILED, error=PERMANENT)
    before = transport.call("gate_summary", {})
    queue.operate("retry_failed", {"dry_run": False})
    after = transport.call("gate_summary", {})
    assert before["jobs"]["failed"] == 1
    assert {**after, "window": None} == {**before, "window": None}


def test_a_job_that_crashed_its_worker_stays_a_failure_when_retried(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """Its lost attempt has a row already and is not counted twice."""
    running_job(queue, max_attempts=1)
    owner.execute("update public.jobs set lease_expires_at = now() - interval '1 h'")
    queue.recover()
    before = transport.call("gate_summary", {})
    queue.operate("retry_failed", {"dry_run": False})
    after = transport.call("gate_summary", {})
    assert (before["jobs"]["failed"], before["jobs"]["lost"], before["jobs"]["attempts"]) == (1, 1, 1)
    assert {**after, "window": None} == {**before, "window": None}


def test_a_superseded_failure_counts_as_a_retry(transport: Transport, queue: Queue) -> None:
    """It is counted as a failure, and no job counts as failed."""
    settle(queue, running_job(queue), Outcome.FAILED, error=BROKEN)
    numbers = transport.call("gate_summary", {})
    assert (numbers["jobs"]["failed"], numbers["jobs"]["retried"]) == (0, 1)
    assert [(f["error_class"], f["count"]) for f in numbers["top_failures"]] == [("timeout", 1)]


def test_failures_of_one_cause_are_counted_together(transport: Transport, owner: Owner) -> None:
    """As their fingerprints say: numbers do not tell them apart, families and words do."""
    messages = ["Page 7 is gone.", "Page 12 is gone.", "Page 12 is gone.", "Word 0x1f is bad.", "Word 1x1f is bad."]
    jobs = [FinishedJob("browser", "failed", MONDAY, error=("gone", message)) for message in messages]
    History([*jobs, FinishedJob("figma", "failed", MONDAY, error=("gone", messages[0]))]).write(owner)
    found = [(f["family"], f["message"], f["count"]) for f in summary(transport, MONDAY, MONDAY + DAY)["top_failures"]]
    assert found[0] == ("browser", "Page 12 is gone.", 3)
    assert sorted(found[1:]) == [("browser", messages[3], 1), ("browser", messages[4], 1), ("figma", messages[0], 1)]


def test_a_day_computed_again_is_identical(transport: Transport, owner: Owner) -> None:
    """The stored row is not updated."""
    a_month(MONDAY, days=2).write(owner)
    first = store(transport, MONDAY)
    row = owner.execute("select numbers::text, xmin::text from public.gate_snapshots").fetchall()
    again = store(transport, MONDAY)
    assert (first["outcome"], again["outcome"]) == ("stored", "unchanged")
    assert again | {"outcome": "stored"} == first
    assert owner.execute("select numbers::text, xmin::text from public.gate_snapshots").fetchall() == row


def test_late_rows_make_a_revision(transport: Transport, owner: Owner) -> None:
    """A transaction open at midnight commits later: the day is computed again as a revision."""
    a_month(MONDAY, days=1).write(owner)
    first = store(transport, MONDAY)
    History([FinishedJob("browser", "succeeded", MONDAY + timedelta(hours=3))]).write(owner)
    again = store(transport, MONDAY)
    assert (again["outcome"], again["revision"]) == ("revised", 2)
    assert again["numbers"]["jobs"]["succeeded"] == first["numbers"]["jobs"]["succeeded"] + 1
    assert transport.call("list_gate_snapshots", {}) == [{k: v for k, v in again.items() if k != "outcome"}]


def test_the_stored_day_is_kept_after_a_purge(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A day that was never stored is reported as incomplete."""
    a_month(MONDAY, days=2).write(owner)
    first = store(transport, MONDAY)
    assert first["complete"] is True
    queue.operate("purge_jobs", {"older_than_days": 1, "statuses": ["succeeded"], "dry_run": False})
    again = store(transport, MONDAY)
    assert (again["outcome"], again["numbers"]) == ("kept", first["numbers"])
    late = store(transport, MONDAY + DAY)
    assert (late["outcome"], late["complete"], late["numbers"]["jobs"]["succeeded"]) == ("stored", False, 0)


def test_a_day_that_is_not_over_is_not_stored(transport: Transport) -> None:
    """Invalid days and kinds are rejected too."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with pytest.raises(InvalidArgument, match="is not over"):
        store(transport, today)
    with pytest.raises(InvalidArgument, match="midnight UTC"):
        store(transport, MONDAY + timedelta(hours=1))
    with pytest.raises(InvalidArgument, match="daily or rolling"):
        transport.call("store_gate_snapshot", {"kind": "hourly"})
    assert transport.call("list_gate_snapshots", {}) == []


def test_the_rolling_snapshot_covers_the_last_24_hours(transport: Transport, queue: Queue) -> None:
    """Each call stores another snapshot up to the current time."""
    settle(queue, running_job(queue))
    first = transport.call("store_gate_snapshot", {})
    assert first["numbers"]["jobs"]["succeeded"] == 1
    assert first["numbers"]["window"]["hours"] == 24
    transport.call("store_gate_snapshot", {})
    assert len(transport.call("list_gate_snapshots", {"kind": "rolling"})) == 2


def test_a_week_is_stored_like_a_day(transport: Transport, owner: Owner) -> None:
    """A week is stored, unchanged when repeated, revised when rows are added, and read as stored."""
    a_month(MONDAY, days=8).write(owner)
    week = {"window_start": MONDAY.isoformat()}
    live = transport.call("weekly_numbers", week)
    first = transport.call("store_weekly_summary", week)
    assert (live["revision"], live["numbers"]) == (0, first["numbers"])
    assert transport.call("store_weekly_summary", week)["outcome"] == "unchanged"
    History(runs=[Run("gate", "pass", "main", MONDAY + 6 * DAY)]).write(owner)
    assert transport.call("store_weekly_summary", week)["outcome"] == "revised"
    assert transport.call("weekly_numbers", week)["revision"] == 2
    assert len(transport.call("list_weekly_summaries", {})) == 1


def test_a_week_that_is_not_over_is_read_and_not_stored(transport: Transport) -> None:
    """Without an argument, the last week that is over is read."""
    now = datetime.now(UTC)
    monday = (now - timedelta(days=now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    assert transport.call("weekly_numbers", {"window_start": monday.isoformat()})["complete"] is False
    with pytest.raises(InvalidArgument, match="is not over"):
        transport.call("store_weekly_summary", {"window_start": monday.isoformat()})
    with pytest.raises(InvalidArgument, match="has not begun"):
        transport.call("weekly_numbers", {"window_start": (monday + 7 * DAY).isoformat()})
    with pytest.raises(InvalidArgument, match="Monday"):
        transport.call("weekly_numbers", {"window_start": (monday + DAY).isoformat()})
    assert transport.call("weekly_numbers", {})["window_end"] == f"{monday:%Y-%m-%d}T00:00:00+00:00"


def test_forced_successes_are_excluded_from_rates(transport: Transport, owner: Owner) -> None:
    """They are counted separately."""
    at = MONDAY + timedelta(hours=1)
    lost = Attempt("lost", at, ("lease_expired", "The worker vanished."))
    History([FinishedJob("browser", "forced", at), FinishedJob("browser", "succeeded", at, 2, earlier=(lost,))]).write(
        owner
    )
    jobs = summary(transport, MONDAY, MONDAY + DAY)["jobs"]
    assert (jobs["forced"], jobs["succeeded"], jobs["success_rate"], jobs["first_try_rate"]) == (1, 1, 100, 0)
