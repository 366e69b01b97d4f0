"""The numbers as pandas frames: what SQL computed, shaped for tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cogo_dagster.quality.model import GateSummary
from cogo_dagster.quality.summary import measures

if TYPE_CHECKING:
    import pandas as pd


def days_frame(days: Sequence[GateSummary]) -> "pd.DataFrame":
    """Return one row a day, oldest first, with the pass rate of the seven days up to it."""
    import pandas as pd  # noqa: PLC0415 - it takes half a second, and most commands need none

    ordered = sorted(days, key=lambda day: day.window.start)
    rows = [measures(day) | {"passed": day.gate.passed, "verdict": day.q1.verdict} for day in ordered]
    index = pd.Index([f"{day.window.start:%Y-%m-%d}" for day in ordered], name="day")
    frame = pd.DataFrame(rows, index=index)
    if not frame.empty:
        week = frame[["passed", "gate_runs"]].rolling(7, min_periods=1).sum()
        frame["pass_rate_7d"] = (100 * week["passed"] / week["gate_runs"].where(week["gate_runs"] > 0)).round(2)
    return frame


def types_frame(summary: GateSummary) -> "pd.DataFrame":
    """Return the jobs that ended, by type, with their success rate."""
    import pandas as pd  # noqa: PLC0415 - as above

    frame = pd.DataFrame([one.model_dump() for one in summary.jobs.by_type], columns=["type", "succeeded", "failed"])
    ended = frame["succeeded"] + frame["failed"]
    frame["success_rate"] = (100 * frame["succeeded"] / ended.where(ended > 0)).round(2)
    return frame


def failures_frame(summary: GateSummary) -> "pd.DataFrame":
    """Return the failures, most frequent first."""
    import pandas as pd  # noqa: PLC0415 - as above

    columns = ["count", "family", "error_class", "message", "fingerprint"]
    return pd.DataFrame([one.model_dump() for one in summary.top_failures], columns=columns)
