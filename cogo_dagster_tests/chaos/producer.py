"""Enqueues jobs during the faults, and records which ones the queue accepted."""

import random
import threading
from contextlib import suppress
from typing import Final
from uuid import UUID

import psycopg

from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.model import Json, NewJob
from cogo_dagster_tests.chaos.endings import ENDINGS, KILLS, SLOW
from cogo_dagster_tests.chaos.world import World

_MAX_WAITING: Final = 300
"""Limit of jobs that are not quick; otherwise those that workers cannot keep up with would fill the queue."""
_WAITING: Final = (
    "select count(*) filter (where family = 'chaos_quick'), count(*) filter (where family = 'chaos')"
    " from public.jobs where status = 'queued'"
)
_BATCHES: Final = 3
"""How many batches are a full backlog."""
_PAUSE_SECONDS: Final = 0.25
_EXPENSIVE_SECONDS: Final = 0.5
_QUICK_SHARE: Final = 0.97
_CHEAP_ENDINGS: Final = tuple(ending for ending in ENDINGS if ending not in {KILLS, *SLOW})


class Producer:
    """Keeps the queue filled from a thread.

    Most jobs are cheap, so that there are many attempts; expensive ones are enqueued at a separate rate.

    Args:
        backlog: Quick jobs are enqueued while fewer than this number are queued.

    Attributes:
        enqueued: IDs of the jobs that the queue accepted.
    """

    def __init__(self, world: World, seed: int, backlog: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._backlog = backlog
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self.enqueued: set[UUID] = set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait for its end."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        turn = 0
        while not self._ended.wait(_PAUSE_SECONDS):
            turn += 1
            with suppress(QueueError, psycopg.Error):  # the next round enqueues others
                self._top_up(expensive=turn % round(_EXPENSIVE_SECONDS / _PAUSE_SECONDS) == 0)

    def _top_up(self, *, expensive: bool) -> None:
        jobs = [NewJob("chaos", self._expensive(), max_attempts=self._chance.choice((1, 2)))] if expensive else []
        quick, others = self._world.numbers(_WAITING)
        if quick < self._backlog:
            jobs += [self._cheap(quick_only=others >= _MAX_WAITING) for _ in range(self._backlog // _BATCHES)]
        if jobs:
            self.enqueued |= {one.job_id for one in self._world.queue.enqueue(jobs)}

    def _cheap(self, *, quick_only: bool) -> NewJob:
        priority = self._chance.randrange(10)
        if self._chance.random() < _QUICK_SHARE or quick_only:
            return NewJob("chaos_quick", {}, max_attempts=self._attempts(), priority=priority)
        return NewJob("chaos", self._payload(), max_attempts=self._attempts(), priority=priority)

    def _attempts(self) -> int:
        return self._chance.choice((1, 2, 3, 5))

    def _payload(self) -> dict[str, Json]:
        chance = self._chance
        match chance.choices(("files", "fail", "snooze", "poison"), (70, 12, 9, 9))[0]:
            case "files":
                return {"do": "succeed", "files": chance.randint(1, 2)}
            case "fail":
                return {"do": "fail", "files": int(chance.random() < 0.1)}
            case "poison":
                return {"do": chance.choice(_CHEAP_ENDINGS)}
            case kind:
                return {"do": kind}

    def _expensive(self) -> dict[str, Json]:
        """Return a payload whose execution takes seconds, or ends its worker."""
        chance = self._chance
        kind = chance.choices(("brief", "slow", KILLS, *SLOW), (70, 15, 1, *[3 for _ in SLOW]))[0]
        match kind:
            case "brief":
                return {"do": "succeed", "files": chance.randint(0, 3), "seconds": chance.uniform(0, 0.5)}
            case "slow":
                return {"do": "succeed", "files": 1, "seconds": chance.uniform(2, 8)}
            case _:
                return {"do": kind, "seconds": chance.uniform(0, 0.2)}
