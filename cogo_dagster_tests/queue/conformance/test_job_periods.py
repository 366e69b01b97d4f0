"""Stored periods: windows with them equal windows that are counted from the rows, and totals of workers are kept."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.quality.history import FinishedJob, History, a_month, same, shape
from cogo_dagster_tests.queue.conformance.conftest import BY_VERSION
from cogo_dagster_tests.queue.steps import a_worker, register, running_job, settle

DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
FIRST = TODAY - 3 * DAY

METRICS: Json = {"counters": {"succeeded": 3}, "latency": {"bounds_seconds": [1], "counts": [3, 0], "sum_seconds": 1.5}}


def roll_up(transport: Transport, owner: Owner) -> Json:
    """Store all periods that ended; transactions of other databases do not delay it."""
    owner.execute("insert into public.job_period_marks values (now(), '3') on conflict do nothing")
    return transport.call("roll_up_jobs", {"max_seconds": 600})


def summary(transport: Transport, start: datetime, end: datetime) -> Any:
    """Return the numbers of a window."""
    return transport.call("gate_summary", {"window_start": start.isoformat(), "window_end": end.isoformat()})


def count(owner: Owner, table: str) -> int:
    """Return the number of rows of a table."""
    row = owner.execute(f"select count(*) from public.{table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


@BY_VERSION
def test_windows_with_stored_periods_equal_an_independent_computation(transport: Transport, owner: Owner) -> None:
    """It holds for whole days, and for windows that begin and end within a period."""
    days = a_month(FIRST, days=2)
    days.write(owner)
    inside = (FIRST + timedelta(hours=5, minutes=3), FIRST + DAY + timedelta(seconds=7))
    windows = [*((FIRST + i * DAY, FIRST + (i + 1) * DAY) for i in range(2)), (FIRST, FIRST + 2 * DAY), inside]
    before = [summary(transport, *window) for window in windows]

    assert roll_up(transport, owner)["periods"] > 2 * 24 * 6
    owner.execute("update public.jobs set type = 'other', result = null")  # none of these rows is read again
    for window, earlier in zip(windows[:-1], before[:-1], strict=True):
        assert summary(transport, *window) == earlier
        assert same(shape(summary(transport, *window)), days.numbers(*window))


def a_history(transport: Transport, hours: int = 24) -> Any:
    """Return the numbers of the last hours, without the hours themselves."""
    found = transport.call("job_history", {"hours": hours})
    assert found["complete"]
    totals = {status: sum(hour[status] for hour in found["hours"]) for status in ("succeeded", "failed", "cancelled")}
    return {**found, "hours": totals}


def finish(owner: Owner, jobs: int, age: timedelta, *, run_seconds: str, status: str = "succeeded") -> None:
    """Add finished jobs of this age; `run_seconds` is an expression of their number n."""
    owner.execute(
        f"insert into public.jobs (type, status, attempts, lease_token, created_at, claimed_at, finished_at, "
        f"run_seconds, error) select 'browser.pdf', %(status)s, 1, md5(n::text)::uuid, at - interval '9 s', "
        f"at - interval '5 s', at, {run_seconds}, "
        "case %(status)s when 'failed' then '{\"class\": \"dns\"}'::jsonb end "
        "from generate_series(1, %(jobs)s) n, lateral (select now() - %(age)s) as t (at)".encode(),
        {"status": status, "jobs": jobs, "age": age},
    )


@BY_VERSION
def test_durations_of_the_history_are_those_of_all_jobs(transport: Transport, owner: Owner) -> None:
    """The newest jobs are quick: quantiles of a sample of them would not show the slow ones."""
    finish(owner, 6_000, timedelta(hours=3), run_seconds="10")
    finish(owner, 5_000, timedelta(hours=2), run_seconds="1")
    before = a_history(transport)
    assert before["run_seconds"] == {"p50": 10, "p95": 10}
    assert before["wait_seconds"] == {"p50": 4, "p95": 4}
    roll_up(transport, owner)
    owner.execute("update public.jobs set run_seconds = 99")  # none of these rows is read again
    assert a_history(transport) == before


@BY_VERSION
def test_durations_of_the_history_have_three_digits(transport: Transport, owner: Owner) -> None:
    """The median of all values is exact to that precision, from microseconds to hours, before and after the roll-up."""
    for run_seconds, median in (("0.0001234", 0.000123), ("1.2345", 1.23), ("12345", 12_300), ("0.001 * n", 0.0505)):
        owner.execute("delete from public.jobs")
        owner.execute("delete from public.job_measures")
        owner.execute("delete from public.job_periods")
        owner.execute("delete from public.job_period_sums")
        finish(owner, 100, timedelta(hours=2), run_seconds=run_seconds)
        for _ in range(2):
            assert a_history(transport)["run_seconds"]["p50"] == pytest.approx(median)
            roll_up(transport, owner)


@BY_VERSION
def test_more_failures_than_a_page_are_all_counted(transport: Transport, owner: Owner) -> None:
    """The counts and the errors of a mass failure are those of all its jobs, also after a purge."""
    finish(owner, 20_500, timedelta(hours=2), run_seconds="1", status="failed")
    finish(owner, 3, timedelta(minutes=1), run_seconds="1", status="cancelled")
    for _ in range(2):
        found = a_history(transport)
        assert found["hours"] == {"succeeded": 0, "failed": 20_500, "cancelled": 3}
        assert found["errors"] == [{"error_class": "dns", "count": 20_500}]
        assert [(row["family"], row["failed"]) for row in found["families"]] == [("browser", 20_500)]
        roll_up(transport, owner)
        owner.execute(
            "update public.jobs set status = 'queued', finished_at = null, error = null where status = 'failed'"
        )


@BY_VERSION
def test_a_window_between_periods_reads_the_rows_of_its_edges(transport: Transport, owner: Owner) -> None:
    """A job in the first minutes of a period is counted only if the window contains it."""
    moments = [FIRST + timedelta(minutes=minutes) for minutes in (2, 5, 15, 25, 28)]
    History([FinishedJob("browser", "succeeded", at) for at in moments], []).write(owner)
    roll_up(transport, owner)
    window = (FIRST + timedelta(minutes=3), FIRST + timedelta(minutes=27))
    assert summary(transport, *window)["jobs"]["succeeded"] == 3


@BY_VERSION
def test_a_period_without_jobs_is_stored_as_it_would_be_counted(transport: Transport, owner: Owner) -> None:
    """For the periods around a job, the stored rows equal those of the functions, which are not called for all."""
    at = FIRST + timedelta(minutes=25)
    History([FinishedJob("browser", "succeeded", at)], []).write(owner)
    roll_up(transport, owner)
    for table, function in (("job_periods", "job_numbers"), ("job_measures", "measure_jobs")):
        query = f"""
            select stored = cogo_internal.{function}(starts_at, starts_at + interval '10 minutes')
            from public.{table} stored
            where starts_at < %s and coalesce((to_jsonb(stored) ->> 'hours')::integer, 0) = 0"""
        assert owner.execute(query.encode(), [FIRST + timedelta(hours=1)]).fetchall() == [(True,)] * 4


@BY_VERSION
def test_a_window_is_added_up_from_days_and_hours(transport: Transport, owner: Owner) -> None:
    """A day and the hours beside it are stored, so that only the edges are periods of ten minutes."""
    a_month(FIRST, days=2).write(owner)
    roll_up(transport, owner)
    start, end = TODAY - 2 * DAY - timedelta(minutes=70), TODAY - DAY + timedelta(minutes=140)
    parts = owner.execute("select starts_at from cogo_internal.stored_numbers(%s, %s)", (start, end)).fetchall()
    day = TODAY - 2 * DAY
    hours = [day - timedelta(hours=1), TODAY - DAY, TODAY - DAY + timedelta(hours=1)]
    edges = [start, end - timedelta(minutes=20), end - timedelta(minutes=10)]
    assert sorted(at for (at,) in parts) == sorted([day, *hours, *edges])


@BY_VERSION
def test_messages_that_differ_in_digits_are_one_failure_of_a_day(transport: Transport, owner: Owner) -> None:
    """The day stores the most frequent message, and how many failures there were."""
    errors = [("timeout", f"The page {n % 4} did not load in 30 s") for n in range(1, 8)]
    jobs = [
        FinishedJob("browser", "failed", FIRST + timedelta(hours=n), error=error) for n, error in enumerate(errors, 1)
    ]
    History([*jobs, FinishedJob("browser", "succeeded", FIRST)], []).write(owner)
    before = summary(transport, FIRST, FIRST + DAY)["top_failures"]
    roll_up(transport, owner)
    [(stored,)] = owner.execute(
        "select failures from public.job_period_sums where hours = 24 and starts_at = %s", (FIRST,)
    )
    assert [(row["n"], row["largest"]) for row in stored] == [(7, 2)]
    assert summary(transport, FIRST, FIRST + DAY)["top_failures"] == before


@BY_VERSION
def test_numbers_are_deleted_with_their_sums(transport: Transport, owner: Owner) -> None:
    """A day is deleted before its periods, and no window counts both."""
    a_month(FIRST, days=2).write(owner)
    roll_up(transport, owner)
    days = (datetime.now(UTC) - FIRST - DAY).total_seconds() / 86_400
    window = (FIRST - DAY, FIRST + 2 * DAY)
    before = summary(transport, *window)["jobs"]["succeeded"]
    while transport.call("delete_old_rows", {"days": {"numbers": days}, "batch_size": 7})["more"]:
        assert summary(transport, *window)["jobs"]["succeeded"] == before
    [(oldest,)] = owner.execute("select min(starts_at) from public.job_periods")
    [(oldest_sum,)] = owner.execute("select min(starts_at) from public.job_period_sums")
    assert FIRST + DAY <= oldest <= oldest_sum
    assert summary(transport, *window)["jobs"]["succeeded"] == before


@BY_VERSION
def test_a_purge_leaves_the_stored_periods(transport: Transport, owner: Owner) -> None:
    """A day that was counted before keeps its numbers."""
    a_month(FIRST, days=1).write(owner)
    before = summary(transport, FIRST, FIRST + DAY)
    roll_up(transport, owner)
    owner.execute("delete from public.job_attempts")
    owner.execute("delete from public.jobs")
    assert summary(transport, FIRST, FIRST + DAY)["jobs"] == before["jobs"]


def test_a_period_is_not_stored_while_a_transaction_may_add_to_it(dsn: str, transport: Transport, owner: Owner) -> None:
    """A job whose transaction began before the mark is never missed."""
    at = datetime.now(UTC) - timedelta(hours=1)
    History([FinishedJob("browser", "succeeded", at - DAY)], []).write(owner)
    with psycopg.connect(dsn) as late:
        late.execute("select")  # begins the transaction, in which the history is written
        History([FinishedJob("browser", "succeeded", at)], []).write(late)
        for _ in range(3):
            assert transport.call("roll_up_jobs", {})["periods"] == 0
        late.commit()
    roll_up(transport, owner)
    assert transport.call("queue_stats", {})["succeeded_24h"] == 1
    assert summary(transport, at - DAY - DAY, at + DAY)["jobs"]["succeeded"] == 2


def test_the_last_day_is_counted_to_the_moment(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Stored periods, jobs before the first whole period, and jobs of this minute add up."""
    now = datetime.now(UTC)
    ages = [DAY + timedelta(seconds=30), DAY - timedelta(seconds=30), DAY / 2, timedelta(minutes=2)]
    History([FinishedJob("browser", "succeeded", now - age) for age in ages], []).write(owner)
    roll_up(transport, owner)
    settle(queue, running_job(queue))
    assert transport.call("queue_stats", {})["succeeded_24h"] == 4


def test_the_counters_of_a_stopped_worker_are_added_once(queue: Queue, transport: Transport, owner: Owner) -> None:
    """The totals do not change, the row keeps its counters, and a running worker is counted as before."""
    stopped, running = a_worker("a"), a_worker("b")
    for worker in (stopped, running):
        register(queue, worker)
        queue.heartbeat(worker, 0, METRICS)
    queue.stop_worker(stopped)
    before = transport.call("worker_totals", {})
    assert [roll_up(transport, owner)["workers"] for _ in range(3)] == [1, 0, 0]
    assert transport.call("worker_totals", {}) == before
    assert before["counters"] == {"succeeded": 6}
    assert before["latency"] == {"bounds_seconds": [1], "counts": [6, 0], "sum_seconds": 3.0}

    queue.heartbeat(running, 0, {**METRICS, "counters": {"succeeded": 5}})
    queue.heartbeat(stopped, 0, {**METRICS, "counters": {"succeeded": 9}})
    assert transport.call("worker_totals", {})["counters"] == {"succeeded": 8}
    assert [row.document["counters"]["succeeded"] for row in queue.list_workers()] == [5, 3]


def test_totals_of_several_stopped_workers_are_added_up(queue: Queue, transport: Transport, owner: Owner) -> None:
    """Each has its counters and its histogram; one of another release has other bounds."""
    for number in range(3):
        worker = a_worker(f"w{number}")
        register(queue, worker)
        bounds = [1, 2] if number == 0 else [1]
        counts = [number] * (len(bounds) + 1)
        latency: Json = {"bounds_seconds": bounds, "counts": counts, "sum_seconds": 1}
        queue.heartbeat(worker, 0, {"counters": {f"n{number}": 1, "claimed": 1}, "latency": latency})
        queue.stop_worker(worker)
        roll_up(transport, owner)
    totals = transport.call("worker_totals", {})
    assert totals["counters"] == {"n0": 1, "n1": 1, "n2": 1, "claimed": 3}
    assert totals["latency"] == {"bounds_seconds": [1], "counts": [3, 3], "sum_seconds": 2}


@BY_VERSION
def test_all_pages_of_a_list_are_read(queue: Queue, owner: Owner) -> None:
    """A rare job behind more jobs than one call reads is found, and a page limit is kept."""
    owner.execute("insert into public.jobs (id, type) values ('00000000-0000-7000-8000-000000000000', 'rare')")
    owner.execute("insert into public.jobs (type) select 'browser' from generate_series(1, 20001)")
    assert [row.type for row in queue.list_jobs(type_prefix="rare")] == ["rare"]
    assert queue.list_jobs(type_prefix="none") == []
    first = queue.list_jobs(max_jobs=3)
    assert [row.id for row in queue.list_jobs(max_jobs=1, before_id=first[1].id)] == [first[2].id]


def test_a_roll_up_rejects_an_invalid_limit(transport: Transport) -> None:
    """The limit is a number of seconds."""
    with pytest.raises(InvalidArgument, match="max_seconds must be 0 to 3600"):
        transport.call("roll_up_jobs", {"max_seconds": -1})


def test_a_purge_pages_through_jobs_that_finished_together(transport: Transport, owner: Owner) -> None:
    """Equal times are ordered by ID, in a dry run and in a purge."""
    owner.execute(
        "insert into public.jobs (id, type, status, attempts, lease_token, finished_at) select gen_random_uuid(), "
        "'browser', (array['succeeded', 'failed', 'cancelled'])[1 + n % 3], 1, gen_random_uuid(), '2026-01-01' "
        "from generate_series(1, 30) n"
    )
    given: Json = {"older_than_days": 1, "statuses": ["succeeded", "failed", "cancelled"], "batch_size": 7}
    seen: list[str] = []
    page = transport.call("purge_jobs", given)
    while page["items"]:
        seen += [item["id"] for item in page["items"]]
        page = transport.call("purge_jobs", {**given, "after": page["after"]})
    assert seen == sorted(set(seen))
    assert len(seen) == 30
    action = {"id": str(uuid4()), "batch": 0, "actor": "me"}
    assert transport.call("purge_jobs", {**given, "dry_run": False, "action": action})["changed"] == 7
    assert count(owner, "jobs") == 23
    kept = owner.execute("select id::text from public.jobs order by id").fetchall()
    assert [row[0] for row in kept] == seen[7:]


@pytest.mark.parametrize(("buckets", "bucket_hours"), [(96, 1), (4, 24)], ids=["hours", "days"])
def test_the_history_by_type_equals_a_count_of_the_rows(
    transport: Transport, owner: Owner, buckets: int, bucket_hours: int
) -> None:
    """Before and after periods are stored; beyond six types, the others are one sum."""
    for number in range(9):
        moments = [FIRST + timedelta(hours=5 * n + number) for n in range(12 - number)]
        statuses = ["failed" if n == 2 else "succeeded" for n in range(len(moments))]
        finished = [FinishedJob(f"type-{number}", status, at) for at, status in zip(moments, statuses, strict=True)]
        History(finished, []).write(owner)
    arguments = {"buckets": buckets, "bucket_hours": bucket_hours}
    before = transport.call("job_history_by_type", arguments)
    assert [row["type"] for row in before["types"]] == [*(f"type-{number}" for number in range(6)), None]
    assert [sum(row["counts"]) for row in before["types"]] == [12, 11, 10, 9, 8, 7, 6 + 5 + 4]
    assert len(before["starts"]) == buckets
    counts = owner.execute(
        "select count(j.id) from generate_series(%s::timestamptz, now(), make_interval(hours => %s)) as b (start)"
        " left join public.jobs j on j.type = 'type-0' and j.finished_at >= b.start"
        " and j.finished_at < b.start + make_interval(hours => %s) group by b.start order by b.start",
        [before["starts"][0], bucket_hours, bucket_hours],
    ).fetchall()
    assert before["types"][0]["counts"] == [found for (found,) in counts]
    roll_up(transport, owner)
    assert transport.call("job_history_by_type", arguments) == before


def test_the_history_by_type_rejects_other_lengths(transport: Transport) -> None:
    """Hours or days, at most a week of hours."""
    for arguments in ({"buckets": 0}, {"buckets": 169}, {"bucket_hours": 2}, {"buckets": None}):
        with pytest.raises(InvalidArgument):
            transport.call("job_history_by_type", arguments)
