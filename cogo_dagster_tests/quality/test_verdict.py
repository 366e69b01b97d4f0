"""The verdict: pass, fail, or not computed; never a silent pass."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.quality.records import GateCounts, GateNumbers, GateQuantiles, JobCounts, Window
from cogo_dagster.quality.summary import _signed, window_title
from cogo_dagster.quality.verdict import Threshold, backtest, q1
from cogo_dagster.quality.weeks import day_start, start_of, week_of
from cogo_dagster.queue.errors import InvalidArgument


def numbers(passed: int, failed: int, *, known: bool = True, day: str = "2026-11-02") -> GateNumbers:
    """Return what the verdict looks at."""
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
    """At the threshold it passes; with too few runs nothing is said, good as they may be."""
    assert q1(numbers(passed, failed), Threshold(70, 5)).verdict == verdict


def test_the_reason_says_what_was_asked_and_what_was_there() -> None:
    """In one sentence each."""
    asked = Threshold(70, 5)
    assert q1(numbers(6, 4), asked).reason == "6 of 10 gate runs on main passed (60 %); at least 70 % must."
    assert q1(numbers(1, 0), asked).reason == "Only 1 gate run on main in the window, and 5 are needed for a verdict."
    unknown = q1(numbers(0, 0, known=False), asked)
    assert unknown.reason == "No gate run was ever recorded on the branch main: runs were recorded on develop."


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0, 100), st.integers(1, 50))
def test_the_verdict_obeys_its_laws(passed: int, failed: int, rate: float, runs: int) -> None:
    """More passes never turn a pass into a failure, and too little data never passes."""
    asked = Threshold(rate, runs)
    verdict = q1(numbers(passed, failed), asked).verdict
    assert (verdict == "not_computed") == (passed + failed < runs)
    if verdict == "pass":
        assert q1(numbers(passed + 1, failed), asked).verdict == "pass"
        assert q1(numbers(passed, failed), Threshold(0, runs)).verdict == "pass"


def test_a_backtest_says_what_a_threshold_would_have_said() -> None:
    """Day by day, oldest first."""
    days = [numbers(9, 1, day="2026-11-03"), numbers(6, 4, day="2026-11-01"), numbers(1, 0, day="2026-11-02")]
    said = [(one.day, one.q1.verdict) for one in backtest(days, Threshold(70, 5))]
    assert said == [("2026-11-01", "fail"), ("2026-11-02", "not_computed"), ("2026-11-03", "pass")]
    assert [one.q1.verdict for one in backtest(days, Threshold(50, 1))] == ["pass"] * 3


def test_weeks_are_iso_weeks_in_utc() -> None:
    """Monday to Sunday; a year may begin in the last week of the one before, and have 53."""
    assert week_of(datetime(2027, 1, 3, 23, 59, tzinfo=UTC)) == "2026-W53"
    assert week_of(datetime.fromisoformat("2026-11-23T00:30:00+01:00")) == "2026-W47"
    assert start_of("2026-W47") == datetime(2026, 11, 16, tzinfo=UTC)
    assert day_start("2026-10-25") == datetime(2026, 10, 25, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["2026-W54", "2026-47", "2026-W00", "", "last", "2026-W4", "2026-W47-1"])
def test_what_is_no_week_is_refused(wrong: str) -> None:
    """With an example."""
    with pytest.raises(InvalidArgument, match="write it as 2026-W47"):
        start_of(wrong)


def test_a_window_is_headed_by_what_it_is() -> None:
    """A closed day by its date; the last 24 hours by both of their ends."""
    numbers = {"start": "2026-11-26T00:00:00+00:00", "end": "2026-11-27T00:00:00+00:00", "hours": 24}
    day = Window.model_validate(numbers)
    assert window_title(day) == "2026-11-26"
    numbers = {"start": "2026-11-26T13:20:00+00:00", "end": "2026-11-27T13:20:00+00:00", "hours": 24}
    rolling = Window.model_validate(numbers)
    assert window_title(rolling) == "2026-11-26 13:20 to 2026-11-27 13:20 UTC"


def test_the_difference_of_two_shares_is_in_points() -> None:
    """From 50 % to 55 % are 5 percentage points, which are 10 per cent."""
    assert [_signed(5.0, " %"), _signed(-2, " s"), _signed(0, " %")] == ["+5 points", "-2 s", "±0"]
