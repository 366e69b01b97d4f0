"""Workers by name: a name has one start for each process. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cogo_dagster.queue.rows.workers import WorkerLosses, WorkerRow


@dataclass(frozen=True, slots=True)
class WorkerGroup:
    """The starts of one name, newest first.

    Attributes:
        alive: Starts that are alive.
        ended: Starts that have stopped, or are silent.
        losses: The lost leases of the last 24 hours.
    """

    name: str | None
    alive: tuple[WorkerRow, ...]
    ended: tuple[WorkerRow, ...]
    losses: WorkerLosses | None

    @property
    def newest(self) -> WorkerRow | None:
        """The start that is described: the newest live one, else the newest."""
        return next(iter((*self.alive, *self.ended)), None)

    @property
    def earlier(self) -> tuple[WorkerRow, ...]:
        """The ended starts besides the newest start."""
        return tuple(worker for worker in self.ended if worker is not self.newest)

    @property
    def slots(self) -> int:
        """The slots of the live starts."""
        return sum(worker.concurrency for worker in self.alive)

    @property
    def running(self) -> int:
        """The jobs that the live starts run."""
        return sum(worker.running for worker in self.alive)

    @property
    def releases(self) -> tuple[str, ...]:
        """The releases of the live starts, else of the newest."""
        shown = self.alive or self.ended[:1]
        return tuple(dict.fromkeys(worker.code_version for worker in shown if worker.code_version))


def worker_groups(workers: Sequence[WorkerRow], losses: Sequence[WorkerLosses]) -> list[WorkerGroup]:
    """Return workers by name: live ones by name, then the others, the latest start first.

    Args:
        workers: Starts in any order.
        losses: The lost leases by worker; a name without a start here is listed too.
    """
    by_name: dict[str | None, dict[object, WorkerRow]] = {loss.worker_id: {} for loss in losses}
    for worker in workers:
        by_name.setdefault(worker.worker_id, {})[worker.instance_id] = worker
    lost = {loss.worker_id: loss for loss in losses}
    groups = [_group(name, list(starts.values()), lost.get(name)) for name, starts in by_name.items()]
    live = sorted((group for group in groups if group.alive), key=lambda group: group.name or "")
    ended = sorted((group for group in groups if not group.alive), key=_last_start, reverse=True)
    return live + ended


def _group(name: str | None, starts: list[WorkerRow], losses: WorkerLosses | None) -> WorkerGroup:
    starts.sort(key=_started, reverse=True)
    alive = tuple(worker for worker in starts if worker.alive)
    return WorkerGroup(name, alive, tuple(worker for worker in starts if not worker.alive), losses)


def _last_start(group: WorkerGroup) -> float:
    return _started(group.newest) if group.newest else 0.0


def _started(worker: WorkerRow) -> float:
    return worker.started_at.timestamp() if isinstance(worker.started_at, datetime) else 0.0
