"""A worker's counters and its histogram of run times: totals since its start."""

from bisect import bisect_left
from collections import Counter

from cogo_dagster.queue.model import JsonValue

BOUNDS_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Upper bounds of the histogram's buckets; a final bucket holds longer runs."""


class WorkerMetrics:
    """Counts a worker's events. Not thread-safe: used in the worker's loop only."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self._sum_seconds = 0.0

    def count(self, what: str, by: int = 1) -> None:
        """Increment a counter."""
        self.counters[what] += by

    def observe_run(self, run_seconds: float) -> None:
        """Add one execution to the histogram."""
        self._counts[bisect_left(BOUNDS_SECONDS, run_seconds)] += 1
        self._sum_seconds += run_seconds

    def to_json(self) -> dict[str, JsonValue]:
        """Return the totals as `record_heartbeat` takes them; bucket counts are per bucket, not cumulative."""
        return {
            "counters": dict(self.counters),
            "latency": {
                "bounds_seconds": BOUNDS_SECONDS,
                "counts": list(self._counts),
                "sum_seconds": round(self._sum_seconds, 6),
            },
        }
