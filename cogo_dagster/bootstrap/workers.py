"""Builds executors and options of a worker from the settings."""

import contextlib
from typing import Final

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.registry import Loaded
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.executor import Executor
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import EventKind, Observer, Stage, WorkerEvent, WorkerOptions
from cogo_dagster.redaction import redact
from cogo_dagster.settings import Settings

_POLL_SECONDS: Final = 2
_REST_POLL_SECONDS: Final = 3
_REST_WOKEN_POLL_SECONDS: Final = 20
"""Requests are more expensive than statements; jobs that become due later, such as retries, may wait as long."""


def worker_options(settings: Settings) -> WorkerOptions:
    """Return the options of a worker."""
    return WorkerOptions(
        concurrency=settings.concurrency,
        lease_seconds=settings.lease_seconds,
        grace_seconds=settings.grace_seconds,
        max_jobs=settings.max_jobs,
        heartbeat_seconds=min(10, settings.lease_seconds / 3),
        job_timeout_seconds=settings.job_timeout_seconds,
        unknown_object_seconds=settings.unknown_object_ttl_hours * 3_600,
        secrets=settings.secret_values(),
        poll_seconds=_REST_POLL_SECONDS if settings.uses_rest else _POLL_SECONDS,
        woken_poll_seconds=_REST_WOKEN_POLL_SECONDS if settings.uses_rest else None,
    )


def usable_executors(loaded: Loaded) -> list[Executor]:
    """Return the executors without a missing setting.

    Raises:
        ExecutorUnavailable: All installed executors are unusable.
    """
    usable = [executor for executor in loaded.executors if not executor.lacks]
    if loaded.executors and not usable:
        raise ExecutorUnavailable(f"No executor is usable: set {', '.join(loaded.lacking.values())}.")
    if not usable and loaded.broken:
        raise ExecutorUnavailable(f"No executor is usable. {' '.join(loaded.broken.values())}")
    return usable


def report_broken(loaded: Loaded, settings: Settings, transport: Transport, observer: Observer) -> None:
    """Report executors that cannot be loaded, as warnings of the worker and as conditions for alerts."""
    for message in loaded.broken.values():
        observer.event(warning(f"{message} This worker does not claim its jobs."))
    worker_id = settings.worker_id
    conditions = [
        {
            "kind": "executor_unavailable",
            "subject": f"{family} on {worker_id}",
            "title": f"Worker {worker_id} cannot load the executor {family}",
            "error_message": redact(message, settings.secret_values()),
        }
        for family, message in loaded.broken.items()
    ]
    with contextlib.suppress(QueueError):  # the worker works without the alert
        # Called directly, because importing `alerts` takes 0.2 s.
        transport.call("report_conditions", {"scope": f"worker {worker_id}", "conditions": conditions})


def warning(message: str) -> WorkerEvent:
    """Return a message as a warning event of the worker."""
    return WorkerEvent(EventKind.WARNING, Stage.CLAIM, message=message)
