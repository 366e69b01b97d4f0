"""A week beside another one, as rows of texts, and its days. Pure functions."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cogo_dagster.quality.records import Day, GateSummary, Verdict
from cogo_dagster.quality.summary import ROWS, change, measures, number_text, signed_text
from cogo_dagster.quality.verdict import Threshold, verdict_of


@dataclass(frozen=True, slots=True)
class ComparedNumber:
    """A number of two weeks and its change, as text."""

    title: str
    this: str
    last: str
    change: str


@dataclass(frozen=True, slots=True)
class GateDay:
    """A day in UTC.

    Attributes:
        verdict: Q1 of the day.
        pass_rate: None if Q1 is not computed.
        has_begun: Whether the day has begun.
    """

    day: str
    passed: int
    failed: int
    succeeded: int
    unsuccessful: int
    verdict: Verdict
    pass_rate: float | None
    has_begun: bool


def compared(this: GateSummary, last: GateSummary) -> list[ComparedNumber]:
    """Return the numbers of a week beside those of another one."""
    numbers, before, moved = measures(this), measures(last), change(this, last)
    return [
        ComparedNumber(
            title,
            number_text(numbers[name], unit),
            number_text(before[name], unit),
            signed_text(moved[name], unit),
        )
        for title, name, unit in ROWS
    ]


def gate_days(summary: GateSummary, count: int, threshold: Threshold, now: datetime) -> list[GateDay]:
    """Return a number of days from the start of a window, also those without rows."""
    known = {day.day: day for day in summary.days}
    starts = [summary.window.start + timedelta(days=n) for n in range(count)]
    return [
        gate_day(known.get(f"{start:%Y-%m-%d}"), f"{start:%Y-%m-%d}", threshold, has_begun=start < now)
        for start in starts
    ]


def gate_day(found: Day | None, name: str, threshold: Threshold, *, has_begun: bool = True) -> GateDay:
    """Return a day with its verdict; without rows, all numbers are 0 and Q1 is not computed."""
    day = found or Day(day=name, gate_passed=0, gate_failed=0, jobs_succeeded=0, jobs_failed=0)
    runs = day.gate_passed + day.gate_failed
    verdict = verdict_of(day.gate_passed, runs, threshold)
    return GateDay(
        day=name,
        passed=day.gate_passed,
        failed=day.gate_failed,
        succeeded=day.jobs_succeeded,
        unsuccessful=day.jobs_failed,
        verdict=verdict,
        pass_rate=None if verdict == "not_computed" else round(100 * day.gate_passed / runs, 1),
        has_begun=has_begun,
    )
