"""Registration and heartbeats of workers."""

from collections.abc import Mapping, Sequence

from cogo_dagster.queue.client.leases import WorkerIdentity
from cogo_dagster.queue.model import JsonValue
from cogo_dagster.queue.rows.base import Cursor, read_list
from cogo_dagster.queue.rows.workers import Heartbeat, LeaseLosses, RegisteredFamily, WorkerRow
from cogo_dagster.queue.transports.base import Transport, without_none


class WorkerCalls:
    """Calls for workers."""

    _transport: Transport

    def register_worker(
        self,
        worker: WorkerIdentity,
        *,
        families: Sequence[str],
        concurrency: int,
        pid: int,
        code_version: str,
        heartbeat_seconds: float,
        device: Mapping[str, JsonValue],
    ) -> None:
        """Register a worker and its device."""
        self._transport.call(
            "register_worker",
            {
                "instance_id": str(worker.instance_id),
                "worker_id": worker.worker_id,
                "families": list(families),
                "executor_id": worker.executor_id,
                "concurrency": concurrency,
                "pid": pid,
                "code_version": code_version,
                "dagster_run_id": worker.dagster_run_id,
                "heartbeat_seconds": heartbeat_seconds,
                "device": dict(device),
            },
        )

    def heartbeat(self, worker: WorkerIdentity, running: int, metrics: Mapping[str, JsonValue]) -> bool:
        """Send a heartbeat; `metrics` are totals since the start. Return False if the worker must register again."""
        result = self._transport.call(
            "record_heartbeat", {"instance_id": str(worker.instance_id), "running": running, "metrics": dict(metrics)}
        )
        return bool(result["known"])

    def stop_worker(self, worker: WorkerIdentity) -> None:
        """Deregister the worker."""
        self._transport.call("stop_worker", {"instance_id": str(worker.instance_id)})

    def report_stuck(self, worker: WorkerIdentity, reason: str) -> None:
        """Report that the worker is stuck and ends itself."""
        self._transport.call("report_stuck_worker", {"instance_id": str(worker.instance_id), "reason": reason})

    def send_wakeup(self) -> bool:
        """Wake all workers; return whether the database can broadcast over Realtime."""
        return bool(self._transport.call("send_wakeup", {})["broadcast"])

    def list_workers(
        self, *, alive_only: bool = False, before: Cursor | None = None, max_workers: int = 50
    ) -> list[WorkerRow]:
        """Return workers, newest first.

        Args:
            alive_only: Whether to leave out workers that have missed more than three heartbeats.
            before: `started_at` and `instance_id` of the last row of the previous page.
        """
        rows = self._transport.call(
            "list_workers", without_none(alive_only=alive_only, before=before and dict(before), max_workers=max_workers)
        )
        return read_list(WorkerRow, rows)

    def lease_losses(
        self, *, worker_id: str | None = None, since_seconds: float = 86_400, max_losses: int = 50
    ) -> LeaseLosses:
        """Return attempts that lost their lease, newest first, and their number by worker."""
        arguments = without_none(worker_id=worker_id, since_seconds=since_seconds, max_losses=max_losses)
        return LeaseLosses.model_validate(self._transport.call("list_lease_losses", arguments))

    def registered_families(self, since_seconds: float) -> list[RegisteredFamily]:
        """Return the families that workers of Dagster runs registered within the last `since_seconds`."""
        rows = self._transport.call("registered_families", {"since_seconds": since_seconds})
        return read_list(RegisteredFamily, rows)

    def list_heartbeats(self, *, worker_id: str | None = None, max_heartbeats: int = 50) -> list[Heartbeat]:
        """Return the heartbeats of the last day, newest first."""
        return read_list(
            Heartbeat,
            self._transport.call("list_heartbeats", without_none(worker_id=worker_id, max_heartbeats=max_heartbeats)),
        )
