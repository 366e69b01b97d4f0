"""Enqueues while the faults go on, and remembers what it was told is in the queue."""

import random
from contextlib import suppress
from typing import Final
from uuid import UUID

from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.model import Json, NewJob
from cogo_dagster_tests.chaos.endings import ENDINGS, KILLS
from cogo_dagster_tests.chaos.world import World

_BACKLOG: Final = 300
_BATCH: Final = 150


class Producer:
    """Keeps the queue filled.

    Attributes:
        enqueued: The jobs that the queue said it took.
    """

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self.enqueued: set[UUID] = set()

    def top_up(self) -> None:
        """Add jobs if fewer than a few hundred wait."""
        row = self._world.owner.execute("select count(*) from public.jobs where status = 'queued'").fetchone()
        if row and row[0] < _BACKLOG:
            with suppress(QueueError):  # the next round adds others
                jobs = [self._job() for _ in range(_BATCH)]
                self.enqueued |= {one.job_id for one in self._world.queue.enqueue(jobs)}

    def _job(self) -> NewJob:
        chance = self._chance
        attempts = chance.choice((1, 2, 3, 5))
        if chance.random() < 0.75:
            return NewJob("chaos_quick", {}, max_attempts=attempts, priority=chance.randrange(10))
        return NewJob("chaos", self._payload(), max_attempts=attempts, priority=chance.randrange(10))

    def _payload(self) -> dict[str, Json]:
        chance = self._chance
        kind = chance.choices(
            ("succeed", "files", "slow", "fail", "snooze", "poison", KILLS), (30, 35, 2, 10, 8, 14, 0.3)
        )[0]
        match kind:
            case "files":
                return {"do": "succeed", "files": chance.randint(1, 3), "seconds": chance.uniform(0, 0.2)}
            case "slow":
                return {"do": "succeed", "files": 1, "seconds": chance.uniform(2, 8)}
            case "fail":
                return {"do": "fail", "files": chance.randint(0, 1)}
            case "poison":
                return {"do": chance.choice([ending for ending in ENDINGS if ending != KILLS])}
            case _:
                return {"do": kind, "seconds": chance.uniform(0, 0.2)}
