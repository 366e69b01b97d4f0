"""The queue's numbers as Prometheus takes them, read from the database at each scrape; no job's id is a label."""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cogo_dagster.queue.rows.alerts import AlertTargets
from cogo_dagster.queue.stats import Latency, Numbers, StatusCounts, WorkerTotals
from cogo_dagster.text import printable
from cogo_dagster.web.backend import Backend

_LABEL_CHARS: Final = 100
_OUTCOMES: Final = ("succeeded", "retried", "failed", "snoozed", "requeued", "cancelled")


class QueueCollector(Collector):
    """Reads the numbers when it is asked to collect."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand: registering must not ask the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return every metric."""
        stats = self._backend.application.stats
        yield from _gauges(self._backend.numbers())
        yield _by_status(self._backend.counts())
        yield from _totals(stats.worker_totals())
        yield from _alerts(self._backend.application.alerts.target_health())


def _gauges(numbers: Numbers) -> Iterator[Metric]:
    plain = (
        ("cogo_queue_ready_jobs", "Queued jobs that are due; counting stops at 10,000 a lane.", numbers.ready),
        ("cogo_queue_waiting_jobs", "Queued jobs whose time has not come; counting stops at 10,000.", numbers.waiting),
        ("cogo_queue_oldest_ready_seconds", "How long the oldest due job has waited.", numbers.oldest_ready_seconds),
        ("cogo_jobs_running", "Running jobs.", numbers.running),
        ("cogo_jobs_lease_expired", "Running jobs whose worker has not renewed in time.", numbers.expired_leases),
        ("cogo_dlq_open", "Dead letters neither replayed nor retried.", numbers.dlq_open),
        ("cogo_jobs_succeeded_24h", "Jobs that succeeded in the last 24 hours.", numbers.succeeded_24h),
        ("cogo_jobs_failed_24h", "Jobs that failed for good in the last 24 hours.", numbers.failed_24h),
        ("cogo_lease_losses_24h", "Attempts whose lease ran out in the last 24 hours.", numbers.lease_losses_24h),
        ("cogo_workers_alive", "Workers with a fresh heartbeat.", numbers.workers_alive),
        ("cogo_worker_slots", "Jobs the workers alive can run at once.", numbers.slots_alive),
        ("cogo_worker_slots_free", "How many more they could take now.", numbers.slots_free),
        ("cogo_paused", "Types and executors that are paused.", numbers.paused),
        (
            "cogo_browser_slots",
            "Browser jobs the workers alive can run at once: the browser pool.",
            numbers.slots_by_family.get("browser", 0),
        ),
        ("cogo_browser_running", "Browser jobs that run now.", numbers.running_by_family.get("browser", 0)),
    )
    for name, words, value in plain:
        yield GaugeMetricFamily(name, words, value=value)
    yield _by_family("cogo_queue_ready_jobs_by_family", "Queued jobs that are due.", numbers.ready_by_family)
    yield _by_family("cogo_jobs_running_by_family", "Running jobs.", numbers.running_by_family)


def _by_family(name: str, words: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    metric = GaugeMetricFamily(name, words, labels=["family"])
    for family, value in sorted(_by_label(values).items()):
        metric.add_metric([family], value)
    return metric


def _by_label(values: Mapping[str, float]) -> dict[str, float]:
    """Return values by names that are fit for labels: what a row holds may be a megabyte, or steer a terminal."""
    by_label: dict[str, float] = {}
    for name, value in values.items():
        label = printable(name)[:_LABEL_CHARS]
        by_label[label] = by_label.get(label, 0) + value
    return by_label


def _by_status(counts: StatusCounts) -> GaugeMetricFamily:
    metric = GaugeMetricFamily("cogo_jobs", "Jobs in the table; beyond 10,000 an estimate.", labels=["status"])
    for status, count in counts:
        metric.add_metric([status], count.count)
    return metric


def _totals(totals: WorkerTotals) -> Iterator[Metric]:
    outcomes = CounterMetricFamily("cogo_attempts", "Attempts that workers ended, by outcome.", labels=["outcome"])
    for outcome in _OUTCOMES:
        outcomes.add_metric([outcome], totals.counters.get(outcome, 0))
    yield outcomes
    events = CounterMetricFamily(
        "cogo_worker_events", "What workers counted: claimed, lease_lost, recovered …", labels=["event"]
    )
    for event, count in sorted(_by_label(totals.counters).items()):
        if event not in _OUTCOMES:
            events.add_metric([event], count)
    yield events
    yield CounterMetricFamily(
        "cogo_lease_losses", "Times a worker learned that a lease was lost.", value=totals.counters.get("lease_lost", 0)
    )
    if totals.latency is not None:
        yield _histogram(totals.latency)


def _alerts(health: AlertTargets) -> Iterator[Metric]:
    yield GaugeMetricFamily("cogo_alerts_firing", "Alerts that fire.", value=health.firing)
    yield GaugeMetricFamily("cogo_alerts_undelivered", "Deliveries of alerts that are due.", value=health.undelivered)
    healthy = GaugeMetricFamily("cogo_alert_target_healthy", "1 where a target can be reached.", labels=["target"])
    deliveries = GaugeMetricFamily(
        "cogo_alert_deliveries", "Deliveries by target and status, as kept.", labels=["target", "status"]
    )
    for one in health.targets:
        healthy.add_metric([one.target], float(one.healthy))
        for status, count in (("pending", one.pending), ("delivered", one.delivered), ("dead", one.dead)):
            deliveries.add_metric([one.target, status], count)
    yield healthy
    yield deliveries


def _histogram(latency: Latency) -> HistogramMetricFamily:
    bounds = [*(str(float(bound)) for bound in latency.bounds_seconds), "+Inf"]
    buckets = list(zip(bounds, accumulate(map(float, latency.counts)), strict=True))
    return HistogramMetricFamily(
        "cogo_job_run_seconds", "How long executions ran.", buckets=buckets, sum_value=latency.sum_seconds
    )
