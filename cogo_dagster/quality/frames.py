"""The numbers as pandas data frames."""

from typing import TYPE_CHECKING

from cogo_dagster.quality.records import GateSummary

if TYPE_CHECKING:
    import pandas as pd


def types_frame(summary: GateSummary) -> "pd.DataFrame":
    """Return the finished jobs by type, with their success rate."""
    import pandas as pd  # noqa: PLC0415 - importing it takes 0.5 s

    rows = [counts.model_dump() for counts in summary.jobs.by_type]
    frame = pd.DataFrame(rows, columns=["type", "succeeded", "failed"])
    ended = frame["succeeded"] + frame["failed"]
    frame["success_rate"] = (100 * frame["succeeded"] / ended.where(ended > 0)).round(2)
    return frame


def failures_frame(summary: GateSummary) -> "pd.DataFrame":
    """Return the failures, most frequent first."""
    import pandas as pd  # noqa: PLC0415 - as above

    columns = ["count", "family", "error_class", "message", "fingerprint"]
    return pd.DataFrame([failure.model_dump() for failure in summary.top_failures], columns=columns)
