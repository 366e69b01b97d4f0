"""Charts are valid SVG with a description, and comply with a strict Content-Security-Policy."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from defusedxml.ElementTree import fromstring

from cogo_dagster.charts import HEIGHT, Panel, bars_panel, described, document, line_panel
from cogo_dagster.quality.gates import GateService
from cogo_dagster.quality.week_chart import week_chart
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.quality.conftest import gates, store
from cogo_dagster_tests.quality.history import a_month

__all__ = ["gates", "store"]

SVG = "{http://www.w3.org/2000/svg}"
DAYS = ["Mon", "Tue", "Wed"]


def line(
    title: str,
    labels: Sequence[str],
    values: Sequence[float | None],
    *,
    threshold: float = 70,
    standalone: bool = False,
) -> str:
    """Return a chart with one line of percentages."""
    shapes = line_panel(Panel(title), labels, values, most=100, unit=" %", threshold=threshold)
    return document([shapes], HEIGHT, title, described(labels, values, " %"), standalone=standalone)


def bars(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """Return a chart of stacked columns with two series."""
    return document([bars_panel(Panel(title), labels, series, ("good", "bad"))], HEIGHT, title, "Columns")


@pytest.mark.parametrize(
    "chart",
    [
        line("Rate", DAYS, [90, None, 60], threshold=70),
        bars("Jobs", DAYS, {"succeeded": [1, 2, 0], "failed": [0, 1, 0]}),
        line("Empty", [], []),
        bars("Nothing", DAYS, {"succeeded": [0, 0, 0]}),
    ],
)
def test_a_chart_is_valid_and_has_no_inline_style(chart: str) -> None:
    """It has a title and a description, and colours are set by classes."""
    root = fromstring(chart)
    assert root.find(f"{SVG}title") is not None
    assert root.find(f"{SVG}desc") is not None
    assert [element for element in root.iter() if "style" in element.attrib or element.tag == f"{SVG}style"] == []


def test_a_standalone_chart_contains_its_stylesheet() -> None:
    """The stylesheet has a light and a dark scheme."""
    style = fromstring(line("Rate", DAYS, [1, 2, 3], standalone=True)).find(f"{SVG}style")
    assert style is not None
    assert "prefers-color-scheme:dark" in (style.text or "")


def test_a_missing_value_leaves_a_gap_and_a_low_one_is_marked() -> None:
    """The line is interrupted, and a value below the threshold has its own class."""
    root = fromstring(line("Rate", [*DAYS, "Thu"], [90, None, 60, 80], threshold=70))
    [path] = [element.get("d") or "" for element in root.iter(f"{SVG}path")]
    assert path.count("M") == 2
    assert [dot.get("class") for dot in root.iter(f"{SVG}circle")] == ["dot", "low", "dot"]
    assert (root.findtext(f"{SVG}desc") or "") == "Mon 90 %, Tue none, Wed 60 %, Thu 80 %"


def test_the_height_of_a_column_is_proportional_to_its_number() -> None:
    """Columns are stacked, with the first series at the bottom."""
    root = fromstring(bars("Jobs", ["a"], {"succeeded": [3], "failed": [1]}))
    good, bad = (
        next(r for r in root.iter(f"{SVG}rect") if r.get("class") == kind and r.get("width") != "10")
        for kind in ("good", "bad")
    )
    assert float(good.get("height") or 0) == pytest.approx(3 * float(bad.get("height") or 0), abs=0.3)
    assert float(bad.get("y") or 0) < float(good.get("y") or 0)


def test_text_is_escaped() -> None:
    """A title may contain any characters."""
    assert fromstring(line("<script>&", ["<b>"], [1])).findtext(f"{SVG}title") == "<script>&"


def test_a_weeks_chart_has_seven_days(gates: GateService, owner: Owner) -> None:
    """Days without data are included."""
    monday = datetime(2026, 10, 5, tzinfo=UTC)
    a_month(monday, days=3).write(owner)
    root = fromstring(week_chart(gates.weekly("2026-W41")))
    labels = [text.text for text in root.iter(f"{SVG}text")]
    assert [label for label in labels if label == "11.10."] == ["11.10."] * 3
