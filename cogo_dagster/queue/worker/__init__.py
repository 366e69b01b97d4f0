"""The worker: claims jobs, runs them, uploads what they leave, settles them; renews leases all the while.

claim ──▶ execute ──▶ upload ──▶ settle
          renew · heartbeat · recover · listen   (beside them, until all is settled)
"""

from cogo_dagster.queue.worker.events import EventKind, Observer, Stage, WorkerEvent
from cogo_dagster.queue.worker.options import WorkerOptions, WorkerReport
from cogo_dagster.queue.worker.worker import Worker

__all__ = ["EventKind", "Observer", "Stage", "Worker", "WorkerEvent", "WorkerOptions", "WorkerReport"]
