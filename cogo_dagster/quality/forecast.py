"""What Q1 will be: after further runs, and when the runs of its window leave it. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cogo_dagster.formatting.values import counted
from cogo_dagster.quality.records import GateRun, Verdict, Window
from cogo_dagster.quality.verdict import Threshold, verdict_of
from cogo_dagster.queue.decoding import Unreadable

_MAX_RUNS: Final = 10_000
"""Further runs that are considered."""


@dataclass(frozen=True, slots=True)
class Change:
    """A time after which runs have left the window, and Q1 without them.

    Attributes:
        left: The runs that leave it at this time.
    """

    at: datetime
    left: tuple[GateRun, ...]
    passed: int
    runs: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Forecast:
    """Q1 of a window, and what would change it.

    Attributes:
        failures_to_fail: Number of further failures after which Q1 fails; None if it fails already or never will.
        passes_to_pass: Number of further passes after which Q1 passes; None if it passes already, or never will.
        runs_missing: Number of runs until Q1 is computed.
        changes: The times at which runs leave the window, the first one first.
    """

    passed: int
    runs: int
    verdict: Verdict
    failures_to_fail: int | None
    passes_to_pass: int | None
    runs_missing: int
    changes: tuple[Change, ...]

    @property
    def next_change(self) -> Change | None:
        """When the verdict changes without further runs."""
        return next((change for change in self.changes if change.verdict != self.verdict), None)

    @property
    def next_failure(self) -> Change | None:
        """When the next failure leaves the window."""
        return next((change for change in self.changes if any(run.status == "fail" for run in change.left)), None)


def counted_runs(runs: Sequence[GateRun], window: Window, branch: str) -> list[GateRun]:
    """Return the runs that `gate_summary` counts in a window, oldest first."""
    found = [(time, run) for run in runs if (time := _time(run)) and run.type == "gate" and run.branch == branch]
    return [run for time, run in sorted(found, key=lambda pair: pair[0]) if window.includes(time)]


def forecast(runs: Sequence[GateRun], window: Window, threshold: Threshold) -> Forecast:
    """Return the forecast for the runs of a window.

    Args:
        runs: As `counted_runs` returns them.
        window: A window that ends now.
    """
    passed, total = sum(run.status == "pass" for run in runs), len(runs)
    verdict = verdict_of(passed, total, threshold)
    more = range(1, _MAX_RUNS + 1)
    fails = (n for n in more if verdict_of(passed, total + n, threshold) == "fail")
    passes = (n for n in more if verdict_of(passed + n, total + n, threshold) == "pass")
    return Forecast(
        passed=passed,
        runs=total,
        verdict=verdict,
        failures_to_fail=None if verdict == "fail" else next(fails, None),
        passes_to_pass=None if verdict == "pass" else next(passes, None),
        runs_missing=max(threshold.min_runs - total, 0),
        changes=tuple(_changes(runs, window, threshold)),
    )


def _changes(runs: Sequence[GateRun], window: Window, threshold: Threshold) -> list[Change]:
    changes: list[Change] = []
    remaining = list(runs)
    while remaining:
        at = window.leaves(_known(remaining[0]))
        left = tuple(run for run in remaining if window.leaves(_known(run)) == at)
        remaining = remaining[len(left) :]
        passed = sum(run.status == "pass" for run in remaining)
        changes.append(Change(at, left, passed, len(remaining), verdict_of(passed, len(remaining), threshold)))
    return changes


def forecast_text(found: Forecast, now: datetime) -> list[str]:
    """Return a forecast as sentences; times are in UTC."""
    sentences = [f"{found.passed} of {counted(found.runs, 'run')} passed{_outlook(found)}."]
    failure, change = found.next_failure, found.next_change
    if failure is not None:
        recorded = [run for run in failure.left if run.status == "fail"]
        subject = f"The failure of {_clock(_known(recorded[0]), now)} leaves"
        if len(recorded) > 1:
            subject = f"{len(recorded)} failures of {_clock(_known(recorded[0]), now)} leave"
        sentences.append(f"{subject} the window at {_clock(failure.at, now)}.")
    if change is not None:
        outcome = {"pass": "passes", "fail": "fails", "not_computed": "is not computed"}[change.verdict]
        sentences.append(f"Without further runs, Q1 {outcome} after {_clock(change.at, now)}.")
    return sentences


def _outlook(found: Forecast) -> str:
    if found.verdict == "not_computed":
        return f"; {counted(found.runs_missing, 'more run')} until Q1 is computed"
    if found.verdict == "fail":
        if found.passes_to_pass is None:
            return "; no number of passing runs makes it pass before a failure leaves the window"
        return f"; {counted(found.passes_to_pass, 'more passing run')} would make it pass"
    if found.failures_to_fail is None:
        return "; failures cannot make it fail"
    spare = found.failures_to_fail - 1
    if spare == 0:
        return "; one more failure makes it fail"
    keeps = "one more failure keeps it passing" if spare == 1 else f"{spare} more failures keep it passing"
    return f"; {keeps}, {_NUMBERS.get(found.failures_to_fail, found.failures_to_fail)} make it fail"


_NUMBERS: Final = {2: "two", 3: "three", 4: "four"}


def _clock(time: datetime, now: datetime) -> str:
    """Return a time of day, with the day unless it is today."""
    days = (time.date() - now.date()) // timedelta(days=1)
    day = {0: "", 1: " tomorrow", -1: " yesterday"}.get(days, f" on {time.date().isoformat()}")
    return f"{time:%H:%M}{day}"


def _time(run: GateRun) -> datetime | None:
    return None if isinstance(run.created_at, Unreadable) else run.created_at


def _known(run: GateRun) -> datetime:
    """Return the time of a run that `counted_runs` has selected."""
    time = _time(run)
    assert time is not None  # noqa: S101 - runs without a readable time are in no window
    return time
