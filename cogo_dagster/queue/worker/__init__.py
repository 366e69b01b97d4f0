"""The worker: claims jobs, runs them, uploads what they leave, settles them; renews leases all the while.

claim ──▶ execute ──▶ upload ──▶ settle
          heartbeat · recover · sweep · listen   (beside them, until all is settled)
          renew · watchdog                       (on threads of their own)
"""

from cogo_dagster.queue.worker.events import EventKind, Observer, Stage, WorkerEvent
from cogo_dagster.queue.worker.options import WorkerOptions, WorkerReport
from cogo_dagster.queue.worker.run import run_worker
from cogo_dagster.queue.worker.worker import Worker, WorkerStuck

__all__ = [
    "EventKind",
    "Observer",
    "Stage",
    "Worker",
    "WorkerEvent",
    "WorkerOptions",
    "WorkerReport",
    "WorkerStuck",
    "run_worker",
]
