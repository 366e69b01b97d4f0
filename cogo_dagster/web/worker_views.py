"""Values that templates derive from workers. Pure."""

from typing import Final

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.workers import WorkerRow
from cogo_dagster.web.filters import UNKNOWN, items, number
from cogo_dagster.web.views import Label

_COUNTERS: Final = {name: at for at, name in enumerate(("claimed", "succeeded", "retried", "failed"))}

_SHOWN_DEVICE: Final = frozenset({"hostname", "cpu_count", "platform"})


def worker_state(worker: WorkerRow) -> Label:
    """Return the label of a worker."""
    if worker.alive:
        return Label("alive", "succeeded", "succeeded")
    return Label("stopped", "cancelled", "cancelled") if worker.stopped_at else Label("silent", "failed", "failed")


def slots_in_use(worker: WorkerRow) -> int:
    """Return the number of jobs that a worker runs; 0 if it is not alive."""
    return min(worker.running, worker.concurrency) if worker.alive else 0


def counter(worker: WorkerRow, name: str) -> str:
    """Return a counter of a worker; a dash if it is unknown."""
    value = worker.counters.get(name) if isinstance(worker.counters, dict) else None
    return UNKNOWN if value is None else number(value)


def counters(worker: WorkerRow) -> list[tuple[str, Json]]:
    """Return the counters of a worker, outcomes of attempts in the order of their events first."""
    found = items(worker.counters)
    return sorted(found, key=lambda counted: _COUNTERS.get(counted[0], len(_COUNTERS)))


def machine(worker: WorkerRow) -> str:
    """Return the CPU count and platform of a worker's device, each after a comma."""
    device = worker.device if isinstance(worker.device, dict) else {}
    cpus, platform = device.get("cpu_count"), device.get("platform")
    return (f", {cpus} {'CPU' if cpus == 1 else 'CPUs'}" if cpus else "") + (f", {platform}" if platform else "")


def other_facts(worker: WorkerRow) -> list[tuple[str, Json]]:
    """Return the other facts that a worker's device reports."""
    if isinstance(worker.device, dict):
        return [(name, value) for name, value in worker.device.items() if name not in _SHOWN_DEVICE]
    return [("unreadable", worker.device)] if worker.device else []
