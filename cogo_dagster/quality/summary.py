"""The change of a week against the previous week, as numbers and as Markdown."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from cogo_dagster.quality.records import FailureGroup, GateSummary, Window

_MEASURES: Final[dict[str, Callable[[GateSummary], float | None]]] = {
    "pass_rate": lambda week: week.gate.pass_rate,
    "gate_runs": lambda week: week.gate.runs,
    "gate_fix_runs": lambda week: week.gate_fix.runs,
    "build_seconds_p50": lambda week: week.build_seconds.p50,
    "build_seconds_p95": lambda week: week.build_seconds.p95,
    "test_seconds_p50": lambda week: week.test_seconds.p50,
    "test_seconds_p95": lambda week: week.test_seconds.p95,
    "lint_errors": lambda week: week.lint.errors,
    "coverage_percent": lambda week: week.coverage_percent,
    "jobs_succeeded": lambda week: week.jobs.succeeded,
    "jobs_failed": lambda week: week.jobs.failed,
    "success_rate": lambda week: week.jobs.success_rate,
    "first_try_rate": lambda week: week.jobs.first_try_rate,
    "attempts_lost": lambda week: week.jobs.lost,
    "queue_wait_p50": lambda week: week.jobs.queue_wait_seconds.p50,
    "queue_wait_p95": lambda week: week.jobs.queue_wait_seconds.p95,
}

ROWS: Final = (
    ("Gate pass rate", "pass_rate", " %"),
    ("Gate runs", "gate_runs", ""),
    ("Runs after a fix", "gate_fix_runs", ""),
    ("Build, median", "build_seconds_p50", " s"),
    ("Tests, median", "test_seconds_p50", " s"),
    ("Lint errors", "lint_errors", ""),
    ("Coverage", "coverage_percent", " %"),
    ("Jobs succeeded", "jobs_succeeded", ""),
    ("Failures that ended a job", "jobs_failed", ""),
    ("Job success rate", "success_rate", " %"),
    ("Succeeded at the first attempt", "first_try_rate", " %"),
    ("Attempts lost", "attempts_lost", ""),
    ("Queue wait, p95", "queue_wait_p95", " s"),
)
"""The rows of a comparison: title, measure and unit."""


def measures(week: GateSummary) -> dict[str, float | None]:
    """Return a week's numbers by the names used in `change`."""
    return {name: measure(week) for name, measure in _MEASURES.items()}


def change(this: GateSummary, last: GateSummary) -> dict[str, float | None]:
    """Return this week's numbers minus last week's; None if one of them is missing."""
    before = measures(last)
    return {name: _difference(value, before[name]) for name, value in measures(this).items()}


def markdown(week: str, this: GateSummary, last: GateSummary, *, complete: bool) -> str:
    """Return the summary as Markdown: Q1, a comparison with last week, the failures."""
    numbers, before, moved = measures(this), measures(last), change(this, last)
    text = number_text
    lines = [f"## Week {week}", "", f"**{_VERDICTS[this.q1.verdict]}** {this.q1.reason}", ""]
    if not complete:
        lines += ["The numbers are incomplete: the week is not over, or some of its rows were purged.", ""]
    lines += ["| | this week | last week | change |", "|---|---:|---:|---:|"]
    lines += [
        f"| {title} | {text(numbers[name], unit)} | {text(before[name], unit)} | {signed_text(moved[name], unit)} |"
        for title, name, unit in ROWS
    ]
    return "\n".join([*lines, *_failures(this.top_failures, last.top_failures)]) + "\n"


def day_markdown(day: GateSummary) -> str:
    """Return one window as Markdown."""
    numbers = measures(day)
    lines = [f"## {window_title(day.window)}", "", f"**{_VERDICTS[day.q1.verdict]}** {day.q1.reason}", ""]
    lines += [
        "| | value |",
        "|---|---:|",
        *(f"| {title} | {number_text(numbers[name], unit)} |" for title, name, unit in ROWS),
    ]
    return "\n".join([*lines, *_failures(day.top_failures, day.top_failures)]) + "\n"


def window_title(window: Window) -> str:
    """Return the date of a closed day, and start and end of any other window."""
    start, end = window.start, window.end
    midnight = (start.hour, start.minute, start.second) == (0, 0, 0)
    if midnight and end - start == timedelta(days=1):
        return f"{start:%Y-%m-%d}"
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


_VERDICTS: Final = {"pass": "Q1 passes.", "fail": "Q1 fails.", "not_computed": "Q1 is not computed."}


def _failures(this: Sequence[FailureGroup], last: Sequence[FailureGroup]) -> list[str]:
    if not this:
        return ["", "No attempt failed."]
    known = {failure.fingerprint for failure in last}
    lines = ["", "| failures | count | |", "|---|---:|---|"]
    for failure in this:
        marker = "" if failure.fingerprint in known else "new"
        text = ": ".join(filter(None, (failure.family, failure.error_class, failure.message)))
        lines.append(f"| {_cell(text)} | {failure.count:,} | {marker} |")
    return lines


def _cell(text: str) -> str:
    """Return the text escaped and shortened for a table cell."""
    flat = " ".join(text.split())
    short = flat if len(flat) <= 120 else flat[:119] + "…"
    return "".join(f"\\{character}" if character in "\\|`*_[]<>~#" else character for character in short)


def _difference(this: float | None, last: float | None) -> float | None:
    return None if this is None or last is None else round(this - last, 3)


def number_text(value: float | None, unit: str) -> str:
    """Return a number with its unit."""
    if value is None:
        return "-"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{text}{unit}"


def signed_text(value: float | None, unit: str) -> str:
    """Return a change with its sign and unit."""
    if value is None:
        return "-"
    if not value:
        return "±0"
    # The difference of two percentages is in percentage points.
    return ("+" if value > 0 else "-") + number_text(abs(value), " points" if unit == " %" else unit)
