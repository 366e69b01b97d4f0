"""The chart of a week."""

from datetime import timedelta
from typing import Final

from cogo_dagster.charts import HEIGHT, Panel, bars_panel, described, document, line_panel
from cogo_dagster.quality.comparison import gate_day
from cogo_dagster.quality.records import Day, GateSummary, WeeklySummary
from cogo_dagster.quality.verdict import Threshold

_GAP: Final = 8


def week_chart(week: WeeklySummary) -> str:
    """Return an SVG chart of a week: the pass rate with its threshold, gate runs and jobs by day."""
    days = _all_days(week.this_week)
    labels = [f"{day.day[8:]}.{day.day[5:7]}." for day in days]
    q1 = week.this_week.q1
    threshold = Threshold(q1.min_pass_rate, q1.min_runs)
    rates = [gate_day(day, day.day, threshold).pass_rate for day in days]
    panels = [Panel(title, at * (HEIGHT + _GAP)) for at, title in enumerate(_titles(week.week))]
    shapes = [
        line_panel(panels[0], labels, rates, maximum=100, unit=" %", threshold=q1.min_pass_rate),
        bars_panel(
            panels[1],
            labels,
            {"passed": [day.gate_passed for day in days], "failed": [day.gate_failed for day in days]},
            ("good", "bad"),
        ),
        bars_panel(
            panels[2],
            labels,
            {"succeeded": [day.jobs_succeeded for day in days], "failed": [day.jobs_failed for day in days]},
            ("good", "bad"),
        ),
    ]
    description = f"Pass rate: {described(labels, rates, ' %')}. {week.this_week.q1.reason}"
    return document(shapes, 3 * HEIGHT + 2 * _GAP, f"Week {week.week}", description, standalone=True)


def _titles(week: str) -> tuple[str, str, str]:
    return f"Gate pass rate, {week}", "Gate runs by day", "Jobs by day"


def _all_days(summary: GateSummary) -> list[Day]:
    """Return all days of the window, including empty ones."""
    known = {day.day: day for day in summary.days}
    count = round(summary.window.hours / 24)
    names = [f"{summary.window.start + timedelta(days=at):%Y-%m-%d}" for at in range(count)]
    none = {"gate_passed": 0, "gate_failed": 0, "jobs_succeeded": 0, "jobs_failed": 0}
    return [known.get(name) or Day(day=name, **none) for name in names]
