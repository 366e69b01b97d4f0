"""What the gate's assets show in the Dagster UI: numbers that plot, tables, words to read."""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from cogo_dagster.dagster_support.metadata import number
from cogo_dagster.quality.frames import failures_frame, types_frame
from cogo_dagster.quality.records import GateSummary, Stored, WeeklySummary
from cogo_dagster.quality.summary import day_markdown, measures
from cogo_dagster.quality.week_chart import week_chart
from cogo_dagster.redaction import redact

if TYPE_CHECKING:
    import pandas as pd

Metadata = dict[str, dg.MetadataValue[Any]]


def day_metadata(stored: Stored) -> Metadata:
    """Return what a day's materialization shows."""
    summary = stored.summary
    kept = {
        "verdict": dg.MetadataValue.text(summary.q1.verdict),
        "outcome": dg.MetadataValue.text(stored.outcome or "read"),
        "complete": dg.MetadataValue.bool(stored.complete),
        "revision": dg.MetadataValue.int(stored.revision),
    }
    return {"summary": dg.MetadataValue.md(day_markdown(summary)), **numbers(summary), **tables(summary), **kept}


def week_metadata(week: WeeklySummary, chart_url: str | None) -> Metadata:
    """Return what a week's materialization shows."""
    picture = base64.b64encode(week_chart(week).encode()).decode()
    shown: Metadata = {
        "summary": dg.MetadataValue.md(week.markdown),
        "chart": dg.MetadataValue.md(f"![Week {week.week}](data:image/svg+xml;base64,{picture})"),
        "week": dg.MetadataValue.text(week.week),
        "complete": dg.MetadataValue.bool(week.complete),
        **numbers(week.this_week),
        **{f"change_{name}": number(value) for name, value in week.change.items() if value is not None},
        **tables(week.this_week),
        "json": dg.MetadataValue.json(week.model_dump(mode="json", exclude={"markdown"})),
    }
    return shown | ({"chart_url": dg.MetadataValue.url(chart_url)} if chart_url else {})


def numbers(summary: GateSummary) -> Metadata:
    """Return every number there is; the UI plots them over the partitions."""
    return {name: number(value) for name, value in measures(summary).items() if value is not None}


def tables(summary: GateSummary) -> Metadata:
    """Return jobs by type and failures as tables."""
    return {"jobs_by_type": _table(types_frame(summary)), "top_failures": _table(failures_frame(summary))}


def _table(frame: "pd.DataFrame") -> dg.MetadataValue[Any]:
    columns = [dg.TableColumn(str(name), _kind(frame[name])) for name in frame.columns]
    records = [
        dg.TableRecord(_cells(row)) for row in frame.astype(object).where(frame.notna(), None).to_dict("records")
    ]
    return dg.MetadataValue.table(records, dg.TableSchema(columns))


def _cells(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): redact(value) if isinstance(value, str) else value for name, value in row.items()}


def _kind(column: "pd.Series[Any]") -> str:
    return {"i": "int", "f": "float"}.get(column.dtype.kind, "string")
