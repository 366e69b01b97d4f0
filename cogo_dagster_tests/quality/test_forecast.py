"""The forecast of Q1: further runs, and runs that leave the window. The window is that of `gate_summary`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.quality.forecast import Forecast, counted_runs, forecast, forecast_text
from cogo_dagster.quality.gates import GateService
from cogo_dagster.quality.records import GateRun, Window
from cogo_dagster.quality.verdict import Threshold, verdict_of
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.conftest import Owner

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
DAY = Window(start=NOW - timedelta(hours=24), end=NOW, hours=24)
RULE = Threshold(70, 5)


def run(hours_ago: float, status: str = "pass", branch: str = "main", type: str = "gate") -> GateRun:
    """Return a gate run."""
    created_at = (NOW - timedelta(hours=hours_ago)).isoformat()
    fields = {"type": type, "status": status, "branch": branch, "commit_sha": "a" * 40, "created_at": created_at}
    return GateRun.model_validate({"gate_run_id": str(uuid4()), **fields})


def runs(statuses: str) -> list[GateRun]:
    """Return runs, one per hour, the oldest 20 hours ago: `+` passed, `-` failed."""
    return [run(20 - at, "pass" if sign == "+" else "fail") for at, sign in enumerate(statuses)]


def of(statuses: str, rule: Threshold = RULE) -> Forecast:
    """Return the forecast for such runs."""
    return forecast(runs(statuses), DAY, rule)


@pytest.mark.parametrize(
    ("statuses", "failures", "passes", "missing"),
    [
        ("++-+++-++", 2, None, 0),  # 7 of 9 and 7 of 10 pass; 7 of 11 fails
        ("+++++++---", 1, None, 0),  # exactly 70 %
        ("++-+--", None, 4, 0),  # 7 of 10
        ("++", 3, 3, 3),  # 2 of 5 fails, 5 of 5 passes
        ("", 5, 5, 5),
        ("-----", None, 12, 0),
    ],
)
def test_further_runs_change_the_verdict(statuses: str, failures: int | None, passes: int | None, missing: int) -> None:
    """The numbers of further failures and passes are the smallest ones after which the verdict is another."""
    found = of(statuses)
    assert (found.failures_to_fail, found.passes_to_pass, found.runs_missing) == (failures, passes, missing)


@given(statuses=st.text("+-", max_size=30), rate=st.sampled_from([0, 1, 33.3, 70, 99, 100]), least=st.integers(0, 12))
def test_the_numbers_agree_with_the_verdict(statuses: str, rate: float, least: int) -> None:
    """One run fewer does not change the verdict; that number of runs does."""
    rule = Threshold(rate, least)
    found = of(statuses, rule)
    assert found.verdict == verdict_of(found.passed, found.runs, rule)
    if found.failures_to_fail is not None:
        more = [verdict_of(found.passed, found.runs + n, rule) for n in range(1, found.failures_to_fail + 1)]
        assert more[-1] == "fail"
        assert "fail" not in more[:-1]
    if found.passes_to_pass is not None:
        n = found.passes_to_pass
        assert verdict_of(found.passed + n, found.runs + n, rule) == "pass"
        assert n == 1 or verdict_of(found.passed + n - 1, found.runs + n - 1, rule) != "pass"


def test_the_text_says_what_would_change_it() -> None:
    """As an operator would ask: how many failures, and when the failure leaves."""
    first, *rest = forecast_text(of("++-+++-++"), NOW)
    assert first == "7 of 9 runs passed; one more failure keeps it passing, two make it fail."
    assert rest == [
        "The failure of 18:00 yesterday leaves the window at 18:00.",
        "Without further runs, Q1 is not computed after 20:00.",
    ]
    assert forecast_text(of("+++++++---"), NOW)[0].endswith("; one more failure makes it fail.")
    assert forecast_text(of("++-+--"), NOW)[0] == "3 of 6 runs passed; 4 more passing runs would make it pass."
    assert forecast_text(of("++"), NOW)[0] == "2 of 2 runs passed; 3 more runs until Q1 is computed."
    strict = forecast_text(of("+++++-", Threshold(100, 5)), NOW)
    assert strict[0].endswith("; no number of passing runs makes it pass before a failure leaves the window.")
    assert strict[-1] == "Without further runs, Q1 is not computed after 17:00."


def test_runs_of_one_time_leave_together() -> None:
    """Two failures of the same moment are one change."""
    found = forecast([run(3, "fail"), run(3, "fail"), run(1), run(1), run(1), run(1)], DAY, Threshold(50, 2))
    assert [(len(change.left), change.passed, change.runs) for change in found.changes] == [(2, 4, 4), (4, 0, 0)]
    assert "2 failures of 09:00 leave the window at 09:00 tomorrow." in forecast_text(found, NOW)


def test_runs_outside_the_window_or_branch_do_not_count() -> None:
    """The window includes its start and excludes its end; an unreadable time is in no window."""
    inside = [run(24), run(0.001)]
    unreadable = run(1).model_copy(update={"created_at": Unreadable("unreadable: infinity")})
    outside = [run(24.001), run(0), run(1, branch="other"), run(1, type="gate_fix"), unreadable]
    assert counted_runs([*inside, *outside], DAY, "main") == inside


def test_the_forecast_counts_what_the_summary_counts(transport: Transport, owner: Owner, tmp_path: Path) -> None:
    """Runs at and beside the borders of the window, on two branches and of both types: the same numbers as the SQL."""
    gates = GateService.of(load_settings(), transport, FolderStore(tmp_path))
    for seconds in (0, 1, 3_600, 86_395, 86_400, 86_405, 90_000):
        for branch, type, status in (("main", "gate", "pass"), ("main", "gate", "fail"), ("dev", "gate", "pass")):
            owner.execute(
                "insert into public.gate_runs (id, type, status, branch, commit_sha, created_at)"
                " values (gen_random_uuid(), %s, %s, %s, 'abcdef0', now() - make_interval(secs => %s))",
                (type, status, branch, seconds),
            )
    summary = gates.summary()
    found = gates.forecast(summary)
    assert (found.runs, found.passed, found.verdict) == (summary.q1.runs, summary.q1.passed, summary.q1.verdict)
    assert 0 < found.runs < 14


def test_a_run_leaves_the_window_when_the_sql_no_longer_counts_it(
    transport: Transport, owner: Owner, tmp_path: Path
) -> None:
    """At the time that the forecast names the run is still counted, a moment later it is not."""
    gates = GateService.of(load_settings(), transport, FolderStore(tmp_path))
    at = datetime(2026, 11, 20, 7, 41, tzinfo=UTC)
    owner.execute(
        "insert into public.gate_runs (id, type, status, branch, commit_sha, created_at)"
        " values (gen_random_uuid(), 'gate', 'fail', 'main', 'abcdef0', %s)",
        (at,),
    )
    window = Window(start=at - timedelta(hours=1), end=at + timedelta(hours=23), hours=24)
    leaves = window.leaves(at)
    counted = [
        gates.summary(start=end - timedelta(hours=24), end=end).q1.runs
        for end in (leaves, leaves + timedelta(milliseconds=1))
    ]
    assert counted == [1, 0]
