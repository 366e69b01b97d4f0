"""Rows as the database returns them, for tests of pure functions."""

from typing import Any, Final
from uuid import uuid4

from cogo_dagster.queue.rows.stats import QueueStats
from cogo_dagster.queue.rows.workers import WorkerRow

_TIME: Final = "2026-05-01T12:00:00+00:00"


def worker_row(**columns: Any) -> WorkerRow:
    """Return the row of a living worker."""
    row: dict[str, Any] = {
        "instance_id": str(uuid4()),
        "worker_id": "worker",
        "executor_id": None,
        "families": ["browser"],
        "hostname": "box",
        "pid": 1,
        "code_version": "1.2.3",
        "dagster_run_id": None,
        "concurrency": 4,
        "running": 0,
        "alive": True,
        "idle": False,
        "started_at": _TIME,
        "last_heartbeat_at": _TIME,
        "stopped_at": None,
        "stuck_reason": None,
        "heartbeat_seconds": 10,
        "counters": {},
        "device": {},
    }
    return WorkerRow.model_validate(row | columns)


def queue_stats(**columns: Any) -> QueueStats:
    """Return the statistics of an empty queue."""
    row: dict[str, Any] = {
        "ready": 0,
        "ready_by_family": {},
        "oldest_ready_seconds": 0,
        "waiting": 0,
        "running": 0,
        "running_by_instance": {},
        "expired_leases": 0,
        "paused": 0,
        "dlq_open": 0,
        "succeeded_24h": 0,
        "failed_24h": 0,
        "workers_alive": 0,
        "slots_alive": 0,
        "slots_free": 0,
    }
    return QueueStats.model_validate(row | columns)
