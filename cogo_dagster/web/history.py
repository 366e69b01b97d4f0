"""Data of the charts of the history. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from cogo_dagster.quality.comparison import GateDay
from cogo_dagster.quality.records import Day
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.stats import Hour, TypeHistory


@dataclass(frozen=True, slots=True)
class Bucket:
    """The jobs that finished in an hour or on a day.

    Attributes:
        label: Time or date, in UTC.
        cancelled: None if it is unknown.
        period: The same for the search `finished:`.
    """

    start: datetime
    seconds: int
    label: str
    succeeded: int
    failed: int
    cancelled: int | None
    period: str

    @property
    def search(self) -> str:
        """Address of the search for these jobs."""
        return finished_search(self.period)

    def jobs_of(self, status: str) -> str:
        """Return the address of the search for those with a status."""
        return finished_search(self.period, status)


def hour_buckets(hours: Sequence[Hour]) -> list[Bucket]:
    """Return the hours of a history."""
    return [
        Bucket(
            start=hour.start.astimezone(UTC),
            seconds=3_600,
            label=bucket_label(hour.start.astimezone(UTC), 3_600),
            succeeded=hour.succeeded,
            failed=hour.failed,
            cancelled=hour.cancelled,
            period=_period(hour.start, timedelta(hours=1)),
        )
        for hour in hours
    ]


def day_buckets(days: Sequence[Day], start: datetime, count: int) -> list[Bucket]:
    """Return a number of days from a midnight, also those without jobs."""
    known = {day.day: day for day in days}
    buckets = []
    for number in range(count):
        at = start + timedelta(days=number)
        day = known.get(f"{at:%Y-%m-%d}")
        buckets.append(
            Bucket(
                start=at,
                seconds=86_400,
                label=f"{at:%Y-%m-%d}",
                succeeded=day.jobs_succeeded if day else 0,
                failed=day.jobs_failed if day else 0,
                cancelled=None,
                period=_period(at, timedelta(days=1)),
            )
        )
    return buckets


def finished_search(period: str, status: str | None = None) -> str:
    """Return the address of the search for the jobs that finished in a period."""
    return f"/dashboard/jobs?q={quote(f'finished:{period}' + (f' status:{status}' if status else ''))}"


def _period(start: datetime, length: timedelta) -> str:
    at = start.astimezone(UTC)
    last = at + length - timedelta(minutes=1)  # the search includes both ends of a range
    return f"{at:%Y-%m-%d}" if length >= timedelta(days=1) else f"{at:%Y-%m-%dT%H:%M}..{last:%Y-%m-%dT%H:%M}"


def jobs_chart(buckets: Sequence[Bucket]) -> dict[str, Json]:
    """Return the data of the chart of finished jobs, as `charts.js` reads it."""
    series = [
        {"name": "succeeded", "colour": "good", "values": [bucket.succeeded for bucket in buckets]},
        {"name": "failed", "colour": "bad", "values": [bucket.failed for bucket in buckets]},
    ]
    if any(bucket.cancelled is not None for bucket in buckets):
        series.append({"name": "cancelled", "colour": "muted", "values": [bucket.cancelled or 0 for bucket in buckets]})
    return {
        "kind": "bars",
        "seconds": buckets[0].seconds if buckets else 3_600,
        "x": [int(bucket.start.timestamp()) + bucket.seconds // 2 for bucket in buckets],
        "labels": [bucket.label for bucket in buckets],
        "links": [bucket.search for bucket in buckets],
        "series": series,
    }


def types_chart(history: TypeHistory, seconds: int) -> dict[str, Json]:
    """Return the data of the chart of finished jobs by type.

    Args:
        seconds: Length of an hour or a day.
    """
    starts = [start.astimezone(UTC) for start in history.starts]
    return {
        "kind": "bars",
        "seconds": seconds,
        "x": [int(start.timestamp()) + seconds // 2 for start in starts],
        "labels": [bucket_label(start, seconds) for start in starts],
        "links": [finished_search(_period(start, timedelta(seconds=seconds))) for start in starts],
        "series": [
            {
                "name": row.type or "other types",
                "colour": f"type-{number}" if row.type else "muted",
                "values": row.counts,
            }
            for number, row in enumerate(history.types, start=1)
        ],
    }


def bucket_label(start: datetime, seconds: int) -> str:
    """Return the label of an hour or a day, in UTC."""
    return f"{start:%Y-%m-%d}" if seconds >= 86_400 else f"{start:%Y-%m-%d %H:00}"


def rate_chart(points: Sequence[GateDay], minimum: float) -> dict[str, Json]:
    """Return the data of the chart of the pass rate; a day that is not computed is a gap."""
    return {
        "kind": "line",
        "seconds": 86_400,
        "x": [int(datetime.fromisoformat(point.day).replace(tzinfo=UTC).timestamp()) + 43_200 for point in points],
        "labels": [point.day for point in points],
        "links": [f"/dashboard/weeks?week={datetime.fromisoformat(point.day):%G-W%V}" for point in points],
        "series": [{"name": "passed", "colour": "accent", "values": [point.pass_rate for point in points]}],
        "unit": " %",
        "maximum": 100,
        "minimum": minimum,
    }
