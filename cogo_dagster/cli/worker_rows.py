"""Workers as `cogo list workers` shows them, also those that lost leases and have no row."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cogo_dagster.cli.tables import Row
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.workers import WorkerLosses, WorkerRow


@dataclass(frozen=True)
class UnregisteredWorker:
    """A worker that lost leases and has no row: it never registered, or its row was deleted."""

    worker_id: str | None
    instance_id: None = None
    executor_id: None = None
    families: tuple[str, ...] = ()
    concurrency: int = 0
    running: int = 0
    alive: bool = False
    started_at: None = None
    last_heartbeat_at: None = None
    stopped_at: None = None

    @property
    def document(self) -> dict[str, Json]:
        """The values, as JSON has them."""
        return asdict(self)


def unregistered(workers: Sequence[WorkerRow], losses: Sequence[WorkerLosses]) -> list[UnregisteredWorker]:
    """Return a row for each worker that lost leases and is not among the workers."""
    names = {worker.worker_id for worker in workers}
    return [UnregisteredWorker(loss.worker_id) for loss in losses if loss.worker_id not in names]


def state(row: WorkerRow | UnregisteredWorker) -> str:
    """Return whether a worker is alive, silent, stopped or unregistered."""
    if row.instance_id is None:
        return "unregistered"
    if row.stopped_at:
        return "stopped"
    return "alive" if row.alive else "silent"


def worker_rows(queue: Queue, *, alive_only: bool, limit: int) -> tuple[list[Row], list[dict[str, Json]]]:
    """Return workers, then unregistered ones if all workers fit; and the leases that each lost in 24 hours."""
    found, losses = (
        queue.list_workers(alive_only=alive_only, max_workers=limit),
        queue.lease_losses(max_losses=0).workers,
    )
    others = [] if alive_only or len(found) >= limit else unregistered(found, losses)[: limit - len(found)]
    rows: list[Row] = [*found, *others]
    lost = {row.worker_id: row.attempts for row in losses}
    return rows, [{"leases_lost_24h": lost.get(row.worker_id, 0)} for row in rows]
