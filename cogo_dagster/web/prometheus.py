"""Prometheus metrics, read from the database at each scrape. Labels contain no job IDs."""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cogo_dagster.queue.rows.alerts import AlertTargets
from cogo_dagster.queue.rows.stats import HeldSnapshot
from cogo_dagster.queue.stats import Latency, Numbers, QueueReasons, StatusCounts, WorkerTotals
from cogo_dagster.text import printable
from cogo_dagster.web.backend import Backend

_LABEL_CHARS: Final = 100
_OUTCOMES: Final = ("succeeded", "retried", "failed", "snoozed", "requeued", "cancelled")


class QueueCollector(Collector):
    """Collects the queue's metrics at scrape time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def describe(self) -> Iterator[Metric]:
        """Return nothing, so that registration does not query the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        stats = self._backend.application.stats
        yield from _gauges(self._backend.numbers())
        yield from _reasons(self._backend.reasons())
        yield _by_status(self._backend.counts())
        yield from _totals(stats.worker_totals())
        yield from _alerts(self._backend.application.alerts.target_health())
        yield from _held(self._backend.application.queue.held_snapshot(0))


def _gauges(numbers: Numbers) -> Iterator[Metric]:
    plain = (
        ("cogo_queue_ready_jobs", "Queued jobs that are due, counted up to 10,000 per lane.", numbers.ready),
        ("cogo_queue_waiting_jobs", "Queued jobs that are not due yet, counted up to 10,000.", numbers.waiting),
        ("cogo_queue_oldest_ready_seconds", "Wait of the oldest due job.", numbers.oldest_ready_seconds),
        ("cogo_jobs_running", "Running jobs.", numbers.running),
        ("cogo_jobs_lease_expired", "Running jobs whose lease has expired.", numbers.expired_leases),
        ("cogo_dlq_open", "Dead-lettered jobs that were neither replayed nor retried.", numbers.dlq_open),
        ("cogo_jobs_succeeded_24h", "Jobs that succeeded in the last 24 hours.", numbers.succeeded_24h),
        ("cogo_jobs_failed_24h", "Jobs that were dead-lettered in the last 24 hours.", numbers.failed_24h),
        ("cogo_lease_losses_24h", "Attempts whose lease expired in the last 24 hours.", numbers.lease_losses_24h),
        ("cogo_workers_alive", "Workers with a recent heartbeat.", numbers.workers_alive),
        ("cogo_worker_slots", "Slots of the live workers.", numbers.slots_alive),
        ("cogo_worker_slots_free", "Free slots of the live workers.", numbers.slots_free),
        ("cogo_paused", "Paused types and executors.", numbers.paused),
        (
            "cogo_browser_slots",
            "Slots of the live workers for browser jobs.",
            numbers.slots_by_family.get("browser", 0),
        ),
        ("cogo_browser_running", "Running browser jobs.", numbers.running_by_family.get("browser", 0)),
    )
    for name, documentation, value in plain:
        yield GaugeMetricFamily(name, documentation, value=value)
    yield _by_family("cogo_queue_ready_jobs_by_family", "Queued jobs that are due.", numbers.ready_by_family)
    yield _by_family("cogo_jobs_running_by_family", "Running jobs.", numbers.running_by_family)


def _reasons(found: QueueReasons) -> Iterator[Metric]:
    counts: dict[tuple[str, str], int] = {}
    for one in found.reasons:
        labels = (printable(one.family)[:_LABEL_CHARS], one.why)
        counts[labels] = counts.get(labels, 0) + one.count
    waiting = GaugeMetricFamily("cogo_jobs_queued_by_reason", "Queued jobs by cause.", labels=["family", "reason"])
    for (family, why), count in sorted(counts.items()):
        waiting.add_metric([family, why], count)
    yield waiting
    yield GaugeMetricFamily("cogo_jobs_stranded", "Due jobs that no live worker can claim.", value=found.stranded)


def _by_family(name: str, documentation: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    metric = GaugeMetricFamily(name, documentation, labels=["family"])
    for family, value in sorted(_by_label(values).items()):
        metric.add_metric([family], value)
    return metric


def _by_label(values: Mapping[str, float]) -> dict[str, float]:
    """Return values by printable, truncated label; a name in a row may be a megabyte or contain control characters."""
    by_label: dict[str, float] = {}
    for name, value in values.items():
        label = printable(name)[:_LABEL_CHARS]
        by_label[label] = by_label.get(label, 0) + value
    return by_label


def _by_status(counts: StatusCounts) -> GaugeMetricFamily:
    metric = GaugeMetricFamily("cogo_jobs", "Jobs by status; an estimate above 10,000.", labels=["status"])
    for status, count in counts:
        metric.add_metric([status], count.count)
    return metric


def _totals(totals: WorkerTotals) -> Iterator[Metric]:
    outcomes = CounterMetricFamily("cogo_attempts", "Attempts that workers finished, by outcome.", labels=["outcome"])
    for outcome in _OUTCOMES:
        outcomes.add_metric([outcome], totals.counters.get(outcome, 0))
    yield outcomes
    events = CounterMetricFamily(
        "cogo_worker_events", "Events of workers: claimed, lease_lost, recovered and others.", labels=["event"]
    )
    for event, count in sorted(_by_label(totals.counters).items()):
        if event not in _OUTCOMES:
            events.add_metric([event], count)
    yield events
    yield CounterMetricFamily(
        "cogo_lease_losses", "Lease losses that workers noticed.", value=totals.counters.get("lease_lost", 0)
    )
    if totals.latency is not None:
        yield _histogram(totals.latency)


def _alerts(health: AlertTargets) -> Iterator[Metric]:
    yield GaugeMetricFamily("cogo_alerts_firing", "Firing alerts.", value=health.firing)
    yield GaugeMetricFamily("cogo_alerts_undelivered", "Alert deliveries that are due.", value=health.undelivered)
    healthy = GaugeMetricFamily("cogo_alert_target_healthy", "1 if the target is reachable.", labels=["target"])
    deliveries = GaugeMetricFamily(
        "cogo_alert_deliveries", "Alert deliveries in the table, by target and status.", labels=["target", "status"]
    )
    for target in health.targets:
        healthy.add_metric([target.target], float(target.healthy))
        for status, count in (("pending", target.pending), ("delivered", target.delivered), ("dead", target.dead)):
            deliveries.add_metric([target.target, status], count)
    yield healthy
    yield deliveries


def _held(snapshot: HeldSnapshot | None) -> Iterator[Metric]:
    labels = ["kind", "pid", "application", "name"]
    seconds = GaugeMetricFamily(
        "cogo_snapshot_held_seconds", "Age of the snapshot that holds back vacuum the longest.", labels=labels
    )
    transactions = GaugeMetricFamily(
        "cogo_snapshot_held_transactions", "Transactions that began since that snapshot.", labels=labels
    )
    if snapshot is not None:
        holder = (snapshot.kind, str(snapshot.pid or ""), snapshot.application or "", snapshot.name or "")
        values = [printable(value)[:_LABEL_CHARS] for value in holder]
        transactions.add_metric(values, snapshot.transactions)
        if snapshot.seconds is not None:
            seconds.add_metric(values, snapshot.seconds)
    yield seconds
    yield transactions


def _histogram(latency: Latency) -> HistogramMetricFamily:
    bounds = [*(str(float(bound)) for bound in latency.bounds_seconds), "+Inf"]
    buckets = list(zip(bounds, accumulate(map(float, latency.counts)), strict=True))
    return HistogramMetricFamily(
        "cogo_job_run_seconds", "Run time of executions.", buckets=buckets, sum_value=latency.sum_seconds
    )
