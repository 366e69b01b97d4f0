"""Settings become a worker: its executors, its options, and what wakes it."""

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
"""A request costs more than a statement; a job that becomes due with time, as a retry does, may wait as long."""


def worker_options(settings: Settings) -> WorkerOptions:
    """Return how a worker works by these settings."""
    return WorkerOptions(
        concurrency=settings.concurrency,
        lease_seconds=settings.lease_seconds,
        grace_seconds=settings.grace_seconds,
        max_jobs=settings.max_jobs,
        heartbeat_seconds=min(10, settings.lease_seconds / 3),
        job_timeout_seconds=settings.job_timeout_seconds,
        secrets=settings.secret_values(),
        poll_seconds=_REST_POLL_SECONDS if settings.uses_rest else _POLL_SECONDS,
        woken_poll_seconds=_REST_WOKEN_POLL_SECONDS if settings.uses_rest else None,
    )


def able_executors(loaded: Loaded) -> list[Executor]:
    """Return the executors that lack no setting here.

    Raises:
        ExecutorUnavailable: There is none, although some are installed.
    """
    able = [executor for executor in loaded.executors if not executor.lacks]
    if loaded.executors and not able:
        raise ExecutorUnavailable(f"This machine can run no jobs at all: set {', '.join(loaded.lacking.values())}.")
    if not able and loaded.broken:
        raise ExecutorUnavailable(f"This machine can run no jobs at all. {' '.join(loaded.broken.values())}")
    return able


def report_broken(loaded: Loaded, settings: Settings, transport: Transport, observer: Observer) -> None:
    """Say which executors cannot be loaded: in the worker's log, and as conditions that become alerts."""
    for sentence in loaded.broken.values():
        observer(warning(f"{sentence} Its jobs are left to other workers."))
    worker_id = settings.worker_id
    conditions = [
        {
            "kind": "executor_unavailable",
            "subject": f"{family} on {worker_id}",
            "title": f"Worker {worker_id} cannot load the executor {family}",
            "error_message": redact(sentence, settings.secret_values()),
        }
        for family, sentence in loaded.broken.items()
    ]
    with contextlib.suppress(QueueError):  # the worker works without the alert
        # Not over `alerts`, whose libraries cost every start 0.2 s.
        transport.call("report_conditions", {"scope": f"worker {worker_id}", "conditions": conditions})


def warning(sentence: str) -> WorkerEvent:
    """Return a sentence as an event of the worker."""
    return WorkerEvent(EventKind.WARNING, Stage.CLAIM, text=sentence)
