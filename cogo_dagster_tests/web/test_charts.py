"""The data of the charts, and the chart library that the package serves."""

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from cogo_dagster.quality.comparison import GateDay, gate_day, gate_days
from cogo_dagster.quality.records import Day, GateSummary, Window
from cogo_dagster.quality.verdict import Threshold
from cogo_dagster.queue.search.times import parse_period
from cogo_dagster.queue.stats import Hour, TypeHistory
from cogo_dagster.web.history import (
    day_buckets,
    hour_buckets,
    jobs_chart,
    rate_chart,
    types_chart,
)
from cogo_dagster.web.pictures import bars
from cogo_dagster_tests.npm import PACKAGES, npm_package

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
RULE = Threshold(70, 5)


def test_a_day_that_was_not_computed_is_a_gap() -> None:
    """A day with too few runs, even with none that passed, and a day without runs, have no value; 0 % is one."""
    counts = {"2026-11-23": (0, 9), "2026-11-24": (0, 2), "2026-11-26": (8, 2)}
    days = [
        Day(day=name, gate_passed=passed, gate_failed=failed, jobs_succeeded=0, jobs_failed=0)
        for name, (passed, failed) in counts.items()
    ]
    only_days: dict[str, Any] = {"window": Window(start=MONDAY, end=MONDAY + timedelta(days=4), hours=96), "days": days}
    shown = gate_days(GateSummary.model_construct(**only_days), 4, RULE, MONDAY + timedelta(days=3))
    assert [day.pass_rate for day in shown] == [0.0, None, None, 80.0]
    chart = rate_chart(shown, 70)
    assert chart["series"][0]["values"] == [0.0, None, None, 80.0]
    assert chart["labels"] == ["2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26"]
    assert chart["links"][0] == "/dashboard/weeks?week=2026-W48"


def test_the_jobs_of_a_day_are_grouped_by_type() -> None:
    """A series per type, and one for all others; the link of a day is the search of its jobs."""
    counts = [{"type": "browser", "counts": [3, 1]}, {"type": None, "counts": [0, 2]}]
    history = TypeHistory.model_validate({"starts": [MONDAY, MONDAY + timedelta(days=1)], "types": counts})
    chart = types_chart(history, 86_400)
    assert [(row["name"], row["colour"], row["values"]) for row in chart["series"]] == [
        ("browser", "type-1", [3, 1]),
        ("other types", "muted", [0, 2]),
    ]
    assert chart["labels"] == ["2026-11-23", "2026-11-24"]
    assert chart["links"][1].endswith("finished%3A2026-11-24")


def test_a_day_of_a_week_is_computed_by_the_rule_of_the_gate() -> None:
    """Fewer than the minimum number of runs: not computed, whatever their result."""
    days = {(passed, failed): (day.verdict, day.pass_rate) for passed, failed, day in _days()}
    assert days == {
        (0, 0): ("not_computed", None),
        (0, 4): ("not_computed", None),
        (0, 5): ("fail", 0.0),
        (7, 3): ("pass", 70.0),
        (6, 3): ("fail", 66.7),
    }


def _days() -> list[tuple[int, int, GateDay]]:
    found = []
    for passed, failed in ((0, 0), (0, 4), (0, 5), (7, 3), (6, 3)):
        day = Day(day="2026-11-23", gate_passed=passed, gate_failed=failed, jobs_succeeded=0, jobs_failed=0)
        found.append((passed, failed, gate_day(day, day.day, RULE)))
    return found


def test_a_bar_links_to_the_search_of_its_time() -> None:
    """The period of the search is that of the bar: an hour, or a day."""
    [hour] = hour_buckets([Hour(start=MONDAY + timedelta(hours=13), succeeded=3, failed=1, cancelled=0)])
    days = day_buckets([], MONDAY, 2)
    assert hour.search == "/dashboard/jobs?q=finished%3A2026-11-23T13%3A00..2026-11-23T13%3A59"
    assert [day.search for day in days] == [
        "/dashboard/jobs?q=finished%3A2026-11-23",
        "/dashboard/jobs?q=finished%3A2026-11-24",
    ]
    for text, start, hours in (("2026-11-23T13:00..2026-11-23T13:59", 13, 1), ("2026-11-23", 0, 24)):
        period = parse_period(text, MONDAY)
        assert period
        assert period.start == (MONDAY + timedelta(hours=start)).isoformat()
        assert period.end == (MONDAY + timedelta(hours=start + hours)).isoformat()


def test_the_chart_and_the_picture_have_all_values() -> None:
    """Days without jobs are zero; days do not know the cancelled jobs."""
    known = Day(day="2026-11-24", gate_passed=0, gate_failed=0, jobs_succeeded=5, jobs_failed=2)
    days = day_buckets([known], MONDAY, 3)
    chart = jobs_chart(days)
    assert {one["name"]: one["values"] for one in chart["series"]} == {"succeeded": [0, 5, 0], "failed": [0, 2, 0]}
    picture = str(bars(days))
    assert picture.count("<a ") == 3
    assert "2026-11-24: 5 succeeded, 2 failed, 0 cancelled" in picture


def test_the_chart_library_is_that_of_the_registry() -> None:
    """The files are unchanged, and the licence is beside them."""
    package = npm_package("uplot")
    static = files("cogo_dagster.web").joinpath("static")
    for ours, theirs in (
        ("uplot.js", "dist/uPlot.iife.min.js"),
        ("uplot.css", "dist/uPlot.min.css"),
        ("uplot.LICENSE.txt", "LICENSE"),
    ):
        assert static.joinpath(ours).read_bytes() == (package / theirs).read_bytes()
    assert f"(v{PACKAGES['uplot']})" in static.joinpath("uplot.js").read_text(encoding="utf-8")[:100]
