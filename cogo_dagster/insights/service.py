"""One place that computes the queue's numbers, so that every page, metric and command shows the same one."""

from cogo_dagster.insights.model import History, Numbers, StatusCounts, WorkerTotals
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport


class Insights:
    """Asks the engine for numbers. Thread-safe; keeps nothing.

    Every method raises `QueueError` (see `queue.errors`).
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def numbers(self) -> Numbers:
        """Return the first numbers somebody asks for."""
        return Numbers.model_validate(self._call("queue_numbers"))

    def counts(self) -> StatusCounts:
        """Return how many jobs there are of each status."""
        return StatusCounts.model_validate(self._call("count_jobs"))

    def history(self, hours: int = 24) -> History:
        """Return what ended in the last hours, 1 to 168."""
        return History.model_validate(self._call("job_history", hours=hours))

    def worker_totals(self) -> WorkerTotals:
        """Return the workers' counters and their histogram of run times, since there are workers."""
        return WorkerTotals.model_validate(self._call("worker_totals"))

    def _call(self, function: str, **arguments: Json) -> Json:
        return self._transport.call(function, arguments)
