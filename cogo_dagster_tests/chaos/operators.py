"""Calls of operators during a run, several concurrently."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from uuid import UUID, uuid4

import psycopg

from cogo_dagster.queue.artifacts import ArtifactStoreError, sweep_artifacts
from cogo_dagster.queue.errors import QueueError
from cogo_dagster_tests.chaos.plan import Step
from cogo_dagster_tests.chaos.world import World

_ACTOR: Final = "chaos"
_AT_ONCE: Final = 3
_CHOSEN: Final = (
    "select id from public.jobs where status in ('queued', 'running') order by status desc, id limit 1 offset {}"
)


class Operators:
    """Makes calls of operators during the faults.

    Args:
        done: Counts calls that succeeded.
        missed: Counts calls that failed by a fault.
    """

    def __init__(self, world: World, done: Counter[str], missed: Counter[str]) -> None:
        self._world = world
        self._done, self._missed = done, missed
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="operator")
        self._calls: Mapping[str, Callable[[Step], object]] = {
            "retry": lambda _: self._operate("retry_failed", dry_run=False),
            "replay": lambda _: self._operate("replay_dlq", type_prefix="chaos"),
            "purge": lambda _: self._operate("purge_jobs", older_than_days=0, dry_run=False, batch_size=50),
            "cancel": self._cancel,
            "pause": self._pause,
            "cleanup": lambda _: self._operate("cleanup_artifacts", older_than_days=0, batch_size=20),
            "sweep": lambda _: sweep_artifacts(world.queue, world.store, grace_seconds=30, max_seconds=1),
            "recover": lambda _: self._operate("recover_leases"),
            "dry runs": lambda _: self._dry_runs(),
        }

    def begin(self, step: Step) -> bool:
        """Begin an operator's call; return whether the step is one."""
        if step.kind not in self._calls:
            return False
        self._threads.submit(self._try, step)
        return True

    def close(self) -> None:
        """Wait for all calls."""
        self._threads.shutdown(wait=True)
        self._resume()

    def _try(self, step: Step) -> None:
        try:
            self._calls[step.kind](step)
        except (QueueError, ArtifactStoreError, psycopg.Error):
            self._missed[step.kind] += 1
        else:
            self._done[step.kind] += 1

    def _operate(self, function: str, **arguments: object) -> None:
        action = {"id": str(uuid4()), "batch": 0, "actor": _ACTOR}
        self._world.queue.operate(function, {**arguments, "action": action})

    def _pause(self, step: Step) -> None:
        self._world.queue.pause("type", "chaos", actor=_ACTOR)
        time.sleep(step.hold_seconds)
        self._resume()

    def _resume(self) -> None:
        self._world.queue.resume("type", "chaos", actor=_ACTOR)

    def _cancel(self, step: Step) -> None:
        with psycopg.connect(self._world.dsn, application_name="chaos", connect_timeout=10) as connection:
            row = connection.execute(_CHOSEN.format(step.target % 5).encode()).fetchone()
        if row:
            self._world.queue.cancel(UUID(str(row[0])), actor=_ACTOR)

    def _dry_runs(self) -> None:
        for function in ("retry_failed", "replay_dlq", "purge_jobs", "cleanup_artifacts", "recover_leases"):
            self._world.queue.operate(function, {"dry_run": True})
