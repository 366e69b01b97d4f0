"""Workers that lost leases and have no row, as `cogo list workers` shows them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

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
