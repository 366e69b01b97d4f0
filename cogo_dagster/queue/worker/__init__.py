"""The worker: claims jobs, executes them, uploads their artifacts and settles them, while it renews their leases.

claim ──▶ execute ──▶ upload ──▶ settle
          heartbeat · recover · sweep · listen   (background tasks, until everything is settled)
          renew · watchdog                       (threads)
"""

from cogo_dagster.queue.worker.events import EventKind, EventObserver, Observer, Stage, WorkerEvent
from cogo_dagster.queue.worker.options import WorkerOptions, WorkerReport
from cogo_dagster.queue.worker.run import run_worker
from cogo_dagster.queue.worker.worker import Worker, WorkerStuck

__all__ = [
    "EventKind",
    "EventObserver",
    "Observer",
    "Stage",
    "Worker",
    "WorkerEvent",
    "WorkerOptions",
    "WorkerReport",
    "WorkerStuck",
    "run_worker",
]
