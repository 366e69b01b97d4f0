"""Q1: pass, fail, or not computed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.quality.records import GateCounts, GateNumbers, GateQuantiles, JobCounts, Window
from cogo_dagster.quality.summary import signed_text, window_title
from cogo_dagster.quality.verdict import Threshold, backtest, q1
from cogo_dagster.quality.weeks import day_start, start_of, week_of
from cogo_dagster.queue.errors import InvalidArgument


def numbers(passed: int, failed: int, *, known: bool = True, day: str = "2026-11-02") -> GateNumbers:
    """Return the numbers that Q1 needs."""
    runs = passed + failed
    rate = round(100 * passed / runs, 2) if runs else None
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    return GateNumbers(
        gate=GateCounts(runs=runs, passed=passed, failed=failed, pass_rate=rate),
        branch="main",
        branch_known=known,
        branches=["develop"],
        window=Window(start=start, end=start + timedelta(days=1), hours=24),
        jobs=JobCounts(
            succeeded=0, failed=0, success_rate=None, first_try_rate=None, queue_wait_seconds=GateQuantiles()
        ),
    )


@pytest.mark.parametrize(
    ("passed", "failed", "verdict"),
    [
        (7, 3, "pass"),
        (69, 31, "fail"),
        (5, 0, "pass"),
        (0, 5, "fail"),
        (4, 0, "not_computed"),
        (0, 0, "not_computed"),
        (699_999, 300_001, "fail"),  # shown as 70 %
    ],
)
def test_the_verdict(passed: int, failed: int, verdict: str) -> None:
    """Q1 passes at the threshold, and is not computed with too few runs."""
    assert q1(numbers(passed, failed), Threshold(70, 5)).verdict == verdict


def test_the_reason_has_counts_and_threshold() -> None:
    """The reason has the counts, the pass rate and the threshold."""
    threshold = Threshold(70, 5)
    assert q1(numbers(6, 4), threshold).reason == "6 of 10 gate runs on main passed (60 %); the minimum is 70 %."
    assert q1(numbers(1, 0), threshold).reason == "1 gate run on main in the window; Q1 needs at least 5."
    unknown = q1(numbers(0, 0, known=False), threshold)
    assert unknown.reason == "No gate run was recorded on the branch main: runs were recorded on develop."


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0, 100), st.integers(1, 50))
def test_properties_of_the_verdict(passed: int, failed: int, rate: float, runs: int) -> None:
    """More passed runs never turn a pass into a failure, and too few runs never pass."""
    threshold = Threshold(rate, runs)
    verdict = q1(numbers(passed, failed), threshold).verdict
    assert (verdict == "not_computed") == (passed + failed < runs)
    if verdict == "pass":
        assert q1(numbers(passed + 1, failed), threshold).verdict == "pass"
        assert q1(numbers(passed, failed), Threshold(0, runs)).verdict == "pass"


def test_a_backtest_applies_another_threshold() -> None:
    """A backtest returns Q1 of each day, oldest first."""
    days = [numbers(9, 1, day="2026-11-03"), numbers(6, 4, day="2026-11-01"), numbers(1, 0, day="2026-11-02")]
    verdicts = [(one.day, one.q1.verdict) for one in backtest(days, Threshold(70, 5))]
    assert verdicts == [("2026-11-01", "fail"), ("2026-11-02", "not_computed"), ("2026-11-03", "pass")]
    assert [one.q1.verdict for one in backtest(days, Threshold(50, 1))] == ["pass"] * 3


def test_weeks_are_iso_weeks_in_utc() -> None:
    """Weeks are ISO weeks: a year may begin in the last week of the previous year, and may have 53 weeks."""
    assert week_of(datetime(2027, 1, 3, 23, 59, tzinfo=UTC)) == "2026-W53"
    assert week_of(datetime.fromisoformat("2026-11-23T00:30:00+01:00")) == "2026-W47"
    assert start_of("2026-W47") == datetime(2026, 11, 16, tzinfo=UTC)
    assert day_start("2026-10-25") == datetime(2026, 10, 25, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["2026-W54", "2026-47", "2026-W00", "", "last", "2026-W4", "2026-W47-1"])
def test_an_invalid_week_is_rejected(wrong: str) -> None:
    """An invalid week is rejected with an example."""
    with pytest.raises(InvalidArgument, match="write it as 2026-W47"):
        start_of(wrong)


def test_the_title_of_a_window() -> None:
    """The title of a closed day is its date; that of the last 24 hours is start and end."""
    numbers = {"start": "2026-11-26T00:00:00+00:00", "end": "2026-11-27T00:00:00+00:00", "hours": 24}
    day = Window.model_validate(numbers)
    assert window_title(day) == "2026-11-26"
    numbers = {"start": "2026-11-26T13:20:00+00:00", "end": "2026-11-27T13:20:00+00:00", "hours": 24}
    rolling = Window.model_validate(numbers)
    assert window_title(rolling) == "2026-11-26 13:20 to 2026-11-27 13:20 UTC"


def test_a_difference_of_percentages_is_in_points() -> None:
    """A difference of percentages is shown in percentage points."""
    assert [signed_text(5.0, " %"), signed_text(-2, " s"), signed_text(0, " %")] == ["+5 points", "-2 s", "±0"]
