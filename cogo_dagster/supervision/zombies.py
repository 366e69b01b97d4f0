"""Which Dagster runs are dead although Dagster says that they work. Pure: the sensor reads, this decides.

No launcher on a machine of its own can tell that a run's whole host died. The queue can: the run's worker sends a
heartbeat every few seconds. A heartbeat that is missing says nothing while the database is away, so a run is judged
only after the database has answered for three heartbeats meanwhile.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from cogo_dagster.queue.rows.workers import WorkerRow

LONGEST_GAP_SECONDS: Final = 45.0
"""Nobody looked for so long, or the database was away: what was seen before says nothing any more."""

HEARTBEATS: Final = 3
_LEAST_SECONDS: Final = 30.0
_SIGNED_OFF_SECONDS: Final = 120.0
_STARTING_SECONDS: Final = 180.0
_UNREGISTERED_SECONDS: Final = 900.0
"""An executor's start comes before the registration, and may have to install a browser."""


@dataclass(frozen=True, slots=True)
class WorkerRun:
    """A run of `process_jobs` that has begun and not ended, with its worker as the queue knows it.

    Attributes:
        seconds: How long the run has been in its status.
        last_heartbeat_at: The database's time of it; None where no worker has registered for the run.
        alive: Whether no more than three heartbeats are missing.
        stopped: Whether the worker signed off: then the run ends within seconds.
    """

    run_id: str
    seconds: float
    last_heartbeat_at: str | None = None
    alive: bool = False
    stopped: bool = False
    heartbeat_seconds: float = 10


@dataclass(frozen=True, slots=True)
class SilentWorker:
    """A worker that was found silent.

    Attributes:
        last_heartbeat_at: The last one it sent; another one ends the silence.
        since: When it was first found so, in seconds of the looker's clock.
        counted_at: When it was counted last.
        answers: How often the database has answered since, a heartbeat apart.
    """

    last_heartbeat_at: str | None
    since: float
    counted_at: float
    answers: int = 1


@dataclass(frozen=True, slots=True)
class Watch:
    """What the looks so far have seen; the sensor's cursor."""

    looked_at: float = 0
    silences: Mapping[str, SilentWorker] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Read a cursor; one that cannot be read is a first look."""
        try:
            saved = json.loads(text or "")
            return cls(saved["looked_at"], {run_id: SilentWorker(*one) for run_id, one in saved["silences"].items()})
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def to_text(self) -> str:
        """Write the cursor."""
        silences = {
            run_id: [one.last_heartbeat_at, one.since, one.counted_at, one.answers]
            for run_id, one in self.silences.items()
        }
        return json.dumps({"looked_at": self.looked_at, "silences": silences})

    def look(self, runs: Sequence[WorkerRun], now: float) -> "tuple[Watch, list[WorkerRun]]":
        """Take in what the database has just answered.

        Args:
            runs: All runs of `process_jobs` that have begun and not ended.
            now: Seconds, on the clock of the looks before.

        Returns:
            What to remember, and the runs that are dead.
        """
        known = self.silences if 0 <= now - self.looked_at <= LONGEST_GAP_SECONDS else {}
        silences = {run.run_id: _silence(run, known.get(run.run_id), now) for run in runs if _is_silent(run)}
        dead = [run for run in runs if run.run_id in silences and _is_dead(run, silences[run.run_id])]
        return Watch(now, silences), dead


def worker_run(run_id: str, seconds: float, workers: Sequence[WorkerRow]) -> WorkerRun:
    """Return a run with its newest worker.

    Args:
        seconds: How long the run has been in its status.
        workers: Rows of `list_workers`.
    """
    own = [worker for worker in workers if worker.dagster_run_id == run_id]
    if not own:
        return WorkerRun(run_id, seconds)
    worker = max(own, key=lambda row: str(row.document["started_at"]))
    return WorkerRun(
        run_id,
        seconds,
        str(worker.document["last_heartbeat_at"]),
        alive=worker.alive,
        stopped=worker.stopped_at is not None,
        heartbeat_seconds=worker.heartbeat_seconds if isinstance(worker.heartbeat_seconds, float) else math.inf,
    )


def is_starting(run: WorkerRun) -> bool:
    """Whether a run that has begun may still register its worker."""
    return run.last_heartbeat_at is None and run.seconds < _STARTING_SECONDS


def _is_silent(run: WorkerRun) -> bool:
    if run.last_heartbeat_at is None:
        return run.seconds >= _UNREGISTERED_SECONDS
    return not run.alive


def _silence(run: WorkerRun, known: SilentWorker | None, now: float) -> SilentWorker:
    if known is None or known.last_heartbeat_at != run.last_heartbeat_at:
        return SilentWorker(run.last_heartbeat_at, now, now)
    if now - known.counted_at < run.heartbeat_seconds:
        return known
    return SilentWorker(known.last_heartbeat_at, known.since, now, known.answers + 1)


def _is_dead(run: WorkerRun, silence: SilentWorker) -> bool:
    patience = _SIGNED_OFF_SECONDS if run.stopped else max(HEARTBEATS * run.heartbeat_seconds, _LEAST_SECONDS)
    return silence.answers > HEARTBEATS and silence.counted_at - silence.since >= patience
