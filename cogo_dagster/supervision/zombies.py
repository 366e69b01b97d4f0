"""Detects dead Dagster runs that Dagster considers as started. Pure functions of what the sensor reads.

A run launcher cannot detect that the whole host of a run died. The queue can, because the worker of a run sends a
heartbeat every few seconds. While the database is unreachable no heartbeats arrive, so a run counts as dead only after
the database has responded for three heartbeat intervals.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from cogo_dagster.queue.rows.workers import WorkerRow
from cogo_dagster.text import load_json

MAX_GAP_SECONDS: Final = 45.0
"""Observations older than this are dropped: the sensor did not run, or the database was unreachable."""

HEARTBEATS: Final = 3
_MIN_SECONDS: Final = 30.0
_STOPPED_SECONDS: Final = 120.0
_STARTING_SECONDS: Final = 180.0
_UNREGISTERED_SECONDS: Final = 900.0
"""Executors start before the registration, and may have to install a browser."""


@dataclass(frozen=True, slots=True)
class WorkerRun:
    """A started run of `process_jobs`, with its worker.

    Attributes:
        seconds: Time since the run entered its status.
        last_heartbeat_at: Time of the last heartbeat by the clock of the database; None if no worker has registered.
        alive: Whether at most three heartbeats are missing.
        stopped: Whether the worker has deregistered, after which the run ends within seconds.
        heartbeat_seconds: Interval of the heartbeats.
    """

    run_id: str
    seconds: float
    last_heartbeat_at: str | None = None
    alive: bool = False
    stopped: bool = False
    heartbeat_seconds: float = 10


@dataclass(frozen=True, slots=True)
class SilentWorker:
    """A worker whose heartbeats are missing.

    Attributes:
        last_heartbeat_at: Time of its last heartbeat; a new one ends the silence.
        since: Time of the first observation, in seconds of the local clock.
        counted_at: Time of the last counted observation.
        observations: Number of counted observations, at least one heartbeat interval apart.
    """

    last_heartbeat_at: str | None
    since: float
    counted_at: float
    observations: int = 1


@dataclass(frozen=True, slots=True)
class Watch:
    """State of the observations so far; the cursor of the sensor."""

    looked_at: float = 0
    silences: Mapping[str, SilentWorker] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Parse a cursor; an invalid one is an empty state."""
        try:
            saved = load_json(text or "")
            return cls(
                saved["looked_at"], {run_id: SilentWorker(*fields) for run_id, fields in saved["silences"].items()}
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def to_text(self) -> str:
        """Return the cursor as text."""
        silences = {
            run_id: [silence.last_heartbeat_at, silence.since, silence.counted_at, silence.observations]
            for run_id, silence in self.silences.items()
        }
        return json.dumps({"looked_at": self.looked_at, "silences": silences})

    def observe(self, runs: Sequence[WorkerRun], now: float) -> "tuple[Watch, list[WorkerRun]]":
        """Add an observation.

        Args:
            runs: All started runs of `process_jobs`, as just read from the database.
            now: Time in seconds of the local clock.

        Returns:
            The new state, and the dead runs.
        """
        known = self.silences if 0 <= now - self.looked_at <= MAX_GAP_SECONDS else {}
        silences = {run.run_id: _silence(run, known.get(run.run_id), now) for run in runs if _is_silent(run)}
        dead = [run for run in runs if run.run_id in silences and _is_dead(run, silences[run.run_id])]
        return Watch(now, silences), dead


def worker_run(run_id: str, seconds: float, workers: Sequence[WorkerRow]) -> WorkerRun:
    """Return a run with its newest worker.

    Args:
        run_id: ID of the run.
        seconds: Time since the run entered its status.
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
    """Whether a started run may still register its worker."""
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
    return SilentWorker(known.last_heartbeat_at, known.since, now, known.observations + 1)


def _is_dead(run: WorkerRun, silence: SilentWorker) -> bool:
    min_seconds = _STOPPED_SECONDS if run.stopped else max(HEARTBEATS * run.heartbeat_seconds, _MIN_SECONDS)
    return silence.observations > HEARTBEATS and silence.counted_at - silence.since >= min_seconds
