"""The gate's client and the weekly summary."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogo_dagster.quality.gates import GateService
from cogo_dagster.quality.summary import measures
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.quality.history import FinishedJob, History, Run, a_month
from cogo_dagster_tests.queue.conformance.test_gate_runs import COMMIT, a_report, a_run

MONDAY = datetime(2026, 10, 5, tzinfo=UTC)
DAYS = 5

moments = st.integers(-3_600_000_000, (DAYS * 86_400 + 3_600) * 1_000_000 - 1).map(
    lambda microseconds: MONDAY + timedelta(microseconds=microseconds)
)
midnights = st.integers(0, DAYS).map(lambda day: MONDAY + timedelta(days=day))
jobs = st.builds(
    FinishedJob, type=st.sampled_from(["browser", "figma"]),
    status=st.sampled_from(["succeeded", "failed", "cancelled"]),
    finished_at=moments | midnights, attempts=st.integers(1, 3),
)  # fmt: skip
runs = st.builds(
    Run, type=st.sampled_from(["gate", "gate_fix"]), status=st.sampled_from(["pass", "fail"]), branch=st.just("main"),
    created_at=moments | midnights,
)  # fmt: skip


def test_recent_runs_are_fixes_with_links(gates: GateService, transport: Transport) -> None:
    """Recent runs are gate_fix runs by default, newest first, with links to reports."""
    report = a_report(transport)
    for type in ("gate_fix", "gate", "gate_fix", "gate_fix", "gate_fix"):
        gates.record(a_run(type=type, eslint_artifact_id=report))
    recent = gates.recent()
    assert [run.type for run in recent] == ["gate_fix"] * 3
    assert recent == sorted(recent, key=lambda run: run.created_at, reverse=True)
    assert recent[0].eslint_url == f"https://ops/api/artifacts/{report}"
    assert recent[0].coverage_url is None
    assert len(gates.recent(None, 10)) == 5


def test_a_run_is_recorded_once(gates: GateService) -> None:
    """Recording a run with the same id again returns the first one."""
    run = {"gate_run_id": str(uuid4()), "type": "gate", "status": "pass", "branch": "main", "commit_sha": COMMIT}
    first, created = gates.record(run)
    assert (first.commit_sha, created) == (COMMIT, True)
    assert gates.record(run) == (first, False)


def test_the_summary_has_q1(gates: GateService) -> None:
    """The summary has Q1 of the base branch by default."""
    assert gates.summary().q1.verdict == "not_computed"
    for status in ("pass", "pass", "pass", "pass", "fail"):
        gates.record(a_run(status=status))
    summary = gates.summary(hours=2)
    assert (summary.q1.verdict, summary.q1.pass_rate, summary.branch, summary.window.hours) == ("pass", 80, "main", 2)
    assert (
        gates.summary(branch="mian").q1.reason
        == "No gate run was recorded on the branch mian: runs were recorded on main."
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(jobs, max_size=12), st.lists(runs, max_size=12))
def test_the_sum_of_days_equals_the_whole_window(
    gates: GateService, owner: Owner, jobs: list[FinishedJob], runs: list[Run]
) -> None:
    """Each row is counted in exactly one window, also at midnight."""
    owner.execute("truncate public.jobs, public.job_attempts, public.gate_runs")
    History(jobs, runs).write(owner)
    ends = [MONDAY + timedelta(days=day) for day in range(DAYS + 1)]
    days = [gates.summary(start=start, end=end) for start, end in pairwise(ends)]
    whole = gates.summary(start=ends[0], end=ends[-1])
    for name in ("succeeded", "failed", "cancelled", "attempts"):
        assert sum(getattr(day.jobs, name) for day in days) == getattr(whole.jobs, name), name
    for name in ("runs", "passed", "failed"):
        assert sum(getattr(day.gate, name) for day in days) == getattr(whole.gate, name), name
        assert sum(getattr(day.gate_fix, name) for day in days) == getattr(whole.gate_fix, name), name
    assert [one for day in days for one in day.days] == whole.days
    inside = [job for job in jobs if ends[0] <= job.finished_at < ends[-1]]
    assert whole.jobs.succeeded + whole.jobs.failed + whole.jobs.cancelled == len(inside)


def test_a_week_is_compared_with_the_previous_week(gates: GateService, owner: Owner) -> None:
    """A week has every number with its change, and Markdown with Q1 and the failures."""
    a_month(MONDAY, days=14).write(owner)
    week = gates.weekly("2026-W42")
    first, second = (measures(one) for one in (week.last_week, week.this_week))
    assert (week.start, week.end) == (MONDAY + timedelta(days=7), MONDAY + timedelta(days=14))
    for name, value in second.items():
        before = first[name]
        assert value is not None
        assert before is not None
        assert week.change[name] == round(value - before, 3), name
    assert week.markdown.startswith("## Week 2026-W42\n\n**Q1 ")
    assert (
        f"| Jobs succeeded | {week.this_week.jobs.succeeded:,} | {week.last_week.jobs.succeeded:,} |" in week.markdown
    )
    assert "| failures | count |" in week.markdown


def test_a_week_without_a_previous_week_has_no_changes(gates: GateService, owner: Owner) -> None:
    """A change is None if one of the two numbers is missing."""
    a_month(MONDAY, days=7).write(owner)
    week = gates.weekly("2026-W41")
    assert week.change["pass_rate"] is None
    assert week.change["jobs_succeeded"] == week.this_week.jobs.succeeded
    assert "new" in week.markdown


def test_error_messages_are_escaped_in_markdown(gates: GateService, owner: Owner) -> None:
    """Markup in an error message is escaped in the Markdown table."""
    hostile = "a|b <script> [x](javascript:y) `c` *d*\nsecond line"
    History([FinishedJob("browser", "failed", MONDAY, error=("evil", hostile))]).write(owner)
    markdown = gates.weekly("2026-W41").markdown
    assert r"browser: evil: a\|b \<script\> \[x\](javascript:y) \`c\` \*d\*" in markdown
    assert "second line" not in markdown


def test_days_are_kept_and_read_back(gates: GateService, owner: Owner) -> None:
    """Stored days and weeks are read back unchanged."""
    a_month(MONDAY, days=3).write(owner)
    stored = [gates.store_day(MONDAY + timedelta(days=day)) for day in range(3)]
    assert [one.outcome for one in stored] == ["stored"] * 3
    read = gates.snapshots(30)
    assert [one.summary for one in read] == [one.summary for one in stored[::-1]]
    assert len(gates.snapshot_numbers(2)) == 2
    _, outcome = gates.store_week("2026-W41")
    assert outcome == "stored"
    assert gates.store_rolling().summary.window.hours == 24


def test_numbers_of_an_earlier_release_are_read(gates: GateService, owner: Owner) -> None:
    """Stored days and weeks without newer fields can be read."""
    a_month(MONDAY, days=8).write(owner)
    gates.store_day(MONDAY)
    gates.store_week("2026-W41")
    for table in (b"gate_snapshots", b"weekly_summaries"):
        owner.execute(
            b"update public."
            + table
            + b" set numbers = jsonb_set(numbers, '{top_failures}', (select jsonb_agg(f - 'family')"
            b" from jsonb_array_elements(numbers -> 'top_failures') f))"
        )
    assert {failure.family for day in gates.snapshots() for failure in day.summary.top_failures} == {""}
    assert "| timeout: The page did not load. |" in gates.weekly("2026-W41").markdown


def test_the_last_week_is_the_one_that_is_over(gates: GateService) -> None:
    """`last_week` is the default week of `weekly`."""
    assert gates.last_week() == gates.weekly().week
